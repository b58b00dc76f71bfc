"""Slots that all hosts share, in Redis: leases in a sorted set for each key, taken and renewed by scripts.

A lease ends by itself, by Redis's own clock: what a killed worker held is free again after a minute at most.
"""

import asyncio
import contextlib
import hashlib
import secrets

from redis.asyncio import Redis
from redis.exceptions import RedisError

LEASE_SECONDS = 60
RENEW_SECONDS = 15
TIMEOUT_SECONDS = 1.0
TAKE = """
local now = tonumber(redis.call('TIME')[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
if redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[1]) then return 0 end
redis.call('ZADD', KEYS[1], now + ARGV[2], ARGV[3])
redis.call('EXPIRE', KEYS[1], ARGV[2] * 2)
return 1
"""
RENEW = """
local now = tonumber(redis.call('TIME')[1])
for i = 2, #ARGV do redis.call('ZADD', KEYS[1], now + ARGV[1], ARGV[i]) end
redis.call('EXPIRE', KEYS[1], ARGV[1] * 2)
"""

Slot = tuple[str, str]
"""A key in Redis and the member of one session."""


class SharedSlots:
    """This process's slots. Belongs to the event loop that it was made in."""

    def __init__(self, url: str, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._redis = Redis.from_url(
            url, socket_timeout=TIMEOUT_SECONDS, socket_connect_timeout=TIMEOUT_SECONDS, decode_responses=True
        )
        self._take = self._redis.register_script(TAKE)
        self._renew = self._redis.register_script(RENEW)
        self._held: set[Slot] = set()
        self._renewing: asyncio.Task[None] | None = None
        self._releasing: set[asyncio.Task[None]] = set()

    async def take(self, key: str, limit: int) -> Slot | None:
        """Take one of ``limit`` slots of ``key``; ``None`` when all are taken. Raises ``RedisError`` and
        ``OSError``."""
        slot = f"gatehouse:slots:{hashlib.sha256(key.encode()).hexdigest()[:32]}", secrets.token_hex(12)
        try:
            async with asyncio.timeout(TIMEOUT_SECONDS):
                if not await self._take(keys=[slot[0]], args=[limit, LEASE_SECONDS, slot[1]]):
                    return None
        except (RedisError, OSError, asyncio.CancelledError):
            self.release(slot)  # it may have been taken all the same
            raise
        self._held.add(slot)
        if self._renewing is None or self._renewing.done():
            self._renewing = self.loop.create_task(self._keep())
        return slot

    def release(self, slot: Slot) -> None:
        """Let go of a slot, in the background: a session that ends waits for nothing."""
        self._held.discard(slot)
        task = self.loop.create_task(self._forget(slot))
        self._releasing.add(task)
        task.add_done_callback(self._releasing.discard)

    async def _forget(self, slot: Slot) -> None:
        with contextlib.suppress(RedisError, OSError, TimeoutError):  # its lease ends by itself
            await self._redis.zrem(*slot)

    async def _keep(self) -> None:
        """Renew the leases while there are any. A Redis that lost them gets them back."""
        while True:
            await asyncio.sleep(RENEW_SECONDS)
            if not self._held:
                return
            members: dict[str, list[str]] = {}
            for key, member in self._held:
                members.setdefault(key, []).append(member)
            for key, named in members.items():
                with contextlib.suppress(RedisError, OSError, TimeoutError):  # the next round tries again
                    await self._renew(keys=[key], args=[LEASE_SECONDS, *named])
