"""A client that reads many streamed answers at once, counting their chunks."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import partial

import aiohttp

from benchmarks import responses, vendors
from benchmarks.endpoint import CHAT, CLAUDE, GEMINI, MESSAGES, MODEL, RESPONSES, Endpoint
from benchmarks.errors import VoidRun
from benchmarks.payloads import MARK, chat_body

CONNECT_SECONDS = 60
# How long the last of repeated streams may take.
LAST_SECONDS = 60
# Streams whose first chunk is awaited at the same time while many are opened.
OPENING_AT_ONCE = 50
# What is kept of a stream's end, to see how it ended.
LAST_BYTES = 200


@dataclass(frozen=True)
class Dialect:
    """A kind of stream: where it is asked for and how, what is once in each chunk, and what once at its end.

    ``others`` is the number of the upstream's events that are not chunks, ``model`` the upstream's.
    """

    path: str
    body: Callable[[str], bytes]
    mark: bytes
    end: bytes
    others: int
    model: str = MODEL


CHAT_STREAM = Dialect(CHAT, partial(chat_body, stream=True), MARK, b"data: [DONE]", others=3)
RESPONSE_STREAM = Dialect(
    RESPONSES,
    partial(responses.body, stream=True),
    responses.DELTA_MARK,
    responses.END_MARK,
    responses.OTHER_EVENTS,
)
CHAT_TO_ANTHROPIC = replace(CHAT_STREAM, others=vendors.ANTHROPIC_OTHERS, model=CLAUDE)
CHAT_TO_GEMINI = replace(CHAT_STREAM, others=vendors.GEMINI_OTHERS, model=GEMINI)
MESSAGE_TO_OPENAI = Dialect(
    MESSAGES, partial(vendors.message_body, stream=True), MARK, vendors.MESSAGE_END, CHAT_STREAM.others
)


class Counter:
    """Counts the marks of a dialect in a byte stream, also where two reads cut one, and keeps the end of it."""

    def __init__(self, dialect: Dialect = CHAT_STREAM) -> None:
        self.chunks = self.ends = 0
        self._mark, self._end = dialect.mark, dialect.end
        self._mark_tail = self._end_tail = self.last = b""

    def feed(self, data: bytes) -> None:
        """Take the next bytes."""
        joined = self._mark_tail + data
        self.chunks += joined.count(self._mark)
        # Shorter than the mark, so nothing is counted twice.
        self._mark_tail = joined[1 - len(self._mark) :]
        joined = self._end_tail + data
        self.ends += joined.count(self._end)
        self._end_tail = joined[1 - len(self._end) :]
        self.last = (self.last + data)[-LAST_BYTES:]

    @property
    def done(self) -> bool:
        """Whether the end has come, once and whole."""
        return self.ends == 1 and self.last.endswith(b"\n\n")


@dataclass
class Stream:
    """What one stream brought: content chunks, milliseconds to the first one, and what is wrong (empty: nothing)."""

    chunks: int = 0
    first_ms: float = 0.0
    fault: str = ""
    began: asyncio.Event = field(default_factory=asyncio.Event)


@asynccontextmanager
async def client() -> AsyncIterator[aiohttp.ClientSession]:
    """Open an HTTP client without limits of its own."""
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS)
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(
        connector=connector, timeout=timeout, cookie_jar=aiohttp.DummyCookieJar(), trust_env=False
    ) as session:
        yield session


async def read(
    session: aiohttp.ClientSession, endpoint: Endpoint, stream: Stream, dialect: Dialect = CHAT_STREAM
) -> None:
    """Ask for a streamed answer and read it to its end into ``stream``."""
    headers = {"content-type": "application/json", **endpoint.headers}
    counter, started = Counter(dialect), time.perf_counter()
    try:
        body = dialect.body(endpoint.model)
        async with session.post(endpoint.url, data=body, headers=headers) as answer:
            if answer.status != 200:
                stream.fault = f"status {answer.status}: {(await answer.text())[:200]}"
            else:
                async for data in answer.content.iter_any():
                    counter.feed(data)
                    if counter.chunks and not stream.first_ms:
                        stream.first_ms = (time.perf_counter() - started) * 1000
                        stream.began.set()
                stream.fault = "" if counter.done else f"did not end well, but with {counter.last!r}"
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        stream.fault = f"{type(error).__name__}: {error}"
    finally:
        stream.chunks = counter.chunks
        stream.began.set()


def check(streams: Sequence[Stream], *, each: int | None = None) -> None:
    """Raise VoidRun unless all streams ended well, and with ``each`` content chunks if that is given."""
    faults = [stream.fault for stream in streams if stream.fault]
    if faults:
        raise VoidRun(f"{len(faults)} of {len(streams)} streams failed, the first with: {faults[0]}")
    odd = [stream.chunks for stream in streams if each is not None and stream.chunks != each]
    if odd:
        raise VoidRun(f"{len(odd)} of {len(streams)} streams lost or gained chunks: {odd[0]} instead of {each}")


async def one_by_one(endpoint: Endpoint, count: int, dialect: Dialect = CHAT_STREAM) -> list[Stream]:
    """Read ``count`` streams, each after the one before."""
    streams = [Stream() for _ in range(count)]
    async with client() as session:
        for stream in streams:
            await read(session, endpoint, stream, dialect)
    return streams


async def together(endpoint: Endpoint, count: int, seconds: float, dialect: Dialect = CHAT_STREAM) -> list[Stream]:
    """Read ``count`` streams at the same time; raise VoidRun when they are not done in ``seconds``."""
    streams = [Stream() for _ in range(count)]
    async with client() as session:
        try:
            async with asyncio.timeout(seconds), asyncio.TaskGroup() as group:
                for stream in streams:
                    group.create_task(read(session, endpoint, stream, dialect))
        except TimeoutError:
            raise VoidRun(f"{count} streams were not done after {seconds:g} s") from None
    return streams


async def repeated(endpoint: Endpoint, at_once: int, seconds: float, dialect: Dialect = CHAT_STREAM) -> list[Stream]:
    """Read streams for ``seconds``, ``at_once`` at a time, each followed by the next; what is open then is read to its
    end.
    """
    streams: list[Stream] = []
    end = time.perf_counter() + seconds

    async def one_after_another() -> None:
        while time.perf_counter() < end:
            stream = Stream()
            await read(session, endpoint, stream, dialect)
            streams.append(stream)
            if stream.fault:
                return

    async with client() as session:
        try:
            async with asyncio.timeout(seconds + LAST_SECONDS), asyncio.TaskGroup() as group:
                for _ in range(at_once):
                    group.create_task(one_after_another())
        except TimeoutError:
            raise VoidRun(
                f"{at_once} streams at a time were not done {LAST_SECONDS} s after the last had begun"
            ) from None
    return streams


@asynccontextmanager
async def held(endpoint: Endpoint, count: int, seconds: float) -> AsyncIterator[list[Stream]]:
    """Open ``count`` streams and yield once each has begun; leaving waits for their ends.

    Raises VoidRun when they don't begin, or later don't end, within ``seconds``. The caller ends them at their source.
    """
    streams = [Stream() for _ in range(count)]
    gate = asyncio.Semaphore(OPENING_AT_ONCE)
    tasks: list[asyncio.Task[None]] = []

    async def opened(stream: Stream) -> None:
        async with gate:
            tasks.append(asyncio.create_task(read(session, endpoint, stream)))
            await stream.began.wait()

    async with client() as session:
        try:
            async with asyncio.timeout(seconds):
                await asyncio.gather(*(opened(stream) for stream in streams))
            yield streams
            async with asyncio.timeout(seconds):
                await asyncio.gather(*tasks)
        except TimeoutError:
            begun = sum(bool(stream.first_ms) for stream in streams)
            raise VoidRun(f"{begun} of {count} streams had begun, and not all ended, within {seconds:g} s") from None
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
