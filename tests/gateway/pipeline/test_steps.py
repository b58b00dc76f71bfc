"""What follows an attempt: retries of one target and failover to the next are counted apart."""

import asyncio
import time
from types import SimpleNamespace
from typing import Any

import pytest
from msgspec.structs import replace

from gateway.call.call import Call
from gateway.call.headers import Options
from gateway.call.plan import Plan, PlannedTarget
from gateway.call.reply import Reply
from gateway.objects.operations import CHAT
from gateway.pipeline import run
from gateway.routing.allowance import Allowance
from gateway.routing.health import Health
from providers.snapshot import ModelSnapshot, Target
from providers.upstream.failures import ConnectFailed, Disconnected, UpstreamFailure
from tests.support.snapshots import account, caller


class Upstreams:
    """Targets by name, each with the outcomes of its attempts in order: a status, or a failure."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, **outcomes: list[int | UpstreamFailure]) -> None:
        self.outcomes = outcomes
        self.tried: list[str] = []
        monkeypatch.setattr(run, "Attempt", self.attempt)
        monkeypatch.setattr(run, "exchange", self.exchange)

    def attempt(self, call: Call, target: Target, number: int, planned: PlannedTarget) -> Any:
        return SimpleNamespace(call=call, target=target, number=number, outcome=0, finish=lambda error: None)

    async def exchange(self, attempt: Any, *, wait_for_first_event: bool) -> Reply:
        name = attempt.target.model.name
        self.tried.append(name)
        outcome = self.outcomes[name].pop(0)
        if isinstance(outcome, UpstreamFailure):
            raise outcome
        attempt.outcome = outcome
        return Reply(outcome, [])

    def call(self, retries: int = 0) -> Call:
        call = Call(caller(), CHAT, Options(), "req_1")
        targets = [Target(account(name="a"), ModelSnapshot("a", name, name, frozenset())) for name in self.outcomes]
        call.plan = Plan(tuple(PlannedTarget(target, retries, delay=0.0) for target in targets))
        return call


def test_each_target_has_retries_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    upstreams = Upstreams(monkeypatch, first=[503, 503], second=[503, 200])
    reply = asyncio.run(run.deliver(upstreams.call(retries=1)))
    assert reply.status == 200
    assert upstreams.tried == ["first", "first", "second", "second"]


def test_without_retries_the_next_target_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    upstreams = Upstreams(monkeypatch, first=[ConnectFailed("away")], second=[Disconnected("broke")], third=[200])
    assert asyncio.run(run.deliver(upstreams.call())).status == 200
    assert upstreams.tried == ["first", "second", "third"]


def test_the_last_answer_is_the_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    upstreams = Upstreams(monkeypatch, first=[503], second=[502])
    assert asyncio.run(run.deliver(upstreams.call())).status == 502


def test_the_last_failure_is_the_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    upstreams = Upstreams(monkeypatch, first=[503], second=[ConnectFailed("away")])
    with pytest.raises(ConnectFailed):
        asyncio.run(run.deliver(upstreams.call()))


def test_a_refusal_of_the_callers_own_goes_nowhere_else(monkeypatch: pytest.MonkeyPatch) -> None:
    upstreams = Upstreams(monkeypatch, first=[400], second=[200])
    assert asyncio.run(run.deliver(upstreams.call(retries=3))).status == 400
    assert upstreams.tried == ["first"]


@pytest.mark.parametrize("virtual", [False, True])
def test_only_a_virtual_models_call_is_a_probe(monkeypatch: pytest.MonkeyPatch, virtual: bool) -> None:
    """A call of the model itself is not counted, so it must not keep the probe away that would be."""
    health = Health()
    monkeypatch.setattr(run, "health", health)
    target, now = health.of("a/first"), time.monotonic()
    target.note_failure(401, now - 100.0, None)
    assert target.usable(now)
    call = Upstreams(monkeypatch, first=[200]).call()
    if virtual:
        call.plan = Plan(call.plan.targets, routed=True)
    assert asyncio.run(run.deliver(call)).status == 200
    assert target.usable(now) is not virtual


def test_retries_stay_within_their_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    """While a target is down, a share of its calls is tried again, and the others go on at once."""
    monkeypatch.setattr(run, "retries", Allowance(2.0))
    upstreams = Upstreams(monkeypatch, first=[503] * 40, second=[200] * 20)
    for _ in range(20):
        call = upstreams.call(retries=1)
        call.plan = replace(call.plan, retry_share=0.25)
        assert asyncio.run(run.deliver(call)).status == 200
    assert upstreams.tried.count("first") == 20 + 2 + 4  # what is there at first, and a quarter of the others
    assert upstreams.tried.count("second") == 20


def test_waits_double_with_jitter_and_a_provider_that_asks_for_more_gets_it() -> None:
    for retry, middle in ((1, 0.2), (2, 0.4), (3, 0.8), (9, run.LONGEST_RETRY_DELAY_SECONDS)):
        waits = [run._delay(0.2, retry, None) for _ in range(200)]
        assert min(waits) >= middle * 0.75
        assert max(waits) <= middle * 1.25
        assert max(waits) - min(waits) > middle * 0.2, "callers that failed together do not come back together"
    assert run._delay(0.2, 1, 3.0) == 3.0
    assert run._delay(0.2, 1, 600.0) == run.LONGEST_RETRY_DELAY_SECONDS
