"""How many sessions may be open at once: counted over all hosts through Redis, or over all workers of a host without
it.

Without ``REDIS_URL`` a session holds a locked file for as long as it is open. The kernel lets go of the lock when the
process dies, however it dies, so nothing has to be counted down, and nothing can be left over. While Redis can't be
reached, sessions are counted like that, too: each host by itself.
"""

import asyncio
import fcntl
import hashlib
import logging
import os
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self

from django.conf import settings
from redis.exceptions import RedisError

from accounts.caller import Caller
from accounts.words import counted
from gateway.call.errors import TooManyRequests
from gateway.realtime.shared_slots import SharedSlots
from providers.snapshot import AccountSnapshot

logger = logging.getLogger("gateway.realtime.slots")

RETRY_SECONDS = "5"
_held: Counter[str] = Counter()
_shared: SharedSlots | None = None


class Slots:
    """The slots that one session holds; a context manager that lets go of them."""

    def __init__(self) -> None:
        self._releases: list[Callable[[], None]] = []

    async def take(self, key: str, limit: int, what: str) -> None:
        """Take one of ``limit`` slots of ``key`` (0: no limit). Raises
        :class:`~gateway.call.errors.TooManyRequests`."""
        if not limit:
            return
        release = await _take_shared(key, limit) if settings.REDIS_URL else _take_local(key, limit)
        if release is None:
            raise TooManyRequests(
                f"{what} has {counted(limit, 'session')} open already, which is the limit. Close one first.",
                code="too_many_sessions",
                headers={"retry-after": RETRY_SECONDS},
            )
        self._releases.append(release)

    async def take_session(self, caller: Caller, account: AccountSnapshot) -> None:
        """Take what one more session of ``caller`` on ``account`` needs.

        Raises :class:`~gateway.call.errors.TooManyRequests`.
        """
        await self.take(f"subject {caller.key}", settings.REALTIME_SESSIONS_PER_SUBJECT, caller.subject_name)
        account_limit = settings.REALTIME_SESSIONS_PER_ACCOUNT
        await self.take(f"account {account.name}", account_limit, f"The account {account.name!r}")

    def release(self) -> None:
        """Let go of what was taken."""
        while self._releases:
            self._releases.pop()()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


async def _take_shared(key: str, limit: int) -> Callable[[], None] | None:
    global _shared
    loop = asyncio.get_running_loop()
    if _shared is None or _shared.loop is not loop:
        _shared = SharedSlots(settings.REDIS_URL, loop)
    try:
        slot = await _shared.take(key, limit)
    except (RedisError, OSError, TimeoutError) as error:
        logger.warning("Sessions are counted on this host alone: Redis can't be reached (%s).", type(error).__name__)
        return _take_local(key, limit)
    return partial(_shared.release, slot) if slot is not None else None


def _take_local(key: str, limit: int) -> Callable[[], None] | None:
    folder = settings.DATA_DIR / "sockets" / hashlib.sha256(key.encode()).hexdigest()[:32]
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for number in range(limit):
        # A process begins behind its own sessions: their slots are taken for sure.
        lock = _lock(folder / str((number + _held[key]) % limit))
        if lock is not None:
            _held[key] += 1
            return partial(_release_local, key, lock)
    return None


def _release_local(key: str, lock: int) -> None:
    os.close(lock)
    _held[key] -= 1
    if not _held[key]:
        del _held[key]


def _lock(path: Path) -> int | None:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return None
    return descriptor
