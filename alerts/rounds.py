"""Looking at all alerts, in one process at a time: incidents begin and end, and notices of both go into the outbox.

An incident is announced once. It ends when its condition was not so for some time; that is announced, too.
"""

import logging
import socket
import uuid
from datetime import datetime, timedelta

import msgspec
from django.conf import settings
from django.db import transaction

from accounts.database_clock import database_now
from alerts.channels import ENDED, OPENED
from alerts.kinds import KINDS, Reading
from alerts.models import Alert, Incident, Turn
from batches.models import Notice

logger = logging.getLogger("alerts")

EVENT_IDS = uuid.UUID("0f8f6b3e-2f0e-4c57-9a52-8f9cf0d5f7c1")
TURN_SHARE = 0.7
"""How much of the schedule's interval a process has its turn."""
QUIET = timedelta(minutes=2)
"""How long a condition must not have been so for its incident to end: what flickers is one incident."""
MOST_OPEN = 100
"""Open incidents of an alert; more subjects are left out until some have ended."""
KEPT = timedelta(days=90)


def evaluate() -> int:
    """Look at every alert, if it is this process's turn; return how many incidents are open."""
    now = database_now()
    if not _take_turn(now):
        return 0
    for alert in Alert.objects.all():
        try:
            _look(alert, now)
        except Exception:  # one alert's boundary: the others are looked at all the same
            logger.exception("The alert %s could not be evaluated.", alert)
    Incident.objects.filter(ended_at__lt=now - KEPT).delete()
    return Incident.objects.filter(ended_at=None).count()


def _take_turn(now: datetime) -> bool:
    turn = timedelta(seconds=settings.ALERT_SECONDS * TURN_SHARE)
    Turn.objects.get_or_create(pk=1)
    return bool(Turn.objects.filter(pk=1, until__lte=now).update(until=now + turn))


def _look(alert: Alert, now: datetime) -> None:
    readings = {reading.subject: reading for reading in raised(alert, now)} if alert.enabled else {}
    incidents = {incident.subject: incident for incident in alert.incidents.filter(ended_at=None)}
    with transaction.atomic():
        for subject, reading in readings.items():
            if subject in incidents:
                _see(incidents[subject], reading, now)
            elif len(incidents) < MOST_OPEN:
                incidents[subject] = Incident.objects.create(
                    alert=alert, subject=subject, value=reading.value, said=reading.said, opened_at=now, seen_at=now
                )
            else:
                logger.warning("The alert %s has %d open incidents; no more are opened.", alert, MOST_OPEN)
                break
        for subject, incident in incidents.items():
            if subject not in readings:
                if _is_over(alert, incident, now):
                    end(alert, incident, now)
            elif incident.announced_at is None and not alert.is_silent(now):
                Incident.objects.filter(pk=incident.pk).update(announced_at=now)
                notify(alert, incident, OPENED, now)


def raised(alert: Alert, now: datetime) -> list[Reading]:
    """Return what raises an alert at the moment, whether it is enabled or not."""
    kind = KINDS[alert.kind]
    found = []
    for reading in kind.measure(alert.question, now):
        far = reading.value <= alert.threshold if kind.below else reading.value >= alert.threshold
        if far:
            found.append(Reading(reading.subject[:400], reading.value, reading.said[:600]))
    return found


def _see(incident: Incident, reading: Reading, now: datetime) -> None:
    incident.value, incident.said, incident.seen_at = reading.value, reading.said, now
    incident.save(update_fields=["value", "said", "seen_at"])


def _is_over(alert: Alert, incident: Incident, now: datetime) -> bool:
    """Whether an incident that was not seen now has ended. What another machine measures is for that one to say."""
    if not alert.enabled:
        return True
    elsewhere = KINDS[alert.kind].own_host and incident.subject != socket.gethostname()
    return not elsewhere and now - incident.seen_at >= QUIET


def end(alert: Alert, incident: Incident, now: datetime) -> None:
    """Let an incident end; store notices where it was announced."""
    incident.ended_at = now
    incident.save(update_fields=["ended_at"])
    if incident.announced_at is not None:  # also while the alert is silent: what was opened elsewhere is closed
        notify(alert, incident, ENDED, now)


def notify(alert: Alert, incident: Incident, kind: str, now: datetime) -> None:
    """Store a notice for every channel of the alert: once each, however often it is said."""
    data = {
        "alert": alert.name,
        "kind": alert.kind,
        "severity": alert.severity,
        "subject": incident.subject,
        "summary": incident.said,
        "value": round(incident.value, 6),
        "threshold": alert.threshold,
        "unit": KINDS[alert.kind].unit,
        "incident": incident.pk,
        "opened_at": incident.opened_at.isoformat(),
        "ended_at": incident.ended_at.isoformat() if incident.ended_at else None,
    }
    found = []
    for channel in alert.channels:
        event_id = f"evt_{uuid.uuid5(EVENT_IDS, f'{incident.pk}/{kind}/{channel}').hex}"
        event = {"id": event_id, "object": "event", "type": kind, "created_at": int(now.timestamp()), "data": data}
        body = msgspec.json.encode(event).decode()
        found.append(Notice(event_id=event_id, to=channel, body=body, created_at=now, due_at=now))
    Notice.objects.bulk_create(found, ignore_conflicts=True)
