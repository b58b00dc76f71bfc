"""What the tests of alerts share: a receiver, and alerts whose time the test moves."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from django.db.models import F

from alerts.models import NEVER, Alert, Incident, Turn
from alerts.rounds import evaluate
from tests.support.http_receiver import HttpReceiver
from tests.support.usage_factory import attempt
from usage import rows


def store(count: int = 1, **changes: Any) -> None:
    """Store usage records as the ledger does."""
    lines = [msgspec.json.encode(attempt(**changes)) for _ in range(count)]
    assert rows.store(lines, "default", lambda: None) == []


def make_alert(**fields: Any) -> Alert:
    """Make an alert as the console does: checked."""
    alert = Alert(**{"name": "watch", "kind": "error_rate", "threshold": 10, **fields})
    alert.full_clean()
    alert.save()
    return alert


def look(minutes: float = 0) -> int:
    """Let time pass, and look at all alerts as the process whose turn it is."""
    Turn.objects.update(until=NEVER)
    past = timedelta(minutes=minutes)
    Incident.objects.filter(ended_at=None).update(seen_at=F("seen_at") - past, opened_at=F("opened_at") - past)
    return evaluate()


@pytest.fixture
def receiver(settings: Any) -> Iterator[HttpReceiver]:
    settings.EGRESS_ALLOW = ["127.0.0.1"]
    with HttpReceiver() as made:
        yield made
