"""uvicorn's HTTP protocol with bounds on a request's head: uvicorn itself waits for any length of head, for any time.

A head is read before anyone can know who asks, so its size and its time must be small. What is not valid HTTP, too
large or too slow gets an error in the form that all of ours have.
"""

import asyncio
import re
import socket
import struct
import urllib.parse
from http import HTTPStatus
from typing import Any, cast

import httptools
from django.conf import settings
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from gateway.call import errors
from gateway.call.discard import DISCARD_BYTES, DISCARD_SECONDS
from gateway.call.single_headers import SINGLE
from gateway.server.cycle import Cycle, fill_scope

HEAD_BYTES = 2**16
HEAD_SECONDS = 30.0
TRAILER_BYTES = 2**14
VERSIONS = frozenset({"1.0", "1.1"})
LINGER_ZERO = struct.pack("ii", 1, 0)
_offer = re.compile(rb"\r\nupgrade:(?=[ \t]*h2c[ \t]*(?:\r\n|\Z))", re.IGNORECASE).sub


class BoundedHttp(HttpToolsProtocol):
    """Ends connections whose request line and headers are larger than 64 kB or take longer than 30 seconds.

    A head is measured when it is still incomplete after a read, so one that is complete by then may be one read larger.
    Trailers, the headers behind a body, are read over, as far as 16 kB: what they say came too late to be checked.
    A shorter ``GATEHOUSE_BODY_TIMEOUT_S`` holds for the head too. What a client sends behind a refused head is read on
    for a while, and thrown away: a connection that is closed with something unread is reset, and the client would not
    see why. A client that does not read its answer for the time of a call is disconnected.
    """

    _in_head = True
    _begun = False
    _head_bytes = 0
    _head_timer: asyncio.TimerHandle | None = None
    _idle_timer: asyncio.TimerHandle | None = None
    _idle_since = 0.0
    _line_ended = False
    _refused = False
    _discarded = 0
    _at_chunk = False
    _trailer_bytes = 0
    _write_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        super().connection_made(transport)
        self._start_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        if self._idle_timer is not None:
            self._idle_timer.cancel()
        self._stop_write_timer()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        self._stop_write_timer()
        self._write_timer = self.loop.call_later(settings.CALL_MAX_SECONDS, self._reset)
        super().pause_writing()

    def resume_writing(self) -> None:
        self._stop_write_timer()
        super().resume_writing()

    def data_received(self, data: bytes) -> None:
        if self._refused:
            self._discarded += len(data)
            if self._discarded > DISCARD_BYTES:
                self.transport.abort()
            return
        cycle = self.cycle
        if (cycle is None or not cycle.more_body) and data.find(b"h2c") >= 0:
            data = _without_offer(data)
        # A head that begins in the middle of this piece, behind another request's body, is counted from the next one
        # on.
        counted, at_chunk = self._in_head, self._at_chunk
        super().data_received(data)
        if at_chunk and self._at_chunk:
            self._trailer_bytes += len(data)
            if self._trailer_bytes > TRAILER_BYTES:
                self._refuse(errors.HeadTooLarge(f"The trailers are larger than {TRAILER_BYTES} bytes."))
        if not self._in_head or self.transport.is_closing():
            return
        self._line_ended = self._line_ended or b"\n" in data
        if counted:
            self._head_bytes += len(data)
        if self._head_bytes > HEAD_BYTES:
            self._refuse(
                errors.HeadTooLarge(f"The headers are larger than {HEAD_BYTES} bytes.")
                if self._line_ended
                else errors.UrlTooLong(f"The URL is longer than {HEAD_BYTES} bytes.")
            )
        elif self._head_timer is None:
            self._start_timer()

    def on_message_begin(self) -> None:
        self._in_head = self._begun = True
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._in_head:  # it is a trailer
            return
        # As uvicorn does, without a call to it for each header.
        name = name.lower()
        if name == b"expect" and value.lower() == b"100-continue":
            self.expect_100_continue = True
        self.headers.append((name, value))

    def on_chunk_header(self) -> None:
        """A chunk begins. The last has no body: behind it are the trailers, until the message is complete."""
        self._at_chunk = True
        self._trailer_bytes = 0

    def on_body(self, body: bytes) -> None:
        self._at_chunk = False
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._at_chunk = False
        super().on_message_complete()

    def _check_head(self, version: str) -> None:
        """Refuse what a server before this one may read in another way."""
        if version not in VERSIONS:
            self._refuse(errors.InvalidRequest(f"HTTP/{version} is not spoken here.", code="invalid_http"))
        elif name := repeated(self.headers):
            message = f"The header {name.decode('latin1')} is there more than once: send it once."
            self._refuse(errors.InvalidRequest(message, code="invalid_http"))
        if self._refused:
            raise ValueError("refused")  # ends the parsing

    def on_headers_complete(self) -> None:
        version = self.parser.get_http_version()
        self._check_head(version)
        self._in_head = self._begun = False
        self._head_bytes = 0
        self._line_ended = False
        self._stop_timer()
        upgrade = self.parser.should_upgrade()
        self.scope["method"] = self.parser.get_method().decode("ascii")
        if version != "1.1":
            self.scope["http_version"] = version
        if upgrade and self._should_upgrade():
            return
        if self.root_path or not fill_scope(cast(dict[str, Any], self.scope), self.url):
            self._parse_url()
        before, self.cycle = self.cycle, self._new_cycle(version)
        if before is None or before.response_complete:
            self._start_asgi_task(self.cycle, self.app)
        else:  # a pipelined request waits for the one before it
            self.flow.pause_reading()
            self.pipeline.appendleft((self.cycle, self.app))

    def on_response_complete(self) -> None:
        """Begin the next request of the connection, or wait for it. The timer of idle connections is moved only when it
        rings: requests are more frequent."""
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
            return
        self._idle_since = self.loop.time()
        if self._idle_timer is None:
            self._idle_timer = self.loop.call_later(self.timeout_keep_alive, self._check_idle)

    def _check_idle(self) -> None:
        self._idle_timer = None
        if self._begun or not self.cycle.response_complete or self.transport.is_closing():
            return  # the end of the request's answer starts the timer again
        left = self._idle_since + self.timeout_keep_alive - self.loop.time()
        if left > 0:
            self._idle_timer = self.loop.call_later(left, self._check_idle)
        else:
            self.transport.close()

    def _new_cycle(self, version: str) -> Cycle:
        cycle = Cycle(
            scope=self.scope,
            transport=self.transport,
            flow=self.flow,
            logger=self.logger,
            access_logger=self.access_logger,
            access_log=False,
            default_headers=self.server_state.default_headers,
            message_event=asyncio.Event(),
            expect_100_continue=self.expect_100_continue,
            keep_alive=version != "1.0" and self.parser.should_keep_alive(),
            on_response=self.on_response_complete,
        )
        cycle.call_soon = self.loop.call_soon
        return cycle

    def _parse_url(self) -> None:
        parsed = httptools.parse_url(self.url)
        path = urllib.parse.unquote(parsed.path.decode("ascii"))
        self.scope["path"] = self.root_path + path
        self.scope["raw_path"] = self.root_path.encode("ascii") + parsed.path
        self.scope["query_string"] = parsed.query or b""

    def send_400_response(self, msg: str) -> None:
        """Answer what is not valid HTTP."""
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

    def _reset(self) -> None:
        """End the connection at once, and let the kernel forget what it still holds for the client."""
        connection = self.transport.get_extra_info("socket")
        if connection is not None:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_ZERO)
        self.transport.abort()

    def _stop_write_timer(self) -> None:
        if self._write_timer is not None:
            self._write_timer.cancel()
            self._write_timer = None

    def _refuse(self, error: errors.CallError) -> None:
        """Answer with ``error``, and close when the client does, or has been given the time to read it."""
        self._stop_timer()
        if self.transport.is_closing() or self._refused:
            return
        self._refused = True
        cycle = self.cycle
        if cycle is not None and not cycle.response_complete:  # what was wrong is in the body of its request
            cycle.disconnected = True
            cycle.message_event.set()
            if cycle.response_started:
                self.transport.abort()
                return
        self.transport.write(rendered(error))
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self._head_timer = self.loop.call_later(DISCARD_SECONDS, self.transport.close)


def _without_offer(data: bytes) -> bytes:
    """Return a request's head without an offer to go on in HTTP/2, as Java's client makes: the parser would stop behind
    the head.
    """
    head, blank, rest = data.partition(b"\r\n\r\n")
    return _offer(b"\r\nx-ignored-upgrade:", head) + blank + rest


def repeated(headers: list[tuple[bytes, bytes]]) -> bytes | None:
    """Return a name that ``headers`` have twice, of those that must be there once at the most."""
    if len(dict(headers)) == len(headers):
        return None
    seen: set[bytes] = set()
    for name, _ in headers:
        if name in seen and name in SINGLE:
            return name
        seen.add(name)
    return None


def rendered(error: errors.CallError) -> bytes:
    """Return a whole HTTP answer for an error without a request of ASGI's."""
    status, body = errors.status_of(error), errors.render_json(error)
    headers: dict[str, Any] = {
        **errors.headers_of(error),
        "content-type": "application/json",
        "content-length": len(body),
        "connection": "close",
    }
    lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body
