"""Owners of upstream objects: look-ups and records, for every worker at once.

The database is the truth. Records are written by one thread that commits many at a time (:meth:`Objects.record` returns
when its record is committed); what the database has is remembered in a bounded cache, misses ask the database in a
thread."""

import asyncio
import contextlib
import logging
import queue
import threading
import time
from collections import OrderedDict
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import DatabaseError, DataError, IntegrityError, close_old_connections, connection

from accounts.database_clock import database_now
from accounts.words import counted
from accounts.worker_thread import WorkerThread
from gateway.call.errors import Unavailable
from gateway.models import NewObject, Owned, OwnedObject
from gateway.objects import rows

logger = logging.getLogger("gateway.objects.store")

REMEMBERED = 50_000
COMMIT_ROWS = 500
COMMIT_SECONDS = 15.0
LATE_ROWS = 10_000
GATHER_SECONDS = 0.002
LATE_SECONDS = 2.0
LOOKUP_THREADS = 4
LOOKUP_IDS = 1000
"""So many ids at most are one query."""
REFUSALS = (DataError, IntegrityError, OverflowError, TypeError, ValueError)
"""What a database says to a value, as opposed to what it says when it is unavailable."""


Group = tuple[list[NewObject], "asyncio.Future[list[Owned]] | None"]
"""Objects of one commit, and who waits for it; no one does for what came late."""
Outcome = tuple["asyncio.Future[list[Owned]]", list[Owned] | Exception]


class Objects:
    """Owned objects as this process reads and records them. Started by its first use; :meth:`close` commits what is
    waiting."""

    def __init__(self) -> None:
        self._known: OrderedDict[tuple[str, str], Owned] = OrderedDict()
        self._queue: queue.SimpleQueue[Group | None] = queue.SimpleQueue()
        self._late: list[NewObject] = []
        self._committed = 0.0
        self._rows = rows.Connection()
        self._writer: WorkerThread | None = None
        self._readers: ThreadPoolExecutor | None = None
        self._starting = threading.Lock()

    # --- writing ----------------------------------------------------------------------------------------------------
    async def record(self, objects: list[NewObject]) -> None:
        """Record ``objects``; return when they are committed. Known ones keep their owner.

        Raises :class:`~gateway.call.errors.Unavailable` when the database can't be written: then the ids must be
        withheld."""
        fresh = [entry for entry in objects if (entry.account_name, entry.object_id) not in self._known]
        if fresh:
            await self.committed(self.submit(fresh))

    async def committed(self, done: "asyncio.Future[list[Owned]]") -> None:
        """Wait for what :meth:`submit` queued. Raises :class:`~gateway.call.errors.Unavailable` like :meth:`record`."""
        timer = done.get_loop().call_later(COMMIT_SECONDS, _give_up, done)
        try:
            stored = await done
        except (DatabaseError, TimeoutError):
            raise Unavailable(
                "The object was made, but its owner can't be recorded at the moment, so its id is withheld. Try again.",
                code="ownership_unavailable",
                headers={"retry-after": "5"},
            ) from None
        finally:
            timer.cancel()
        for entry in stored:
            self._remember(entry)

    def submit(self, objects: list[NewObject]) -> "asyncio.Future[list[Owned]]":
        """Queue ``objects`` for the next commit; the future brings what the database has of them then."""
        self._start()
        done: asyncio.Future[list[Owned]] = asyncio.get_running_loop().create_future()
        self._queue.put((objects, done))
        return done

    def _write(self) -> float:
        """Wait for objects, and commit all that wait by then; what came late is tried again now and then."""
        try:
            first = [self._queue.get(timeout=LATE_SECONDS if self._late else None)]
        except queue.Empty:
            first = []
        if time.monotonic() - self._committed < GATHER_SECONDS:
            time.sleep(GATHER_SECONDS)  # under load, so that others come along; one that is alone does not wait
        self._commit_waiting(first)
        self._committed = time.monotonic()
        return 0.0

    def _commit_waiting(self, waiting: list[Group | None]) -> None:
        count = 0
        while not self._queue.empty() and count < COMMIT_ROWS:
            waiting.append(self._queue.get())
            count += len(waiting[-1][0]) if waiting[-1] is not None else 0
        late, self._late = self._late, []
        again: list[Group] = [([entry], None) for entry in late]
        groups = [entry for entry in waiting if entry is not None] + again
        if groups:
            self._commit(groups)

    def _write_rest(self) -> None:
        self._commit_waiting([])
        while not self._queue.empty():
            self._commit_waiting([])
        if self._late:
            objects = counted(len(self._late), "object")
            logger.error("The database is unavailable: the work on %s is not recorded.", objects)

    def _commit(self, groups: list[Group]) -> None:
        try:
            stored = self._rows.store([entry for group, _ in groups for entry in group])
        except REFUSALS as error:  # something in there can't be stored: it must not keep out what can
            if len(groups) > 1:
                for alone in groups:
                    self._commit([alone])
                return
            ids = ", ".join(entry.object_id[:100] for entry in groups[0][0])
            logger.error("The owner of %s can't be recorded: %s.", ids, type(error).__name__)
            _fail(groups, error)
        except Exception as error:  # the thread's boundary: those who wait hear of it, the thread goes on
            connection.close()
            # Work that goes on at the upstream costs, although its id was withheld: it is recorded later.
            late = [entry for group, _ in groups for entry in group if entry.due_in is not None]
            self._late = [*self._late, *late][:LATE_ROWS]
            _fail(groups, error)
        else:
            _tell(
                [
                    (done, [found for entry in group if (found := stored.get((entry.account_name, entry.object_id)))])
                    for group, done in groups
                    if done is not None
                ]
            )

    # --- reading ----------------------------------------------------------------------------------------------------
    async def find(self, object_id: str, account_name: str = "") -> list[Owned]:
        """Return the records of ``object_id``: of one account when it is named, else of every account that has it."""
        found = (await self.find_many([object_id], account_name))[object_id]
        return [entry for entry in found if entry.account_name == account_name] if account_name else found

    async def find_many(self, object_ids: Iterable[str], preferred: str = "") -> dict[str, list[Owned]]:
        """Return the records of each id, of all accounts; only that of the account ``preferred`` when it is
        remembered."""
        found: dict[str, list[Owned]] = {object_id: [] for object_id in object_ids}
        for object_id, entries in found.items():
            known = self._known.get((preferred, object_id))
            if known is not None:
                self._known.move_to_end((preferred, object_id))
                entries.append(known)
        missing = [object_id for object_id, entries in found.items() if not entries]
        for start in range(0, len(missing), LOOKUP_IDS):
            for entry in await self.run(rows.found, missing[start : start + LOOKUP_IDS]):
                self._remember(entry)
                found[entry.object_id].append(entry)
        return found

    def forget(self, object_id: str, account_name: str) -> None:
        """Drop what is remembered of an object."""
        self._known.pop((account_name, object_id), None)

    async def run(self, function: Any, *args: Any) -> Any:
        """Run a database function in a reader thread with a connection of its own.

        Raises :class:`~gateway.call.errors.Unavailable` when the database is unavailable.
        """
        self._start()
        assert self._readers is not None  # _start made it
        try:
            return await asyncio.get_running_loop().run_in_executor(self._readers, _with_connection, function, args)
        except DatabaseError:
            raise Unavailable(
                "The gateway's records can't be read at the moment. Try again.",
                code="records_unavailable",
                headers={"retry-after": "5"},
            ) from None

    def _remember(self, entry: Owned) -> None:
        self._known[(entry.account_name, entry.object_id)] = entry
        while len(self._known) > REMEMBERED:
            self._known.popitem(last=False)

    # --- life -------------------------------------------------------------------------------------------------------
    def _start(self) -> None:
        if self._writer is not None:
            return
        with self._starting:
            if self._writer is None:
                self._readers = ThreadPoolExecutor(LOOKUP_THREADS, thread_name_prefix="gatehouse-objects")
                writer = WorkerThread("gatehouse-owners", self._write, ending=self._write_rest)
                writer.start()
                self._writer = writer

    def close(self) -> None:
        """Commit what is waiting and end the threads."""
        if self._writer is not None:
            self._writer.stop(10, wake=lambda: self._queue.put(None))
            self._writer = None
        if self._readers is not None:
            self._readers.shutdown(wait=True)
            self._readers = None


