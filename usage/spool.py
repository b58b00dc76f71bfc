"""The spool: where a record waits, on disk, until the ledger has it in the database.

Every process has a folder of its own under the spool directory, held by a locked file. In it are numbered segments with
one finished record a line, and a journal with one line for every attempt begun. When a process dies, the kernel lets go
of its lock, and any other process brings in what it left (``usage.recovery``): finished records as they are, begun ones
as interrupted.

A write is one system call into the page cache and is not synced: a record survives the death of the process at any
point, not the loss of power.
"""

import errno
import fcntl
import os
import secrets
import threading
import time
import weakref
from collections import deque
from pathlib import Path

import msgspec

from usage.records import AttemptRecord

LOCK_NAME = "lock"
JOURNAL_NAME = "journal"
SEGMENT_SUFFIX = ".segment"
DRAFT_PREFIX = "."
JOURNAL_LIMIT = 1 << 20
"""Bytes of journal from which on it is written anew with the running attempts only."""
LINE_LIMIT = 8192
"""Longer lines have their texts cut: names come from callers and answers from upstreams, and neither may fill the
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
    _journal: int
    _journal_size: int
    _journal_limit: int
    _segment: int
    _segment_path: Path | None
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
            if not self._owner:  # a forked child, or somebody who writes after close()
                self._reopen()
            self._inflight[attempt.attempt_id] = line
            try:
                written = os.write(self._journal, line)
            except OSError as error:
                self._note(error)
                return
            self._journal_size += written
            if written != len(line):
                self._journal_size -= written
                self._journal = self._cut(self._journal, self._journal_size)
            elif self._journal_size > self._journal_limit:
                self._compact()

    def append(self, attempt: AttemptRecord) -> None:
        """Write the finished record of ``attempt`` down. Once per attempt, before its answer completes."""
        line = _line(attempt)
        with self._lock:
            if not self._owner:
                self._reopen()
            self._inflight.pop(attempt.attempt_id, None)
            if self._segment_size > self._room:
                self.dropped += 1
            elif not self._write(line):
                if len(self._memory) < self.memory_limit:
                    self._memory.append(line)
                else:
                    self.dropped += 1

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
        """Close the open segment. Return its path and when its first record came; ``None`` when it was empty."""
        with self._lock:
            path, since, records = self._segment_path, self._segment_since, self._segment_records
            if path is not None and not path.exists():  # somebody removed the folder under us
                self.dropped += records
                self._release()
            elif not records and self._segment != CLOSED:
                return None
            elif self._segment != CLOSED:
                os.close(self._segment)
            if self.folder is None:
                self._reopen()
                self._compact()
                return None
            if self._journal == CLOSED:
                self._compact()
            self._closed_records += records
            self._open_segment()
            return (path, since) if path is not None and records else None

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
            self._release()

    def _write(self, line: bytes) -> bool:
        """Write a line to the open segment, whole or not at all."""
        try:
            written = os.write(self._segment, line)
        except OSError as error:
            self._note(error)
            return False
        if written != len(line):
            self._segment = self._cut(self._segment, self._segment_size)
            return False
        if not self._segment_records:
            self._segment_since = time.time()
        self._segment_size += written
        self._segment_records += 1
        if self.disk_error:
            self.disk_error = ""
        return True

    def _note(self, error: OSError) -> None:
        self.failed_writes += 1
        if error.errno != errno.EBADF or not self.disk_error:  # a closed file only follows from an earlier failure
            self.disk_error = errno.errorcode.get(error.errno or 0, type(error).__name__)

    def _cut(self, descriptor: int, size: int) -> int:
        """Take back the part of a line that a full disk let through; close the file when even that fails."""
        self._note(OSError(errno.ENOSPC, "short write"))
        try:
            os.ftruncate(descriptor, size)
        except OSError as error:
            self._note(error)
            os.close(descriptor)
            return CLOSED
        return descriptor

    def _compact(self) -> None:
        """Write the journal anew with the running attempts only; the old one stays when that fails."""
        lines = b"".join(self._inflight.values())
        self._journal_limit = max(JOURNAL_LIMIT, 4 * len(lines))
        if self.folder is None:
            return
        draft = self.folder / f"{DRAFT_PREFIX}{JOURNAL_NAME}"
        try:
            fresh = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o600)
        except OSError as error:
            self._note(error)
            return
        try:
            if os.write(fresh, lines) != len(lines):
                raise OSError(errno.ENOSPC, "short write")
            draft.rename(self.folder / JOURNAL_NAME)
        except OSError as error:
            self._note(error)
            os.close(fresh)
            return
        if self._journal != CLOSED:
            os.close(self._journal)
        self._journal, self._journal_size = fresh, len(lines)

    def _reopen(self) -> None:
        """Make a folder for this process. A failure is noted, not raised; ``rotate`` tries again."""
        self._owner = os.getpid()
        try:
            self.folder, self._flock = make_folder(self.directory)
            self._journal = os.open(self.folder / JOURNAL_NAME, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        except OSError as error:
            self._note(error)
        self._open_segment()

    def _open_segment(self) -> None:
        self._segment, self._segment_path, self._segment_size, self._segment_records = CLOSED, None, 0, 0
        if self.folder is None:
            return
        self._segment_number += 1
        path = self.folder / f"{self._segment_number:010d}{SEGMENT_SUFFIX}"
        try:
            self._segment = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            self._segment_path = path
        except OSError as error:
            self._note(error)

    def _forget(self) -> None:
        """Be without a folder, as a new process is."""
        self.folder = None
        self._owner = 0
        self._segment = self._journal = self._flock = CLOSED
        self._segment_path = None
        self._segment_size = self._segment_records = self._journal_size = 0
        self._segment_since = 0.0
        self._journal_limit = JOURNAL_LIMIT

    def _release(self) -> None:
        for descriptor in (self._segment, self._journal, self._flock):
            if descriptor != CLOSED:
                os.close(descriptor)
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
    """Return a copy with short, clean texts."""
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
    return sorted(path for path in folder.glob(f"*{SEGMENT_SUFFIX}") if path.stat().st_size)


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
