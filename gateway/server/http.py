"""uvicorn's HTTP protocol with bounds on a request's head: uvicorn itself waits for any length of head, for any time.

A head is read before anybody can know who asks, so its size and its time must be small. What is no HTTP, too large or
too slow gets an error in the form that all of ours have.
"""

import asyncio
import re
from http import HTTPStatus
from typing import Any

from django.conf import settings
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from gateway.call import errors

HEAD_BYTES = 2**16
HEAD_SECONDS = 30.0
_offer = re.compile(rb"\r\nupgrade:(?=[ \t]*h2c[ \t]*(?:\r\n|\Z))", re.IGNORECASE).sub


class BoundedHttp(HttpToolsProtocol):
    """Ends connections whose request line and headers are larger than 64 kB or take longer than 30 seconds.

    A head is measured when it is still incomplete after a read, so one that is complete by then may be one read larger.
    A shorter ``GATEHOUSE_BODY_TIMEOUT_S`` holds for the head too.
    """

    _in_head = True
    _begun = False
    _head_bytes = 0
    _head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        super().connection_made(transport)
        self._start_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        cycle = self.cycle
        if (cycle is None or not cycle.more_body) and b"h2c" in data:
            data = _without_offer(data)
        # A head that begins in the middle of this piece, behind another request's body, is counted from the next one
        # on.
        counted = self._in_head
        super().data_received(data)
        if not self._in_head or self.transport.is_closing():
            return
        if counted:
            self._head_bytes += len(data)
        if self._head_bytes > HEAD_BYTES:
            self._refuse(errors.HeadTooLarge(f"The headers are larger than {HEAD_BYTES} bytes."))
        elif self._head_timer is None:
            self._start_timer()

    def on_message_begin(self) -> None:
        self._in_head = self._begun = True
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._in_head = self._begun = False
        self._head_bytes = 0
        self._stop_timer()
        super().on_headers_complete()

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP."""
        self._refuse(errors.InvalidRequest("This is not a valid HTTP request.", code="invalid_http"))

    def _start_timer(self) -> None:
        seconds = min(HEAD_SECONDS, settings.BODY_TIMEOUT)
        self._head_timer = self.loop.call_later(seconds, self._too_late, seconds)

    def _stop_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _too_late(self, seconds: float) -> None:
        if self._begun:
            self._refuse(errors.BodyTimedOut(f"The headers did not arrive within {seconds:g} seconds."))
        else:
            self.transport.close()  # nothing was asked

    def _refuse(self, error: errors.CallError) -> None:
        if not self.transport.is_closing():
            self.transport.write(rendered(error))
            self.transport.close()


def _without_offer(data: bytes) -> bytes:
    """Return a request's head without an offer to go on in HTTP/2, as Java's client makes: the parser would stop behind
    the head.
    """
    head, blank, rest = data.partition(b"\r\n\r\n")
    return _offer(b"\r\nx-ignored-upgrade:", head) + blank + rest


def rendered(error: errors.CallError) -> bytes:
    """Return a whole HTTP answer for an error that no request of ASGI's stands behind."""
    status, body = errors.status_of(error), errors.render_json(error)
    headers: dict[str, Any] = {
        **errors.headers_of(error),
        "content-type": "application/json",
        "content-length": len(body),
        "connection": "close",
    }
    lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body
