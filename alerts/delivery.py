"""Sending an event to a channel, once. The outbox (``batches.notices``) says when, and tries again."""

import smtplib
from collections.abc import Sequence
from datetime import datetime

import msgspec
from django.conf import settings
from django.core.mail import EmailMessage
from fernet_fields import DecryptionError

from accounts.database_clock import database_now
from alerts.channels import CHANNELS, TEST, Event, Receiver, facts_of, link_of, recipients_of, title_of
from alerts.models import SECRET_COLUMNS, Channel
from batches import notices
from batches.models import MAILTO, Notice


def send(notice: Notice, now: datetime) -> str:
    """Send a notice to the channel that it is for; return why it was not accepted, or an empty string."""
    event: Event = msgspec.json.decode(notice.body)
    if notice.to.startswith(MAILTO):
        return mail(recipients_of(notice.to.removeprefix(MAILTO)), event)
    channel = Channel.objects.defer(*SECRET_COLUMNS).filter(name=notice.to).first()
    if channel is None:
        return f"the channel {notice.to!r} does not exist"
    return send_to(channel, event, notice.body.encode(), now) if channel.enabled else "the channel is disabled"


def send_to(channel: Channel, event: Event, content: bytes, now: datetime) -> str:
    """Send an event, whose JSON is ``content``, to a channel; return why it was not accepted, or an empty string."""
    kind = CHANNELS.get(channel.kind)
    if kind is None:
        return f"channels of the kind {channel.kind!r} are not known"
    try:
        receiver = Receiver(channel.channel_address or kind.usual, channel.channel_secret)
    except DecryptionError:
        return "its address was encrypted with another encryption key: enter it again"
    if kind.post is None:
        return mail(recipients_of(receiver.address), event)
    request = kind.post(receiver, event, content, now)
    return notices.post(request.url, request.headers, request.content)


def send_test(channel: Channel) -> str:
    """Send a test to a channel now; return why it was not accepted, or an empty string."""
    now = database_now()
    event = {
        "id": f"evt_test{now.timestamp():.0f}",
        "object": "event",
        "type": TEST,
        "created_at": int(now.timestamp()),
        "data": {"summary": f"The channel {channel.name} works.", "severity": "info"},
    }
    return send_to(channel, event, msgspec.json.encode(event), now)


def mail(to: Sequence[str], event: Event) -> str:
    """Send an event by e-mail; return why the mail server did not take it, or an empty string."""
    if not settings.EMAIL_HOST:
        return "GATEHOUSE_SMTP_HOST is not set"
    lines = [title_of(event), "", *(f"{name}: {value}" for name, value in facts_of(event))]
    if link := link_of(event):
        lines += ["", link]
    message = EmailMessage(f"[Gatehouse] {title_of(event)}", "\n".join(lines), settings.DEFAULT_FROM_EMAIL, list(to))
    try:
        message.send()
    except smtplib.SMTPResponseException as error:
        return f"the mail server answered {error.smtp_code}"
    except (OSError, smtplib.SMTPException) as error:
        return f"the mail server did not take it ({type(error).__name__})"
    return ""
