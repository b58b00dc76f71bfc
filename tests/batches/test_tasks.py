"""The schedule's rounds: what piled up is skipped, without asking anybody's clock for the time of day."""

import time

import pytest

from batches import tasks
from gateway.celery import app


@pytest.mark.django_db
def test_rounds_that_piled_up_come_to_nothing(monkeypatch: pytest.MonkeyPatch, settings: object) -> None:
    rounds: list[int] = []
    monkeypatch.setattr(tasks.leases, "claim_due", lambda limit, kinds: rounds.append(limit) or [])
    monkeypatch.setattr(tasks, "_last", {})
    for _ in range(100):
        tasks.sweep()
    assert len(rounds) == 1
    later = time.monotonic() + 3600
    monkeypatch.setattr(time, "monotonic", lambda: later)
    tasks.sweep()
    assert len(rounds) == 2
    assert tasks.skips("notify", 2.0) is False, "every task has rounds of its own"


def test_no_round_expires_by_a_hosts_clock() -> None:
    assert {"sweep", "tidy"} <= app.conf.beat_schedule.keys()
    assert not any("options" in entry for entry in app.conf.beat_schedule.values())
