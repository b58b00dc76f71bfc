"""Forgetting owners: records of objects whose time is over, a batch at a time."""

from collections.abc import Iterator
from datetime import datetime

from django.utils import timezone

from gateway.models import OwnedObject

BATCH = 1000


def prune_objects(before: datetime | None = None, batch: int = BATCH) -> Iterator[int]:
    """Delete the records that expired before ``before`` (default: now), ``batch`` at a time; yield how many each time.

    A deleted conversation takes the records of its items with it. What is still to be charged, or looked at, stays.
    """
    before = before or timezone.now()
    expired = OwnedObject.objects.filter(expires_at__lt=before, due_at=None)
    while True:
        doomed = list(expired.order_by("expires_at").values_list("pk", "account_name", "object_id", "kind")[:batch])
        if not doomed:
            return
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
