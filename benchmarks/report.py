"""Turn results into tables: ratios, goals, and the block between the markers of docs/benchmarks.md."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.goals import CALL, GOALS, OURS, Cell, Results, measured, number, reached
from benchmarks.scenarios import BY_KEY, Scenario
from benchmarks.servers import AGAINST

BEGIN, END = "<!-- benchmarks:begin -->", "<!-- benchmarks:end -->"
YARDSTICK = "nginx"
# More than this share of the server's core in other hands makes numbers doubtful.
QUIET_PERCENT = 5


# What a call and an event cost, as columns: title, scenario, metric, form.
COSTS = (
    ("CPU µs a call", "chat-16", "cpu_us", "{:,.0f}"),
    ("a response", "responses-16", "cpu_us", "{:,.0f}"),
    ("an event, paced", "stream", "cpu_us_event", "{:,.1f}"),
    ("an event in a burst", "burst", "cpu_us_event", "{:,.1f}"),
    ("idle: CPU %", "chat-16", "idle_percent", "{:,.1f}"),
    ("requests/s", "chat-16", "rps", "{:,.0f}"),
)


def void_runs(results: Results) -> list[str]:
    """Return a line for each server and reason for which runs don't count, with the scenarios that it spoils."""
    spoiled: dict[tuple[str, str], list[str]] = {}
    for scenario, rows in results.items():
        for server, metrics in rows.items():
            if "void" in metrics:
                spoiled.setdefault((server, metrics["void"]), []).append(scenario)
    return [f"{server} ({', '.join(scenarios)}): {why}" for (server, why), scenarios in spoiled.items()]


def noise(results: Results) -> str:
    """Return how much of the server's core others used at most, and how far rounds were apart; empty when neither is
    known.
    """
    shares = _worst(results, lambda metrics, _: metrics.get("foreign_percent"))
    spreads = _worst(results, _spread)
    parts = []
    if shares:
        most, where = shares
        verdict = "" if most <= QUIET_PERCENT else " NOT a quiet machine: measure again."
        parts.append(f"at most {max(most, 0):.0f}% of the server's core went to others ({where}).{verdict}")
    if spreads:
        parts.append(f"rounds of a row were at most {spreads[0]:.0f}% apart ({spreads[1]}).")
    return " ".join(parts)


def _worst(results: Results, value: Callable[[dict[str, Any], str], float | None]) -> tuple[float, str] | None:
    found = [
        (number, f"{server}, {scenario}")
        for scenario, rows in results.items()
        for server, metrics in rows.items()
        if (number := value(metrics, scenario)) is not None
    ]
    return max(found, default=None)


def _spread(metrics: dict[str, Any], scenario: str) -> float | None:
    """Return how far the rounds' main metrics are apart, in % of their median."""
    middle = metrics.get(BY_KEY[scenario].main)
    return (metrics["high"] - metrics["low"]) / middle * 100 if middle and "low" in metrics else None


def ratio(results: Results, scenario: str, metric: str, over: str, under: str) -> float | None:
    """Return ``over``'s metric divided by ``under``'s, or None when either is missing or the divisor is zero."""
    top, bottom = (number(results, Cell(server, scenario, metric)) for server in (over, under))
    return top / bottom if top is not None and bottom else None


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table whose columns line up; the first is text, the others are numbers."""
    widths = [max(len(row[index]) for row in [header, *rows]) for index in range(len(header))]

    def line(cells: Sequence[str]) -> str:
        padded = [
            cell.ljust(width) if not index else cell.rjust(width)
            for index, (cell, width) in enumerate(zip(cells, widths, strict=True))
        ]
        return f"| {' | '.join(padded)} |"

    rule = [("-" * width) if not index else "-" * (width - 1) + ":" for index, width in enumerate(widths)]
    return "\n".join([line(header), line(rule), *(line(row) for row in rows)])


def scenario_table(results: Results, scenario: Scenario, titles: Mapping[str, str]) -> str:
    """Return a scenario's table: a line per server, its metrics, and their ratio to nginx's and to Gatehouse's."""
    rows = results[scenario.key]
    header = ["", *(column.title for column in scenario.columns), *_ratio_titles(scenario)]
    lines = []
    for key, metrics in rows.items():
        title = titles[key]
        if "void" in metrics:
            lines.append([f"{title}: void", *["–"] * (len(header) - 1)])
            continue
        cells = [_cell(column.form.format, metrics.get(column.name)) for column in scenario.columns]
        against_nginx = ratio(results, scenario.key, scenario.main, key, YARDSTICK)
        pair = (OURS, key) if scenario.more else (key, OURS)
        against_ours = ratio(results, scenario.key, scenario.main, *pair)
        nginx_form: Callable[[float], str] = "{:.1%}".format if scenario.more else "{:.1f}×".format
        lines.append([title, *cells, _cell(nginx_form, against_nginx), _cell("{:.2f}×".format, against_ours)])
    return table(header, lines)


