"""The kinds of channels, one row each: what a channel of it needs, and an event as its receiver wants it.

Events are those of the outbox: ``type`` is ``alert.opened``, ``alert.ended``, ``alert.test`` or
``budget.threshold_reached``, ``data`` has a ``summary`` and what else there is to know.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import msgspec
from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import validate_email

from batches.notices import signed_headers
from gateway.config.env import signing_fault
from providers import egress

OPENED, ENDED, TEST = "alert.opened", "alert.ended", "alert.test"
PAGERDUTY_ADDRESS = "https://events.pagerduty.com/v2/enqueue"
PAGERDUTY_SUMMARY_CHARACTERS = 1024
TEAMS_CARD = "application/vnd.microsoft.card.adaptive"
TEAMS_COLOURS: Final = {"critical": "Attention", "error": "Attention", "warning": "Warning", "info": "Accent"}
SHOWN: Final = ("alert", "rule", "subject", "severity", "value", "threshold", "spent", "limit", "unit", "period")
"""What of an event's data people see beside its summary."""
Event = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Post:
    """A request to a receiver: JSON."""

    url: str
    content: bytes
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Receiver:
    """A channel's address and secret, decrypted."""

    address: str
    secret: str


@dataclass(frozen=True, slots=True)
class ChannelKind:
    """A kind of channel. ``secret`` says what its secret is, empty: it has none. ``post`` is ``None`` for e-mail.

    ``usual`` is the address where none is given.
    """

    label: str
    address: str
    secret: str = ""
    usual: str = ""
    post: Callable[[Receiver, Event, bytes, datetime], Post] | None = None


def title_of(event: Event) -> str:
    """Return an event in one line."""
    prefix = {ENDED: "Over: ", TEST: "Test: "}.get(event["type"], "")
    return prefix + " ".join(str(event["data"]["summary"]).split())


def facts_of(event: Event) -> list[tuple[str, str]]:
    """Return what else there is to know, as names and values."""
    data = event["data"]
    return [(name, _shown(data[name])) for name in SHOWN if data.get(name) not in (None, "")]


def link_of(event: Event) -> str:
    """Return the address of what the event is about in the console; empty where the console has none."""
    number = event["data"].get("incident")
    return f"{settings.PUBLIC_URL}/admin/alerts/incident/{number}/change/" if settings.PUBLIC_URL and number else ""


def _shown(value: Any) -> str:
    return f"{value:,.2f}".removesuffix(".00") if isinstance(value, int | float) else str(value)


def _json(url: str, payload: Any) -> Post:
    return Post(url, msgspec.json.encode(payload), {})


def _webhook(to: Receiver, event: Event, content: bytes, now: datetime) -> Post:
    return Post(to.address, content, signed_headers(to.secret, event["id"], content, now))


def _slack(to: Receiver, event: Event, content: bytes, now: datetime) -> Post:
    lines = [f"*{_slack_text(title_of(event))}*"]
    lines += [f"{name}: {_slack_text(value)}" for name, value in facts_of(event)]
    if link := link_of(event):
        lines.append(f"<{link}|Open in Gatehouse>")
    return _json(to.address, {"text": "\n".join(lines)})


def _slack_text(text: str) -> str:
    """Escape what Slack reads as markup: mentions and links begin with ``<``."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _teams(to: Receiver, event: Event, content: bytes, now: datetime) -> Post:
    colour = "Good" if event["type"] == ENDED else TEAMS_COLOURS.get(event["data"].get("severity", ""), "Default")
    title = {"type": "TextBlock", "text": _plain(title_of(event)), "weight": "Bolder", "wrap": True, "color": colour}
    facts = [{"title": name, "value": _plain(value)} for name, value in facts_of(event)]
    card: dict[str, Any] = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "body": [title, {"type": "FactSet", "facts": facts}],
    }
    if link := link_of(event):
        card["actions"] = [{"type": "Action.OpenUrl", "title": "Open in Gatehouse", "url": link}]
    attachment = {"contentType": TEAMS_CARD, "contentUrl": None, "content": card}
    return _json(to.address, {"type": "message", "attachments": [attachment]})


def _plain(text: str) -> str:
    """Escape what adaptive cards read as Markdown."""
    return re.sub(r"([\\`*_\[\]])", r"\\\1", text)


def _pagerduty(to: Receiver, event: Event, content: bytes, now: datetime) -> Post:
    """Return an event of PagerDuty's Events API v2: the same key opens an incident there and resolves it."""
    data = event["data"]
    payload = {
        "summary": title_of(event)[:PAGERDUTY_SUMMARY_CHARACTERS],
        "source": settings.PUBLIC_URL or "gatehouse",
        "severity": data.get("severity", "warning"),
        "timestamp": datetime.fromtimestamp(event["created_at"], UTC).isoformat(),
        "class": data.get("kind", event["type"]),
        "component": data.get("subject", ""),
        "custom_details": data,
    }
    key = f"gatehouse-incident-{data['incident']}" if data.get("incident") else event["id"]
    sent: dict[str, Any] = {
        "routing_key": to.secret,
        "event_action": "resolve" if event["type"] == ENDED else "trigger",
        "dedup_key": key,
        "payload": payload,
        "client": "Gatehouse",
    }
    if link := link_of(event):
        sent["client_url"] = link
    return _json(to.address, sent)


EMAIL: Final = "email"
CHANNELS: Final = {
    "webhook": ChannelKind("Webhook", "its address", "the secret that signs it", post=_webhook),
    "slack": ChannelKind("Slack", "the address of an incoming webhook", post=_slack),
    "teams": ChannelKind("Microsoft Teams", "the address of a workflow for webhooks", post=_teams),
    "pagerduty": ChannelKind(
        "PagerDuty", "the address of its Events API v2", "the integration key", PAGERDUTY_ADDRESS, _pagerduty
    ),
    EMAIL: ChannelKind("E-mail", "addresses, with commas"),
}


def recipients_of(address: str) -> list[str]:
    """Return the e-mail addresses of a channel."""
    return [one.strip() for one in address.split(",") if one.strip()]


def address_fault(kind: str, address: str) -> str:
    """Say what is wrong with a channel's address; empty: nothing. It is never repeated: it may hold a secret."""
    if not address:
        return "" if CHANNELS[kind].usual else f"is missing: {CHANNELS[kind].address}."
    if kind == EMAIL:
        for one in recipients_of(address):
            try:
                validate_email(one)
            except ValidationError:
                return "has what is not a valid e-mail address. Write addresses with commas between them."
        return ""
    if "#" in address or any(not sign.isprintable() or sign == " " for sign in address):
        return "An address has no '#', spaces or line breaks."
    return egress.url_fault(address.partition("?")[0]) or ""


def secret_fault(kind: str, secret: str) -> str:
    """Say what is wrong with a channel's secret; empty: nothing."""
    what = CHANNELS[kind].secret
    if not what:
        return f"A channel of the kind {kind} has no secret." if secret else ""
    if not secret:
        return f"is missing: {what}."
    return " ".join(signing_fault(secret) or ())
