"""What rules would have done to calls that were recorded: the same counters, run through the past.

A record is admitted with what it used in the end, and its concurrent calls are those that overlapped it. A call that
would have been refused counts nowhere after. Budgets begin at the start of their period only if the records go back
that far.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from heapq import heappop, heappush
from typing import Any

from gateway.limits.checks import Asked, Check
from gateway.limits.memory import MemoryCounters
from rules import spending
from rules.compiled import RuleSet
from rules.periods import day_of, start_of


@dataclass(slots=True)
class Replayed:
    """What came of a replay: how many calls, how many would be refused, by rule and by caller; what that would save.

    ``audited`` counts what rules in audit mode would have refused. ``saved`` is in pico-dollars.
    """

    calls: int = 0
    refused: int = 0
    saved: int = 0
    by_rule: Counter[str] = field(default_factory=Counter)
    by_caller: Counter[str] = field(default_factory=Counter)
    audited: Counter[str] = field(default_factory=Counter)
    matched: Counter[str] = field(default_factory=Counter)


class _Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def replay(rules: RuleSet, records: Iterable[Mapping[str, Any]]) -> Replayed:
    """Run records (columns by name, in the order of their time) through rules."""
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
        asked = _asked(rules, record, began)
        if not asked:
            continue
        found.matched.update({one.check.rule.label for one in asked})
        receipt = str(record["id"])
        outcomes, refusing = counters.take(receipt, asked)
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
