"""The engine of jobs: claims what is due, polls it, and does what follows, until nothing is left to do.

One engine serves all kinds. What it does for each is a row of a table (:class:`Job`), which its caller gives: the
gateway's own table is ``gateway.jobs.table``, that of an installation with batches is ``batches.table``."""

import logging
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import msgspec
from django.db import close_old_connections, connection

from accounts.database_clock import database_now
from gateway.jobs import pauses
from gateway.jobs.leases import Lease, LeaseLost, claim_one, due
from gateway.jobs.upstream import AccountGone, Answer, Upstream, load_account, upstream_of
from gateway.models import OwnedObject
from gateway.objects.job_kinds import JobKind
from providers.upstream.sync_client import Refused, Unreachable

logger = logging.getLogger("gateway.jobs")

THREADS = 4
RUN_SECONDS = 20.0
"""A round takes no new job after this long; what is left stays due."""
MISSED_TIMES = 3
"""A job that the upstream does not know so many times in a row is lost."""
FORGOTTEN = "The upstream does not know it, or its output, any more (404)."

Finish = Callable[[Lease, Answer, "Upstream | None"], None]


class NotYet(Exception):
    """What follows on a job's end can't be done yet. The message says why."""


@dataclass(frozen=True, slots=True)
class Job:
    """What the engine does for a kind of job.

    ``pace`` returns, by a job's age in seconds, when to poll it again, in seconds. ``note`` stores what a poll brought
    and returns the record as it is then (``None``: it is gone). ``finish`` does what follows on a job's end, and
    releases the lease; its upstream is ``None`` where the answer was kept. ``lost`` does the same for a job that the
    upstream does not know any more, or of which no answer came for ``give_up``. ``headers`` go with every request.
    ``even_disabled``: also while its account is disabled. ``run`` replaces all of this for work that is not polled but
    done here."""

    kind: JobKind
    pace: Callable[[float], float]
    note: Callable[[OwnedObject, Answer], OwnedObject | None]
    finish: Finish
    lost: Callable[[Lease, Answer], None]
    give_up: timedelta | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    even_disabled: bool = False
    run: Callable[[Lease], None] | None = None


Table = Callable[[OwnedObject], Job]
"""Returns the row for a record."""


def run_due(
    table: Table, kinds: Collection[str], limit: int = 50, *, seconds: float = RUN_SECONDS, threads: int = THREADS
) -> int:
    """Take up to ``limit`` jobs of ``kinds`` that are due, a few at once; return how many were taken.

    Any number of processes may call it. It ends after about ``seconds``. Raises ``django.db.Error``.
    """
    waiting = due(limit, kinds)
    if not waiting:
        return 0
    keys, ends = iter(waiting), time.monotonic() + seconds
    with ThreadPoolExecutor(min(threads, len(waiting)), thread_name_prefix="gatehouse-jobs") as pool:
        return sum(pool.map(lambda _: _take_some(table, keys, ends), range(min(threads, len(waiting)))))


def _take_some(table: Table, keys: Iterator[int], ends: float) -> int:
    """Take jobs until there are no more; several threads share ``keys``, whose every step is one of the
    interpreter's."""
    taken = 0
    try:
        close_old_connections()
        for pk in keys:
            claim = claim_one(pk)
            if claim is not None:
                taken += 1
                follow(table, pk, claim)
            if time.monotonic() > ends:
                break
        return taken
    finally:
        connection.close()


def follow(table: Table, pk: int, claim: datetime) -> bool:
    """Take one claimed job a step further; return whether the claim still held. Doing it twice does no harm."""
    lease = Lease.take(pk, claim)
    if lease is None:
        return False
    job = table(lease.row)
    return _guarded(lease, job, lambda: job.run(lease) if job.run is not None else poll(lease, job))


def settle(table: Table, pk: int) -> None:
    """End a job now, due or not: cancel it where that is possible, and do what follows. For what is about to be
    deleted."""
    lease = Lease.seize(pk)
    if lease is not None:
        job = table(lease.row)
        _guarded(lease, job, lambda: poll(lease, job, cancel=True))


