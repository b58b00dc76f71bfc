"""Notices over real sockets: to webhooks, Slack, Teams, PagerDuty and a mail server, each in its own form."""

import json
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone
from openai import InvalidWebhookSignatureError, OpenAI

from alerts import delivery
from alerts.models import Channel
from batches import budget_alerts, notices
from batches.models import Notice
from rules.models import Budget
from tests.alerts.conftest import look, make_alert, store
from tests.support.http_receiver import HttpReceiver
from tests.support.mail_server import MailServer
from tests.support.servers import free_port
from usage.models import UsageRecord

pytestmark = pytest.mark.django_db
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
ROUTING_KEY = "R0123456789abcdef0123456789abcde"


def channel(kind: str, address: str, secret: str = "") -> Channel:
    return Channel.objects.create(name=f"to-{kind}", kind=kind, channel_address=address, channel_secret=secret)


def raise_and_end(to: Channel) -> None:
    """Let an incident begin and end, and deliver both notices."""
    make_alert(kind="failing_key", threshold=2, channels=[to.name], severity="critical")
    store(2, account="<odd> & *main*", status=502, upstream_status=401, error_class="upstream_error")
    look()
    assert notices.deliver_due() == 1
    UsageRecord.objects.all().delete()
    look(minutes=3)
    assert notices.deliver_due() == 1
    assert notices.deliver_due() == 0


def test_a_webhook_is_signed(receiver: HttpReceiver) -> None:
    raise_and_end(channel("webhook", f"{receiver.url}/hook?x=1&y=2", SECRET))
    (path, headers, body), (_, ended_headers, ended) = receiver.got
    assert path == "/hook?x=1&y=2"
    client = OpenAI(api_key="x")
    assert client.webhooks.unwrap(body, headers, secret=SECRET)
    with pytest.raises(InvalidWebhookSignatureError):
        client.webhooks.unwrap(body, headers, secret=SECRET[:-4] + "AAAA")
    event, over = json.loads(body), json.loads(ended)
    assert (event["type"], over["type"]) == ("alert.opened", "alert.ended")
    assert event["id"] == headers["webhook-id"] != ended_headers["webhook-id"]
    assert event["data"]["incident"] == over["data"]["incident"]
    assert over["data"]["ended_at"]


def test_slack_reads_no_markup_of_ours(receiver: HttpReceiver, settings: Any) -> None:
    settings.PUBLIC_URL = "https://ai.example.com"
    raise_and_end(channel("slack", f"{receiver.url}/services/T0/B0/x"))
    first, over = (body["text"] for body in receiver.bodies())
    assert first.startswith("*&lt;odd&gt; &amp; *main*: the provider refused the key 2 times within 10 minutes.*\n")
    assert "threshold: 2" in first
    assert "<https://ai.example.com/admin/alerts/incident/" in first
    assert over.startswith("*Over: ")


def test_teams_gets_a_card(receiver: HttpReceiver) -> None:
    raise_and_end(channel("teams", f"{receiver.url}/workflows/1/triggers/manual/paths/invoke?api-version=1&sig=abc"))
    assert receiver.got[0][0].endswith("?api-version=1&sig=abc")
    (first,), (over,) = (body["attachments"] for body in receiver.bodies())
    assert first["contentType"] == "application/vnd.microsoft.card.adaptive"
    card = first["content"]
    assert (card["type"], card["version"], card["body"][0]["color"]) == ("AdaptiveCard", "1.4", "Attention")
    assert r"\*main\*" in card["body"][0]["text"]
    assert {"title": "threshold", "value": "2"} in card["body"][1]["facts"]
    assert over["content"]["body"][0]["color"] == "Good"


def test_pagerduty_opens_and_resolves_one_incident(receiver: HttpReceiver) -> None:
    raise_and_end(channel("pagerduty", f"{receiver.url}/v2/enqueue", ROUTING_KEY))
    first, over = receiver.bodies()
    assert (first["event_action"], over["event_action"]) == ("trigger", "resolve")
    assert first["dedup_key"] == over["dedup_key"]
    assert first["routing_key"] == ROUTING_KEY
    assert first["payload"]["severity"] == "critical"
    assert set(first["payload"]) >= {"summary", "source", "severity"}
    assert ROUTING_KEY not in json.dumps(first["payload"])


def test_pagerduty_has_an_address_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    to = channel("pagerduty", "", ROUTING_KEY)
    sent: list[str] = []
    monkeypatch.setattr(notices, "post", lambda url, headers, content: sent.append(url) or "")
    assert delivery.send_test(to) == ""
    assert sent == ["https://events.pagerduty.com/v2/enqueue"]


