"""Batches that Gatehouse runs itself: each line goes through the same pipeline as a live call of the batch's owner.

A line's result is stored before it counts, so a run that dies is taken up where it was. An account runs one such
batch at a time, with a bounded number of lines under way.
"""

import asyncio
import logging
import tempfile
import threading
import time
import uuid
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from datetime import datetime
from itertools import islice
from typing import Any

import msgspec
from django.conf import settings
from django.db import close_old_connections, transaction

from accounts.database_clock import database_now
from batches import notices
from batches.charging import batch_key
from batches.lines import Line, line_body, run_line
from batches.models import LineResult
from gateway.jobs.leases import RENEW_SHARE, Lease, LeaseLost, stopping
from gateway.managed import batches as own_batches
from gateway.managed import files as own_files
from gateway.models import NewObject, OwnedObject
from gateway.objects import jobs
from gateway.objects.files import FILE, expiry
from gateway.objects.job_kinds import BATCH
from gateway.objects.makers import child_of
from gateway.objects.store import record_now
from gateway.server import lifespan
from gateway.state import state
from providers.upstream.sync_client import Refused

logger = logging.getLogger("batches")

BUSY_SECONDS = 2.0
CHECK_SECONDS = 1.0
ROUND_LINES = 64
LONGEST_HOLD_SECONDS = 2.0
"""How long at most until a cancelled batch ends, and its counts are stored."""
OUTPUT_ROWS = 500
EXPIRED = ("batch_expired", "This request could not be executed before the completion window expired.")
CANCELLED = ("batch_cancelled", "This request was not executed because the batch was cancelled.")
NO_INPUT = ("input_file_missing", "The input file was deleted before all of its requests were executed.")
_line = msgspec.json.Decoder(Line)
_encode = msgspec.json.Encoder().encode
_own_runtime = threading.Lock()


class Stopped(Exception):
    """The batch ends before all its lines are done: cancelled, expired, or its owner lost access. ``why`` is code and
    words."""

    def __init__(self, state: str, why: tuple[str, str]) -> None:
        super().__init__(why[1])
        self.state = state
        self.why = why


def run(lease: Lease) -> None:
    """Run a batch to its end, until another worker has it (``LeaseLost``), or the account's key is refused
    (``Refused``)."""
    row = lease.row
    if BATCH.is_over(row.state):
        notices.announce(row)
        LineResult.objects.filter(batch_id=row.object_id).delete()
        lease.release(None, failures=0, fault="")
        return
    if _account_busy(row):
        lease.release(BUSY_SECONDS)
        return
    state, why, left = "completed", EXPIRED, False
    try:
        in_runtime(lambda: _run_lines(lease))
    except Stopped as stopped:
        state, why, left = stopped.state, stopped.why, True
    except FileNotFoundError:
        state, why = "failed", NO_INPUT
    _finish(lease, state, why, left=left)


def in_runtime(work: Callable[[], Awaitable[None]]) -> None:
    """Run ``work`` where the pipeline is: in the server's event loop, or in one of this worker process."""
    loop = state.loop
    if loop is not None and state.started and loop.is_running():
        under_way = asyncio.run_coroutine_threadsafe(_awaited(work), loop)
        while True:
            try:
                return under_way.result(CHECK_SECONDS)
            except TimeoutError:
                if not loop.is_running():  # the server has ended, and no one is left to answer
                    raise LeaseLost from None
    with _own_runtime:
        asyncio.run(_opened(work))


async def _awaited(work: Callable[[], Awaitable[None]]) -> None:
    await work()


async def _opened(work: Callable[[], Awaitable[None]]) -> None:
    await lifespan.start()
    try:
        await work()
    finally:
        await lifespan.stop()


def _account_busy(row: OwnedObject) -> bool:
    """Whether an older batch of the account is being run: that one goes on, this one waits."""
    others = OwnedObject.objects.filter(
        account_name=row.account_name, kind=BATCH.kind, object_id__startswith=own_batches.PREFIX, pk__lt=row.pk
    )
    return others.filter(lease_until__gt=database_now()).exists()


