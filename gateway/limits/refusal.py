"""The answer to a call that a limit or a budget has no room for: 429 in OpenAI's shape, with the rule's id."""

import math
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from gateway.call.call import Call
from gateway.call.errors import BudgetExceeded, TooManyRequests
from gateway.limits.checks import NEVER, Asked, Outcome
from gateway.limits.remaining import limit_headers
from rules.compiled import PICO, SEPARATOR
from rules.periods import day_of, end_of, start_of
from usage.words import amount

COUNTED: Final = {
    "requests": "requests",
    "input": "input tokens",
    "output": "output tokens",
    "total": "tokens",
    "concurrent": "calls at once",
}
LONGEST_WAIT: Final = 86_400


def refusal(
    call: Call, asked: Sequence[Asked], outcomes: Sequence[Outcome], refusing: Sequence[int], applied: bytes
) -> TooManyRequests:
    """Return the error for the check among ``refusing`` that takes the longest until it has room."""

    def wait(number: int) -> float:
        one = asked[number]
        return _budget_reset(one) - time.time() if one.check.is_budget else outcomes[number].wait

    worst = max(refusing, key=wait)
    one, outcome = asked[worst], outcomes[worst]
    headers = {name.decode(): value.decode() for name, value in limit_headers(asked, outcomes)}
    check = one.check
    kind = "budget" if check.is_budget else "rate_limit"
    headers["x-tfy-applied-rules"] = msgspec.json.encode({kind: [check.rule.label]}).decode()
    seconds = wait(worst)
    if seconds < NEVER:
        headers["retry-after"] = str(max(1, math.ceil(seconds)))
    if seconds > LONGEST_WAIT or check.is_budget:
        headers["x-should-retry"] = "false"  # the SDKs would try again at once
    return _over_budget(call, one, outcome, headers) if check.is_budget else _over_limit(one, outcome, headers)


def _over_limit(one: Asked, outcome: Outcome, headers: dict[str, str]) -> TooManyRequests:
    check = one.check
    window = check.unit.name.rpartition("_per_")[2] if check.unit.seconds else ""
    limit = f"{check.limit:,} {COUNTED[check.unit.counts]}" + (f" per {window}" if window else "")
    text = f"Rate limit reached: the rule {check.rule.label!r} allows {limit}{_for(check.entity)}"
    if outcome.wait == NEVER and check.limit:
        text += f", and this call alone counts as {one.amount:,}. Send a smaller request."
    elif not check.limit:
        text += ". Use another model, or ask the operator."
    elif check.unit.seconds:
        text += f"; {outcome.used:,} are used. Try again in {max(1, math.ceil(outcome.wait))} s."
    else:
        text += ". Wait for a call to end."
    details = {"rule": check.rule.label, "limit": check.limit, "used": outcome.used, "unit": check.unit.name}
    return TooManyRequests(text, headers=headers, details={"limit": details})


def _over_budget(call: Call, one: Asked, outcome: Outcome, headers: dict[str, str]) -> BudgetExceeded:
    check = one.check
    money = check.unit.counts == "cost"
    reset = _budget_reset(one)
    when = "" if reset == NEVER else f"{datetime.fromtimestamp(reset, UTC):%Y-%m-%dT%H:%M:%SZ}"
    used, limit = (amount(each, is_money=money) for each in (outcome.used, check.limit))
    text = (
        f"Budget exceeded for model: {call.model_asked or '(none)'} with rule: {check.rule.label}. "
        f"{used} of {limit} a {check.unit.period}{_for(check.entity)} are used or reserved"
    )
    if outcome.used < check.limit:
        text += f", and this call could use {amount(one.amount, is_money=money)}. Lower the bound on its output"
        text += f", or wait until {when}." if when else "."
    else:
        text += f". It begins again at {when}." if when else ". Ask the operator for more."
    details: dict[str, Any] = {
        "rule": check.rule.label,
        "period": check.unit.period,
        "spent": _number(outcome.used, money),
        "limit": _number(check.limit, money),
        "unit": "usd" if money else "tokens",
        "resets_at": when or None,
    }
    return BudgetExceeded(text, headers=headers, details={"budget": details})


def _budget_reset(one: Asked) -> float:
    """Return when the budget's period ends, in unix seconds; ``NEVER`` for one that is for ever."""
    period = one.check.unit.period
    if period == "lifetime":
        return NEVER
    return end_of(period, start_of(period, day_of(time.time())))


def _for(entity: str) -> str:
    return f" for {' and '.join(part or '(none)' for part in entity.split(SEPARATOR))}" if entity else ""


def _number(counted: int, money: bool) -> float | int:
    return counted / PICO if money else counted
