"""What workers report to each other of targets, by a stream in Redis: failures, recoveries, and what is tried again.

A worker applies what others saw as if it had seen it itself, a moment later. One that starts, or that lost Redis for a
while, reads what it missed. Nothing waits for Redis: without it each worker knows what it sees.
"""

import asyncio
import logging
import secrets
from collections import deque
from collections.abc import Mapping
from time import monotonic
from typing import Any, Final

from redis.asyncio import Redis
from redis.exceptions import RedisError

from gateway.call.ending import end
from gateway.routing.health import LONGEST_REST_SECONDS, Event, Health

logger = logging.getLogger("gateway.routing")

STREAM: Final = "gatehouse:health"
KEPT_EVENTS: Final = 1000
AT_ONCE: Final = 200
BLOCK_SECONDS: Final = 5.0
TIMEOUT_SECONDS: Final = 0.5
AWAY_SECONDS: Final = 1.0
FAULTS: Final = (RedisError, OSError, TimeoutError)


class SharedHealth:
    """This process's part. Belongs to the event loop that it is started in."""

    def __init__(self, url: str, health: Health) -> None:
        self._redis: Any = Redis.from_url(
            url,
            socket_timeout=BLOCK_SECONDS + TIMEOUT_SECONDS,
            socket_connect_timeout=TIMEOUT_SECONDS,
            decode_responses=True,
        )
        self._health = health
        self._name = secrets.token_hex(8)
        self._waiting: deque[Event] = deque(maxlen=KEPT_EVENTS)
        self._sending: asyncio.Task[None] | None = None
        self._following: asyncio.Task[None] | None = None
        self._last = ""
        self._offset = 0.0

    def start(self) -> None:
        """Begin to report, and to listen."""
        self._health.report = self.report
        self._following = asyncio.get_running_loop().create_task(self._follow())

    async def stop(self) -> None:
        """End what :meth:`start` began."""
        self._health.report = None
        for task in (self._following, self._sending):
            await end(task)
        await self._redis.aclose()

    def report(self, event: Event) -> None:
        """Send an event to the other workers, in the background."""
        self._waiting.append(event)
        if self._sending is None or self._sending.done():
            self._sending = asyncio.get_running_loop().create_task(self._send())

    async def _send(self) -> None:
        while self._waiting:
            events = [self._waiting.popleft() for _ in range(min(AT_ONCE, len(self._waiting)))]
            try:
                async with asyncio.timeout(TIMEOUT_SECONDS), self._redis.pipeline(transaction=False) as pipeline:
                    for event in events:
                        fields = {"by": self._name, **{name: str(value) for name, value in event._asdict().items()}}
                        pipeline.xadd(STREAM, fields, maxlen=KEPT_EVENTS, approximate=True)
                    await pipeline.execute()
            except FAULTS:  # what is too late to be sent is seen by the others themselves
                self._waiting.clear()
                await asyncio.sleep(AWAY_SECONDS)

    async def _follow(self) -> None:
        away = True
        while True:
            try:
                if away:
                    await self._meet()
                    away = False
                found = await self._redis.xread({STREAM: self._last}, count=AT_ONCE, block=int(BLOCK_SECONDS * 1000))
                for _, entries in found or ():
                    for entry_id, fields in entries:
                        self._last = entry_id
                        self._take(entry_id, fields)
            except FAULTS as error:
                if not away:
                    logger.warning("Workers can't share how targets do: Redis (%s).", type(error).__name__)
                away = True
                await asyncio.sleep(AWAY_SECONDS)

    async def _meet(self) -> None:
        """Learn Redis's clock, and where to begin: with what still matters of what happened before."""
        seconds, micros = await self._redis.time()
        now = int(seconds) + int(micros) / 1e6
        self._offset = monotonic() - now
        self._last = self._last or f"{int((now - LONGEST_REST_SECONDS) * 1000)}-0"

    def _take(self, entry_id: str, fields: dict[str, str]) -> None:
        if fields.get("by") == self._name:
            return
        at = min(monotonic(), int(entry_id.partition("-")[0]) / 1000 + self._offset)
        event = event_of(fields)
        if event is not None:
            self._health.hear(event, at)


def event_of(fields: Mapping[str, str]) -> Event | None:
    """Return what an entry of the stream says; ``None`` for one of another release."""
    try:
        return Event(fields["name"], fields["what"], int(fields["status"]), float(fields["rest"]))
    except (KeyError, ValueError):
        return None
