"""How many sessions may be open at once, counted over all workers of a host.

A session holds a locked file for as long as it is open. The kernel lets go of the lock when the process dies, however it
dies, so nothing has to be counted down, and nothing can be left over.
"""

import fcntl
import hashlib
import os
from collections import Counter
from pathlib import Path
from types import TracebackType
from typing import Self

from django.conf import settings

from gateway.call.errors import TooManyRequests

RETRY_SECONDS = "5"
_held: Counter[str] = Counter()


class Slots:
    """The slots that one session holds; a context manager that lets go of them."""

    def __init__(self) -> None:
        self._locks: list[tuple[str, int]] = []

    def take(self, key: str, limit: int, what: str) -> None:
        """Take one of ``limit`` slots of ``key`` (0: no limit). Raises :class:`~gateway.call.errors.TooManyRequests`."""
        if not limit:
            return
        folder = settings.DATA_DIR / "sockets" / hashlib.sha256(key.encode()).hexdigest()[:32]
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for number in range(limit):
            # A process begins behind its own sessions: their slots are taken for sure.
            lock = _lock(folder / str((number + _held[key]) % limit))
            if lock is not None:
                _held[key] += 1
                self._locks.append((key, lock))
                return
        raise TooManyRequests(
            f"{what} has {limit} sessions open already, which is the limit. Close one first.",
            code="too_many_sessions",
            headers={"retry-after": RETRY_SECONDS},
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for key, lock in self._locks:
            os.close(lock)
            _held[key] -= 1
            if not _held[key]:
                del _held[key]
        self._locks.clear()


def _lock(path: Path) -> int | None:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return None
    return descriptor
