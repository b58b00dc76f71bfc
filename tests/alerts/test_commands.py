"""``alerts``, ``test_channel`` and ``silence_alert``."""

import json
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from accounts.models import AuditEntry
from alerts.models import Channel
from rules.models import Budget
from tests.alerts.conftest import look, make_alert, store
from tests.support.http_receiver import HttpReceiver

pytestmark = pytest.mark.django_db


def run(*arguments: str) -> str:
    out = StringIO()
    call_command(*arguments, stdout=out)
    return out.getvalue()


def test_what_is_wrong_is_listed() -> None:
    make_alert(name="keys", kind="failing_key", threshold=1)
    make_alert(name="spend", kind="spend_rate", threshold=100)
    store(status=401, upstream_status=401, error_class="upstream_error")
    look()
    said = run("alerts")
    assert "keys (failing_key, 1): 1 open" in said
    assert "openai-main: the provider refused the key 1 times" in said
    assert "spend (spend_rate, 100): fine" in said
    rows: list[dict[str, Any]] = json.loads(run("alerts", "--json"))
    assert [(row["name"], [one["subject"] for one in row["incidents"]]) for row in rows] == [
        ("keys", ["openai-main"]),
        ("spend", []),
    ]


def test_channels_that_are_not_there_are_said() -> None:
    Channel.objects.create(name="chat", kind="slack", channel_address="https://hooks.slack.com/x")
    make_alert(channels=["chat"])
    target = {"type": "slack-webhook", "notification_channel": "ops"}
    alerts = {"thresholds": [50], "notification_target": [target, {**target, "type": "slack-bot"}, {"type": "webhook"}]}
    Budget(form="tenant-budget-config", name="daily", effect={"limits": {"cost_per_day": 1}, "alerts": alerts}).save()
    errors = StringIO()
    call_command("alerts", stdout=StringIO(), stderr=errors)
    assert errors.getvalue() == "The budget daily names the channel ops, which is not there.\n"
    Channel.objects.all().delete()
    call_command("alerts", stdout=StringIO(), stderr=errors)
    assert "The alert watch names the channel chat" in errors.getvalue()


def test_silence() -> None:
    alert = make_alert()
    assert "is silent until" in run("silence_alert", "watch", "--until", "2h")
    alert.refresh_from_db()
    assert alert.silenced_until is not None
    assert 7100 < (alert.silenced_until - timezone.now()).total_seconds() < 7300
    assert AuditEntry.objects.filter(object_type="alerts.alert", action="changed", detail="silence_alert").exists()
    assert "not silent" in run("silence_alert", "watch", "--end")
    for wrong in (("nowhere", "--end"), ("watch", "--until", "yesterday"), ("watch", "--until", "2020-01-01")):
        with pytest.raises(CommandError):
            run("silence_alert", *wrong)


def test_a_channel_is_tested(receiver: HttpReceiver) -> None:
    Channel.objects.create(name="chat", kind="slack", channel_address=f"{receiver.url}/services/x")
    assert "It was accepted." in run("test_channel", "chat")
    assert "The channel chat works." in receiver.bodies()[0]["text"]
    receiver.status = 404
    with pytest.raises(CommandError, match="it answered 404"):
        run("test_channel", "chat")
    with pytest.raises(CommandError, match="Valid values: chat"):
        run("test_channel", "other")
