"""The gateway's own jobs: what is charged when it is over, what was charged when it was begun and may fail, and calls
that no worker meters any more.

A row for each kind; batches and fine-tuning have theirs in ``batches.table``.
"""

import asyncio
from collections.abc import Mapping
from datetime import timedelta
from types import MappingProxyType

from django.db import close_old_connections, connection

from accounts.backoff import spread
from accounts.database_clock import database_now
from accounts.worker_thread import WorkerThread, renew_connections
from gateway.jobs import abandoned, charge, correction, engine
from gateway.jobs.engine import Job
from gateway.jobs.upstream import Answer
from gateway.models import Owned, OwnedObject
from gateway.objects.job_kinds import EVAL_RUN, REALTIME_CALL, RESPONSE, RUN, VIDEO, JobKind
from gateway.objects.store import objects

AGE_SHARE = 0.25
"""The next poll comes after this share of the job's age, within the two bounds below."""
SHORTEST_PAUSE_SECONDS = 2.0
LONGEST_PAUSE_SECONDS = 60.0
GIVE_UP = timedelta(days=3)
ASSISTANTS = {"openai-beta": "assistants=v2"}


def pace(age: float) -> float:
    """Return when to poll again, in seconds: the longer a job has run, the later."""
    return min(max(age * AGE_SHARE, SHORTEST_PAUSE_SECONDS), LONGEST_PAUSE_SECONDS)


def note(row: OwnedObject, answer: Answer) -> OwnedObject | None:
    """Store a job's status."""
    row.state, row.updated_at = answer.state[:32], database_now()
    changed = OwnedObject.objects.filter(pk=row.pk).update(state=row.state, updated_at=row.updated_at)
    return row if changed else None


def _charged_later(kind: JobKind, headers: Mapping[str, str] = MappingProxyType({})) -> Job:
    return Job(kind, pace, note, charge.finish, charge.lost, give_up=GIVE_UP, headers=headers, even_disabled=True)


JOBS = {
    job.kind.kind: job
    for job in (
        _charged_later(RESPONSE),
        _charged_later(RUN, ASSISTANTS),
        _charged_later(EVAL_RUN),
        Job(VIDEO, pace, note, correction.finish, correction.lost, give_up=GIVE_UP, even_disabled=True),
        Job(REALTIME_CALL, pace, note, abandoned.finish, abandoned.lost, give_up=GIVE_UP, run=abandoned.hang_up),
    )
}


def job_of(row: OwnedObject) -> Job:
    """Return the row of the table for a record."""
    return JOBS[row.kind]


def run_due(limit: int = 50) -> int:
    """Take the gateway's own jobs that are due a step further; return how many. Raises ``django.db.Error``."""
    return engine.run_due(job_of, JOBS, limit)


def poller(seconds: float) -> WorkerThread:
    """Return a thread, not started, that does so about every ``seconds``: for where no Celery worker does."""

    def work() -> float:
        renew_connections()
        run_due()
        return spread(seconds, 0.25)

    return WorkerThread("gatehouse-background", work, first=spread(seconds, 0.25))


async def settle(owned: Owned) -> None:
    """End and charge, or correct, what is about to be deleted: no one could ask the upstream for it afterwards."""
    if owned.kind in JOBS:
        pk = await objects.run(_unfinished, owned)
        if pk is not None:
            await asyncio.to_thread(_settle, pk)


def _unfinished(owned: Owned) -> int | None:
    rows = OwnedObject.objects.named(owned.account_name, owned.object_id).unfinished()
    return rows.values_list("pk", flat=True).first()


def _settle(pk: int) -> None:
    close_old_connections()
    try:
        engine.settle(job_of, pk)
    finally:
        connection.close()
