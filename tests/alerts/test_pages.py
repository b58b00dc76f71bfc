"""The console's pages of channels, alerts and incidents."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts.models import AuditEntry
from alerts.models import Alert, Channel, Incident
from tests.alerts.conftest import look, make_alert, store
from tests.console.conftest import Installation, as_mia, as_root, form_data, installation, messages
from tests.support.http_receiver import HttpReceiver

__all__ = ["as_mia", "as_root", "installation"]

SECRET_URL = "https://hooks.slack.com/services/T0/B0/secret-part"
ADD = reverse("admin:alerts_channel_add")


def add(client: Client, **changes: str) -> Any:
    data = {"name": "chat", "kind": "slack", "enabled": "on", "address": SECRET_URL, "secret": "", **changes}
    return client.post(ADD, data)


def change_page(channel: Channel) -> str:
    return reverse("admin:alerts_channel_change", args=[channel.pk])


def test_an_address_goes_in_and_never_comes_out(as_root: Client) -> None:
    assert as_root.get(ADD).status_code == 200
    assert add(as_root).status_code == 302
    channel = Channel.objects.get()
    assert channel.channel_address == SECRET_URL
    with connection.cursor() as cursor:
        cursor.execute("SELECT channel_address FROM alerts_channel")
        assert b"secret-part" not in bytes(cursor.fetchone()[0])
    for page in (change_page(channel), reverse("admin:alerts_channel_changelist")):
        assert b"secret-part" not in as_root.get(page).content
    assert "secret-part" not in " ".join(map(str, AuditEntry.objects.values_list("changes", flat=True)))
    kept = {**form_data(as_root.get(change_page(channel))), "name": "ops-chat"}
    assert as_root.post(change_page(channel), kept).status_code == 302
    channel = Channel.objects.get()
    assert (channel.name, channel.channel_address) == ("ops-chat", SECRET_URL)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"address": ""}, "address"),
        ({"address": "http://hooks.slack.com/x"}, "address"),
        ({"address": "https://127.0.0.1/x"}, "address"),
        ({"address": "https://user:password@hooks.slack.com/x"}, "address"),
        ({"address": "https://hooks.slack.com/x y"}, "address"),
        ({"secret": "0123456789abcdef"}, "secret"),
        ({"kind": "webhook"}, "secret"),
        ({"kind": "webhook", "secret": "short"}, "secret"),
        ({"kind": "webhook", "secret": "whsec_not-base64!!!!"}, "secret"),
        ({"kind": "pagerduty", "address": ""}, "secret"),
        ({"kind": "email", "address": "ops@example.com, nonsense"}, "address"),
    ],
)
def test_faults_are_said_without_the_secret(as_root: Client, changes: dict[str, str], field: str) -> None:
    answer = add(as_root, **changes)
    assert set(answer.context["adminform"].form.errors) == {field}
    assert b"password@" not in answer.content
    assert not Channel.objects.exists()


def test_another_address_needs_its_secret_again(as_root: Client) -> None:
    add(as_root, kind="webhook", address="https://a.example.com/x", secret="0123456789abcdef")
    channel = Channel.objects.get()
    moved = {**form_data(as_root.get(change_page(channel))), "address": "https://b.example.com/x"}
    answer = as_root.post(change_page(channel), moved)
    assert set(answer.context["adminform"].form.errors) == {"secret"}
    as_root.post(change_page(channel), {**moved, "secret": "fedcba9876543210"})
    channel.refresh_from_db()
    assert (channel.channel_address, channel.channel_secret) == ("https://b.example.com/x", "fedcba9876543210")


def test_a_test_is_sent_when_it_is_confirmed(as_root: Client, receiver: HttpReceiver) -> None:
    add(as_root, address=f"{receiver.url}/x")
    page = reverse("admin:alerts_channel_send_test", args=[Channel.objects.get().pk])
    assert b"Send a test message" in as_root.get(page).content
    assert receiver.got == []
    assert "It was accepted." in messages(as_root.post(page, follow=True))
    assert len(receiver.got) == 1
    receiver.status = 410
    assert "it answered 410" in messages(as_root.post(page, follow=True))
    assert AuditEntry.objects.filter(note="sent a test").count() == 2


def test_a_channel_under_another_key_can_be_seen_and_entered_again(as_root: Client, settings: Any) -> None:
    channel = Channel.objects.create(name="chat", kind="slack", channel_address=SECRET_URL)
    with connection.cursor() as cursor:
        cursor.execute("UPDATE alerts_channel SET channel_address = %s", [b"gAAAAABnonsense"])
    test = reverse("admin:alerts_channel_send_test", args=[channel.pk])
    assert "another encryption key" in messages(as_root.post(test, follow=True))
    again = {**form_data(as_root.get(change_page(channel))), "address": SECRET_URL}
    assert as_root.post(change_page(channel), again).status_code == 302
    channel.refresh_from_db()
    assert channel.channel_address == SECRET_URL


def test_an_alert_is_made_silenced_and_seen(as_root: Client, installation: Installation) -> None:
    add(as_root)
    page = reverse("admin:alerts_alert_add")
    assert "US dollars an hour" in as_root.get(page).content.decode()
    data = {
        "name": "keys",
        "kind": "failing_key",
        "threshold": "1",
        "minutes": "10",
        "least_calls": "20",
        "per": "all",
        "only": "",
        "severity": "critical",
        "channels": "chat\nnowhere",
        "enabled": "on",
    }
    answer = as_root.post(page, data)
    assert "These channels do not exist: nowhere" in str(answer.context["adminform"].form.errors["channels"])
    assert as_root.post(page, {**data, "channels": "chat"}).status_code == 302
    alert = Alert.objects.get()
    assert (alert.per, alert.channels) == ("account", ["chat"])
    store(status=401, upstream_status=401, error_class="upstream_error")
    look()
    listed = reverse("admin:alerts_alert_changelist")
    assert "1 open" in as_root.get(listed).content.decode()
    incident = Incident.objects.get()
    assert "refused the key" in as_root.get(reverse("admin:alerts_incident_changelist")).content.decode()
    assert as_root.get(reverse("admin:alerts_incident_change", args=[incident.pk])).status_code == 200
    for action, hours in (("silence_hour", 1), ("silence_day", 24)):
        as_root.post(listed, {"action": action, "_selected_action": alert.pk, "index": "0"})
        alert.refresh_from_db()
        assert alert.silenced_until is not None
        assert abs(alert.silenced_until - timezone.now() - timedelta(hours=hours)) < timedelta(minutes=1)
    as_root.post(listed, {"action": "end_silence", "_selected_action": alert.pk, "index": "0"})
    alert.refresh_from_db()
    assert alert.silenced_until is None
    assert AuditEntry.objects.filter(object_type="alerts.alert", action="changed").count() == 3


def test_they_are_for_superusers(as_mia: Client) -> None:
    alert = make_alert()
    for name in ("alert", "channel", "incident"):
        assert as_mia.get(reverse(f"admin:alerts_{name}_changelist")).status_code == 403
    answer = as_mia.post(
        reverse("admin:alerts_alert_changelist"), {"action": "silence_day", "_selected_action": alert.pk}
    )
    assert answer.status_code == 403
