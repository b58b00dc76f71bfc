"""The Celery tasks: a few lines each around plain functions. Running one twice does no harm."""

from datetime import datetime, timedelta

from celery import shared_task
from django.conf import settings
from django.utils import timezone

from batches import following, leases, notices
from gateway.jobs import poll, retention
from usage import pruning

SWEEP_LIMIT = 500


@shared_task(name="batches.sweep")
def sweep() -> int:
    """Claim what is due, including what a dead worker dropped, and hand it out."""
    claimed = leases.claim_due(SWEEP_LIMIT)
    for pk, claim in claimed:
        follow.delay(pk, claim.isoformat())
    return len(claimed)


@shared_task(name="batches.follow")
def follow(pk: int, claim: str) -> bool:
    """Look at one claimed job."""
    return following.follow(pk, datetime.fromisoformat(claim))


@shared_task(name="batches.notify")
def notify() -> int:
    """Deliver webhooks that are due."""
    return notices.deliver_due()


@shared_task(name="batches.background")
def follow_background() -> int:
    """Charge background responses that are over."""
    return poll.poll_due()


@shared_task(name="batches.tidy")
def tidy() -> dict[str, int]:
    """Delete what is older than its retention."""
    now, kept = timezone.now(), timedelta(days=settings.USAGE_RETENTION_DAYS)
    return {
        "usage": sum(pruning.prune(now - kept)),
        "objects": sum(retention.prune_objects()),
        "notices": notices.prune(now),
    }
