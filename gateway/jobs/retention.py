"""Forgetting owners: records of objects whose time is over, a batch at a time."""

import logging
from collections.abc import Iterator
from datetime import datetime

from accounts.database_clock import database_now
from gateway.managed import files as own_files
from gateway.models import KeptAnswer, KeptResponse, OwnedObject

logger = logging.getLogger("gateway.jobs.retention")

BATCH = 1000


def prune_objects(before: datetime | None = None, batch: int = BATCH) -> Iterator[int]:
    """Delete the records that expired before ``before`` (default: now), ``batch`` at a time; yield how many each time.

    A file that Gatehouse keeps goes from its storage first; when that fails, the record stays for the next time. A
    deleted conversation takes the records of its items with it. What is still to be charged, or polled, stays."""
    before = before or database_now()
    for table in (KeptResponse, KeptAnswer):
        yield from _prune_kept(table, before, batch)
    expired = OwnedObject.objects.filter(expires_at__lt=before, due_at=None)
    kept: set[int] = set()
    while True:
        rows = expired.exclude(pk__in=kept).order_by("expires_at")
        found = list(rows.values_list("pk", "account_name", "object_id", "kind")[:batch])
        if not found:
            return
        kept.update(pk for pk, _, object_id, _ in found if not _content_gone(object_id))
        doomed = [entry for entry in found if entry[0] not in kept]
        deleted = OwnedObject.objects.filter(pk__in=[pk for pk, *_ in doomed])._raw_delete("default")
        for account_name in {account for _, account, _, kind in doomed if kind == "conversation"}:
            gone = [
                object_id
                for _, account, object_id, kind in doomed
                if kind == "conversation" and account == account_name
            ]
            items = OwnedObject.objects.filter(account_name=account_name, kind="item", parent_id__in=gone)
            deleted += items._raw_delete("default")
        yield deleted


def _prune_kept(table: type[KeptResponse] | type[KeptAnswer], before: datetime, batch: int) -> Iterator[int]:
    """Delete the responses, or answers, that Gatehouse kept long enough."""
    while True:
        rows = table.objects.filter(expires_at__lt=before).order_by("expires_at")
        found = list(rows.values_list("pk", flat=True)[:batch])
        if not found:
            return
        yield table.objects.filter(pk__in=found)._raw_delete("default")


def _content_gone(object_id: str) -> bool:
    """Remove the content of a file that Gatehouse keeps; return whether there is none any more."""
    if own_files.is_own(object_id):
        try:
            own_files.delete(object_id)
        except Exception:  # the file's boundary: a storage raises what its library raises, and other files have to go
            logger.exception("The expired file %s can't be removed.", object_id)
            return False
    return True
