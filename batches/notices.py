"""The outbox: events to other servers, retried until they are accepted, for a day. Ends of jobs go to one webhook.

Its form is that of OpenAI's own webhooks (Standard Webhooks), so the SDK's ``client.webhooks.unwrap`` checks the
signature."""

import base64
import hashlib
import hmac
import logging
import uuid
from collections.abc import Callable, Collection, Mapping
from datetime import datetime, timedelta
from urllib.parse import urlsplit

import msgspec
from django.conf import settings

from accounts.backoff import backoff
from accounts.database_clock import database_now
from batches.models import Notice
from gateway.models import OwnedObject
from gateway.objects.job_kinds import BATCH
from providers.upstream.sync_client import CheckedClient, Unreachable

logger = logging.getLogger("batches")

EVENT_IDS = uuid.UUID("5d7f0f0e-4f0b-4c0a-8a52-3f7f4c1d9a61")
SECRET_PREFIX = "whsec_"
TRIES = 12
FIRST_PAUSE_SECONDS = 2.0
PAUSE_FACTOR = 3
LONGEST_PAUSE_SECONDS = 9 * 3600.0
"""Twelve tries, with pauses of 2, 6, 18 … seconds and nine hours at last, span a day."""
CONNECT_SECONDS = 5.0
READ_SECONDS = 15.0
KEPT = timedelta(days=30)
PRUNED_AT_ONCE = 500


def announce(row: OwnedObject) -> None:
    """Store that a job has ended, for delivery. Once for a job, however often it is said."""
    if not settings.JOB_WEBHOOK_URL:
        return
    now = database_now()
    event_id = f"evt_{uuid.uuid5(EVENT_IDS, f'{row.account_name}/{row.object_id}').hex}"
    kind = "batch" if row.kind == BATCH.kind else row.kind
    data = {"id": row.object_id, "account": row.account_name, "owner": row.owner_name, "status": row.state}
    event = {
        "id": event_id,
        "object": "event",
        "type": f"{kind}.{row.state}",
        "created_at": int(now.timestamp()),
        "data": data,
    }
    body = msgspec.json.encode(event).decode()
    notice = Notice(event_id=event_id, body=body, created_at=now, due_at=now)
    Notice.objects.bulk_create([notice], ignore_conflicts=True)


def deliver_due(limit: int = 50) -> int:
    """Deliver what is due, ``limit`` to each receiver; return how many were accepted.

    Every receiver has its turn. When it refuses one, its others wait for the next round: so a dead one delays no other,
    however much waits for it. Any number of processes may call this at once.
    """
    due = Notice.objects.filter(due_at__lte=database_now())
    accepted = 0
    for to in due.values_list("to", flat=True).distinct():
        for notice in due.filter(to=to).order_by("due_at")[:limit]:
            if not deliver(notice):
                break
            accepted += 1
    return accepted


def deliver(notice: Notice) -> bool:
    """Try a notice once; return whether it was accepted. The next try is set before, so a crash only repeats it."""
    now = database_now()
    last = notice.attempts + 1 >= TRIES
    pause = timedelta(seconds=backoff(notice.attempts, FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS, PAUSE_FACTOR))
    claimed = Notice.objects.filter(pk=notice.pk, due_at=notice.due_at)
    if not claimed.update(due_at=None if last else now + pause, attempts=notice.attempts + 1):
        return False
    fault = send(notice, now)
    if fault:
        logger.warning("The event %s was not accepted (try %d): %s.", notice.event_id, notice.attempts + 1, fault)
    changes = {"fault": fault[:300]} if fault else {"fault": "", "due_at": None, "delivered_at": now}
    Notice.objects.filter(pk=notice.pk).update(**changes)
    return not fault


def send(notice: Notice, now: datetime) -> str:
    """Send a notice; return why it was not accepted, or an empty string."""
    if notice.to:
        return send_to_channel(notice, now)
    if not settings.JOB_WEBHOOK_URL:
        return "GATEHOUSE_JOB_WEBHOOK_URL is not set"
    content = notice.body.encode()
    headers = signed_headers(settings.JOB_WEBHOOK_SECRET, notice.event_id, content, now)
    return post(settings.JOB_WEBHOOK_URL, headers, content)


def _no_channels(notice: Notice, now: datetime) -> str:
    return "the app for channels is not installed"


send_to_channel: Callable[[Notice, datetime], str] = _no_channels
"""Sends what goes to a channel; the app ``alerts`` puts its own function here."""


def post(url: str, headers: Mapping[str, str], content: bytes) -> str:
    """Post JSON; return why it was not accepted, or an empty string. The address passes the egress rules."""
    parts = urlsplit(url)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    client = CheckedClient(
        f"{parts.scheme}://{parts.netloc}",
        {"content-type": "application/json", **headers},
        connect_timeout=CONNECT_SECONDS,
        read_timeout=READ_SECONDS,
    )
    try:
        with client:
            answer = client.call("POST", path, content=content)
    except Unreachable as error:
        return str(error)
    return "" if 200 <= answer.status < 300 else f"it answered {answer.status}"


def signed_headers(secret: str, event_id: str, content: bytes, now: datetime) -> dict[str, str]:
    """Return the headers that say which event it is and prove who sent it, under ``secret`` (base64 behind
    ``whsec_``, or any string)."""
    stamp = str(int(now.timestamp()))
    key = base64.b64decode(secret.removeprefix(SECRET_PREFIX)) if secret.startswith(SECRET_PREFIX) else secret.encode()
    signed = hmac.new(key, f"{event_id}.{stamp}.".encode() + content, hashlib.sha256).digest()
    signature = f"v1,{base64.b64encode(signed).decode()}"
    return {"webhook-id": event_id, "webhook-timestamp": stamp, "webhook-signature": signature}


def prune(now: datetime, needed: Collection[str] = ()) -> int:
    """Delete notices that are done with; return how many. Those with the ``needed`` event ids stay."""
    done = Notice.objects.filter(due_at=None, created_at__lt=now - KEPT)
    gone = [pk for pk, event_id in done.values_list("pk", "event_id") if event_id not in needed]
    parts = (gone[start : start + PRUNED_AT_ONCE] for start in range(0, len(gone), PRUNED_AT_ONCE))
    return sum(Notice.objects.filter(pk__in=part).delete()[0] for part in parts)
