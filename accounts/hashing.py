"""Hashing passwords one after the other, in a thread that gives way to everything else.

A hash takes a third of a second of a core by design. Django would compute as many at once as there are people who sign
in, and calls would wait for their turn.
"""

import contextlib
import os
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

from django.contrib.auth.hashers import PBKDF2PasswordHasher

MOST_WAITING = 16
"""So many hashes may wait in a process: five seconds' worth."""
NICENESS = 10
_waiting = threading.BoundedSemaphore(MOST_WAITING)


class TooManyAtOnce(Exception):
    """More passwords are being checked than can be in a few seconds."""


class PatientHasher(PBKDF2PasswordHasher):
    """Django's own hasher, whose hashes it writes and reads. Raises :class:`TooManyAtOnce`."""

    def encode(self, password: str, salt: str, iterations: int | None = None) -> str:
        with _turn():
            return _thread.submit(super().encode, password, salt, iterations).result()


@contextlib.contextmanager
def _turn() -> Iterator[None]:
    if not _waiting.acquire(blocking=False):
        raise TooManyAtOnce
    try:
        yield
    finally:
        _waiting.release()


def _give_way() -> None:
    if sys.platform == "linux":  # where a thread has a niceness of its own
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)


_thread = ThreadPoolExecutor(1, "passwords", initializer=_give_way)
