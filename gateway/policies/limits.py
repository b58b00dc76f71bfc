"""Limits: rate limits and budgets. All that fit a call must have room for it, or none of them counts it.

What a call will use is estimated before (:mod:`gateway.limits.estimate`) and corrected after: windows by the tokens
that were used, budgets by what the ledger stores. Without rules a call pays for reading one attribute.
"""

from collections.abc import Sequence
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from gateway.call.call import Call, CallAttempt
from gateway.call.errors import InvalidRequest
from gateway.call.plan import PlannedTarget
from gateway.limits import metrics
from gateway.limits.asked import asked_of
from gateway.limits.checks import Asked, Check, Outcome
from gateway.limits.estimate import Estimate, estimate_of
from gateway.limits.matching import matches
from gateway.limits.refusal import refusal
from gateway.limits.remaining import limit_headers
from gateway.policies import cheaper
from gateway.state import state
from providers.snapshot import Target
from rules import compiled, spending
from rules.compiled import RuleSet

APPLIED: Final = b"x-tfy-applied-rules"


class Receipt:
    """What a call holds of the limits that it passed: until it is ``over``, and all its attempts are ``settled``.

    A call may be over before its last attempt is settled: what it used is estimated then. ``again`` is what a second
    request beside the first has reserved.
    """

    __slots__ = ("again", "applied", "asked", "checks_of", "ended", "outcomes", "over", "settled", "used")

    def __init__(
        self, asked: list[Asked], outcomes: list[Outcome], checks_of: dict[str, frozenset[str]], applied: bytes
    ) -> None:
        self.asked = asked
        self.outcomes = outcomes
        self.checks_of = checks_of
        self.applied = applied
        self.used = {"input": 0, "output": 0, "total": 0}
        self.settled = 0
        self.again: list[Asked] = []
        self.over = self.ended = False

    def headers(self) -> list[tuple[bytes, bytes]]:
        """Return the headers that say which rules counted the call, and how much is left."""
        return [(APPLIED, self.applied), *limit_headers(self.asked, self.outcomes)]


async def admit(call: Call) -> None:
    """Count the call in every limit and budget that fits it; refuse it, and count it nowhere, where one has no room.

    Raises :class:`~gateway.call.errors.TooManyRequests` and :class:`~gateway.call.errors.BudgetExceeded`.
    """
    rules = state.directory.rules
    if rules is None or not rules.counts or not (call.operation.model_type or call.method == "POST"):
        return
    moved = rules.cheaper and await cheaper.move_early(call, rules)
    if await _take(rules, call, final=moved or not rules.cheaper):
        await _take(rules, call, final=True)


async def _take(rules: RuleSet, call: Call, *, final: bool) -> bool:
    """Take what the call asks for of all that count it. Where that is refused, raise, or, unless it is ``final``, move
    the call to a cheaper target; return whether it was."""
    checks: dict[str, Check] = {}
    checks_of: dict[str, frozenset[str]] = {}
    applied = b""
    for planned in call.plan.targets:
        target = planned.target
        if not target.model.name and call.operation.model_type == "responses":
            _refuse_unnamed(rules, call, target)
        name = target.model.public_name  # may be there twice: led to by a virtual model, and as a fallback
        keys = set(checks_of.get(name, ()))
        for counted in [replace(planned, target=Target(target.account, model)) for model in call.named] or (planned,):
            matched = matches.of(rules, call, counted)
            applied = applied or matched.applied
            checks.update((check.key, check) for check in matched.checks)
            keys.update(check.key for check in matched.checks)
        checks_of[name] = frozenset(keys)
    if not checks:
        return False
    if call.plan.rules:
        applied = msgspec.json.encode({**msgspec.json.decode(applied or b"{}"), **by_routing(call)})
    estimate = estimate_of(call, checks.values())
    asked = _asked(list(checks.values()), estimate)
    outcomes, refusing = await state.limiter.take(call.request_id, asked)
    metrics.note(asked, outcomes)
    if rules.cheaper:
        cheaper.note(asked, outcomes)
    if refusing and not final and await cheaper.move_refused(call, [asked[number] for number in refusing]):
        return True
    call.decision = _decision(call.decision, asked, outcomes, refusing, estimate)
    if refusing:
        raise refusal(call, asked, outcomes, refusing, applied)
    call.limits = Receipt(asked, outcomes, checks_of, applied)
    return False


def by_routing(call: Call) -> dict[str, list[str]]:
    """Return which routing rules sent the call where it goes, as ``x-tfy-applied-rules`` says it."""
    return {"routing": list(call.plan.rules)}


