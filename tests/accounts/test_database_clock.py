"""The clock that all processes share, on both databases."""

import time
from datetime import UTC, datetime, timedelta

import pytest

from accounts.changes import Change, announce, announce_each
from accounts.database_clock import database_now
from accounts.models import User
from gateway.models import NewObject, OwnedObject
from gateway.objects.store import record_now


@pytest.fixture
def an_hour_ahead(monkeypatch: pytest.MonkeyPatch) -> datetime:
    """Let this process's clock be wrong; return the true time."""
    true = datetime.now(UTC)
    monkeypatch.setattr(time, "time", lambda: true.timestamp() + 3600)
    monkeypatch.setattr("django.utils.timezone.now", lambda: true + timedelta(hours=1))
    return true


@pytest.mark.django_db
def test_it_is_the_databases_and_not_the_process_own(an_hour_ahead: datetime) -> None:
    first, second = database_now(), database_now()
    assert first.tzinfo is UTC
    assert abs(first - an_hour_ahead) < timedelta(seconds=10)
    assert timedelta(0) <= second - first < timedelta(seconds=10)


@pytest.mark.django_db
def test_the_change_feed_has_its_time(an_hour_ahead: datetime) -> None:
    announce("a.b", 1)
    announce_each(User, [2, 3])
    moments = [change.created_at for change in Change.objects.filter(object_id__in=["1", "2", "3"])]
    assert len(moments) == 3
    assert all(abs(moment - an_hour_ahead) < timedelta(seconds=10) for moment in moments)


@pytest.mark.django_db
def test_what_is_recorded_of_an_object_has_its_time(an_hour_ahead: datetime) -> None:
    hour = timedelta(hours=1)
    record_now([NewObject("a", "main", "x", "user:1", "ada", due_in=hour, expires_at=2 * hour)])
    row = OwnedObject.objects.timed().get()
    shifts = {row.created_at: 0, row.updated_at: 0, row.now: 0, row.due_at: 1, row.expires_at: 2}
    for moment, hours in shifts.items():
        assert moment is not None
        assert abs(moment - an_hour_ahead - hours * hour) < timedelta(seconds=10)
