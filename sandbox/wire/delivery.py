"""Sending an answer, and everything that goes wrong on the wire when the client asked for it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Iterable

from sandbox.misbehaviour.faults import NO_FAULTS, Faults
from sandbox.wire.connection import Connection
from sandbox.wire.messages import DONE, Answer, Headers, Response, Send, Stream
from sandbox.wire.recorder import Record, Stats
from sandbox.wire.service import Service

# A stream without delays still lets other requests run now and then.
YIELD_EVERY = 64

GARBAGE_JSON = b'{"id": "garbage", "object": "chat.completion", "choices": [{"index": 0, "mess'
GARBAGE_EVENT = b'data: {"id": "garbage", "choices": [{"index": 0, "del\n\n'
HTML_PAGE = (
    b"<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>\r\n<center><h1>502 Bad Gateway</h1>"
    b"</center>\r\n<hr><center>cloudflare</center>\r\n</body>\r\n</html>\r\n"
)


class ConnectionCut(Exception):
    """The connection is over, by our own doing or the client's; nothing more can be sent."""


class Delivery:
    """Sends one answer over one connection, as `faults` ask."""

    def __init__(
        self, send: Send, connection: Connection, stats: Stats, record: Record | None, service: Service
    ) -> None:
        self.send = send
        self.service = service
        self.connection = connection
        self.faults = NO_FAULTS
        self.stats = stats
        self.record = record
        self.sent = 0  # chunks of a stream

    async def instead(self) -> Answer | None:
        """Carries out the faults that come before the answer; returns the answer that replaces it, if any.

        Raises ConnectionCut when the connection is over.
        """
        faults = self.faults
        if faults is NO_FAULTS:
            return None
        if faults.latency and not await self.connection.pause(faults.latency / 1000):
            raise ConnectionCut
        if faults.hang:
            await self.connection.pause(None)
            raise ConnectionCut
        if faults.closes_first:
            await self.connection.close(reset=faults.reset)
            raise ConnectionCut
        if faults.redirect:
            location = [(b"location", faults.redirect.encode())]
            return Response(b"", status=302, content_type=b"text/html", headers=location)
        if faults.html:
            return Response(HTML_PAGE, status=faults.status or 200, content_type=b"text/html; charset=utf-8")
        if faults.status:
            return self.service.error_response(self.service.status_error(faults))
        return None

    async def deliver(self, answer: Answer, headers: Headers) -> None:
        """Sends the answer wholly, or as far as the faults let it; raises ConnectionCut when cut."""
        if self.record is not None:
            self.record.status = answer.status
        if isinstance(answer, Stream):
            await self._stream(answer, headers)
        else:
            await self._whole(answer, headers)

    async def _whole(self, answer: Response, headers: Headers) -> None:
        faults, body = self.faults, answer.body
        if faults.garbage:
            body = GARBAGE_JSON
        await self._start(answer, headers, len(body))
        if faults.cut_after >= 0:
            await self.send({"type": "http.response.body", "body": body[: len(body) // 2], "more_body": True})
            await self._cut()
        await self.send({"type": "http.response.body", "body": body})

    async def _start(self, answer: Answer, headers: Headers, length: int | None) -> None:
        headers = [(b"content-type", answer.content_type), *headers]
        if length is not None:
            headers.append((b"content-length", b"%d" % length))
        if answer.headers:
            headers.extend(answer.headers)
        await self.send({"type": "http.response.start", "status": answer.status, "headers": headers})

    async def _stream(self, answer: Stream, headers: Headers) -> None:
        self.stats.active_streams += 1
        try:
            await self._start(answer, headers, None)
            if self.faults.cut_after == 0:
                await self._cut()
            await self._chunks(answer)
            await self.send({"type": "http.response.body", "body": b""})
        finally:
            self.stats.active_streams -= 1

    async def _chunks(self, answer: Stream) -> None:
        chunks = answer.chunks
        if self.faults is NO_FAULTS and isinstance(chunks, Iterable):
            await self._quickly(chunks)
            return
        async for chunk in _bend(answer, self.faults, self.service):
            await self._pace()
            for piece in _pieces(chunk, self.faults.split):
                await self.send({"type": "http.response.body", "body": piece, "more_body": True})
                if self.faults.split:
                    await asyncio.sleep(0)
            self._count()
            if self.sent == self.faults.cut_after:
                await self._cut()
            if self.sent == self.faults.hang_after:
                await self.connection.pause(None)
                raise ConnectionCut

    async def _quickly(self, chunks: Iterable[bytes]) -> None:
        """The way of most streams, for which each microsecond counts."""
        send, connection = self.send, self.connection
        for chunk in chunks:
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
            self._count()
            if not self.sent % YIELD_EVERY:
                await asyncio.sleep(0)
            if connection.lost:
                raise ConnectionCut

    async def _pace(self) -> None:
        """Waits before the next chunk, as asked; raises ConnectionCut when the client has left."""
        if self.faults.token_delay:
            await self.connection.pause(self.faults.token_delay / 1000)
        elif not self.sent % YIELD_EVERY:
            await asyncio.sleep(0)
        if self.connection.lost:
            raise ConnectionCut

    def _count(self) -> None:
        self.sent += 1
        self.stats.total_chunks += 1
        if self.record is not None:
            self.record.chunks_sent = self.sent

    async def _cut(self) -> None:
        # The client must have seen what was sent before a reset throws the rest of the buffer away.
        await self.connection.pause(0.02)
        await self.connection.close(reset=self.faults.reset)
        raise ConnectionCut


async def _bend(answer: Stream, faults: Faults, service: Service) -> AsyncIterator[bytes]:
    """The chunks with the faults that change, add or drop events."""
    count = 0
    async for chunk in _each(answer.chunks):
        if count == faults.error_after:
            yield answer.error(service.status_error(faults), count)
            return
        if faults.garbage and count == 1:
            yield GARBAGE_EVENT
        if chunk == DONE and faults.no_done:
            continue
        if faults.comments:
            chunk = b": keep-alive\n\n" + chunk
        yield chunk.replace(b"\n", b"\r\n") if faults.crlf else chunk
        count += 1


async def _each(chunks: Iterable[bytes] | AsyncIterable[bytes]) -> AsyncIterator[bytes]:
    if isinstance(chunks, AsyncIterable):
        async for chunk in chunks:
            yield chunk
    else:
        for chunk in chunks:
            yield chunk


def _pieces(chunk: bytes, size: int) -> Iterable[bytes]:
    if not size:
        return (chunk,)
    return [chunk[start : start + size] for start in range(0, len(chunk), size)]
