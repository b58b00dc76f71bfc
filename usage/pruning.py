"""Deleting usage records that are older than the retention, a bounded batch at a time."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from django.conf import settings
from django.db import models

from usage import body_store, folding, partitions
from usage.models import LoggedCall, Rerating, UsageRecord
from usage.rollups import floor

BATCH = 5000
BODY_BATCH = 500


def prune(before: datetime, batch: int = BATCH, using: str = "default") -> Iterator[int]:
    """Delete the records from before the hour of ``before``, oldest first, ``batch`` a transaction; yield how many each
    time. Their sums stay.

    Batches are ranges of the time index. Ids would not do: those of batch lines don't rise with time. Where days have
    partitions it is the day of ``before``, and theirs are dropped, which is not yielded.
    """
    before = partitions.whole_days(floor(before), using)
    folding.seal(before, using)
    if partitions.drop_before(before, using) is None:
        return
    for _ in _batches(Rerating.objects.using(using), "record_at", before, batch):
        pass
    yield from _batches(UsageRecord.objects.using(using), "created_at", before, batch)


def prune_bodies(before: datetime, batch: int = BODY_BATCH, using: str = "default") -> Iterator[int]:
    """Delete logged bodies from before ``before``, oldest first, ``batch`` a transaction; yield how many each time.

    Objects go after their rows. Raises whatever the storage of bodies does; the next time goes on.
    """
    yield from _batches(LoggedCall.objects.using(using), "created_at", before, batch)
    if body_store.ALIAS in settings.STORAGES:
        body_store.prune(before)


def _batches(rows: models.QuerySet[Any], moment: str, before: datetime, batch: int) -> Iterator[int]:
    """Delete the rows whose column ``moment`` is before ``before``, oldest first; yield how many a transaction."""
    while True:
        oldest = rows.filter(**{f"{moment}__lt": before}).order_by(moment).values("pk")[:batch]
        # Not delete(): it would load every row for receivers of the deletion signal, and none means these.
        # The moment again: of partitions, only the old ones are looked into for these keys.
        deleted = rows.filter(pk__in=oldest, **{f"{moment}__lt": before})._raw_delete(rows.db)
        if not deleted:
            return
        yield deleted
