"""The ledger: the thread that moves records from the spool into the database, exactly once.

A segment is deleted only after the transaction that stored it has committed, and the key of a record is its attempt's
id: a crash between the two makes lines that are stored already, which the database skips. While the database is
unavailable, segments wait on disk, up to the spool's limit.
"""

import logging
import os
import random
import time
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import DEFAULT_DB_ALIAS, Error, connections

from accounts.backoff import backoff
from accounts.words import counted
from accounts.worker_thread import WorkerThread, renew_connections
from usage import folding, handover, recovery, rows
from usage.spool import Spool, remove_folder, segments

logger = logging.getLogger(__name__)

Touch = Callable[[dict[int, float]], None]

BATCH = 1000
"""Records a transaction."""
MAX_BACKOFF_SECONDS = 15.0
RECOVERY_SECONDS = 30.0
FOLD_SECONDS = 20.0
HANDOVER_SECONDS = 60.0
STALLED_SECONDS = 30.0
"""Age of the oldest waiting record from which on something is wrong, even when nothing failed: a database that
hangs."""
REJECTED_NAME = "rejected.jsonl"
REJECTED_LIMIT = 64 << 20


class Ledger:
    """Moves this process's spool into the database every ``flush_seconds``, and what dead processes left behind.

    ``on_touch`` gets ``{token id: unix time of last use}`` at most every ``touch_seconds``, in the ledger's thread.
    """

    def __init__(
        self,
        spool: Spool,
        *,
        flush_seconds: float = 0.5,
        on_touch: Touch | None = None,
        touch_seconds: float = 30.0,
        using: str = DEFAULT_DB_ALIAS,
    ) -> None:
        self.spool = spool
        self.flush_seconds = flush_seconds
        self.on_touch = on_touch
        self.touch_seconds = touch_seconds
        self.using = using
        self.rejected = 0
        self.recovered = 0
        self._closed: deque[tuple[Path, float]] = deque()
        self._touched: dict[int, float] = {}
        self._thread = WorkerThread("usage-ledger", self._round, failed=self._failed, ending=self._finish)
        self._error = ""
        self._last_success = time.time()
        self._next_recovery = self._next_touch = 0.0
        # Not all processes at the same moment: one of them folds for all.
        self._next_fold = time.monotonic() + FOLD_SECONDS * random.random()
        self._next_handover = time.monotonic() + HANDOVER_SECONDS * random.random()
        self._reported = 0

    def start(self) -> None:
        """Start the thread. What dead processes left is brought in first, in the thread."""
        self._thread.start()

    def touch(self, token_id: int, when: float) -> None:
        """Remember that a token was used at ``when`` (unix seconds)."""
        self._touched[token_id] = when

    def drain(self, timeout: float = 10.0) -> bool:
        """Move everything, stop the thread, let go of the spool. Blocks for ``timeout`` seconds at most.

        Returns whether all is in the database; if not, it stays in the spool for the next process.
        """
        if not self._thread.started:
            self._thread.stopping.set()
            self._finish()
        ended = self._thread.stop(timeout)
        done = not self.spool.pending and not self._error
        if ended:
            self.spool.close()
        return done

    def state(self) -> dict[str, Any]:
        """Return what ``/readyz`` says about the spool.

        ``ok``: the database takes records and the disk takes lines. ``pending``: finished records of this process that
        wait, ``memory`` of them in memory; ``oldest_seconds``: how long the oldest has waited. ``dropped`` were lost
        because disk and memory were full, ``rejected`` are in ``rejected.jsonl``. Errors are named by class only.
        """
        now = time.time()
        oldest = self._closed[0][1] if self._closed else self.spool.since
        pending = self.spool.pending
        age = round(now - oldest, 1) if pending and oldest else 0.0
        return {
            "ok": not self._error and not self.spool.disk_error and age < STALLED_SECONDS,
            "pending": pending,
            "oldest_seconds": age,
            "memory": self.spool.in_memory,
            "running": self.spool.running,
            "dropped": self.spool.dropped,
            "rejected": self.rejected,
            "recovered": self.recovered,
            "database_error": self._error,
            "disk_error": self.spool.disk_error,
            "last_flush_seconds": round(now - self._last_success, 1),
        }

    def flush(self) -> None:
        """Move what this process's spool holds now. Raises ``django.db.Error`` when the database is unavailable."""
        segment = self.spool.rotate()
        if segment is not None:
            self._closed.append(segment)
        if self._closed or self.spool.in_memory:
            renew_connections()
        while self._closed:
            try:
                self.spool.settle(self._move(self._closed[0][0]))
            except OSError:
                self._closed.rotate(-1)  # one segment that can't be read does not hold up the others
                raise
            self._closed.popleft()
        self._move_memory()
        self.spool.hold(0)

    def sweep(self) -> None:
        """Store everything that is finished on this machine: what the dead left, and a copy of what the living hold.

        A living process goes on to store its own; the database then knows those records already.
        """
        self.recover()
        for folder in recovery.folders(self.spool.directory):
            with suppress(FileNotFoundError):  # its process was quicker
                for segment in segments(folder):
                    for batch in recovery.lines(segment, BATCH):
                        self._store(batch)

    def recover(self) -> None:
        """Bring in what dead processes left: finished records, then the begun ones as interrupted."""
        recovery.remove_drafts(self.spool.directory)
        for folder in recovery.folders(self.spool.directory):
            if folder == self.spool.folder:
                continue
            try:
                with recovery.claimed(folder) as dead:
                    if dead:
                        self._bring_in(folder)
            except OSError as error:  # a folder that can't be read or removed does not hold up the others
                logger.error("The spool folder %s can't be brought in: %s.", folder.name, error.strerror)

    def _bring_in(self, folder: Path) -> None:
        renew_connections()
        for segment in segments(folder):
            self.recovered += self._move(segment)
        for batch in recovery.interrupted(folder):
            self._store(batch)
        remove_folder(folder)
        logger.info("Brought in the usage records that process %s left.", folder.name.partition("-")[0])

    def _move(self, path: Path) -> int:
        """Store a segment's records, delete it, and return how many it had."""
        count = 0
        with suppress(FileNotFoundError):  # brought in by someone else, while a stuck process lost its lock
            for batch in recovery.lines(path, BATCH):
                self._store(batch)
                count += len(batch)
            path.unlink()
        return count

    def _move_memory(self) -> None:
        waiting = self.spool.take_memory()
        try:
            while waiting:
                self._store(waiting[:BATCH])
                del waiting[:BATCH]
        finally:
            if waiting:
                self.spool.give_back(waiting)

    def _store(self, batch: list[bytes]) -> None:
        pause = _no_pause if self._thread.stopping.is_set() else rows.give_way
        rejected = rows.store(batch, self.using, pause)
        if rejected:
            self._reject(rejected)

    def _reject(self, lines: Iterable[bytes]) -> None:
        """Keep what the database refuses for what it says, so that it blocks nothing and is not lost."""
        lines = list(lines)
        self.rejected += len(lines)
        path = self.spool.directory / REJECTED_NAME
        logger.error("%s can't be stored; see %s.", counted(len(lines), "usage record"), REJECTED_NAME)
        with suppress(OSError):
            if not path.exists() or path.stat().st_size < REJECTED_LIMIT:
                with open(path, "ab", opener=_private) as file:
                    file.writelines(lines)

    def _round(self) -> float:
        """Do what is due; return how long to wait until the next round."""
        self.flush()
        now = time.monotonic()
        if now >= self._next_recovery:
            self.recover()
            self._next_recovery = now + RECOVERY_SECONDS
        if now >= self._next_touch:
            self._flush_touched()
            self._next_touch = now + self.touch_seconds
        self._succeeded()
        self._fold(now)
        return self.flush_seconds

    def _fold(self, now: float) -> None:
        """Fold the sums when it is time. A fault keeps no record waiting: pages read new rows as they are."""
        try:
            if now >= self._next_fold:
                self._next_fold = now + FOLD_SECONDS
                folding.fold(self.using)
            if now >= self._next_handover:
                self._next_handover = now + HANDOVER_SECONDS
                handover.take_over(self.using)
        except Error as error:
            logger.error("The sums of usage can't be folded: %s. The next try is soon.", type(error).__name__)
            with suppress(Error):
                connections[self.using].close()

    def _finish(self) -> None:
        try:
            self.flush()
            self._flush_touched()
        except Exception as error:  # the thread's boundary: what is left stays in the spool
            self._failed(error)
        else:
            self._succeeded()

    def _flush_touched(self) -> None:
        if self.on_touch is None or not self._touched:
            return
        touched, self._touched = self._touched, {}
        self.on_touch(touched)

    def _failed(self, error: Exception, before: int = 0) -> float:
        """Note that records have to wait; return how long, twice as long each time while the database is
        unavailable."""
        name = type(error).__name__
        if name != self._error:
            logger.error("Usage records wait in the spool: %s.", name)
        self._error = name
        if isinstance(error, Error):
            with suppress(Error):
                connections[self.using].close()
        with suppress(OSError):
            self.spool.hold(recovery.held_bytes(self.spool.directory))
        self.spool.retry_disk()
        self._report_dropped()
        return backoff(before, self.flush_seconds * 2, MAX_BACKOFF_SECONDS)

    def _succeeded(self) -> None:
        if self._error:
            logger.info("Usage records reach the database again.")
        self._error = ""
        self._last_success = time.time()
        self._report_dropped()

    def _report_dropped(self) -> None:
        dropped = self.spool.dropped
        if dropped > self._reported:
            lost = counted(dropped - self._reported, "usage record")
            logger.error("Disk and memory are full: %s lost.", lost)
            self._reported = dropped


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _no_pause() -> None:
    """Drain at full speed: no one waits for the interpreter any more."""


def spool_directory() -> Path:
    """Return the folder that holds the spools of all processes of this machine."""
    return Path(settings.DATA_DIR) / "spool"


def open_ledger(on_touch: Touch | None = None) -> Ledger:
    """Return a ledger, not started, over a new spool, both as the settings say."""
    spool = Spool(spool_directory(), limit_bytes=settings.USAGE_SPOOL_MAX_BYTES)
    return Ledger(spool, flush_seconds=settings.USAGE_FLUSH_SECONDS, on_touch=on_touch)