def poll(lease: Lease, job: Job, *, cancel: bool = False) -> None:
    """Retrieve a job and act on its status. Raises what the upstream raises, and ``LeaseLost``."""
    row = lease.row
    kept = row.data.get("answer")
    if kept:
        job.finish(
            lease, Answer(200, {name: msgspec.Raw(msgspec.json.encode(value)) for name, value in kept.items()}), None
        )
        return
    with upstream_of(row.account_name, job.headers, even_disabled=job.even_disabled) as upstream:
        lease.revision = upstream.account.revision
        address = job.kind.address(row.object_id, row.parent_id)
        answer = upstream.retrieve(address)
        if cancel and job.kind.cancels and not job.kind.is_over(answer.state):
            answer = upstream.send(f"{address}/cancel")
        noted = job.note(row, answer)
        if noted is None:
            lease.release(None)
            return
        lease.row = noted
        if job.kind.is_over(noted.state):
            job.finish(lease, answer, upstream)
            logger.info("Job %s is %s.", row.object_id, noted.state)
        else:
            lease.release(job.pace(age(noted).total_seconds()), failures=0, fault="")


def age(row: OwnedObject) -> timedelta:
    """Return how long ago a job was begun."""
    return database_now() - row.created_at


def _guarded(lease: Lease, job: Job, work: Callable[[], None]) -> bool:
    """Do ``work`` on a job and give the job back after a failure; return whether the lease held."""
    try:
        _attempt(lease, job, work)
    except LeaseLost:
        logger.info("Another worker has job %s by now.", lease.row.object_id)
        return False
    return True


def _attempt(lease: Lease, job: Job, work: Callable[[], None]) -> None:
    row = lease.row
    try:
        work()
    except AccountGone as gone:
        fail(lease, job, str(gone), pauses.GONE_SECONDS)
    except Unreachable as error:
        fail(lease, job, f"The upstream can't be asked: {error}.", pauses.failure_pause(row))
    except NotYet as reason:
        fail(lease, job, str(reason), pauses.failure_pause(row))
    except Refused as error:
        _refused(lease, job, error)
    except LeaseLost:
        raise
    except Exception as error:  # the job's boundary: the record says it, the log has the details, and it is tried again
        logger.exception("Job %s can't be taken further.", row.object_id)
        fault = f"Gatehouse failed on it ({type(error).__name__}); its log has more."
        fail(lease, job, fault, pauses.failure_pause(row))


def _refused(lease: Lease, job: Job, error: Refused) -> None:
    """Act on an answer that is not a success: pause the account, wait as asked, or give up what the upstream has
    forgotten."""
    row = lease.row
    if error.status in (401, 403) and _changed(lease, job):
        fail(lease, job, f"{pauses.KEY_REFUSED} ({error.status}); it was changed meanwhile.", pauses.FAILURE_SECONDS)
    elif error.status in (401, 403):
        fault = f"{pauses.KEY_REFUSED} ({error.status}). Correct it; jobs go on by themselves."
        fail(lease, job, fault, pauses.KEY_PAUSE_SECONDS)
        pauses.pause_account(row.account_name, pauses.KEY_PAUSE_SECONDS, fault)
    elif error.status == 429:
        pause = max(error.retry_after or pauses.failure_pause(row), pauses.LEAST_RATE_PAUSE_SECONDS)
        fail(lease, job, "The upstream's rate limit is reached.", pause)
        pauses.pause_account(row.account_name, pause, "")
    elif error.status == 404 and row.failures + 1 >= MISSED_TIMES:
        logger.error("The upstream does not know job %s any more.", row.object_id)
        job.lost(lease, Answer(404, {}, FORGOTTEN))
    else:
        fail(lease, job, f"The upstream answered {error.status}.", pauses.failure_pause(row))


def _changed(lease: Lease, job: Job) -> bool:
    """Whether the account's address or headers are others now than those that the job has used."""
    try:
        account = load_account(lease.row.account_name, even_disabled=job.even_disabled)
    except AccountGone:
        return False
    return bool(lease.revision) and account.revision != lease.revision


def fail(lease: Lease, job: Job, fault: str, seconds: float) -> None:
    """Give a job back after a failure, due again in about ``seconds``; give it up when that has lasted for too long."""
    row = lease.row
    if job.give_up is not None and age(row) > job.give_up:
        logger.error("Job %s is given up: %s", row.object_id, fault)
        job.lost(lease, Answer(0, {}, fault))
    else:
        lease.release(seconds, failures=row.failures + 1, fault=fault[: pauses.FAULT_CHARACTERS])
