"""uvicorn's HTTP protocol with bounds on a request's head: uvicorn itself waits for any length of head, for any time.

A head is read before anybody can know who asks, so its size and its time must be small.
"""

import asyncio

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from gateway import errors

HEAD_BYTES = 2**16
HEAD_SECONDS = 30.0
STATUS_LINE = b"HTTP/1.1 431 Request Header Fields Too Large\r\n"
HEADERS = b"content-type: application/json\r\nconnection: close\r\ncontent-length: %d\r\n\r\n"


class BoundedHttp(HttpToolsProtocol):
    """Closes connections whose request line and headers are larger than 64 kB or take longer than 30 seconds."""

    _in_head = True
    _head_bytes = 0
    _head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        super().connection_made(transport)
        self._head_timer = self.loop.call_later(HEAD_SECONDS, transport.close)

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if not self._in_head or self.transport.is_closing():
            return
        self._head_bytes += len(data)
        if self._head_bytes > HEAD_BYTES:
            self._refuse()
        elif self._head_timer is None:
            self._head_timer = self.loop.call_later(HEAD_SECONDS, self.transport.close)

    def on_headers_complete(self) -> None:
        self._in_head = False
        self._head_bytes = 0
        if self._head_timer is not None:
            self._stop_timer()
        super().on_headers_complete()

    def on_message_begin(self) -> None:
        self._in_head = True
        super().on_message_begin()

    def _stop_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _refuse(self) -> None:
        body = errors.render_json(
            errors.InvalidRequest(f"The headers are larger than {HEAD_BYTES} bytes.", code="headers_too_large")
        )
        self.transport.write(STATUS_LINE + HEADERS % len(body) + body)
        self.transport.close()
