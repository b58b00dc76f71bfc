"""Incidents: opened once, announced once, ended after a while without, silent when they are to be."""

import json
from datetime import timedelta
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.utils import timezone

from alerts import rounds
from alerts.models import Alert, Channel, Incident
from batches.models import Notice
from providers.models import Model, ProviderAccount
from tests.alerts.conftest import look, make_alert, store
from usage.models import UsageRecord

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _channels() -> None:
    for name in ("ops", "chat"):
        Channel.objects.create(name=name, kind="slack", channel_address="https://hooks.slack.com/services/x")


def sent() -> list[tuple[str, str]]:
    return [(json.loads(one.body)["type"], one.to) for one in Notice.objects.order_by("id")]


def test_an_incident_is_announced_once_and_ends() -> None:
    make_alert(per="account", channels=["ops", "chat"], least_calls=4)
    store(3)
    store(status=502, error_class="upstream_error")
    store(40, account="azure")
    assert look() == 1
    assert look() == 1
    assert sent() == [("alert.opened", "ops"), ("alert.opened", "chat")]
    data = json.loads(Notice.objects.all()[0].body)["data"]
    assert (data["subject"], data["value"], data["threshold"], data["severity"]) == ("openai-main", 25, 10, "warning")
    assert data["summary"] == "openai-main: 25.0 % of 4 calls failed within 10 minutes."
    UsageRecord.objects.filter(status=502).delete()
    assert look(minutes=1) == 1  # it may flicker
    assert len(sent()) == 2
    assert look(minutes=1.5) == 0
    assert sent()[2:] == [("alert.ended", "ops"), ("alert.ended", "chat")]
    store(status=502, error_class="upstream_error")
    assert look() == 1
    assert len(sent()) == 6
    assert Incident.objects.count() == 2


def test_only_one_process_looks_at_a_time() -> None:
    make_alert(kind="failing_key", threshold=1)
    store(status=401, upstream_status=401, error_class="upstream_error")
    assert look() == 1
    Incident.objects.all().delete()
    assert rounds.evaluate() == 0  # another has just looked
    assert not Incident.objects.exists()


def test_a_silent_alert_records_and_says_it_afterwards() -> None:
    alert = make_alert(kind="failing_key", threshold=1, channels=["ops"])
    Alert.objects.filter(pk=alert.pk).update(silenced_until=timezone.now() + timedelta(hours=1))
    store(status=403, upstream_status=403, error_class="upstream_error")
    assert look() == 1
    assert sent() == []
    Alert.objects.filter(pk=alert.pk).update(silenced_until=timezone.now() - timedelta(seconds=1))
    look()
    look()
    assert sent() == [("alert.opened", "ops")]


def test_what_was_never_announced_ends_in_silence() -> None:
    alert = make_alert(kind="failing_key", threshold=1, channels=["ops"])
    Alert.objects.filter(pk=alert.pk).update(silenced_until=timezone.now() + timedelta(hours=1))
    store(status=403, upstream_status=403, error_class="upstream_error")
    look()
    UsageRecord.objects.all().delete()
    assert look(minutes=3) == 0
    assert sent() == []


def test_an_alert_that_is_disabled_ends_what_is_open() -> None:
    alert = make_alert(kind="failing_key", threshold=1, channels=["ops"])
    store(status=401, upstream_status=401, error_class="upstream_error")
    look()
    Alert.objects.filter(pk=alert.pk).update(enabled=False)
    assert look() == 0
    assert [kind for kind, _ in sent()] == ["alert.opened", "alert.ended"]


def test_an_alert_that_is_deleted_ends_what_is_open() -> None:
    make_alert(kind="failing_key", threshold=1, channels=["ops"])
    store(status=401, upstream_status=401, error_class="upstream_error")
    look()
    Alert.objects.all().delete()
    assert [kind for kind, _ in sent()] == ["alert.opened", "alert.ended"]
    assert not Incident.objects.exists()


def test_a_flood_of_subjects_is_bounded(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(rounds, "MOST_OPEN", 2)
    make_alert(kind="failing_key", threshold=1, channels=["ops"])
    for number in range(4):
        store(account=f"account-{number}", status=401, upstream_status=401, error_class="upstream_error")
    assert look() == 2
    assert len(sent()) == 2
    assert "2 open incidents" in caplog.text


def test_another_hosts_spool_is_not_ours_to_end(monkeypatch: pytest.MonkeyPatch) -> None:
    alert = make_alert(kind="spool", threshold=0)
    there = Incident.objects.create(alert=alert, subject="elsewhere", value=1, said="x")
    look(minutes=10)
    there.refresh_from_db()
    assert there.ended_at is None


def test_one_broken_alert_keeps_no_other_from_being_looked_at(caplog: pytest.LogCaptureFixture) -> None:
    broken = make_alert(name="a-broken")
    Alert.objects.filter(pk=broken.pk).update(kind="of-a-newer-release")
    make_alert(kind="model_shutdown", threshold=30, per="model")
    account = ProviderAccount.objects.create(kind="openai", name="openai-main")
    day = timezone.now().date() + timedelta(days=7)
    Model.objects.create(account=account, name="old", model_types=["chat"], deprecated_on=day)
    assert look() == 1
    assert "a-broken could not be evaluated" in caplog.text


@pytest.mark.parametrize(
    ("fields", "where"),
    [
        ({"channels": ["nowhere"]}, "channels"),
        ({"channels": "ops"}, "channels"),
        ({"minutes": 0}, "minutes"),
        ({"minutes": 9999}, "minutes"),
        ({"threshold": -1}, "threshold"),
        ({"kind": "failing_key", "per": "model"}, "per"),
        ({"only": [1]}, "only"),
    ],
)
def test_faults_are_said_beside_their_fields(fields: dict[str, Any], where: str) -> None:
    with pytest.raises(ValidationError) as caught:
        make_alert(**fields)
    assert set(caught.value.message_dict) == {where}
