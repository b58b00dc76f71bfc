"""The spool: where a record waits, on disk, until the ledger has it in the database.

Every process has a folder of its own under the spool directory, held by a locked file. In it are numbered segments with
one finished record a line, and a journal of the attempts under way. When a process dies, the kernel lets go of its
lock, and any other process brings in what it left (``usage.recovery``): finished records as they are, begun ones as
interrupted.

A write goes into the page cache (``usage.spool_file``) and is not synced: a record survives the death of the process at
any point, not the loss of power.
"""

import errno
import fcntl
import os
import secrets
import threading
import time
import weakref
from collections import deque
from collections.abc import Sequence
from pathlib import Path

import msgspec

from usage.journal import Journal
from usage.records import AttemptRecord
from usage.spool_file import SpoolFile, can_map

LOCK_NAME = "lock"
JOURNAL_NAME = "running"
SEGMENT_SUFFIX = ".segment"
DRAFT_PREFIX = "."
LINE_LIMIT = 8192
"""Longer lines have their strings cut: names come from callers and answers from upstreams, and neither may fill the
disk."""
TEXT_LIMIT = 200
MEMORY_LIMIT = 50_000
CLOSED = -1

_encode = msgspec.json.Encoder().encode


class Spool:
    """This process's place in the spool. ``begin`` and ``append`` are cheap, never raise, and any thread may call them.

    What can't be written (a full disk, a vanished folder) waits in memory, ``memory_limit`` records at most; beyond
    that, and beyond ``limit_bytes`` of spool on disk, records are dropped and counted in ``dropped``.
    """

    folder: Path | None
    _owner: int
    _flock: int
    _mapped: bool
    _journal: Journal | None
    _segment: SpoolFile | None
    _segment_size: int
    _segment_records: int
    _segment_since: float

    def __init__(self, directory: Path, *, limit_bytes: int = 1 << 30, memory_limit: int = MEMORY_LIMIT) -> None:
        self.directory = directory
        self.limit_bytes = limit_bytes
        self.memory_limit = memory_limit
        self.dropped = 0
        self.failed_writes = 0
        self.disk_error = ""
        self._room = limit_bytes
        self._memory: deque[bytes] = deque()
        self._inflight: dict[str, bytes] = {}
        self._places: dict[str, Sequence[int]] = {}
        """Where the running attempts are in the journal; those that are not could not be written."""
        self._lock = threading.Lock()
        self._closed_records = 0
        self._segment_number = 0
        self._forget()
        with self._lock:
            self._reopen()
        _spools.add(self)

    def begin(self, attempt: AttemptRecord) -> None:
        """Note that ``attempt`` starts, so that a killed process still leaves a record of it."""
        line = _line(attempt)
        with self._lock:
            if not self._owner:  # a forked child, or someone who writes after close()
                self._reopen()
            self._inflight[attempt.attempt_id] = line
            self._note_begun(attempt.attempt_id, line)

    def append(self, attempt: AttemptRecord) -> None:
        """Write the finished record of ``attempt`` down. Once per attempt, before its answer completes."""
        line = _line(attempt)
        with self._lock:
            if not self._owner:
                self._reopen()
            self._inflight.pop(attempt.attempt_id, None)
            written = False
            if self._segment_size > self._room:
                self.dropped += 1
            elif self._write(line):
                written = True
            elif len(self._memory) < self.memory_limit:
                self._memory.append(line)
            else:
                self.dropped += 1
            self._note_ended(attempt.attempt_id, written)

    @property
    def pending(self) -> int:
        """How many finished records of this process wait, on disk and in memory."""
        return self._closed_records + self._segment_records + len(self._memory)

    @property
    def in_memory(self) -> int:
        """How many finished records wait in memory because the disk did not take them."""
        return len(self._memory)

    @property
    def since(self) -> float:
        """When the oldest record of the open segment came (unix seconds); 0: it is empty."""
        return self._segment_since if self._segment_records else 0.0

    @property
    def running(self) -> int:
        """How many attempts have begun and not ended."""
        return len(self._inflight)

    def hold(self, bytes_on_disk: int) -> None:
        """Say how many bytes wait in closed segments: what is left of ``limit_bytes`` is room for the open one."""
        self._room = self.limit_bytes - bytes_on_disk

    def rotate(self) -> tuple[Path, float] | None:
        """Close the open segment. Return its path and when its first record came; ``None`` when it was empty.

        For one thread. The files are made and let go of outside the lock, for which calls wait.
        """
        gone = self._segment is not None and not self._segment.path.exists()  # someone removed the folder under us
        if self._segment is not None and not self._segment_records and not gone:
            self._note_missing()
            return None
        fresh = None if gone else self._make_segment()
        with self._lock:
            old, since, records, size = self._segment, self._segment_since, self._segment_records, self._segment_size
            if gone:
                self.dropped += records
                self._release()
                old = None
            if self.folder is None:
                self._reopen()
            else:
                self._closed_records += records
                self._use_segment(fresh)
        self._note_missing()
        if old is None:
            return None
        old.close(keep=size)
        return (old.path, since) if records else None

    def settle(self, records: int) -> None:
        """Say that ``records`` of a closed segment are in the database."""
        with self._lock:
            self._closed_records = max(0, self._closed_records - records)

    def retry_disk(self) -> None:
        """Write what waits in memory to disk, as far as it has room again: a process that dies then loses nothing."""
        left = len(self._memory)
        while left:
            left -= 1
            with self._lock:  # for one line at a time: calls append, too
                if not self._memory or self._segment_size > self._room or not self._write(self._memory[0]):
                    return
                self._memory.popleft()

    def take_memory(self) -> list[bytes]:
        """Return the lines that wait in memory and forget them. Give back what could not be stored."""
        with self._lock:
            lines = list(self._memory)
            self._memory.clear()
        return lines

    def give_back(self, lines: list[bytes]) -> None:
        """Take back lines of ``take_memory``, as far as there is room."""
        with self._lock:
            room = self.memory_limit - len(self._memory)
            self._memory.extendleft(reversed(lines[:room]))
            self.dropped += max(0, len(lines) - room)

    def close(self) -> None:
        """Let go of the folder. Records and begun attempts in it stay for another process; an empty folder goes."""
        with self._lock:
            while self._memory and self._write(self._memory[0]):
                self._memory.popleft()
            self.dropped += len(self._memory)
            if self.folder is not None and not (self._inflight or any(segments(self.folder))):
                remove_folder(self.folder)
            self._memory.clear()
            self._inflight.clear()
            self._closed_records = 0
            self._release(cut=True)

    def _write(self, line: bytes) -> bool:
        """Write a line to the open segment, whole or not at all."""
        if self._segment is None:
            self.failed_writes += 1
            return False
        try:
            self._segment.append(self._segment_size, line)
        except OSError as error:
            self._note(error)
            return False
        if not self._segment_records:
            self._segment_since = time.time()
        self._segment_size += len(line)
        self._segment_records += 1
        if self.disk_error:
            self.disk_error = ""
        return True

    def _note(self, error: OSError) -> None:
        self.failed_writes += 1
        self.disk_error = errno.errorcode.get(error.errno or 0, type(error).__name__)

    def _note_begun(self, attempt_id: str, line: bytes) -> None:
        if self._journal is None:
            self.failed_writes += 1
            return
        try:
            self._places[attempt_id] = self._journal.write(line)
        except OSError as error:
            self._note(error)

    def _note_ended(self, attempt_id: str, written: bool) -> None:
        places = self._places.pop(attempt_id, None)
        if places is None or self._journal is None:
            return
        if not written:  # then what it began with is all that a killed process would leave of it
            self._journal.release(places)
            return
        try:
            self._journal.clear(places)
        except OSError as error:
            self._note(error)

    def _note_missing(self) -> None:
        """Write those running attempts to the journal that it did not take before."""
        if len(self._places) == len(self._inflight):
            return
        with self._lock:
            if self._journal is None and self.folder is not None:
                self._open_journal(self.folder)
            for attempt_id, line in self._inflight.items():
                if attempt_id not in self._places:
                    self._note_begun(attempt_id, line)

    def _reopen(self) -> None:
        """Make a folder for this process. A failure is noted, not raised; ``rotate`` tries again."""
        self._owner = os.getpid()
        try:
            self.folder, self._flock = make_folder(self.directory)
        except OSError as error:
            self._note(error)
            return
        self._mapped = can_map(self.folder)
        self._open_journal(self.folder)
        self._use_segment(self._make_segment())

    def _open_journal(self, folder: Path) -> None:
        try:
            self._journal = Journal(folder / JOURNAL_NAME, mapped=self._mapped)
        except OSError as error:
            self._note(error)

    def _make_segment(self) -> SpoolFile | None:
        """Make the next segment, with room for what comes: the first record would wait for it otherwise."""
        if self.folder is None:
            return None
        self._segment_number += 1
        try:
            made = SpoolFile(self.folder / f"{self._segment_number:010d}{SEGMENT_SUFFIX}", mapped=self._mapped)
        except OSError as error:
            self._note(error)
            return None
        try:
            made.reserve(1)
        except OSError as error:  # every record tries again
            self._note(error)
        return made

    def _use_segment(self, segment: SpoolFile | None) -> None:
        self._segment = segment
        self._segment_size = self._segment_records = 0

    def _forget(self) -> None:
        """Be without a folder, as a new process is."""
        self.folder = None
        self._owner = 0
        self._flock = CLOSED
        self._mapped = False
        self._segment = self._journal = None
        self._segment_size = self._segment_records = 0
        self._segment_since = 0.0
        self._places = {}

    def _release(self, *, cut: bool = False) -> None:
        if self._segment is not None:
            self._segment.close(self._segment_size if cut else None)
        if self._journal is not None:
            self._journal.close()
        if self._flock != CLOSED:
            os.close(self._flock)
        self._forget()

    def _after_fork(self) -> None:
        """Leave the parent's folder to the parent. The child makes its own at its first record."""
        self._lock = threading.Lock()
        self._release()
        self._memory.clear()
        self._inflight.clear()
        self._closed_records = self.dropped = self.failed_writes = 0