def _ratio_titles(scenario: Scenario) -> tuple[str, str]:
    if scenario.more:
        return "of nginx", "Gatehouse ÷ this"
    return "÷ nginx", "this ÷ Gatehouse"


def _cell(form: Callable[[float], str], value: float | None) -> str:
    return "–" if value is None else form(value)


def goals_table(results: Results) -> str:
    """Return the table of goals, with those that were measured; empty when none was."""
    rows = []
    for goal in GOALS:
        value = measured(results, goal)
        if value is not None:
            sign = "≤" if goal.at_most else "≥"
            verdict = "yes" if reached(goal, value) else "NO"
            rows.append([goal.title, f"{sign} {goal.bound:,g}", goal.form.format(value), verdict])
    return table(["goal", "to reach", "measured", "reached"], rows) if rows else ""


def costs_table(results: Results, titles: Mapping[str, str]) -> str:
    """Return a line per server with the CPU time of a call and of an event; empty when none was measured."""
    lines = []
    for key, title in titles.items():
        numbers = [number(results, Cell(key, scenario, metric)) for _, scenario, metric, _ in COSTS]
        if any(value is not None for value in numbers):
            cells = [_cell(cost[3].format, value) for cost, value in zip(COSTS, numbers, strict=True)]
            ours = ratio(results, CALL.scenario, CALL.metric, OURS, key)
            lines.append([title, *cells, _cell("{:.2f}×".format, ours)])
    header = ["", *(cost[0] for cost in COSTS), "call: Gatehouse ÷ this"]
    return table(header, lines) if lines else ""


def changes_table(results: Results) -> str:
    """Return the main metric and the CPU time of each scenario, of the earlier commit and of this one; empty without
    one.
    """
    lines = []
    for key, rows in results.items():
        scenario = BY_KEY[key]
        for column in scenario.columns:
            before, now = (rows.get(server, {}).get(column.name) for server in (AGAINST, OURS))
            if before and now and (column.name == scenario.main or column.name.startswith("cpu_")):
                gain = now / before if column.name == scenario.main and scenario.more else before / now
                values = [column.form.format(value) for value in (before, now)]
                lines.append([f"{scenario.title}: {column.title}", *values, f"{gain:.2f}×"])
    return table(["", "before", "now", "better by"], lines) if lines else ""


def render(document: dict[str, Any]) -> str:
    """Return the whole report of a run: where and how, the goals, costs and changes, a table per scenario, void runs.

    ``document`` has ``command``, ``machine``, ``versions`` and ``titles`` (strings by name) and ``results``.
    """
    results: Results = document["results"]
    titles: dict[str, str] = document["titles"]
    parts = [f"`{document['command']}`"]
    parts += ["\n".join(f"- {name}: {text}" for name, text in document["machine"].items())]
    parts[-1] += "\n- versions: " + ", ".join(f"{name} {version}" for name, version in document["versions"].items())
    if noise(results):
        parts[-1] += f"\n- noise: {noise(results)}"
    for title, text in (
        ("Goals", goals_table(results)),
        ("CPU time of a call and of an event", costs_table(results, titles)),
        ("Before and now", changes_table(results)),
    ):
        if text:
            parts += [f"### {title}", text]
    for key in results:
        if results[key]:
            parts += [f"### {BY_KEY[key].title}", scenario_table(results, BY_KEY[key], titles)]
    void = void_runs(results)
    if void:
        parts += ["### Void runs", "\n".join(f"- {line}" for line in void)]
    return "\n\n".join(parts) + "\n"


def write(page: Path, text: str, markers: tuple[str, str] = (BEGIN, END)) -> None:
    """Put ``text`` between two marker lines of ``page``; raise ValueError when it has not just these two, in order."""
    begin, end = markers
    old = page.read_text()
    if old.count(begin) != 1 or old.count(end) != 1 or old.index(begin) > old.index(end):
        raise ValueError(f"{page} needs one line {begin} and one line {end} after it")
    head, rest = old.split(begin)
    page.write_text(f"{head}{begin}\n\n{text}\n{end}{rest.split(end)[1]}")
