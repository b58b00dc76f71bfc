"""What is to be reached, and whether it was."""

from dataclasses import dataclass
from typing import Any

# Scenario key -> server key -> metrics.
Results = dict[str, dict[str, dict[str, Any]]]
OURS = "gatehouse"


@dataclass(frozen=True)
class Cell:
    """A number in the results: a server's metric in a scenario."""

    server: str
    scenario: str
    metric: str


@dataclass(frozen=True)
class Goal:
    """Something to reach: a number, divided by ``over`` or what it has above ``base``, if given, and the bound."""

    title: str
    value: Cell
    bound: float
    at_most: bool = False
    over: Cell | None = None
    base: Cell | None = None
    form: str = "{:,.2f}"


def _ours(scenario: str, metric: str) -> Cell:
    return Cell(OURS, scenario, metric)


CALL = _ours("chat-16", "cpu_us")
RATE = _ours("chat-16", "rps")
# What a call and an event may cost more for being translated, and the scenario whose cost is compared.
ADDED = (
    ("16", "cpu_us", 120, "chat-16", "a call"),
    ("stream", "cpu_us_event", 15, "stream", "an event, paced"),
    ("burst", "cpu_us_event", 15, "burst", "an event in a burst"),
)
TRANSLATED = {"claude": "a chat to Anthropic", "gemini": "a chat to Gemini", "messages": "a message to OpenAI"}
GOALS = (
    Goal("CPU of a plain call, times Ferro's", CALL, 1.5, at_most=True, over=Cell("ferro", "chat-16", "cpu_us")),
    Goal(
        "CPU of a plain call, times TensorZero's", CALL, 1.5, at_most=True, over=Cell("tensorzero", "chat-16", "cpu_us")
    ),
    Goal("CPU µs an event in a burst", _ours("burst", "cpu_us_event"), 8, at_most=True, form="{:,.1f}"),
    Goal("CPU µs an event, paced", _ours("stream", "cpu_us_event"), 40, at_most=True, form="{:,.1f}"),
    Goal("CPU of a plain response, times a chat call's", _ours("responses-16", "cpu_us"), 1.4, at_most=True, over=CALL),
    Goal("p99 of a lone caller, times its p50", _ours("chat-1", "p99_to_p50"), 3, at_most=True),
    *(
        Goal(title, Cell(server, "observed", "cpu_us"), bound, at_most=True, over=_ours("observed", "cpu_us"))
        for title, server, bound in (
            ("CPU of a call, all traces and metrics sent, times one without", "gatehouse-traced", 1.2),
            ("CPU of a call, 1 % of the traces and metrics sent, times one without", "gatehouse-sampled", 1.05),
            ("CPU of a call, all bodies kept, times one without", "gatehouse-bodies", 1.15),
        )
    ),
    Goal(
        "CPU of a call with three limits, two budgets and a virtual model, times one without",
        Cell("gatehouse-ruled", "ruled", "cpu_us"),
        1.25,
        at_most=True,
        over=_ours("ruled", "cpu_us"),
    ),
    Goal(
        "p99 that the same adds to a lone caller's with Redis, ms",
        Cell("gatehouse-shared", "ruled-1", "p99_ms"),
        1,
        at_most=True,
        base=_ours("ruled-1", "p99_ms"),
    ),
    Goal("p50 added to a lone caller's, ms", _ours("chat-1", "added_p50_ms"), 0.8, at_most=True),
    Goal("KiB an open stream", _ours("open-streams", "kb_stream"), 24, at_most=True, form="{:,.1f}"),
    Goal(
        "two workers' requests/s, times one's",
        Cell("gatehouse-2", "workers", "rps"),
        1.8,
        over=_ours("workers", "rps"),
    ),
    Goal("requests/s at 16 connections", RATE, 2000, form="{:,.0f}"),
    Goal("times Portkey's requests/s at 16 connections", RATE, 2, over=Cell("portkey", "chat-16", "rps")),
    Goal("times LiteLLM's requests/s at 16 connections", RATE, 15, over=Cell("litellm", "chat-16", "rps")),
    Goal("growth of memory over the long run, %", _ours("memory", "growth_percent"), 10, at_most=True, form="{:+,.1f}"),
    Goal("requests of the long run", _ours("memory", "requests"), 200_000, form="{:,.0f}"),
    Goal("p50 added to a socket's message, ms", _ours("sockets", "added_p50_ms"), 0.3, at_most=True),
    Goal(
        "frames/s answered of 10,000 over 200 sockets beside 500 idle",
        _ours("sockets", "frames_s"),
        9_900,
        form="{:,.0f}",
    ),
    Goal("open streams on one worker", _ours("open-streams", "open"), 1000, form="{:,.0f}"),
    *(
        Goal(
            f"CPU µs that translation adds to {unit}: {title}",
            _ours(f"{key}-{scenario}", metric),
            bound,
            at_most=True,
            base=_ours(base, metric),
            form="{:,.1f}",
        )
        for key, title in TRANSLATED.items()
        for scenario, metric, bound, base, unit in ADDED
    ),
)


def number(results: Results, cell: Cell) -> float | None:
    """Return what was measured, or None when it was not."""
    return results.get(cell.scenario, {}).get(cell.server, {}).get(cell.metric)


def measured(results: Results, goal: Goal) -> float | None:
    """Return what a goal asks for, or None when it was not measured."""
    value = number(results, goal.value)
    if value is not None and goal.base is not None:
        base = number(results, goal.base)
        return None if base is None else value - base
    if goal.over is None or value is None:
        return value
    divisor = number(results, goal.over)
    return value / divisor if divisor else None


def reached(goal: Goal, value: float) -> bool:
    """Whether ``value`` is on the good side of the goal's bound."""
    return value <= goal.bound if goal.at_most else value >= goal.bound
