"""Which worker has which job: a job is claimed by a conditional update with a lease, so any number of workers may try.

A claim is known by the moment its lease ends, by the database's clock. A worker renews it while it works; one that dies
lets it run out, and the next sweep gives the job to another."""

import random
import threading
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import DatabaseError, close_old_connections, connection

from accounts.backoff import spread
from accounts.database_clock import database_now
from accounts.worker_thread import WorkerThread
from gateway.models import OwnedObject, OwnedObjects

RENEW_SHARE = 4
"""A lease is renewed so many times while it lasts."""

stopping = threading.Event()
"""Set when this process ends: long work in its threads gives up then, to be taken up by another."""


class LeaseLost(Exception):
    """Another worker has the job by now: what this one holds of it is of no use."""


def claim_due(limit: int, kinds: Collection[str]) -> list[tuple[int, datetime]]:
    """Claim up to ``limit`` jobs that are due and free, those that wait longest first; return their keys and claims."""
    found = due(limit, kinds)
    return [(pk, claim) for pk in found if (claim := claim_one(pk)) is not None]


def due(limit: int, kinds: Collection[str]) -> list[int]:
    """Return the keys of up to ``limit`` jobs that are due and free, those that wait longest first."""
    waiting = OwnedObject.objects.due(database_now()).filter(kind__in=kinds)
    return list(waiting.order_by("due_at").values_list("pk", flat=True)[:limit])


def claim_one(pk: int) -> datetime | None:
    """Claim a due job; return the claim, or ``None`` when another worker was quicker."""
    now = database_now()
    claim = _lease_end(now)
    return claim if OwnedObject.objects.due(now).filter(pk=pk).update(lease_until=claim) else None


class Lease:
    """A claim on a job. ``row`` is its record as it was when the lease was taken or last changed. Threads may share it.

    ``revision`` is that of the account that the job's worker has used, empty until then.
    """

    def __init__(self, row: OwnedObject, claim: datetime) -> None:
        self.row = row
        self.revision = ""
        self._claim = claim
        self._changing = threading.Lock()

    @classmethod
    def take(cls, pk: int, claim: datetime) -> "Lease | None":
        """Take up a claim; ``None`` when it has run out and another worker has the job."""
        row = OwnedObject.objects.filter(pk=pk, lease_until=claim).first()
        if row is None:
            return None
        lease = cls(row, claim)
        try:
            lease.renew()
        except LeaseLost:
            return None
        return lease

    @classmethod
    def seize(cls, pk: int) -> "Lease | None":
        """Take a job that is not done, due or not, whichever worker has it; ``None`` when nothing is left to do."""
        claim = _lease_end(database_now())
        if not OwnedObject.objects.unfinished().filter(pk=pk).update(lease_until=claim):
            return None
        return cls.take(pk, claim)

    def renew(self) -> None:
        """Hold the job for longer; raise :class:`LeaseLost` when another worker has it, or this process ends."""
        with self._changing:
            if stopping.is_set():
                self._held().update(lease_until=None)
                raise LeaseLost
            claim = _lease_end(database_now())
            if not self._held().update(lease_until=claim):
                raise LeaseLost
            self._claim = claim

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Hold the job while the block does what can't stop to renew; raise :class:`LeaseLost` at its end if it was
        lost."""
        every = settings.JOB_LEASE_SECONDS / RENEW_SHARE
        keeper = WorkerThread("gatehouse-lease", lambda: self._keep(every), first=every)
        keeper.start()
        try:
            yield
        finally:
            keeper.stop()
        self.renew()

    def _keep(self, every: float) -> float | None:
        try:
            close_old_connections()
            self.renew()
        except LeaseLost:
            return None  # the block's end finds out
        except DatabaseError:
            connection.close()  # the next round tries again, and the block's end finds out
        return every

    def release(self, seconds: float | None, **changes: Any) -> bool:
        """Give the job back, due again in about ``seconds`` (``None``: nothing is left to do); return whether it was
        held."""
        due_at = None if seconds is None else database_now() + timedelta(seconds=spread(seconds))
        with self._changing:
            return bool(self._held().update(lease_until=None, due_at=due_at, **changes))

    def _held(self) -> "OwnedObjects":
        return OwnedObject.objects.filter(pk=self.row.pk, lease_until=self._claim)


def _lease_end(now: datetime) -> datetime:
    # A moment that no other claim has: it says whose claim it is.
    return now + timedelta(seconds=settings.JOB_LEASE_SECONDS, microseconds=random.randrange(1_000_000))
