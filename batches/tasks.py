"""The Celery tasks: a few lines each around plain functions. Running one twice does no harm."""

import logging
import time
from datetime import datetime, timedelta

from celery import shared_task
from django.conf import settings
from django.db import DatabaseError

from accounts.database_clock import database_now
from batches import budget_alerts, notices, table, telemetry
from gateway.celery import BACKGROUND_SECONDS, DAY_SECONDS, HOUR_SECONDS, OFFERS_SECONDS
from gateway.jobs import engine, leases, retention
from gateway.jobs import table as gateway_table
from gateway.objects.job_kinds import STEERED
from providers import offers
from usage import feedback, partitions, pruning, scheduled_exports

logger = logging.getLogger("batches")

SWEEP_LIMIT = 500
_last: dict[str, float] = {}

telemetry.connect()


def skips(name: str, seconds: float) -> bool:
    """Whether this process has run a task of the schedule just before, less than half of its ``seconds`` ago.

    Rounds that piled up while no worker was there come to nothing then, whatever the hosts' clocks say.
    """
    now = time.monotonic()
    if now - _last.get(name, float("-inf")) < seconds / 2:
        return True
    _last[name] = now
    return False


@shared_task(name="batches.sweep")
def sweep() -> int:
    """Claim what is due, including what a dead worker dropped, and hand it out."""
    if skips("sweep", settings.JOB_SWEEP_SECONDS):
        return 0
    claimed = leases.claim_due(SWEEP_LIMIT, STEERED)
    for pk, claim in claimed:
        follow.delay(pk, claim.isoformat())
    return len(claimed)


@shared_task(name="batches.follow")
def follow(pk: int, claim: str) -> bool:
    """Take one claimed job a step further."""
    return engine.follow(table.job_of, pk, datetime.fromisoformat(claim))


@shared_task(name="batches.notify")
def notify() -> int:
    """Announce what budgets have reached, and deliver webhooks that are due."""
    if skips("notify", settings.JOB_SWEEP_SECONDS):
        return 0
    budget_alerts.announce()
    return notices.deliver_due()


@shared_task(name="batches.check_budgets")
def check_budgets() -> int:
    """Prove the budgets' counters equal to the usage records, and correct those that are not."""
    return 0 if skips("check_budgets", DAY_SECONDS) else budget_alerts.check()


@shared_task(name="batches.background")
def follow_background() -> int:
    """Charge, or correct, what went on after its call and is over."""
    return 0 if skips("background", BACKGROUND_SECONDS) else gateway_table.run_due()


@shared_task(name="batches.tidy")
def tidy() -> dict[str, int]:
    """Delete what is older than its retention, and make the partitions of the days ahead."""
    if skips("tidy", HOUR_SECONDS):
        return {}
    now, kept = database_now(), timedelta(days=settings.USAGE_RETENTION_DAYS)
    return {
        "days": partitions.tend(now),
        "usage": sum(pruning.prune(now - kept)),
        "feedback": feedback.prune(now - kept),
        "bodies": _prune_bodies(now - timedelta(days=settings.REQUEST_LOG_RETENTION_DAYS)),
        "objects": sum(retention.prune_objects(now)),
        "notices": notices.prune(now, budget_alerts.announced_now()),
    }


@shared_task(name="batches.offers")
def refresh_offers() -> int:
    """Claim the accounts whose servers' lists of models are due, and hand them out."""
    if skips("offers", OFFERS_SECONDS):
        return 0
    now = database_now()
    claimed = [(pk, claim) for pk in offers.due(now) if (claim := offers.claim(pk, now)) is not None]
    for pk, claim in claimed:
        read_offers.delay(pk, claim.isoformat())
    return len(claimed)


@shared_task(name="batches.read_offers")
def read_offers(pk: int, claim: str) -> bool:
    """Read one account's list."""
    return offers.read(pk, datetime.fromisoformat(claim))


@shared_task(name="batches.exports")
def export_days() -> int:
    """Write the days of usage that are due into the export store; return how many files."""
    if not settings.EXPORT_STORAGE or skips("exports", HOUR_SECONDS):
        return 0
    return scheduled_exports.run()[0]


def _prune_bodies(before: datetime) -> int:
    """Delete logged bodies; return how many. A store that is away stops nothing else, and is asked again in an hour."""
    try:
        return sum(pruning.prune_bodies(before))
    except DatabaseError:
        raise
    except Exception as error:  # each storage has errors of its own
        logger.error("Logged bodies can't be deleted from their store: %s.", type(error).__name__)
        return 0
