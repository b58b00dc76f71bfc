"""Follows jobs to their end: asks the upstream how a job stands, writes that down, and does what follows on its end."""

import logging
import time
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db.models import Q
from django.utils import timezone

from batches import charging, fine_tuned, managed, notices
from batches.leases import Lease, LeaseLost
from batches.upstream import AccountGone, Upstream, upstream_of
from gateway.managed import batches as own_batches
from gateway.models import NewObject, OwnedObject
from gateway.objects import jobs
from gateway.objects.jobs import BATCH, FINE_TUNING, KINDS
from providers.models import ProviderAccount
from providers.upstream.sync_client import Refused, Unreachable

logger = logging.getLogger("batches")

AGE_SHARE = 0.1
FAILURE_SECONDS = 5.0
LONGEST_FAILURE_SECONDS = 600.0
KEY_PAUSE_SECONDS = 300.0
GONE_SECONDS = 300.0
LEAST_RATE_PAUSE_SECONDS = 1.0
MISSED_TIMES = 3
FAULT_CHARACTERS = 300
# Lines that Gatehouse runs use the server's snapshot of the account, which follows a change within a second.
SNAPSHOT_SECONDS = 5.0
KEY_REFUSED = "The upstream refuses the account's key"
# How the faults begin that a change of the account may mend: those, and ``AccountGone``'s.
ACCOUNT_FAULTS = (KEY_REFUSED, "The provider account ", "The key of the provider account ")


def follow(pk: int, claim: datetime) -> bool:
    """Look at one claimed job; return whether the claim still held. Doing it twice does no harm."""
    lease = Lease.take(pk, claim)
    if lease is None:
        return False
    row, begun = lease.row, timezone.now()
    try:
        if own_batches.is_own(row.object_id):
            begun -= timedelta(seconds=SNAPSHOT_SECONDS)
            managed.run(lease)
            return True
        with upstream_of(row.account_name) as upstream:
            look_at(lease, upstream)
    except AccountGone as gone:
        fail(lease, str(gone), GONE_SECONDS)
    except Unreachable as error:
        fail(lease, f"The upstream can't be asked: {error}.", failure_pause(row))
    except Refused as error:
        refused(lease, error, begun)
    except LeaseLost:
        logger.info("Job %s is somebody else's by now.", row.object_id)
        return False
    except Exception as error:  # the task's boundary: the record tells, the log has the details, and it is tried again
        logger.exception("Job %s can't be looked at.", row.object_id)
        fail(lease, f"Gatehouse failed on it ({type(error).__name__}); its log has more.", failure_pause(row))
    return True


def look_at(lease: Lease, upstream: Upstream) -> None:
    """Ask how a job stands and act on it. Raises what the upstream raises, and ``LeaseLost``."""
    row = lease.row
    job = KINDS[row.kind]
    body = upstream.read(f"{job.path}/{row.object_id}")
    record_now(jobs.children_of(jobs.owned_of(row), body))  # before anybody is told their ids
    noted = jobs.note(row.account_name, row.object_id, body)
    if noted is None:
        lease.release(None)
        return
    lease.row = noted
    if job.is_over(noted.state):
        FINISH[job.kind](lease, upstream)
        notices.announce(noted)
        lease.release(None, failures=0, fault="")
        logger.info("Job %s is %s.", row.object_id, noted.state)
        return
    lease.release(poll_pause(noted), failures=0, fault="")


def poll_pause(row: OwnedObject) -> float:
    """Return when to ask again, in seconds: the longer a job has run, the later."""
    age = (timezone.now() - row.created_at).total_seconds()
    return min(max(age * AGE_SHARE, settings.JOB_POLL_SECONDS), settings.JOB_POLL_MAX_SECONDS)


def finish_batch(lease: Lease, upstream: Upstream) -> None:
    """Charge the lines of a batch's output."""
    row = lease.row
    file_id = row.data["body"].get("output_file_id")
    if not file_id:
        return
    lines = held(lease, upstream.lines(f"files/{file_id}/content"))
    with lease.kept():  # the next byte may come as late as the read timeout allows, a line later still
        charged = charging.charge_lines(row, upstream.account, lines, lease.renew)
    if charged.unreadable:
        logger.error("%d lines of the output of batch %s can't be read.", charged.unreadable, row.object_id)


