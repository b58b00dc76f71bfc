"""Who works on what: jobs are claimed by a conditional update with a lease, so any number of workers may try.

A claim is told by the moment its lease ends. Whoever holds it renews it while the work goes on; a worker that dies lets it run
out, and the next sweep gives the job to another.
"""

import random
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import DatabaseError, close_old_connections, connection
from django.db.models import Q
from django.utils import timezone

from gateway.models import OwnedObject
from gateway.objects.jobs import KINDS
from gateway.server import embedded_celery

JITTER = 0.2
RENEW_SHARE = 4
"""A lease is renewed so many times while it lasts."""


class LeaseLost(Exception):
    """Somebody else has the job by now: what this worker holds of it is of no use."""


def claim_due(limit: int, kinds: Iterable[str] = tuple(KINDS)) -> list[tuple[int, datetime]]:
    """Claim up to ``limit`` jobs that are due and free, those that wait longest first; return their keys and claims."""
    now = timezone.now()
    due = OwnedObject.objects.filter(_free(now), kind__in=kinds, due_at__lte=now, deleted_at=None)
    claimed = []
    for pk in list(due.order_by("due_at").values_list("pk", flat=True)[:limit]):
        claim = claim_one(pk, now)
        if claim is not None:
            claimed.append((pk, claim))
    return claimed


def claim_one(pk: int, now: datetime) -> datetime | None:
    """Claim a due job; return the claim, or ``None`` when somebody else was quicker."""
    claim = _lease_end(now)
    free = OwnedObject.objects.filter(_free(now), pk=pk, due_at__lte=now)
    return claim if free.update(lease_until=claim) else None


class Lease:
    """A claim on a job. ``row`` is its record as it was when the lease was taken or last changed. Threads may share it."""

    def __init__(self, row: OwnedObject, claim: datetime) -> None:
        self.row = row
        self._claim = claim
        self._changing = threading.Lock()

    @classmethod
    def take(cls, pk: int, claim: datetime) -> "Lease | None":
        """Take up a claim that :func:`claim_due` made; ``None`` when it has run out and somebody else has it."""
        row = OwnedObject.objects.filter(pk=pk, lease_until=claim).first()
        if row is None:
            return None
        lease = cls(row, claim)
        try:
            lease.renew()
        except LeaseLost:
            return None
        return lease

    def renew(self) -> None:
        """Hold the job for longer; raise :class:`LeaseLost` when it is somebody else's, or this process ends."""
        with self._changing:
            if embedded_celery.stopping.is_set():
                self._held().update(lease_until=None)
                raise LeaseLost
            claim = _lease_end(timezone.now())
            if not self._held().update(lease_until=claim):
                raise LeaseLost
            self._claim = claim

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Hold the job while the block does what can't stop to renew; raise :class:`LeaseLost` at its end if it was lost."""
        ended = threading.Event()
        keeper = threading.Thread(target=self._keep, args=(ended,), name="gatehouse-lease", daemon=True)
        keeper.start()
        try:
            yield
        finally:
            ended.set()
            keeper.join()
        self.renew()

    def _keep(self, ended: threading.Event) -> None:
        try:
            while not ended.wait(settings.JOB_LEASE_SECONDS / RENEW_SHARE):
                try:
                    close_old_connections()
                    self.renew()
                except DatabaseError:
                    connection.close()  # the next round tries again, and the block's end tells
        except LeaseLost:
            pass  # the block's end tells
        finally:
            connection.close()

    def release(self, seconds: float | None, **changes: Any) -> bool:
        """Give the job back, due again in about ``seconds`` (``None``: there is nothing left to do); return whether it was held."""
        due = None if seconds is None else timezone.now() + timedelta(seconds=seconds * _jitter())
        with self._changing:
            return bool(self._held().update(lease_until=None, due_at=due, **changes))

    def _held(self) -> Any:
        return OwnedObject.objects.filter(pk=self.row.pk, lease_until=self._claim)


def _free(now: datetime) -> Q:
    return Q(lease_until=None) | Q(lease_until__lte=now)


def _lease_end(now: datetime) -> datetime:
    # A moment that no other claim has: it tells whose claim it is.
    return now + timedelta(seconds=settings.JOB_LEASE_SECONDS, microseconds=random.randrange(1_000_000))


def _jitter() -> float:
    return random.uniform(1 - JITTER, 1 + JITTER)
