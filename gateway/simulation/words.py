"""What came of a replay, in words."""

from collections.abc import Iterable, Iterator
from typing import Final

from accounts.words import counted
from gateway.simulation.replay import Replayed, Routed
from gateway.simulation.routes import ASSUMED
from rules.compiled import RuleSet
from usage.words import money_of_pico

SHOWN: Final = 20


def said(found: Replayed, rules: RuleSet) -> Iterator[str]:
    """Yield what came of a replay, a line each: all calls, routing, each rule, those who were refused most."""
    yield (
        f"{counted(found.calls, 'call')}; {found.refused:,} would have been refused and {found.moved.total():,} moved "
        f"to a cheaper target, which would have saved {money_of_pico(found.saved)}."
    )
    yield from routed_lines(found.routed)
    for label in _labels(rules):
        refused, audited, moved = found.by_rule[label], found.audited[label], found.moved[label]
        ending = f"refuses {refused:,}" if not audited else f"would refuse {audited:,} (audit)"
        ending += f", moves {moved:,}" if moved else ""
        yield f"rule {label}: counts {counted(found.matched[label], 'call')}, {ending}"
    for caller, number in found.by_caller.most_common(SHOWN):
        yield f"caller {caller}: {number:,} refused"


def routed_lines(found: Routed, *, callers: bool = True) -> Iterator[str]:
    """Yield what came of routing: all calls that it is for, each way that calls would have changed, whose they are
    (``callers``), what could not be judged, and what was assumed. Nothing where it is for none."""
    if not found.matched:
        return
    matched, moved = counted(found.matched.total(), "call"), found.moved.total()
    cost = _cost(found.cost.total(), found.new_cost.total()) if found.cost else ""
    yield f"routing is for {matched}; {moved:,} would have gone elsewhere{cost}."
    for move, number in found.moved.most_common(SHOWN):
        by, old, new = move
        cost = _cost(found.cost[move], found.new_cost[move]) if move in found.cost else ""
        yield f"{by}: {counted(number, 'call')} from {old or '(no model)'} to {new}{cost}"
    for by, number in found.answered.most_common(SHOWN):
        yield f"{by}: {counted(number, 'call')} that failed would have been answered"
    for by, number in found.failing.most_common(SHOWN):
        yield f"{by}: {counted(number, 'call')} that did not fail would fail: no target is left"
    for caller, number in found.by_caller.most_common(SHOWN if callers else 0):
        yield f"caller {caller}: {counted(number, 'call')} would have gone elsewhere"
    for target, number in found.unpriced.most_common(SHOWN):
        calls = counted(number, "call")
        yield f"not judged: what {calls} would have cost at {target}: no price, or no tokens as they failed"
    for reason, number in found.unjudged.most_common(SHOWN):
        yield f"not judged: where {counted(number, 'call')} would have gone: {reason}"
    yield from ASSUMED


def _cost(before: int, after: int) -> str:
    said = f", for {money_of_pico(after)} instead of {money_of_pico(before)}"
    if before == after:
        return said
    return f"{said} ({money_of_pico(abs(before - after))} {'saved' if before > after else 'more'})"


def _labels(rules: RuleSet) -> Iterable[str]:
    return (rule.label for index in (rules.limits, rules.budgets) for rule in index.rules.values())
