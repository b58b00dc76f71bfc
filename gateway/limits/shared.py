"""Counters that all workers share, in Redis: one round trip a call, however many checks it has.

What is reported afterwards (corrections, ends, costs) goes in the background, in bundles. Leases are renewed while
calls run, and a Redis that lost them gets them back. When Redis does not answer in time, the caller counts by itself;
Redis is asked again a second later.
"""

import asyncio
import contextlib
import logging
import secrets
from collections.abc import Callable, Sequence
from time import monotonic
from typing import Any, Final

from redis.asyncio import Redis
from redis.exceptions import RedisError

from gateway.call.ending import end
from gateway.limits.checks import NEVER, SLOTS, Asked, Outcome, blocked
from gateway.limits.scripts import TAKE, TELL

logger = logging.getLogger("gateway.limits")

PREFIX: Final = "gatehouse:limits:"
WORKERS: Final = "gatehouse:workers"
TIMEOUT_SECONDS: Final = 0.5
AWAY_SECONDS: Final = 1.0
LEASE_SECONDS: Final = 60
RENEW_SECONDS: Final = 5.0
BUNDLE: Final = 200
MICRO: Final = 1_000_000
Message = tuple[str, str, str, int, int]
"""A key, what to do, a name and two numbers, as the script takes them."""
FAULTS = (RedisError, OSError, TimeoutError)


class SharedCounters:
    """This process's view of the shared counters. Belongs to the event loop that it was made in.

    ``held`` returns what must not end: messages that renew it.
    """

    def __init__(self, url: str, loop: asyncio.AbstractEventLoop, held: Callable[[], list[Message]]) -> None:
        self._redis: Any = Redis.from_url(
            url, socket_timeout=TIMEOUT_SECONDS, socket_connect_timeout=TIMEOUT_SECONDS, max_connections=64
        )
        self._loop = loop
        self._held = held
        self._take = self._redis.register_script(TAKE)
        self._tell = self._redis.register_script(TELL)
        self._waiting: list[Message] = []
        self._sending: asyncio.Task[None] | None = None
        self._renewing: asyncio.Task[None] | None = None
        self._name = secrets.token_hex(8)
        self._away_until = 0.0
        self.fault = ""
        self.workers = 1

    def start(self) -> None:
        """Begin to renew what is held."""
        self._renewing = self._loop.create_task(self._renew())

    async def stop(self) -> None:
        """Report what is waiting and close."""
        await end(self._renewing)
        with contextlib.suppress(*FAULTS):
            await self._send(self._take_waiting())
        await self._redis.aclose()

    @property
    def away(self) -> bool:
        """Whether Redis failed a moment ago, so that it is not asked now."""
        return bool(self._away_until) and monotonic() < self._away_until

    async def take(self, receipt: str, asked: Sequence[Asked]) -> tuple[list[Outcome], list[int]]:
        """Let every counter take its part of a call, or none. Raises one of ``FAULTS`` when Redis does not answer."""
        arguments: list[Any] = [receipt, LEASE_SECONDS * MICRO]
        for one in asked:
            check = one.check
            arguments += [_kind(one), one.amount, check.limit, check.rule.id, check.rule.mode]
            arguments += [one.base, one.version] if check.is_budget else [_width(check.unit.seconds), 0]
        try:
            async with asyncio.timeout(TIMEOUT_SECONDS):
                answer = await self._take(keys=[PREFIX + one.key for one in asked], args=arguments)
        except FAULTS as error:
            self._failed(error)
            # It may have been taken all the same.
            self.report(*(_undone(receipt, one) for one in asked if one.check.is_budget or not one.check.unit.seconds))
            raise
        self._answered()
        outcomes = [_outcome(answer[begin : begin + 5]) for begin in range(1, len(answer), 5)]
        return outcomes, blocked(asked, outcomes) if answer[0] else []

    def report(self, *messages: Message) -> None:
        """Send messages to the counters, in the background."""
        self._waiting += messages
        if self._waiting and (self._sending is None or self._sending.done()):
            self._sending = self._loop.create_task(self._flush())

    async def _flush(self) -> None:
        while self._waiting and not self.away:
            messages = self._take_waiting()
            try:
                await self._send(messages)
            except FAULTS as error:  # leases end by themselves, and what is held is reported again
                self._failed(error)
                return

    def _take_waiting(self) -> list[Message]:
        messages, self._waiting = self._waiting[:BUNDLE], self._waiting[BUNDLE:]
        return messages

    async def _send(self, messages: Sequence[Message]) -> None:
        arguments = [part for message in messages for part in message[1:]]
        async with asyncio.timeout(TIMEOUT_SECONDS):
            self.workers = max(1, int(await self._tell(keys=[message[0] for message in messages], args=arguments)))

    async def _renew(self) -> None:
        while True:
            own: Message = (WORKERS, "worker", self._name, int(3 * RENEW_SECONDS * MICRO), 0)
            messages = [own, *self._held()]
            try:
                for begin in range(0, len(messages), BUNDLE):
                    await self._send(messages[begin : begin + BUNDLE])
                self._answered()
            except FAULTS as error:
                self._failed(error)
            self.report()
            await asyncio.sleep(AWAY_SECONDS if self.fault else RENEW_SECONDS)

    def _failed(self, error: BaseException) -> None:
        if not self.fault:
            logger.warning(
                "Limits are counted by each worker alone: Redis can't be reached (%s).", type(error).__name__
            )
        self.fault = type(error).__name__
        self._away_until = monotonic() + AWAY_SECONDS
        del self._waiting[10 * BUNDLE :]

    def _answered(self) -> None:
        if self.fault:
            logger.warning("Limits are counted in Redis again.")
        self.fault, self._away_until = "", 0.0


def _kind(one: Asked) -> str:
    return "b" if one.check.is_budget else "w" if one.check.unit.seconds else "c"


def _width(seconds: int) -> int:
    return -(-seconds * MICRO // SLOTS)  # rounded up: never a shorter window


def _outcome(parts: Sequence[Any]) -> Outcome:
    fits, used, wait, reset, slot = (int(part) for part in parts)
    return Outcome(bool(fits), used, NEVER if wait < 0 else wait / MICRO, max(0, reset) / MICRO, slot)


def _undone(receipt: str, one: Asked) -> Message:
    return dropped(one.key, receipt) if one.check.is_budget else left(one.key, receipt)


# --- messages to the counters ---


def corrected(key: str, seconds: int, slot: int, change: int) -> Message:
    """Change what a call was counted with in a window."""
    return PREFIX + key, "correct", str(_width(seconds)), slot, change


def running(key: str, receipt: str) -> Message:
    """A call still runs."""
    return PREFIX + key, "run", receipt, LEASE_SECONDS * MICRO, 0


def left(key: str, receipt: str) -> Message:
    """A call does not run any more."""
    return PREFIX + key, "leave", receipt, 0, 0


def put(key: str, name: str, amount: int) -> Message:
    """Hold an amount in a budget under a name."""
    return PREFIX + key, "put", name, amount, LEASE_SECONDS * MICRO


def dropped(key: str, name: str) -> Message:
    """Hold nothing under a name in a budget any more."""
    return PREFIX + key, "drop", name, 0, 0


def learned(key: str, base: int, version: int) -> Message:
    """The ledger holds this of a budget."""
    return PREFIX + key, "learn", "", base, version
