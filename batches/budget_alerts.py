"""Alerts of budgets: an event for each threshold that a budget reaches, once a period, through webhook and
channels."""

import logging
import uuid
from datetime import datetime

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


def announce() -> int:
    """Store an event for every threshold that is reached and was not announced in this period: to the webhook of the
    settings, and to the channels that the budget names. Return how many thresholds are reached.
    """
    if not Rule.objects.filter(form__in=BUDGET_FORMS, enabled=True, effect__has_key="alerts").exists():
        return 0
    now = database_now()
    targets: dict[int, list[str]] = {}
    notices, reached = [], 0
    for used in used_now(now.timestamp()):
        for threshold in used.rule.thresholds:
            if used.used * 100 < threshold * used.limit:
                continue
            reached += 1
            if used.rule.id not in targets:
                targets[used.rule.id] = _targets(used.rule.id)
            notices += [_notice(used, threshold, to, now) for to in targets[used.rule.id]]
    Notice.objects.bulk_create(notices, ignore_conflicts=True)
    return reached


def _targets(rule_id: int) -> list[str]:
    """Return where a budget's alerts go, as ``Notice.to`` names it."""
    found = [""] if settings.JOB_WEBHOOK_URL else []
    effect = Rule.objects.values_list("effect", flat=True).filter(pk=rule_id).first() or {}
    for target in effect.get("alerts", {}).get("notification_target", []):
        if not is_delivered(target):
            continue
        if target["type"] == "email" and target.get("to_emails"):
            found.append(f"{MAILTO}{','.join(target['to_emails'])}")
        elif target.get("notification_channel"):
            found.append(target["notification_channel"])
    return list(dict.fromkeys(found))


def _notice(used: Used, threshold: float, to: str, now: datetime) -> Notice:
    place = used.place
    key = f"{place.key}/{used.unit}/{threshold:g}" + (f"/{to}" if to else "")
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
    event_id = f"evt_{uuid.uuid5(EVENT_IDS, key).hex}"
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
