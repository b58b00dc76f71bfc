"""The clock that all processes share, on both databases."""

import time
from datetime import UTC, datetime, timedelta

import pytest

from accounts.database_clock import database_now


@pytest.mark.django_db
def test_it_is_the_databases_and_not_the_process_own(monkeypatch: pytest.MonkeyPatch) -> None:
    true = datetime.now(UTC)
    monkeypatch.setattr(time, "time", lambda: true.timestamp() + 3600)
    monkeypatch.setattr("django.utils.timezone.now", lambda: true + timedelta(hours=1))
    first, second = database_now(), database_now()
    assert first.tzinfo is UTC
    assert abs(first - true) < timedelta(seconds=10)
    assert timedelta(0) <= second - first < timedelta(seconds=10)
