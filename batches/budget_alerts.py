"""Alerts of budgets: an event for each threshold that a budget reaches, once a period, through webhook and
channels."""

import logging
import uuid
from datetime import datetime
from typing import Any

import msgspec
from django.conf import settings

from accounts.database_clock import database_now
from batches.models import MAILTO, Notice
from rules import spending
from rules.models import BUDGET_FORMS, Rule
from rules.shape import is_delivered
from rules.used import Used, used_now

logger = logging.getLogger("batches")

EVENT_IDS = uuid.UUID("3c1c7c62-6c0f-4a43-9d0e-54b6b7a7f1d2")
EVENT = "budget.threshold_reached"
PART = 500
"""Events that are looked up at once."""


def announce() -> int:
    """Store an event for every threshold that is reached and was not announced in this period: to the webhook of the
    settings, and to the channels that the budget names. Return how many thresholds are reached.
    """
    now = database_now()
    reached, events = _events(now)
    ids, known = list(events), set[str]()
    for start in range(0, len(ids), PART):
        stored = Notice.objects.filter(event_id__in=ids[start : start + PART])
        known.update(stored.values_list("event_id", flat=True))
    notices = [_notice(event_id, *events[event_id], now) for event_id in ids if event_id not in known]
    if notices:  # of two processes that come here at once, one stores them
        Notice.objects.bulk_create(notices, ignore_conflicts=True)
    return reached


def announced_now() -> set[str]:
    """Return the ids of the events of all thresholds that are reached. Their notices have to stay: a threshold whose
    notice is gone would be announced again, in the same quarter or lifetime.
    """
    return set(_events(database_now())[1])


def _events(now: datetime) -> tuple[int, dict[str, tuple[Used, float, str]]]:
    """Return how many thresholds are reached, and by event id each of them with one of the places that it goes to."""
    alerting = Rule.objects.filter(form__in=BUDGET_FORMS, enabled=True, effect__has_key="alerts")
    targets = {rule_id: _targets(effect) for rule_id, effect in alerting.values_list("pk", "effect")}
    if not targets:
        return 0, {}
    reached = [
        (used, threshold)
        for used in used_now(now.timestamp())
        for threshold in used.rule.thresholds
        if used.used * 100 >= threshold * used.limit
    ]
    return len(reached), {
        _event_id(used, threshold, to): (used, threshold, to)
        for used, threshold in reached
        for to in targets.get(used.rule.id, ())
    }


def _targets(effect: dict[str, Any]) -> list[str]:
    """Return where a budget's alerts go, as ``Notice.to`` names it."""
    found = [""] if settings.JOB_WEBHOOK_URL else []
    for target in effect["alerts"].get("notification_target", []):
        if not is_delivered(target):
            continue
        if target["type"] == "email" and target.get("to_emails"):
            found.append(f"{MAILTO}{','.join(target['to_emails'])}")
        elif target.get("notification_channel"):
            found.append(target["notification_channel"])
    return list(dict.fromkeys(found))


def _event_id(used: Used, threshold: float, to: str) -> str:
    key = f"{used.place.key}/{used.unit}/{threshold:g}" + (f"/{to}" if to else "")
    return f"evt_{uuid.uuid5(EVENT_IDS, key).hex}"


def _notice(event_id: str, used: Used, threshold: float, to: str, now: datetime) -> Notice:
    place = used.place
    whom = f" of {' and '.join(used.entity)}" if used.entity else ""
    spent, limit = used.shown(used.used), used.shown(used.limit)
    amounts = f"${spent:,.2f} of ${limit:,.2f}" if used.money else f"{spent:,.0f} of {limit:,.0f} tokens"
    data = {
        "rule": used.rule.label,
        "mode": used.rule.mode,
        "for": list(used.entity),
        "period": place.period,
        "start": place.start.isoformat(),
        "threshold": threshold,
        "spent": spent,
        "limit": limit,
        "unit": "usd" if used.money else "tokens",
        "summary": f"The budget {used.rule.label}{whom} has reached {threshold:g} % ({place.period}): {amounts}.",
    }
    event = {"id": event_id, "object": "event", "type": EVENT, "created_at": int(now.timestamp()), "data": data}
    return Notice(event_id=event_id, to=to, body=msgspec.json.encode(event).decode(), created_at=now, due_at=now)


def check() -> int:
    """Compare the budgets' counters with the records; sum again those that differ, and return how many did."""
    _, differing = spending.compare()
    for one in differing:
        logger.error(
            "A budget's counter differed from the usage records, and is summed again: rule %d, %s from %s.",
            one.place.rule_id,
            one.place.period,
            one.place.start,
        )
    if differing:
        spending.rebuild({one.place.rule_id for one in differing})
    return len(differing)
