"""Alerts of budgets: an event for each threshold that a budget reaches, once a period, through the webhook."""

import logging
import uuid
from collections.abc import Iterator
from typing import Any

import msgspec
from django.conf import settings

from accounts.database_clock import database_now
from batches.models import Notice
from rules import compiled, spending
from rules.compiled import PICO, SEPARATOR, CompiledRule
from rules.shape import BUDGET_UNITS
from rules.spending import Held

logger = logging.getLogger("batches")

EVENT_IDS = uuid.UUID("3c1c7c62-6c0f-4a43-9d0e-54b6b7a7f1d2")
EVENT = "budget.threshold_reached"


def announce() -> int:
    """Store an event for every threshold that is reached and was not announced in this period; return how many are
    reached.
    """
    if not settings.JOB_WEBHOOK_URL:
        return 0
    budgets = {pk: rule for pk, rule in compiled.load().budgets.rules.items() if rule.thresholds}
    if not budgets:
        return 0
    now = database_now()
    reached = [
        event
        for held in spending.held_now()
        if held.place.rule_id in budgets
        for event in _events(budgets[held.place.rule_id], held, now.timestamp())
    ]
    notices = [
        Notice(event_id=event["id"], body=msgspec.json.encode(event).decode(), created_at=now, due_at=now)
        for event in reached
    ]
    Notice.objects.bulk_create(notices, ignore_conflicts=True)
    return len(reached)


def _events(rule: CompiledRule, held: Held, now: float) -> Iterator[dict[str, Any]]:
    place = held.place
    entity = tuple(place.entity.split(SEPARATOR)) if place.entity else ()
    for name, limit in rule.limits_of(entity, now).items():
        unit = BUDGET_UNITS[name]
        if unit.period != place.period or not limit:
            continue
        money = unit.counts == "cost"
        used = held.cost if money else held.tokens
        for threshold in rule.thresholds:
            if used * 100 >= threshold * limit:
                key = f"{place.key}/{name}/{threshold:g}"
                data = {
                    "rule": rule.label,
                    "mode": rule.mode,
                    "for": list(entity),
                    "period": place.period,
                    "start": place.start.isoformat(),
                    "threshold": threshold,
                    "spent": used / PICO if money else used,
                    "limit": limit / PICO if money else limit,
                    "unit": "usd" if money else "tokens",
                }
                event_id = f"evt_{uuid.uuid5(EVENT_IDS, key).hex}"
                yield {"id": event_id, "object": "event", "type": EVENT, "created_at": int(now), "data": data}


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