async def _run_lines(lease: Lease) -> None:
    """Run the lines that have no result yet, a bounded number at a time.

    Raises :class:`Stopped`, ``LeaseLost``, and ``Refused`` when the upstream refuses the account's key.
    """
    row = lease.row
    account = state.directory.accounts.get(row.account_name)
    lease.revision = account.revision if account is not None else ""
    await asyncio.to_thread(_check, lease)  # a batch that was to end when its runner died begins no line any more
    done = await asyncio.to_thread(_done_numbers, row.object_id)
    waiting = _waiting(row, done)
    gate = asyncio.Semaphore(settings.MANAGED_CONCURRENCY)
    holding = asyncio.create_task(_hold(lease))
    try:
        while group := await asyncio.to_thread(lambda: list(islice(waiting, ROUND_LINES))):
            await _run_group(row, gate, group, holding)
    finally:
        holding.cancel()
    await asyncio.to_thread(_check, lease)


async def _hold(lease: Lease) -> None:
    """Renew the lease for as long as lines run, however long each takes; end with what ends the batch."""
    while True:
        await asyncio.sleep(min(settings.JOB_LEASE_SECONDS / RENEW_SHARE, LONGEST_HOLD_SECONDS))
        await asyncio.to_thread(_check, lease)


async def _run_group(
    row: OwnedObject, gate: asyncio.Semaphore, group: list[tuple[int, Line]], holding: "asyncio.Task[None]"
) -> None:
    refusals: list[Refused] = []  # of the account's key: no line begins after one, those under way come to their end
    tasks = [asyncio.create_task(_one(row, gate, number, line, refusals)) for number, line in group]
    lines: asyncio.Future[Any] = asyncio.gather(*tasks)
    try:
        await asyncio.wait((lines, holding), return_when=asyncio.FIRST_COMPLETED)
        if holding.done():
            holding.result()  # raises
        await lines
        if refusals:
            raise refusals[0]
    finally:
        for each in tasks:
            each.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _one(row: OwnedObject, gate: asyncio.Semaphore, number: int, line: Line, refusals: list[Refused]) -> None:
    async with gate:
        if refusals:
            return
        if stopping.is_set():
            raise LeaseLost
        caller = state.directory.caller_of_token(row.token_id)
        if caller is None or caller.state != "active" or (caller.expires_at or 1e12) <= time.time():
            raise Stopped("failed", ("access_ended", "The token that made this batch opens nothing any more."))
        try:
            ok, response = await run_line(row, caller, line, batch_key(row))
        except Refused as refusal:
            refusals.append(refusal)
            return
        if not ok and stopping.is_set():
            raise LeaseLost  # this process ends, the line is not at fault
        text = line_body(row, line, response, None)
        await asyncio.to_thread(_keep, row.object_id, number, ok, text)
        if ok and row.fault:
            row.fault = ""
            await asyncio.to_thread(_answered, row)


def _keep(batch_id: str, number: int, ok: bool, text: bytes) -> None:
    close_old_connections()
    LineResult.objects.bulk_create(
        [LineResult(batch_id=batch_id, number=number, ok=ok, text=text.decode())], ignore_conflicts=True
    )


def _answered(row: OwnedObject) -> None:
    """Forget what an earlier run was stopped by: the account answers again."""
    OwnedObject.objects.filter(pk=row.pk).update(failures=0, fault="")


def _check(lease: Lease) -> None:
    """Renew the lease, store how far the batch is, and raise :class:`Stopped` when it must end."""
    close_old_connections()
    lease.renew()
    row = OwnedObject.objects.get(pk=lease.row.pk)
    body = {**row.data["body"], "request_counts": _counts(row)}
    jobs.note(row.account_name, row.object_id, body)
    lease.row = row
    if _account_busy(row):
        lease.release(BUSY_SECONDS)
        raise LeaseLost
    if row.state == "cancelling":
        raise Stopped("cancelled", CANCELLED)
    if body["expires_at"] <= database_now().timestamp():
        raise Stopped("expired", EXPIRED)


def _counts(row: OwnedObject) -> dict[str, int]:
    results = LineResult.objects.filter(batch_id=row.object_id)
    total = row.data["origin"]["lines"]
    return {
        "total": total,
        "completed": results.filter(ok=True).count(),
        "failed": results.filter(ok=False).count(),
    }