def held(lease: Lease, lines: Iterable[bytes]) -> Iterator[bytes]:
    """Yield ``lines``, and look now and then whether the lease is still ours: raise ``LeaseLost`` when it is not."""
    renewed = time.monotonic()
    for line in lines:
        if time.monotonic() - renewed > settings.JOB_LEASE_SECONDS / 4:
            lease.renew()
            renewed = time.monotonic()
        yield line


def finish_fine_tuning(lease: Lease, upstream: Upstream) -> None:
    """Register the model that a job made, where the account wants that."""
    fine_tuned.register(lease.row)


def refused(lease: Lease, error: Refused, begun: datetime) -> None:
    """Act on an answer that is no success: pause the account, wait as asked, or give up what the upstream has forgotten.

    ``begun`` is when the job's look began: what has been saved since, it has not used.
    """
    row = lease.row
    if error.status in (401, 403) and changed_since(row.account_name, begun):
        fail(lease, f"{KEY_REFUSED} ({error.status}); it was changed meanwhile.", FAILURE_SECONDS)
    elif error.status in (401, 403):
        fault = f"{KEY_REFUSED} ({error.status}). Correct it; jobs go on by themselves."
        fail(lease, fault, KEY_PAUSE_SECONDS)
        pause_account(row.account_name, KEY_PAUSE_SECONDS, fault)
    elif error.status == 429:
        pause = max(error.retry_after or failure_pause(row), LEAST_RATE_PAUSE_SECONDS)
        fail(lease, "The upstream's rate limit is reached.", pause)
        pause_account(row.account_name, pause, "")
    elif error.status == 404 and row.failures + 1 >= MISSED_TIMES:
        logger.error("Job %s is not known to the upstream any more.", row.object_id)
        fault = "The upstream does not know it, or its output, any more (404)."
        lease.release(None, failures=row.failures + 1, fault=fault)
    else:
        fail(lease, f"The upstream answered {error.status}.", failure_pause(row))


def fail(lease: Lease, fault: str, seconds: float) -> None:
    """Give a job back after a failure, which its record tells, due again in about ``seconds``."""
    lease.release(seconds, failures=lease.row.failures + 1, fault=fault[:FAULT_CHARACTERS])


def failure_pause(row: OwnedObject) -> float:
    """Return how long to wait after a failure, in seconds: twice as long each time."""
    return min(FAILURE_SECONDS * 2.0 ** min(row.failures, 20), LONGEST_FAILURE_SECONDS)


def pause_account(account_name: str, seconds: float, fault: str) -> None:
    """Let no job of the account that nobody works on be due for ``seconds``."""
    until = timezone.now() + timedelta(seconds=seconds)
    waiting = OwnedObject.objects.filter(account_name=account_name, kind__in=KINDS, lease_until=None, due_at__lt=until)
    waiting.update(due_at=until, **({"fault": fault[:FAULT_CHARACTERS]} if fault else {}))


def resume_account(account_name: str) -> int:
    """Let the jobs that wait for the account to be mended be due now; return how many. Called when an account is saved."""
    now = timezone.now()
    waiting = OwnedObject.objects.filter(account_name=account_name, kind__in=KINDS, lease_until=None, due_at__gt=now)
    mended = Q(*[("fault__startswith", beginning) for beginning in ACCOUNT_FAULTS], _connector=Q.OR)
    return waiting.filter(mended).update(due_at=now)


def changed_since(account_name: str, moment: datetime) -> bool:
    """Whether an account was saved after ``moment``."""
    return ProviderAccount.objects.filter(name=account_name, updated_at__gte=moment).exists()


def record_now(made: list[NewObject]) -> None:
    """Write objects down; those that are known keep their owner."""
    if made:
        OwnedObject.objects.bulk_create([entry.row() for entry in made], ignore_conflicts=True)


FINISH: dict[str, Callable[[Lease, Upstream], Any]] = {
    BATCH.kind: finish_batch,
    FINE_TUNING.kind: finish_fine_tuning,
}
