"""The table of all jobs of an installation: the gateway's own, batches at a provider or run here, and fine-tuning."""

import logging
import time
from collections.abc import Iterable, Iterator

from django.conf import settings

from accounts.words import counted
from batches import charging, fine_tuned, managed, notices
from gateway.jobs import table as gateway_table
from gateway.jobs.engine import Job
from gateway.jobs.leases import RENEW_SHARE, Lease
from gateway.jobs.upstream import Answer, Upstream
from gateway.managed import batches as own_batches
from gateway.models import OwnedObject
from gateway.objects import jobs
from gateway.objects.job_kinds import BATCH, FINE_TUNING
from gateway.objects.store import record_now

logger = logging.getLogger("batches")

AGE_SHARE = 0.1


def pace(age: float) -> float:
    """Return when to poll again, in seconds: the longer a job has run, the later."""
    return min(max(age * AGE_SHARE, settings.JOB_POLL_SECONDS), settings.JOB_POLL_MAX_SECONDS)


def note(row: OwnedObject, answer: Answer) -> OwnedObject | None:
    """Store a job's body, and what it created: before any caller can know of the ids."""
    record_now(jobs.children_of(jobs.owned_of(row), answer.body))
    return jobs.note(row.account_name, row.object_id, answer.body)


def finish_batch(lease: Lease, answer: Answer, upstream: Upstream | None) -> None:
    """Charge the lines of a batch's output."""
    row = lease.row
    file_id = row.data["body"].get("output_file_id")
    if file_id and upstream is not None:
        lines = held(lease, upstream.lines(f"files/{file_id}/content"))
        with lease.kept():  # the next byte may come as late as the read timeout allows, a line later still
            charged = charging.charge_lines(row, upstream.account, lines, lease.renew)
        if charged.unreadable:
            lines_lost = counted(charged.unreadable, "line")
            logger.error("Batch %s: %s of the output can't be read.", row.object_id, lines_lost)
    _done(lease)


def held(lease: Lease, lines: Iterable[bytes]) -> Iterator[bytes]:
    """Yield ``lines``, and check now and then that the lease is still ours: raise ``LeaseLost`` when it is not."""
    renewed = time.monotonic()
    for line in lines:
        if time.monotonic() - renewed > settings.JOB_LEASE_SECONDS / RENEW_SHARE:
            lease.renew()
            renewed = time.monotonic()
        yield line


def finish_fine_tuning(lease: Lease, answer: Answer, upstream: Upstream | None) -> None:
    """Register the model that a job made, where the account wants that."""
    fine_tuned.register(lease.row)
    _done(lease)


def lost(lease: Lease, answer: Answer) -> None:
    """Leave a job as it was last seen."""
    lease.release(None, failures=lease.row.failures + 1, fault=answer.fault)


def _done(lease: Lease) -> None:
    notices.announce(lease.row)
    lease.release(None, failures=0, fault="")


JOBS = {
    **gateway_table.JOBS,
    BATCH.kind: Job(BATCH, pace, note, finish_batch, lost),
    FINE_TUNING.kind: Job(FINE_TUNING, pace, note, finish_fine_tuning, lost),
}
MANAGED = Job(BATCH, pace, note, finish_batch, lost, run=managed.run)


def job_of(row: OwnedObject) -> Job:
    """Return the row of the table for a record."""
    return MANAGED if own_batches.is_own(row.object_id) else JOBS[row.kind]