def _refuse_unnamed(rules: RuleSet, call: Call, target: Target) -> None:
    """Raise :class:`~gateway.call.errors.InvalidRequest` for a call that names no model where a limit may be for it."""
    rule = rules.by_model(asked_of(rules, call, target))
    if rule is not None:
        raise InvalidRequest(
            f"You must provide a 'model': {rule.label!r} limits calls by their model, and this one names none.",
            param="model",
            code="missing_required_parameter",
        )


def settle(call: Call, attempt: CallAttempt) -> None:
    """Book what an attempt cost in the budgets that count it, and note its tokens for the windows."""
    receipt = call.limits
    if not isinstance(receipt, Receipt):
        return
    record = attempt.record
    used = receipt.used
    used["input"] += record.input_tokens
    used["output"] += record.output_tokens
    used["total"] += record.input_tokens + record.output_tokens
    cost = record.cost_pico if record.cost_pico is not None else call.decision.get(spending.RESERVED, 0)
    amounts = {"cost": cost, "total": record.input_tokens + record.output_tokens}
    counted = receipt.checks_of.get(attempt.target.model.public_name)
    if counted is None:  # a socket went on with another model: it counts in all, until the ledger has it
        counted = frozenset().union(*receipt.checks_of.values())
    booked = [
        (one.key, amounts[one.check.unit.counts])
        for one in receipt.asked
        if one.check.is_budget and one.check.key in counted
    ]
    if booked:
        state.limiter.book(booked, record.attempt_id)
    receipt.settled += 1
    if receipt.over:
        _end(call, receipt)


async def reserve_again(call: Call, planned: PlannedTarget) -> bool:
    """Reserve what a second request beside the first may cost in the budgets that count it; return whether they had
    room. Windows count the call once, and what both used when it is over."""
    receipt = call.limits
    if not isinstance(receipt, Receipt):
        return True
    counted = receipt.checks_of.get(planned.target.model.public_name, frozenset())
    again = [one for one in receipt.asked if one.check.is_budget and one.check.key in counted]
    again = [Asked(one.check, one.amount, one.key) for one in again]
    if again:
        _, refusing = await state.limiter.take(_again(call), again)
        if refusing:
            return False
    if receipt.ended:  # the call ended meanwhile
        state.limiter.release(_again(call), again, [])
        return False
    receipt.again = again
    return True


def _again(call: Call) -> str:
    return f"{call.request_id}~2"


def release(call: Call) -> None:
    """Give back what the call holds: its place, its reservations, the tokens that it did not use."""
    receipt = call.limits
    if isinstance(receipt, Receipt):
        receipt.over = True
        _end(call, receipt)


def _end(call: Call, receipt: Receipt) -> None:
    begun = max(call.begun[0], call.attempt.number if call.attempt is not None else 0)
    if receipt.ended or receipt.settled < begun:
        return
    receipt.ended = True
    if receipt.again:
        state.limiter.release(_again(call), receipt.again, [])
    corrections = [
        (one, outcome.slot, change)
        for one, outcome in zip(receipt.asked, receipt.outcomes, strict=True)
        if one.check.unit.seconds
        and one.check.unit.counts in receipt.used
        and (change := receipt.used[one.check.unit.counts] - one.amount)
    ]
    state.limiter.release(call.request_id, receipt.asked, corrections)


def _asked(checks: Sequence[Check], estimate: Estimate) -> list[Asked]:
    asked = []
    for check in checks:
        unit = check.unit
        key = state.limiter.key_now(check.key, unit.period)[0] if unit.period else check.key
        asked.append(Asked(check, estimate.amount(unit), key))
    return asked


def _decision(
    before: dict[str, Any], asked: Sequence[Asked], outcomes: Sequence[Outcome], refusing: list[int], estimate: Estimate
) -> dict[str, Any]:
    """Return what the call's records keep: each limit that counted it, and what it has left."""
    rows = []
    for number, (one, outcome) in enumerate(zip(asked, outcomes, strict=True)):
        check = one.check
        row: dict[str, Any] = {
            "rule": check.rule.label,
            "unit": check.unit.name,
            "limit": check.limit,
            "used": outcome.used,
            "asked": one.amount,
        }
        if check.entity:
            row["for"] = check.entity.split(compiled.SEPARATOR)
        if check.rule.mode != "enforce":
            row["mode"] = check.rule.mode
        if not outcome.fits:
            row["exceeded"] = True
        if number in refusing:
            row["refused"] = True
        rows.append(row)
    decision = {**before, "limits": rows}
    if estimate.cost_pico and not refusing:
        decision[spending.RESERVED] = estimate.cost_pico
    return decision
