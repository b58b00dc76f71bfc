"""A client that holds many realtime sockets open and talks over some of them."""

import asyncio
import time
from collections.abc import AsyncIterator, Coroutine, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import aiohttp
import uvloop

from benchmarks import talk
from benchmarks.endpoint import Endpoint
from benchmarks.errors import VoidRun

Result = TypeVar("Result")
OPENING_AT_ONCE = 20
ANSWER_SECONDS = 60
FAILURES = (aiohttp.ClientError, OSError, TimeoutError)


def run(work: Coroutine[Any, Any, Result]) -> Result:
    """Run ``work`` on uvloop: the client must not be what is measured."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(work)


class Socket:
    """An open socket, greeted by the upstream."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket
        self.said = 0

    async def hear(self) -> str:
        """Return the next event; raise VoidRun when something else comes."""
        message = await self.socket.receive(ANSWER_SECONDS)
        if message.type is not aiohttp.WSMsgType.TEXT:
            raise VoidRun(f"a socket ended after {self.said} frames: {str(message)[:200]}")
        return str(message.data)

    async def say(self, rate: float, end: float, delay: float) -> list[float]:
        """Say frames until the moment ``end``; see :func:`say`."""
        took, due = [], time.perf_counter() + delay
        try:
            while (now := time.perf_counter()) < end:
                if now < due:
                    await asyncio.sleep(due - now)
                due += 1 / rate
                started = time.perf_counter()
                await self.socket.send_str(talk.FRAME)
                heard = await self.hear()
                took.append((time.perf_counter() - started) * 1000)
                if not talk.is_answer(heard, self.said):
                    raise VoidRun(f"frame {self.said} of a socket was answered with {heard[:200]}")
                self.said += 1
        except FAILURES as error:
            raise VoidRun(f"frame {self.said} of a socket was not answered: {type(error).__name__}: {error}") from None
        return took


class Client:
    """Opens sockets of one endpoint; leaving :func:`client` closes them."""

    def __init__(self, session: aiohttp.ClientSession, endpoint: Endpoint) -> None:
        self._session, self._endpoint = session, endpoint
        self._gate = asyncio.Semaphore(OPENING_AT_ONCE)
        self._opened: list[Socket] = []

    async def open(self, count: int, seconds: float) -> list[Socket]:
        """Open ``count`` more sockets; raise VoidRun when one fails, or not all are greeted within ``seconds``."""
        try:
            async with asyncio.timeout(seconds):
                return await _all(self._open() for _ in range(count))
        except FAILURES as error:
            raise VoidRun(
                f"not all of {count} sockets opened in {seconds:g} s: {type(error).__name__}: {error}"
            ) from None

    async def close(self) -> None:
        """Close what was opened."""
        await asyncio.gather(*(socket.socket.close() for socket in self._opened), return_exceptions=True)

    async def _open(self) -> Socket:
        async with self._gate:
            address, headers = self._endpoint.url, self._endpoint.headers
            socket = Socket(await self._session.ws_connect(address, headers=headers, max_msg_size=0))
            self._opened.append(socket)
            greeting = await socket.hear()
            if not talk.is_created(greeting):
                raise VoidRun(f"a socket began with {greeting[:200]}")
            return socket


@asynccontextmanager
async def client(endpoint: Endpoint) -> AsyncIterator[Client]:
    """Open a client without limits of its own."""
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), trust_env=False) as session:
        found = Client(session, endpoint)
        try:
            yield found
        finally:
            await found.close()


async def say(sockets: Sequence[Socket], rate: float, seconds: float) -> list[float]:
    """Send ``rate`` frames a second over each socket for ``seconds``; return how long each took to be answered, in ms.

    A socket's next frame waits for the answer to the one before, so a slow server is sent fewer. Raises VoidRun for an
    answer that is missing, changed or out of order.
    """
    end = time.perf_counter() + seconds
    # Spread over one interval, so that they don't all speak at once.
    delays = [number / rate / len(sockets) for number in range(len(sockets))]
    talks = (socket.say(rate, end, delay) for socket, delay in zip(sockets, delays, strict=True))
    return [took for each in await _all(talks) for took in each]


async def _all(works: Iterable[Coroutine[Any, Any, Result]]) -> list[Result]:
    """Return what all bring, once all are done; raise the first failure."""
    found = await asyncio.gather(*works, return_exceptions=True)
    for each in found:
        if isinstance(each, BaseException):
            raise each
    return [each for each in found if not isinstance(each, BaseException)]