def _line(attempt: AttemptRecord) -> bytes:
    try:
        line = _encode(attempt)
    except UnicodeEncodeError:
        line = _encode(_shortened(attempt))
    if len(line) > LINE_LIMIT:
        line = _encode(_shortened(attempt))
    return line + b"\n"


def _shortened(attempt: AttemptRecord) -> AttemptRecord:
    """Return a copy with short, clean strings."""
    changes: dict[str, object] = {}
    for name in attempt.__struct_fields__:
        value = getattr(attempt, name)
        if isinstance(value, str):
            changes[name] = _clean(value)
        elif isinstance(value, list):
            changes[name] = [_clean(item) for item in value[:50]]
        elif isinstance(value, dict):
            changes[name] = {
                _clean(key): _clean(item) if isinstance(item, str) else item for key, item in list(value.items())[:20]
            }
    return msgspec.structs.replace(attempt, **changes)


def _clean(text: str) -> str:
    return text[:TEXT_LIMIT].encode("utf-8", "replace").decode()


def make_folder(directory: Path) -> tuple[Path, int]:
    """Make a folder that is locked before anybody can see it. Return it and the lock's descriptor."""
    name = f"{os.getpid()}-{secrets.token_hex(6)}"
    draft = directory / f"{DRAFT_PREFIX}{name}"
    draft.mkdir(mode=0o700, parents=True)
    lock = os.open(draft / LOCK_NAME, os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX)
    return draft.rename(directory / name), lock


def segments(folder: Path) -> list[Path]:
    """Return the segments of a folder that have something in them, oldest first."""
    return sorted(path for path in folder.glob(f"*{SEGMENT_SUFFIX}") if _has_record(path))


def _has_record(path: Path) -> bool:
    if path.is_dir():
        return True  # the reader says what is wrong
    with path.open("rb") as file:
        return file.read(1) not in (b"", b"\0")


def remove_folder(folder: Path) -> None:
    """Remove a folder of the spool whose lock the caller holds; the lock goes last."""
    for path in sorted(folder.iterdir(), key=lambda path: path.name == LOCK_NAME):
        path.unlink(missing_ok=True)
    folder.rmdir()


_spools: "weakref.WeakSet[Spool]" = weakref.WeakSet()


def _after_fork_in_child() -> None:
    for spool in list(_spools):
        spool._after_fork()


os.register_at_fork(after_in_child=_after_fork_in_child)
