"""Turn results into tables: ratios, goals, and the block between the markers of docs/benchmarks.md."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.scenarios import BY_KEY, Scenario
from benchmarks.servers import BY_KEY as SERVERS

Results = dict[str, dict[str, dict[str, Any]]]
BEGIN, END = "<!-- benchmarks:begin -->", "<!-- benchmarks:end -->"
OURS, YARDSTICK = "gatehouse", "nginx"
# More than this share of the server's core in other hands makes numbers doubtful.
QUIET_PERCENT = 5


@dataclass(frozen=True)
class Goal:
    """Something to reach: a scenario's metric of ours (or its ratio to a peer), and the bound."""

    title: str
    scenario: str
    metric: str
    bound: float
    at_most: bool = False
    peer: str = ""
    form: str = "{:,.2f}"


GOALS = (
    Goal("requests/s at 16 connections", "chat-16", "rps", 2000, form="{:,.0f}"),
    Goal("times Portkey's requests/s at 16 connections", "chat-16", "rps", 2, peer="portkey"),
    Goal("times LiteLLM's requests/s at 16 connections", "chat-16", "rps", 15, peer="litellm"),
    Goal("p50 added at one connection, ms", "chat-1", "added_p50_ms", 0.8, at_most=True),
    Goal("CPU µs a streamed chunk", "stream", "cpu_us_chunk", 60, at_most=True, form="{:,.1f}"),
    Goal("growth of memory over the long run, %", "memory", "growth_percent", 10, at_most=True, form="{:+,.1f}"),
    Goal("requests of the long run", "memory", "requests", 200_000, form="{:,.0f}"),
    Goal("p50 added to a socket's message, ms", "sockets", "added_p50_ms", 0.3, at_most=True),
    Goal("frames/s answered of 10,000 over 200 sockets beside 500 idle", "sockets", "frames_s", 9_900, form="{:,.0f}"),
    Goal("open streams on one worker", "open-streams", "open", 1000, form="{:,.0f}"),
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
    """Return how much of the server's core others used at most, or nothing when that is not known."""
    shares = [
        (metrics["foreign_percent"], f"{server}, {scenario}")
        for scenario, rows in results.items()
        for server, metrics in rows.items()
        if "foreign_percent" in metrics
    ]
    if not shares:
        return ""
    most, where = max(shares)
    verdict = "" if most <= QUIET_PERCENT else " NOT a quiet machine: measure again."
    return f"at most {max(most, 0):.0f}% of the server's core went to others ({where}).{verdict}"


def ratio(results: Results, scenario: str, metric: str, over: str, under: str) -> float | None:
    """Return ``over``'s metric divided by ``under``'s, or None when either is missing or the divisor is zero."""
    rows = results.get(scenario, {})
    top, bottom = rows.get(over, {}).get(metric), rows.get(under, {}).get(metric)
    return top / bottom if top is not None and bottom else None


def measured(results: Results, goal: Goal) -> float | None:
    """Return what a goal asks for, or None when it was not measured."""
    if goal.peer:
        return ratio(results, goal.scenario, goal.metric, OURS, goal.peer)
    return results.get(goal.scenario, {}).get(OURS, {}).get(goal.metric)


def reached(goal: Goal, value: float) -> bool:
    """Whether ``value`` is on the good side of the goal's bound."""
    return value <= goal.bound if goal.at_most else value >= goal.bound


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


def scenario_table(results: Results, scenario: Scenario) -> str:
    """Return a scenario's table: a line per server, its metrics, and how it stands to nginx and to Gatehouse."""
    rows = results[scenario.key]
    header = ["", *(column.title for column in scenario.columns), *_ratio_titles(scenario)]
    lines = []
    for key, metrics in rows.items():
        title = SERVERS[key].title
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


def render(document: dict[str, Any]) -> str:
    """Return the whole report of a run: where and how, the goals, a table per scenario, void runs.

    ``document`` has ``command``, ``machine``, ``versions`` (texts by name) and ``results``.
    """
    results: Results = document["results"]
    parts = [f"`{document['command']}`"]
    parts += ["\n".join(f"- {name}: {text}" for name, text in document["machine"].items())]
    parts[-1] += "\n- versions: " + ", ".join(f"{name} {version}" for name, version in document["versions"].items())
    if noise(results):
        parts[-1] += f"\n- noise: {noise(results)}"
    goals = goals_table(results)
    if goals:
        parts += ["### Goals", goals]
    for key in results:
        if results[key]:
            parts += [f"### {BY_KEY[key].title}", scenario_table(results, BY_KEY[key])]
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
