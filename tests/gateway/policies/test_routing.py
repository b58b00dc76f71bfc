"""What an attempt says of the target that made it: its failures count, what the caller did wrong does not."""

from time import monotonic
from types import SimpleNamespace
from typing import Any, cast

import pytest

from accounts.caller import Caller
from gateway.call.body import Body
from gateway.call.call import Call, CallAttempt
from gateway.call.errors import BodyTimedOut
from gateway.call.headers import Options
from gateway.call.plan import Plan, PlannedTarget
from gateway.objects.operations import CHAT
from gateway.policies import routing
from gateway.routing.health import Health
from providers.snapshot import ModelSnapshot, Target
from usage.records import AttemptRecord

ERROR = "upstream_error"


def attempted(
    monkeypatch: pytest.MonkeyPatch, body: Body | None = None, outcome: int = 0, **record: Any
) -> tuple[Call, CallAttempt, Health]:
    """An attempt of a virtual model's call, and the health that it is settled in."""
    health = Health()
    monkeypatch.setattr(routing, "health", health)
    account: Any = SimpleNamespace(name="x")
    target = Target(account, ModelSnapshot("x", "m", "m", frozenset()))
    call = Call(cast(Caller, None), CHAT, Options(), "req_1")
    call.plan = Plan((PlannedTarget(target),), routed=True)
    call.body = body or Body()
    ended = AttemptRecord("1", "req_1", 0, **record)
    attempt: Any = SimpleNamespace(
        record=ended, target=target, outcome=outcome, answer=None, spare_key=False, probes=False
    )
    return call, attempt, health


def rests(monkeypatch: pytest.MonkeyPatch, body: Body | None = None, outcome: int = 0, **record: Any) -> bool:
    """Whether a target rests after two attempts that ended so."""
    call, attempt, health = attempted(monkeypatch, body, outcome, **record)
    for _ in range(2):
        routing.settle(call, attempt)
    return health.of("x/m").ejected


@pytest.mark.parametrize(
    ("outcome", "record", "expected"),
    [
        (200, {"status": 200, "upstream_status": 200}, False),
        (0, {"status": 502, "error_class": "upstream_unreachable"}, True),
        (0, {"status": 400, "error_class": "unsupported_parameter"}, False),
        (400, {"status": 400, "upstream_status": 400, "error_class": ERROR}, False),
        (503, {"status": 529, "upstream_status": 529, "error_class": ERROR}, True),
        (429, {"status": 200, "upstream_status": 200, "error_class": ERROR}, True),
        (400, {"status": 200, "upstream_status": 200, "error_class": ERROR}, False),
        (200, {"status": 200, "upstream_status": 200, "error_class": "upstream_disconnected"}, True),
        (200, {"status": 502, "upstream_status": 200, "error_class": "upstream_broken"}, True),
    ],
)
def test_what_counts(monkeypatch: pytest.MonkeyPatch, outcome: int, record: dict[str, Any], expected: bool) -> None:
    assert rests(monkeypatch, outcome=outcome, **record) is expected


@pytest.mark.parametrize(("status", "expected"), [(401, False), (429, False), (503, True)])
def test_a_target_does_not_rest_for_one_of_its_keys(
    monkeypatch: pytest.MonkeyPatch, status: int, expected: bool
) -> None:
    call, attempt, health = attempted(monkeypatch, outcome=status, status=status, error_class=ERROR)
    attempt.spare_key = True
    for _ in range(2):
        routing.settle(call, attempt)
    assert health.of("x/m").ejected is expected


def test_an_answer_that_was_made_here_brings_no_target_back(monkeypatch: pytest.MonkeyPatch) -> None:
    call, attempt, health = attempted(monkeypatch, status=401, upstream_status=401, error_class=ERROR)
    routing.settle(call, attempt)
    assert health.of("x/m").ejected
    for upstream_status in (0, 200):
        attempt.record = AttemptRecord("2", "req_1", 0, status=200, upstream_status=upstream_status)
        routing.settle(call, attempt)
        assert health.of("x/m").ejected is (not upstream_status)


def test_an_upload_that_its_client_did_not_finish_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    upload: Any = SimpleNamespace(fault=BodyTimedOut("slow"), sent=7)
    ended = {"status": 408, "error_class": "body_timeout"}
    assert not rests(monkeypatch, Body(upload=upload), **ended)
    assert rests(monkeypatch, **ended)


@pytest.mark.parametrize(
    ("spare_key", "outcome", "record", "free"),
    [
        (False, 0, {"status": 499, "client_gone": True}, True),
        (False, 400, {"status": 400, "upstream_status": 400, "error_class": ERROR}, True),
        (False, 0, {"status": 400, "error_class": "unsupported_parameter"}, True),
        (True, 429, {"status": 429, "upstream_status": 429, "error_class": ERROR}, True),
        (False, 503, {"status": 503, "upstream_status": 503, "error_class": ERROR}, False),
    ],
)
def test_a_probe_that_says_nothing_lets_the_next_call_be_one(
    monkeypatch: pytest.MonkeyPatch, spare_key: bool, outcome: int, record: dict[str, Any], free: bool
) -> None:
    call, attempt, health = attempted(monkeypatch, outcome=outcome, **record)
    target, now = health.of("x/m"), monotonic()
    target.note_failure(401, now - 100, None)
    attempt.spare_key, attempt.probes = spare_key, health.begin_probe("x/m")
    assert attempt.probes
    assert not target.usable(now), "no other call is the probe meanwhile"
    routing.settle(call, attempt)
    assert target.ejected
    assert target.usable(now) is free


def test_only_the_probe_itself_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """A call that was under way before the target rested says nothing of the probe when it ends."""
    call, attempt, health = attempted(monkeypatch, outcome=400, status=400, upstream_status=400)
    target, now = health.of("x/m"), monotonic()
    target.note_failure(401, now - 100, None)
    health.begin_probe("x/m")
    routing.settle(call, attempt)
    assert not target.usable(now)