def record_now(objects: list[NewObject]) -> None:
    """Record ``objects`` with this thread's connection; those that are known keep their owner."""
    if objects:
        now = database_now()
        OwnedObject.objects.bulk_create([entry.row(now) for entry in objects], ignore_conflicts=True)


def _fail(groups: list[Group], error: Exception) -> None:
    fault = error if isinstance(error, DatabaseError) else DatabaseError(type(error).__name__)
    _tell([(done, fault) for _, done in groups if done is not None])


def _tell(outcomes: list[Outcome]) -> None:
    """Bring those who wait what came of their commit: all of an event loop with one call, as each wakes it."""
    by_loop: dict[asyncio.AbstractEventLoop, list[Outcome]] = {}
    for done, outcome in outcomes:
        by_loop.setdefault(done.get_loop(), []).append((done, outcome))
    for loop, theirs in by_loop.items():
        with contextlib.suppress(RuntimeError):  # the loop is closed: no one waits any more
            loop.call_soon_threadsafe(_bring, theirs)


def _give_up(done: "asyncio.Future[list[Owned]]") -> None:
    _bring([(done, TimeoutError())])


def _bring(outcomes: list[Outcome]) -> None:
    for done, outcome in outcomes:
        if done.done():  # cancelled, or given up
            continue
        if isinstance(outcome, Exception):
            done.set_exception(outcome)
            done.exception()  # a stream that ends before may never ask for it
        else:
            done.set_result(outcome)


def mark_deleted(object_id: str, account_name: str) -> None:
    """Note that an object is gone: it answers 404 from now on. Its record stays until the retention is over.

    No job polls it any more, but for a response that is still to be charged.
    """
    now = database_now()
    rows = OwnedObject.objects.named(account_name, object_id)
    rows.update(deleted_at=now, expires_at=now + timedelta(days=settings.OBJECT_RETENTION_DAYS))
    rows.exclude(kind="response").update(due_at=None)


def _with_connection(function: Any, args: Iterable[Any]) -> Any:
    close_old_connections()
    try:
        return function(*args)
    except DatabaseError:
        connection.close()
        raise


objects = Objects()