def _done_numbers(batch_id: str) -> set[int]:
    close_old_connections()
    return set(LineResult.objects.filter(batch_id=batch_id).values_list("number", flat=True))


def _waiting(row: OwnedObject, done: set[int]) -> Iterator[tuple[int, Line]]:
    for number, text in enumerate(own_files.lines(row.data["body"]["input_file_id"]), 1):
        if number not in done:
            yield number, _line.decode(text)


def _finish(lease: Lease, state: str, why: tuple[str, str], *, left: bool) -> None:
    """Write the output and the error file, and let the batch end in ``state``. Doing it again makes the same files.

    ``left``: lines without a result go to the error file, with the reason ``why``.
    """
    row = OwnedObject.objects.get(pk=lease.row.pk)
    if state == "completed":
        row = _finalizing(row)
    now = database_now()
    counts = _counts(row)
    body = dict(row.data["body"])
    if state == "failed":
        body["errors"] = {"object": "list", "data": [{"code": why[0], "message": why[1], "param": None, "line": None}]}
    with lease.kept():
        output = _write(lease, row, "output", _results(row, ok=True), now)
        errors = _write(lease, row, "error", _errors(row, why, left=left), now)
    body["output_file_id"] = output and output.object_id
    body["error_file_id"] = errors and errors.object_id
    if state != "completed":
        counts["failed"] = counts["total"] - counts["completed"]
    body.update({"status": state, f"{state}_at": int(database_now().timestamp()), "request_counts": counts})
    _end(lease, row, body, [file for file in (output, errors) if file])
    logger.info("Batch %s is %s.", row.object_id, state)


def _finalizing(row: OwnedObject) -> OwnedObject:
    """Store that all lines are done and the files are being written, and since when; return the record."""
    body = row.data["body"]
    since = body["finalizing_at"] or int(database_now().timestamp())
    changed = {**body, "status": "finalizing", "finalizing_at": since, "request_counts": _counts(row)}
    return jobs.note(row.account_name, row.object_id, changed) or row


@transaction.atomic
def _end(lease: Lease, row: OwnedObject, body: dict[str, Any], files: list[NewObject]) -> None:
    """Store the end and the files at once: a file that a caller can know of is whole and never written again."""
    record_now(files)
    ended = jobs.note(row.account_name, row.object_id, body)
    if ended is not None:
        notices.announce(ended)
    LineResult.objects.filter(batch_id=row.object_id).delete()
    if not lease.release(None, failures=0, fault=""):
        raise LeaseLost


def _results(row: OwnedObject, *, ok: bool) -> Iterator[bytes]:
    found = LineResult.objects.filter(batch_id=row.object_id, ok=ok).order_by("number")
    for text in found.values_list("text", flat=True).iterator(OUTPUT_ROWS):
        yield text.encode() + b"\n"


def _errors(row: OwnedObject, why: tuple[str, str], *, left: bool) -> Iterator[bytes]:
    yield from _results(row, ok=False)
    if left:
        with suppress(FileNotFoundError):  # the input was deleted: what else it asked for is not known
            for _, line in _waiting(row, _done_numbers(row.object_id)):
                yield line_body(row, line, None, {"code": why[0], "message": why[1]}) + b"\n"


def _write(lease: Lease, row: OwnedObject, what: str, lines: Iterator[bytes], now: datetime) -> NewObject | None:
    """Write a file of ``lines``; return its record, for the batch's owner, or ``None`` without a line."""
    file_id = f"{own_files.PREFIX}{uuid.uuid5(uuid.NAMESPACE_OID, f'{row.object_id}/{what}').hex}"
    with tempfile.TemporaryFile() as content:
        content.writelines(lines)
        if not content.tell():
            return None
        lease.renew()  # a worker that has lost the job by now must not write over what another has made
        size = own_files.save(file_id, content)
    lifetime = row.data["origin"].get("output_lifetime")
    body = own_files.file_body(file_id, f"{row.object_id}_{what}.jsonl", "batch_output", size, now, lifetime)
    expires_at = expiry(body)
    return child_of(
        jobs.owned_of(row), FILE, file_id, parent_id=row.object_id, data={"body": body}, expires_at=expires_at
    )
