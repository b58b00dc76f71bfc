"""The spool: where a record waits, on disk, until the ledger has it in the database.

Every process has a folder of its own under the spool directory, held by a locked file. In it are numbered segments with
one finished record a line, and a journal with one line for every attempt begun. When a process dies, the kernel lets go
of its lock, and any other process brings in what it left: finished records as they are, begun ones as interrupted.
"""

import errno
import fcntl
import os
import secrets
import threading
from collections import deque
from pathlib import Path

import msgspec

from usage.records import Attempt

LOCK_NAME = "lock"
JOURNAL_NAME = "journal"
SEGMENT_SUFFIX = ".segment"
JOURNAL_LIMIT = 1 << 20
TEXT_LIMIT = 300


class Spool:
    """This process's place in the spool. ``begin`` and ``append`` are cheap, never raise, and any thread may call."""

    def __init__(self, directory: Path, *, limit_bytes: int = 1 << 30, memory_limit: int = 100_000) -> None:
        self.directory = directory
        self.limit_bytes = limit_bytes
        self.memory: deque[bytes] = deque()
        self.memory_limit = memory_limit
        self.appended = self.dropped = self.failed_writes = 0
        self.closed_bytes = 0
        self._lock = threading.Lock()
        self._encoder = msgspec.json.Encoder()
        self._inflight: dict[str, bytes] = {}
        self._open_folder()

    def begin(self, attempt: Attempt) -> None:
        """Note that ``attempt`` starts, so that a killed process still leaves a record of it."""
        line = self._encoder.encode(attempt) + b"\n"
        with self._lock:
            self._inflight[attempt.attempt_id] = line
            try:
                self._journal_size += os.write(self._journal, line)
            except OSError:
                self.failed_writes += 1

    def append(self, attempt: Attempt) -> None:
        """Write the finished record of ``attempt`` down. Once per attempt, before its answer completes."""
        line = self._encoder.encode(attempt) + b"\n"
        with self._lock:
            self._inflight.pop(attempt.attempt_id, None)
            self._write(line)
            self.appended += 1

    def _write(self, line: bytes) -> None:
        try:
            written = os.write(self._segment, line)
            if written == len(line):
                self._segment_size += written
                return
            raise OSError(errno.ENOSPC, "short write")
        except OSError:
            self.failed_writes += 1
            os.ftruncate(self._segment, self._segment_size)
            if len(self.memory) < self.memory_limit:
                self.memory.append(line)
            else:
                self.dropped += 1

    def rotate(self) -> list[Path]:
        """Close the segment that is written to and return all closed ones, oldest first."""
        with self._lock:
            if self._segment_size:
                os.close(self._segment)
                self._open_segment()
        return sorted(path for path in self.folder.glob(f"*{SEGMENT_SUFFIX}") if path != self._segment_path)

    def close(self) -> None:
        """Let go of the folder. What is in it stays for the next process."""
        with self._lock:
            for descriptor in (self._segment, self._journal, self._flock):
                os.close(descriptor)

    def _open_folder(self) -> None:
        name = f"{os.getpid()}-{secrets.token_hex(6)}"
        draft = self.directory / f".{name}"
        draft.mkdir(mode=0o700, parents=True)
        self._flock = os.open(draft / LOCK_NAME, os.O_RDWR | os.O_CREAT, 0o600)
        fcntl.flock(self._flock, fcntl.LOCK_EX)
        self.folder = draft.rename(self.directory / name)
        self._journal = os.open(self.folder / JOURNAL_NAME, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._journal_size = 0
        self._number = 0
        self._open_segment()

    def _open_segment(self) -> None:
        self._number += 1
        self._segment_path = self.folder / f"{self._number:010d}{SEGMENT_SUFFIX}"
        self._segment = os.open(self._segment_path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._segment_size = 0
