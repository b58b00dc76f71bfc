"""Deleting usage records that are older than the retention, a bounded batch at a time."""

from collections.abc import Iterator
from datetime import datetime

from django.conf import settings

from usage import body_store
from usage.models import LoggedCall, Rerating, UsageRecord
from usage.rollups import UsageHour, floor

BATCH = 5000
BODY_BATCH = 500


def prune(before: datetime, batch: int = BATCH, using: str = "default") -> Iterator[int]:
    """Delete the records from before the hour of ``before`` and their sums, oldest first, ``batch`` a transaction;
    yield how many each time.

    Batches are ranges of the time index. Ids would not do: those of batch lines don't rise with time.
    """
    before = floor(before)  # sums by the hour go with all of their records
    UsageHour.objects.using(using).filter(hour__lt=before).delete()
    Rerating.objects.using(using).filter(record_at__lt=before)._raw_delete(using)
    records = UsageRecord.objects.using(using)
    while True:
        oldest = records.filter(created_at__lt=before).order_by("created_at").values("pk")[:batch]
        # Not delete(): it would load every row for receivers of the deletion signal, and none means these.
        deleted = records.filter(pk__in=oldest)._raw_delete(using)
        if not deleted:
            return
        yield deleted


def prune_bodies(before: datetime, batch: int = BODY_BATCH, using: str = "default") -> Iterator[int]:
    """Delete logged bodies from before ``before``, oldest first, ``batch`` a transaction; yield how many each time.

    Objects go after their rows. Raises whatever the storage of bodies does; the next time goes on.
    """
    rows = LoggedCall.objects.using(using)
    while True:
        oldest = rows.filter(created_at__lt=before).order_by("created_at").values("pk")[:batch]
        deleted = rows.filter(pk__in=oldest)._raw_delete(using)
        if not deleted:
            break
        yield deleted
    if body_store.ALIAS in settings.STORAGES:
        body_store.prune(before)