def test_mail(settings: Any) -> None:
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_USE_TLS = False
    to = channel("email", "ops@example.com, boss@example.com")
    with MailServer() as server:
        settings.EMAIL_HOST, settings.EMAIL_PORT = server.address
        raise_and_end(to)
        (recipients, first), (_, over) = server.got
        assert recipients == ["ops@example.com", "boss@example.com"]
        assert first["subject"].startswith("[Gatehouse] <odd> & *main*: the provider refused the key 2 times")
        assert first["from"] == "gatehouse@localhost"
        assert "threshold: 2" in first.get_payload()
        assert over["subject"].startswith("[Gatehouse] Over: ")
        server.refusing = True
        assert "did not take it" in delivery.send_test(to)
    assert "did not take it" in delivery.send_test(to)
    settings.EMAIL_HOST = ""
    assert delivery.send_test(to) == "GATEHOUSE_SMTP_HOST is not set"


def test_a_line_break_in_a_subject_makes_no_header(settings: Any) -> None:
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_USE_TLS = False
    event = {"type": "alert.opened", "data": {"summary": "a\nBcc: thief@example.com"}}
    with MailServer() as server:
        settings.EMAIL_HOST, settings.EMAIL_PORT = server.address
        assert delivery.mail(["ops@example.com"], event) == ""
        ((recipients, message),) = server.got
    assert (recipients, message["bcc"]) == (["ops@example.com"], None)


def test_addresses_obey_the_egress_rules(receiver: HttpReceiver, settings: Any) -> None:
    settings.EGRESS_ALLOW = []
    fault = delivery.send_test(channel("slack", f"{receiver.url}/services/secret-path"))
    assert "GATEHOUSE_EGRESS_ALLOW" in fault
    assert "secret-path" not in fault
    assert receiver.got == []


def test_what_is_not_accepted_is_tried_again_and_delays_no_other(receiver: HttpReceiver, settings: Any) -> None:
    dead = Channel.objects.create(name="dead", kind="slack", channel_address=f"http://127.0.0.1:{free_port()}/x")
    good = channel("slack", f"{receiver.url}/x")
    make_alert(kind="failing_key", threshold=1, channels=[dead.name, good.name, "gone"][:2])
    for number in range(3):
        store(account=f"a{number}", status=401, upstream_status=401, error_class="upstream_error")
    look()
    assert notices.deliver_due() == 3
    tries = Notice.objects.filter(to="dead").values_list("attempts", flat=True)
    assert sorted(tries) == [0, 0, 1]
    assert all(one.due_at for one in Notice.objects.filter(to="dead"))
    Channel.objects.filter(name="dead").delete()
    notices.deliver_due()
    assert Notice.objects.filter(to="dead", fault__contains="does not exist").exists()


def test_a_dead_receiver_delays_no_other_however_much_waits_for_it(receiver: HttpReceiver) -> None:
    channel("slack", f"{receiver.url}/x")
    dead = Channel.objects.create(name="dead", kind="slack", channel_address=f"http://127.0.0.1:{free_port()}/x")
    now, body = timezone.now(), json.dumps({"type": "alert.opened", "data": {"summary": "late"}})
    for number in range(60):
        to, due = ("to-slack", now) if number == 59 else (dead.name, now - timedelta(hours=1))
        Notice.objects.create(event_id=f"evt_{number}", to=to, body=body, due_at=due)
    assert notices.deliver_due() == 1
    assert len(receiver.got) == 1
    assert sum(Notice.objects.values_list("attempts", flat=True)) == 2, "the dead one is tried once a round"


def test_budgets_notify_through_the_channels_that_they_name(receiver: HttpReceiver, settings: Any) -> None:
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_USE_TLS = False
    to = channel("slack", f"{receiver.url}/x")
    targets = [
        {"type": "slack-webhook", "notification_channel": to.name},
        {"type": "email", "to_emails": ["ada@example.com", "bob@example.com"]},
        {"type": "slack-bot", "notification_channel": to.name, "channels": ["#ai"]},
    ]
    alerts = {"thresholds": [50, 90], "notification_target": targets}
    Budget(form="tenant-budget-config", name="daily", effect={"limits": {"cost_per_day": 1}, "alerts": alerts}).save()
    store(cost_pico=6 * 10**11)
    assert budget_alerts.announce() == 1
    assert budget_alerts.announce() == 1
    with MailServer() as server:
        settings.EMAIL_HOST, settings.EMAIL_PORT = server.address
        assert notices.deliver_due() == 2
        ((recipients, message),) = server.got
    assert recipients == ["ada@example.com", "bob@example.com"]
    said = "The budget daily has reached 50 % (day): $0.60 of $1.00."
    assert said in message.get_payload()
    ((_, _, body),) = receiver.got
    assert json.loads(body)["text"].startswith(f"*{said}*")
    budget_alerts.announce()
    assert notices.deliver_due() == 0
