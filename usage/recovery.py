"""What other processes left in the spool: finding it, and distinguishing the living from the dead by their locks."""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import chain, islice
from pathlib import Path

import msgspec

from usage.journal import begun
from usage.records import AttemptRecord
from usage.spool import DRAFT_PREFIX, JOURNAL_NAME, LOCK_NAME, remove_folder, segments
from usage.spool_file import filled

DRAFT_SECONDS = 3600
"""Age from which on a folder that never got its name is a dead process's."""
INTERRUPTED = "interrupted"
OLD_JOURNAL_NAME = "journal"
"""What older releases wrote: a line for every attempt begun, those that ended among them."""
BATCH = 1000


def folders(directory: Path) -> list[Path]:
    """Return the folders of all processes, living and dead."""
    with suppress(FileNotFoundError):
        return sorted(path for path in directory.iterdir() if path.is_dir() and path.name[0] != DRAFT_PREFIX)
    return []


@contextmanager
def claimed(folder: Path) -> Iterator[bool]:
    """Hold the lock of ``folder``. Yields false when its process lives, or someone else is bringing it in."""
    try:
        lock = os.open(folder / LOCK_NAME, os.O_RDWR)
    except FileNotFoundError:
        yield False
        return
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        yield False
    else:
        # The process that had it before may have removed the folder since we opened the file.
        yield (folder / LOCK_NAME).exists()
    finally:
        os.close(lock)


def lines(path: Path, size: int = 1000) -> Iterator[list[bytes]]:
    """Yield the whole lines of a file, ``size`` at a time.

    A last line that was cut off was never written, and zeros are room for more: neither is among them.
    """
    batch: list[bytes] = []
    with path.open("rb") as file:
        for line in file:
            if not line.endswith(b"\n") or b"\0" in line:
                break
            if line != b"\n":
                batch.append(line)
            if len(batch) == size:
                yield batch
                batch = []
    if batch:
        yield batch


def interrupted(folder: Path) -> Iterator[list[bytes]]:
    """Yield what the journal says was begun, as records of interrupted attempts.

    Attempts that ended are among them; their real records have to be in the database already, then these change
    nothing.
    """
    found: list[Iterator[bytes]] = []
    if (folder / JOURNAL_NAME).exists():
        found.append(begun(folder / JOURNAL_NAME))
    if (folder / OLD_JOURNAL_NAME).exists():
        found.append(chain.from_iterable(lines(folder / OLD_JOURNAL_NAME)))
    entries = chain.from_iterable(found)
    while batch := list(islice(entries, BATCH)):
        yield list(_as_interrupted(batch))


def _as_interrupted(batch: list[bytes]) -> Iterator[bytes]:
    for line in batch:
        with suppress(msgspec.MsgspecError):
            attempt = msgspec.json.decode(line, type=AttemptRecord)
            attempt.error_class = INTERRUPTED
            yield msgspec.json.encode(attempt) + b"\n"


def pending(directory: Path) -> int:
    """Count the finished records that wait in the folders of all processes."""
    count = 0
    for folder in folders(directory):
        for segment in segments(folder):
            with suppress(FileNotFoundError):
                count += sum(len(batch) for batch in lines(segment))
    return count


def held_bytes(directory: Path) -> int:
    """Return how many bytes of records the segments of all processes have."""
    total = 0
    for folder in folders(directory):
        with suppress(FileNotFoundError):
            total += sum(filled(segment) for segment in segments(folder) if segment.is_file())
    return total


def remove_drafts(directory: Path) -> None:
    """Remove folders whose process died before it had named them."""
    for draft in directory.glob(f"{DRAFT_PREFIX}*"):
        with suppress(FileNotFoundError):
            if draft.is_dir() and time.time() - draft.stat().st_mtime > DRAFT_SECONDS:
                remove_folder(draft)
