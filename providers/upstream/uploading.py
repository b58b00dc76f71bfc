"""Bodies that are sent in pieces, as fast as the upstream takes them."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, Protocol

from providers.upstream.keeping import close_source

Parts = AsyncIterator[bytes] | AsyncIterator[bytes | memoryview]


class Sender(Protocol):
    """The connection that a body is sent on. ``writable`` says whether the upstream takes more now."""

    writable: bool

    def moved(self) -> None:
        """Note that the upload did something: the read timeout runs from now on."""

    def uploaded(self) -> None:
        """Take note that the body has been sent."""

    def upload_failed(self, error: Exception) -> None:
        """Take note that the body's source failed: half a request is on its way."""


class Upload:
    """A request's body that is on its way by ``transport``. ``length`` is what the head says, ``None``: chunked."""

    __slots__ = ("_loop", "_room", "_sender", "_task", "_transport")

    def __init__(
        self, loop: asyncio.AbstractEventLoop, transport: Any, sender: Sender, body: Parts, length: int | None
    ) -> None:
        self._loop = loop
        self._transport = transport
        self._sender = sender
        self._room: asyncio.Future[None] | None = None  # what it waits for
        self._task = loop.create_task(self._pump(body, length))

    @property
    def waits(self) -> bool:
        """Whether it is the upstream's turn, not that of the body's source."""
        return self._room is not None

    def resume(self) -> None:
        """Go on: the upstream takes more."""
        if self._room is not None and not self._room.done():
            self._room.set_result(None)

    def stop(self) -> None:
        """Send no more."""
        self._task.cancel()

    async def _pump(self, body: Parts, length: int | None) -> None:
        left = length
        try:
            async for piece in body:
                if self._transport.is_closing():  # writing failed; what was read, perhaps an early answer, comes first
                    return
                if left is None:
                    if piece:  # an empty chunk would end the body
                        self._transport.write(b"".join((b"%x\r\n" % len(piece), piece, b"\r\n")))
                else:
                    left -= len(piece)
                    if left < 0:
                        break
                    self._transport.write(piece)
                if not self._sender.writable:
                    await self._drained()
            if left:
                raise ValueError("The body is not as long as its content-length says.")
        except Exception as error:  # the task's boundary: whatever the body's source raises, the call has to hear of it
            self._sender.upload_failed(error)
            return
        finally:
            await close_source(body)
        if left is None:
            self._transport.write(b"0\r\n\r\n")
        self._sender.uploaded()

    async def _drained(self) -> None:
        self._sender.moved()
        self._room = self._loop.create_future()
        try:
            await self._room
        finally:
            self._room = None
