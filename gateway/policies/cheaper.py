"""Budgets that send calls to a cheaper target from a share of them on, or once they have no room for what was asked.

How full a budget is, a worker knows from the last call that it counted there: no call waits to ask. So the first calls
of a worker may still go where they asked to; one that the budget refuses moves at once.
"""

from collections.abc import Sequence
from typing import Final

from msgspec.structs import replace

from gateway.access.capability import refusal
from gateway.access.models import resolve
from gateway.call.call import Call
from gateway.call.errors import CallError
from gateway.call.plan import Plan
from gateway.limits.checks import Asked, Check, Outcome
from gateway.limits.matching import matches
from gateway.policies import access, ownership
from gateway.routing.plan import plan_of_virtual
from gateway.state import state
from providers.routing.shape import MODEL_TYPES
from rules.compiled import RuleSet

MOST_LEVELS: Final = 10_000
AUDIT: Final = "audit"
CHEAPER: Final = "cheaper"
"""The entry of a record's decision that says why a call moved."""

_levels: dict[str, float] = {}
"""How full budgets with a cheaper target were last, by counter: 1 is full."""


def note(asked: Sequence[Asked], outcomes: Sequence[Outcome]) -> None:
    """Note how full a call saw the budgets that have a cheaper target."""
    for one, outcome in zip(asked, outcomes, strict=True):
        if one.check.rule.cheaper is not None and one.check.is_budget:
            if len(_levels) >= MOST_LEVELS:  # periods end, and entities go
                _levels.clear()
            _levels[one.key] = outcome.used / one.check.limit if one.check.limit else 1.0


async def move_early(call: Call, rules: RuleSet) -> bool:
    """Move the call to the cheaper target of a budget that is used up to the share where this begins; return whether
    it was."""
    for check in matches.of(rules, call, call.plan.targets[0]).checks:
        wanted = check.rule.cheaper
        if wanted is None or not check.is_budget:
            continue
        level = _levels.get(state.limiter.key_now(check.key, check.unit.period)[0], 0.0)
        if level * 100 >= wanted[0] and await _move(call, check, f"at {level:.0%} of {check.unit.name}"):
            return True
    return False


async def move_refused(call: Call, refusing: Sequence[Asked]) -> bool:
    """Move the call to the cheaper target of a budget that has no room for it; return whether it was."""
    for one in refusing:
        if one.check.rule.cheaper is not None and await _move(
            call, one.check, f"without room in {one.check.unit.name}"
        ):
            return True
    return False


async def _move(call: Call, check: Check, why: str) -> bool:
    rule, before = check.rule, call.plan.first
    assert rule.cheaper is not None  # the caller looked
    name = rule.cheaper[1]
    movable = call.operation.model_type in MODEL_TYPES and not call.account_binds and call.as_asked is not None
    if not movable or name in (call.model_asked, before.model.public_name):
        return False
    if rule.mode == AUDIT:
        call.decision = {**call.decision, CHEAPER: f"{rule.label} would have moved it to {name} {why} (audit)"}
        return False
    try:
        await _go(call, name)
    except CallError as error:  # it can't take the call, or the caller may not use it: the call stays where it asked
        call.decision = {**call.decision, CHEAPER: f"{rule.label}: not moved to {name}: {error}"}
        return False
    call.plan = replace(call.plan, rules=(*call.plan.rules, rule.label))
    call.decision = {**call.decision, CHEAPER: f"{rule.label} moved it from {before.model.public_name} to {name} {why}"}
    return True


async def _go(call: Call, name: str) -> None:
    """Give the call the plan of what it would have been asking for ``name``. Raises what refuses it there, with the
    call as it was."""
    plan, body, references = call.plan, call.body, call.references
    assert call.as_asked is not None  # the caller looked
    call.body, call.references = call.as_asked[0].copy(), list(call.as_asked[1])
    try:
        call.plan = await _plan_of(call, name)
        await access.fit(call, call.plan.targets[0])
        await ownership.check(call, call.plan.first.account)
    except CallError:
        call.plan, call.body, call.references = plan, body, references
        raise


async def _plan_of(call: Call, name: str) -> Plan:
    target = resolve(call.caller, name, "")
    if target.model.routing is not None:
        plan, named = await plan_of_virtual(call, target.model), target.model.public_name
        return replace(plan, targets=tuple(replace(one, via=(named, *one.via)) for one in plan.targets))
    error = refusal(call.operation, target.account, target.model)
    if error is not None:
        raise error
    return access.plan_of(call, target)
