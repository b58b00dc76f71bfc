"""The policies run in order for every kind of call, and their second halves get every completed attempt."""

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest

from accounts.caller import Caller
from gateway import policies
from gateway.call.call import Call, CallAttempt
from gateway.call.errors import Forbidden
from gateway.call.headers import Options
from gateway.call.plan import Plan, PlannedTarget
from gateway.limits.checks import Outcome
from gateway.limits.limiter import Limiter
from gateway.objects.operations import CHAT
from gateway.policies import Policy, limits
from gateway.policies.limits import Receipt
from providers.snapshot import ModelSnapshot, Target
from providers.vendors import VENDORS
from tests.gateway.limits.test_memory import asks
from usage.records import AttemptRecord


def call_to(*models: str) -> Call:
    call = Call(cast(Caller, SimpleNamespace(key="user:1")), CHAT, Options(), "req_1")
    account: Any = SimpleNamespace(name="a", vendor=VENDORS["openai"])
    targets = [Target(account, ModelSnapshot("a", model, model, frozenset({"chat"}))) for model in models]
    call.plan = Plan(tuple(PlannedTarget(target) for target in targets))
    return call


def test_they_run_in_their_order_until_one_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[str] = []

    def policy(name: str, error: Exception | None = None) -> Policy:
        async def admit(call: Call) -> None:
            ran.append(name)
            if error is not None:
                raise error

        return Policy(name, admit)

    rows = (policy("first"), policy("second", Forbidden("No.")), policy("third"))
    monkeypatch.setattr(policies, "POLICIES", rows)
    with pytest.raises(Forbidden):
        asyncio.run(policies.admit(call_to("m")))
    assert ran == ["first", "second"]


def test_a_settlement_that_fails_stops_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    settled: list[str] = []

    async def admit(call: Call) -> None:
        return None

    def broken(call: Call, attempt: CallAttempt) -> None:
        raise ValueError("broken")

    rows = (Policy("broken", admit, broken), Policy("sound", admit, lambda call, attempt: settled.append("sound")))
    monkeypatch.setattr(policies, "POLICIES", rows)
    policies.settle(call_to("m"), cast(CallAttempt, None))
    assert settled == ["sound"]


def test_every_target_of_a_plan_must_be_able_to_do_the_call() -> None:
    call = call_to("m", "n")
    asyncio.run(policies.capability.admit(call))
    account: Any = SimpleNamespace(name="a", vendor=VENDORS["openai"])
    images = Target(account, ModelSnapshot("a", "i", "i", frozenset({"image"})))
    call.plan = Plan((*call.plan.targets, PlannedTarget(images)))
    with pytest.raises(Exception, match="chat is not supported"):
        asyncio.run(policies.capability.admit(call))


def test_an_attempt_at_a_model_that_came_later_is_booked_in_all_that_the_call_holds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A socket's session may go on with another model than the one that it was admitted for."""
    limiter = Limiter(lambda: None, lambda: True)
    monkeypatch.setattr(limits.state, "limiter", limiter)
    call = call_to("first", "later")
    call.limits = Receipt([asks(10, 5, "cost_per_day", "b")], [Outcome(True, 5)], {"a/first": frozenset({"b"})}, b"")
    record = AttemptRecord("1", "req_1", 0, cost_pico=7)
    target = call.plan.targets[1].target
    limits.settle(call, cast(CallAttempt, SimpleNamespace(record=record, target=target)))
    assert limiter.memory.budgets["b"].open == 7
