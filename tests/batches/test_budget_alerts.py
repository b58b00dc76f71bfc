"""Alerts of budgets: one event for each threshold, entity and period, and counters that are checked at night."""

import json
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from batches import budget_alerts, tasks
from batches.models import Notice
from rules import spending
from rules.models import Budget, BudgetCounter
from tests.support.usage_factory import attempt
from usage import rows

pytestmark = pytest.mark.django_db


def store(**changes: Any) -> None:
    lines = [msgspec.json.encode(attempt(**changes))]
    assert rows.store(lines, "default", lambda: None) == []


@pytest.fixture(autouse=True)
def _budget(settings: Any) -> None:
    settings.JOB_WEBHOOK_URL = "https://hooks.example.com/x"
    effect = {
        "limits": {"cost_per_day": 1, "tokens_per_day": 1_000_000_000},
        "per": ["user"],
        "alerts": {"thresholds": [50, 90, 100], "notification_target": [{"type": "webhook"}]},
    }
    Budget(form="tenant-budget-config", name="daily", effect=effect).save()


def events() -> list[dict[str, Any]]:
    return sorted((json.loads(one.body)["data"] for one in Notice.objects.all()), key=lambda data: data["threshold"])


def test_each_threshold_is_announced_once_a_period() -> None:
    store(cost_pico=6 * 10**11)
    assert budget_alerts.announce() == 1
    assert budget_alerts.announce() == 1
    assert [(one["threshold"], one["spent"], one["for"]) for one in events()] == [(50, 0.6, ["ada@example.com"])]
    store(cost_pico=4 * 10**11)
    budget_alerts.announce()
    assert [one["threshold"] for one in events()] == [50, 90, 100]
    assert events()[2]["rule"] == "daily"
    assert (events()[2]["limit"], events()[2]["unit"], events()[2]["period"]) == (1.0, "usd", "day")
    store(cost_pico=10**12, subject_name="bob@example.com")
    budget_alerts.announce()
    assert len(events()) == 6


def test_a_long_period_is_announced_once_though_old_notices_are_deleted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tasks, "skips", lambda *_: False)
    Budget.objects.all().delete()
    effect = {
        "limits": {"cost_per_lifetime": 1},
        "alerts": {"thresholds": [50], "notification_target": [{"type": "webhook"}]},
    }
    Budget(form="tenant-budget-config", name="pilot", effect=effect).save()
    store(cost_pico=6 * 10**11)
    budget_alerts.announce()
    long_ago = timezone.now() - timedelta(days=200)
    Notice.objects.create(event_id="evt_job", body="{}", created_at=long_ago)
    Notice.objects.update(due_at=None, created_at=long_ago)
    assert tasks.tidy()["notices"] == 1
    assert [one["rule"] for one in events()] == ["pilot"], "the job's is gone, the budget's is still needed"
    budget_alerts.announce()
    assert not Notice.objects.filter(due_at__isnull=False).exists()
    Budget.objects.all().delete()
    assert tasks.tidy()["notices"] == 1


def test_what_was_announced_is_not_written_again() -> None:
    store(cost_pico=6 * 10**11)
    budget_alerts.announce()
    with CaptureQueriesContext(connection) as queries:
        assert budget_alerts.announce() == 1
    assert not [each for each in queries if not each["sql"].startswith("SELECT")]


def test_without_a_webhook_nothing_is_stored(settings: Any) -> None:
    settings.JOB_WEBHOOK_URL = ""
    store(cost_pico=10**12)
    budget_alerts.announce()
    assert not Notice.objects.exists()


def test_the_nightly_check_sums_again_what_differs(caplog: pytest.LogCaptureFixture) -> None:
    store(cost_pico=7)
    assert budget_alerts.check() == 0
    BudgetCounter.objects.update(cost_low=3)
    assert budget_alerts.check() == 1
    assert "summed again" in caplog.text
    assert [one.cost for one in spending.held_now()] == [7]
