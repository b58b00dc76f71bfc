"""The lean client's answer: what has arrived of it and was not read yet.

The connection fills it, the caller reads it.
"""

import asyncio
import io
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Protocol

from providers.upstream.client import Count, no_count
from providers.upstream.decoding import Decoder
from providers.upstream.failures import BrokenAnswer, UpstreamFailure
from providers.upstream.headers import Headers

READ_BUFFER_BYTES = 2**18
COUNTED_BYTES = 2**22
# A body up to this size is joined at its end; of a larger one no part is held twice.
JOINED_BYTES = 2**20


class Source(Protocol):
    """The connection that an answer comes on (``providers.upstream.connection.Connection``)."""

    paused: bool

    def expect(self) -> None:
        """Note that a reader waits for the next bytes."""

    def resume(self) -> None:
        """Read on, after a reader took what was there."""

    def abort(self) -> None:
        """Close the connection: the rest of the answer is not wanted."""


class LeanAnswer:
    """An answer whose head has arrived. Read it with :meth:`read` or :meth:`chunks`, and always :meth:`close` it."""

    __slots__ = (
        "bound",
        "collecting",
        "complete",
        "connection",
        "decoder",
        "error",
        "headers",
        "length",
        "loop",
        "parts",
        "size",
        "status",
        "taker",
        "unpacked",
        "waiter",
    )

    def __init__(self, loop: asyncio.AbstractEventLoop, connection: Source) -> None:
        self.status = 0  # until the head has arrived
        self.headers: Headers
        self.length = 0  # what the head says
        self.decoder: Decoder | None = None
        self.unpacked: Iterator[bytes] = iter(())  # of what was taken and not returned yet
        self.loop = loop
        self.connection: Source | None = connection  # until the answer is complete or given up
        self.parts: list[bytes] = []
        self.size = 0
        self.bound = READ_BUFFER_BYTES  # more than that waits in the kernel
        self.collecting = False  # the reader wants all or nothing
        self.complete = False
        self.error: UpstreamFailure | None = None
        self.waiter: asyncio.Future[None] | None = None
        self.taker: Callable[[bytes], bool] | None = None

    async def head(self) -> None:
        """Wait for the head. Raises :class:`UpstreamFailure`."""
        while not self.status and self.error is None:
            self.waiter = self.loop.create_future()
            await self.waiter
        self.waiter = None
        if self.error is not None and not self.status:
            raise self.error

    async def read(self, limit: int, count: Count = no_count) -> bytes:
        """Return the whole body; raise :class:`BrokenAnswer` when it is larger than ``limit`` bytes.

        ``count`` is given the number of bytes that came since the last time, while there are more to come.
        """
        if self.length > limit:
            raise _too_large(limit)
        if self.decoder is not None:
            return await self._read_decoded(limit, count)
        counted, held = 0, None
        if not self.complete:
            self.collecting = True
            while not self.complete and self.error is None and self.size <= limit:
                self.bound = min(limit, self.size + COUNTED_BYTES)
                self._resume()
                await self._wait()
                count(self.size - counted)
                counted = self.size
                if counted > JOINED_BYTES:
                    held = self._moved(held)
        if self.size > limit:
            raise _too_large(limit)
        if self.error is not None:
            raise self.error
        count(self.size - counted)
        if self.size <= JOINED_BYTES:
            return self._take()
        return self._moved(held).getvalue()

    def _moved(self, held: io.BytesIO | None) -> io.BytesIO:
        """Return what holds all that has come; it gives its bytes away without copying them."""
        held = held or io.BytesIO()
        held.writelines(self.parts)
        self.parts.clear()
        return held

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield the body as it comes. A slow reader slows the upstream: at most one read buffer is held."""
        while chunk := await self.next_chunk():
            yield chunk

    async def next_chunk(self) -> bytes:
        """Return the next bytes of the body, empty at its end; :meth:`chunks` goes on after them."""
        if self.decoder is None:
            return await self._next()
        while True:
            for piece in self.unpacked:
                await asyncio.sleep(0)  # little that comes may unpack to much: others have their turn
                return piece
            chunk = await self._next()
            if not chunk:
                self.decoder.end()
                return b""
            self.unpacked = self.decoder.feed(chunk)

    def close(self) -> None:
        """Close the connection unless the answer has arrived whole: then it serves another call already."""
        self.taker = None  # it knows this answer
        if self.connection is not None:
            self.connection.abort()
        self.parts.clear()

    def take_with(self, taker: Callable[[bytes], bool]) -> None:
        """Let ``taker`` have what arrives while :meth:`next_chunk` waits, at once and without a turn of the event loop.

        It returns whether it took the bytes; what it leaves, :meth:`next_chunk` returns. What is unpacked first, and
        the end, are always left to that.
        """
        if self.decoder is None:
            self.taker = taker

    def wake(self) -> None:
        """Let the reader go on, when there is something for it."""
        waiter = self.waiter
        if waiter is not None and not waiter.done() and not (self.taker is not None and self._taken(self.taker)):
            waiter.set_result(None)

    def _taken(self, taker: Callable[[bytes], bool]) -> bool:
        """Whether the taker has taken what has arrived, so that the reader waits on."""
        parts = self.parts
        if self.complete or self.error is not None or not parts:
            return False
        if not taker(parts[0] if len(parts) == 1 else b"".join(parts)):
            return False
        parts.clear()
        self.size = 0
        return True

    async def _next(self) -> bytes:
        """Return what has arrived, waiting for something; empty at the end of the body."""
        while not self.parts:
            if self.complete:
                return b""
            if self.error is not None:
                raise self.error
            await self._wait()
        return self._take()

    def _take(self) -> bytes:
        parts = self.parts
        body = parts[0] if len(parts) == 1 else b"".join(parts)
        parts.clear()
        self.size = 0
        self._resume()
        return body

    def _resume(self) -> None:
        if self.connection is not None and self.connection.paused:
            self.connection.resume()

    async def _wait(self) -> None:
        if self.connection is not None:
            self.connection.expect()
        self.waiter = self.loop.create_future()
        try:
            await self.waiter
        finally:
            self.waiter = None

    async def _read_decoded(self, limit: int, count: Count) -> bytes:
        held, size = io.BytesIO(), 0
        async for piece in self.chunks():
            size += held.write(piece)
            if size > limit:
                raise _too_large(limit)
            count(len(piece))
        return held.getvalue()


def _too_large(limit: int) -> BrokenAnswer:
    return BrokenAnswer(f"The upstream's answer is larger than {limit} bytes.")
