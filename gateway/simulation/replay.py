"""What rules would have done to calls that were recorded: the same routing and counters, run through the past.

A record is admitted with what it used in the end, and its concurrent calls are those that overlapped it. A call that
would have been refused counts nowhere after; one that a budget would have sent to a cheaper target counts at
that one's price. Budgets begin at the start of their period only if the records go back that far.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from heapq import heappop, heappush
from typing import Any

from gateway.limits.checks import Asked, Check
from gateway.limits.memory import MemoryCounters
from gateway.simulation.routes import Routes
from rules import spending
from rules.compiled import RuleSet
from rules.periods import day_of, start_of
from usage.decisions import VIA, way_said

Price = Callable[[Mapping[str, Any], str], int | None]
"""What a record would have cost at a model, in pico-dollars; ``None`` where that is not known."""
Move = tuple[str, str, str]
"""By what a call goes elsewhere, from which target, and to which."""


@dataclass(slots=True)
class Replayed:
    """What came of a replay: how many calls, how many would be refused, by rule and by caller; what that would save.

    ``audited`` counts what rules in audit mode would have refused, ``moved`` what budgets would have sent to their
    cheaper target. ``saved`` is in pico-dollars.
    """

    calls: int = 0
    refused: int = 0
    saved: int = 0
    by_rule: Counter[str] = field(default_factory=Counter)
    by_caller: Counter[str] = field(default_factory=Counter)
    audited: Counter[str] = field(default_factory=Counter)
    matched: Counter[str] = field(default_factory=Counter)
    moved: Counter[str] = field(default_factory=Counter)
    routed: "Routed" = field(default_factory=lambda: Routed())


@dataclass(slots=True)
class Routed:
    """What came of routing: how many calls it is for, by what; which would have gone elsewhere (by what, from, to),
    what those cost and would have cost (pico-dollars), and whose they are; how many that failed would have been
    answered, and how many would fail that did not; how many have no price at their new target, and which could not be
    judged, by reason."""

    matched: Counter[str] = field(default_factory=Counter)
    moved: Counter[Move] = field(default_factory=Counter)
    cost: Counter[Move] = field(default_factory=Counter)
    new_cost: Counter[Move] = field(default_factory=Counter)
    by_caller: Counter[str] = field(default_factory=Counter)
    answered: Counter[str] = field(default_factory=Counter)
    failing: Counter[str] = field(default_factory=Counter)
    unpriced: Counter[str] = field(default_factory=Counter)
    unjudged: Counter[str] = field(default_factory=Counter)


class _Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def replay(
    rules: RuleSet,
    records: Iterable[Mapping[str, Any]],
    price: Price = lambda record, model: None,
    routes: Routes | None = None,
) -> Replayed:
    """Run records (columns by name, in the order of their time) through rules, and first through ``routes``."""
    levels: dict[str, float] = {}
    found = Replayed()
    clock = _Clock()
    counters = MemoryCounters(clock)
    ends: list[tuple[float, str, list[str]]] = []
    for record in records:
        began = record["created_at"].timestamp()
        clock.now = max(clock.now, began)
        while ends and ends[0][0] <= clock.now:
            _, receipt, keys = heappop(ends)
            for key in keys:
                counters.leave(key, receipt)
        found.calls += 1
        if routes is not None:
            record = _routed(record, routes, price, found.routed, began)
        asked = _asked(rules, record, began)
        if not asked:
            continue
        found.matched.update({one.check.rule.label for one in asked})
        receipt = str(record["id"])
        check = _full(asked, levels)
        if check is not None:
            record, asked = _moved(rules, record, asked, check, price, found, routes)
        outcomes, refusing = counters.take(receipt, asked)
        check = _cheaper([asked[number].check for number in refusing]) if check is None else None
        if check is not None:
            record, asked = _moved(rules, record, asked, check, price, found, routes)
            outcomes, refusing = counters.take(receipt, asked)
        for one, came in zip(asked, outcomes, strict=True):
            if one.check.rule.cheaper is not None:
                levels[one.key] = came.used / one.check.limit if one.check.limit else 1.0
        if not refusing:
            over = {one.check.rule.label for one, came in zip(asked, outcomes, strict=True) if not came.fits}
            found.audited.update(over)
        if refusing:
            found.refused += 1
            found.saved += record["cost_pico"] or 0
            found.by_caller[record["subject_name"]] += 1
            found.by_rule.update({asked[number].check.rule.label for number in refusing})
        elif held := [one.key for one in asked if one.check.unit.counts == "concurrent"]:
            heappush(ends, (began + record["latency_us"] / 1e6, receipt, held))
    return found


def _routed(record: Mapping[str, Any], routes: Routes, price: Price, found: Routed, began: float) -> Mapping[str, Any]:
    """Return the record as it would be where routing sends its call."""
    routes.settle(began)
    went, before, failed = routes.went(record, since=began), record["model_resolved"], record["status"] >= 400
    if went is not None:
        found.matched[went.by] += 1
        if went.unjudged:
            found.unjudged[went.unjudged] += 1
        elif failed and went.answered:
            found.answered[went.by] += 1
        elif not failed and not went.answered:
            found.failing[went.by] += 1
    is_judged = went is not None and went.answered and not went.unjudged
    is_elsewhere = went is not None and is_judged and went.target != before
    target = went.target if went is not None and is_elsewhere else before
    routes.note(record, target, began)
    if went is not None and is_judged:
        record = {**record, "decision": {VIA: way_said(went.via)}}
    if went is None or not is_elsewhere:
        return record
    move = (went.by, before, target)
    cost, now = None if failed else price(record, target), record["cost_pico"] or 0
    found.moved[move] += 1
    found.by_caller[record["subject_name"]] += 1
    if cost is None:
        found.unpriced[target] += 1
    else:
        found.cost[move] += now
        found.new_cost[move] += cost
    account = target.partition("/")[0]
    return {**record, "account": account, "model_resolved": target, "cost_pico": now if cost is None else cost}


def _cheaper(checks: Iterable[Check]) -> Check | None:
    return next((one for one in checks if one.is_budget and one.rule.cheaper and one.rule.mode != "audit"), None)


def _full(asked: Iterable[Asked], levels: Mapping[str, float]) -> Check | None:
    """Return the first check of a budget that is used up to the share from which calls go to its cheaper target."""
    return _cheaper(
        one.check
        for one in asked
        if one.check.rule.cheaper is not None and levels.get(one.key, 0.0) * 100 >= one.check.rule.cheaper[0]
    )


def _moved(
    rules: RuleSet,
    record: Mapping[str, Any],
    asked: list[Asked],
    check: Check,
    price: Price,
    found: Replayed,
    routes: Routes | None,
) -> tuple[Mapping[str, Any], list[Asked]]:
    """Return the record, and what it asks for, as they would be at the budget's cheaper target."""
    assert check.rule.cheaper is not None  # the caller looked
    name = check.rule.cheaper[1]
    if name in (record["model_asked"], record["model_resolved"]):
        return record, asked
    went = routes.went(record, name, record["created_at"].timestamp()) if routes is not None else None
    via: tuple[str, ...] = ()
    if went is not None and went.target:
        via, name = (name, *went.via), went.target
    cost, now = price(record, name), record["cost_pico"] or 0
    cost = now if cost is None else cost
    found.moved[check.rule.label] += 1
    found.saved += max(0, now - cost)
    account = name.partition("/")[0]
    moved = {**record, "account": account, "model_resolved": name, "cost_pico": cost}
    moved["decision"] = {VIA: way_said(via)}
    return moved, _asked(rules, moved, record["created_at"].timestamp())


def _asked(rules: RuleSet, record: Mapping[str, Any], moment: float) -> list[Asked]:
    tokens = {"input": record["input_tokens"], "output": record["output_tokens"]}
    amounts = {
        "requests": 1,
        "concurrent": 1,
        **tokens,
        "total": sum(tokens.values()),
        "cost": record["cost_pico"] or 0,
    }
    call = spending.asked_of(record, rules)
    asked: list[Asked] = []
    for rule, values, unit, limit in rules.counting(call, moment):
        entity = spending.entity_name(values)
        key = f"{rule.id}:{unit.name}:{entity}"
        if unit.period:
            key += f":{start_of(unit.period, day_of(moment))}"
        asked.append(Asked(Check(rule, unit, limit, key, entity), amounts[unit.counts], key))
    return asked
