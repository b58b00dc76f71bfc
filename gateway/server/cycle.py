"""One request and its answer on a connection: uvicorn's, with fewer writes and fewer steps.

A system call for a write costs more than all that the server does to prepare it, so the head of an answer waits for the
next turn of the event loop: the body that comes by then goes with it, in one write.
"""

from collections.abc import Callable, Iterable, Mapping, MutableMapping
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

Message = Mapping[str, Any]
Header = tuple[bytes, bytes]
BODILESS = frozenset({204, 304})
FRAMING = frozenset({b"connection", b"content-length", b"transfer-encoding"})
CLOSED, KEPT_ALIVE = (b"connection", b"close"), (b"connection", b"keep-alive")
CHUNKED = (b"transfer-encoding", b"chunked")
JOINED_BYTES = 2**16
"""A body up to this size is copied behind the head; a larger one is written by itself."""


class Cycle(RequestResponseCycle):
    """An ASGI request whose answer is written in as few pieces as it comes in."""

    call_soon: Callable[[Callable[[], None]], object]
    """The event loop's own; set by the connection."""
    _head = b""

    @property
    def body_complete(self) -> bool:
        """Whether all of the request's body has arrived, so that ``receive`` does not wait."""
        return not self.more_body

    @property
    def ready(self) -> bool:
        """Whether a piece of the answer's body can be written now."""
        begun = self.response_started and not self.response_complete
        return begun and not self.disconnected and not self.flow.write_paused

    def put(self, piece: bytes) -> None:
        """Write a piece of the answer's body; call it only while ``ready``."""
        self._continue(piece, more=True)

    async def send(self, message: Message) -> None:  # type: ignore[override]  # any mapping will do
        """Take one ASGI message of the answer. Raises ``RuntimeError`` for one that can't come now."""
        if self.flow.write_paused and not self.disconnected:
            await self.flow.drain()
        if self.disconnected:
            return
        kind = message["type"]
        if kind == "http.response.start" and not self.response_started:
            self._start(message["status"], message.get("headers", ()))
        elif kind == "http.response.body" and self.response_started and not self.response_complete:
            self._continue(message.get("body", b""), more=message.get("more_body", False))
        else:
            raise RuntimeError(f"The ASGI message {kind!r} can't be sent now.")

    def _start(self, status: int, headers: Iterable[Header]) -> None:
        pairs = [*self.default_headers, *headers]
        chunked: bool | None = None
        for index, (name, value) in enumerate(pairs):
            lower = name.lower()
            if lower not in FRAMING:
                continue
            if lower == b"connection":
                self.keep_alive = self.keep_alive and b"close" not in value.lower()
                pairs[index] = KEPT_ALIVE
            elif lower == b"content-length" and chunked is None:
                self.expected_content_length, chunked = int(value), False
            elif lower == b"transfer-encoding" and value.lower() == b"chunked":
                self.expected_content_length, chunked = 0, True
        if not self.keep_alive:
            pairs.append(CLOSED)
        if chunked is None and self.scope["method"] != "HEAD" and status not in BODILESS:
            chunked = True
            pairs.append(CHUNKED)
        head = STATUS_LINE[status] + b"".join([name + b": " + value + b"\r\n" for name, value in pairs])
        # A line break inside a value would be a header of its own, or another answer.
        lines = len(pairs) + 1
        if head.count(b"\n") != lines or head.count(b"\r") != lines or head.find(b"\0") >= 0:
            raise RuntimeError("A header of the answer has a character that no header may have.")
        self.response_started = True
        self.waiting_for_100_continue = False
        self.chunked_encoding = chunked
        self._head = head + b"\r\n"
        self.call_soon(self._flush)

    def _continue(self, body: bytes, *, more: bool) -> None:
        if self.scope["method"] == "HEAD":
            self.expected_content_length = 0
            body = b""
        elif self.chunked_encoding:
            body = b"%x\r\n%b\r\n" % (len(body), body) if body else b""
            if not more:
                body += b"0\r\n\r\n"
        else:
            self.expected_content_length -= len(body)
            if self.expected_content_length < 0:
                raise RuntimeError("The answer's body is longer than its Content-Length.")
        head, self._head = self._head, b""
        if head and len(body) <= JOINED_BYTES:
            body = head + body
        elif head:
            self.transport.write(head)
        if body:
            self.transport.write(body)
        if not more:
            self._end()

    def _end(self) -> None:
        if self.expected_content_length > 0:
            raise RuntimeError("The answer's body is shorter than its Content-Length.")
        self.response_complete = True
        self.message_event.set()
        if not self.keep_alive:
            self.transport.close()
        self.on_response()

    def _flush(self) -> None:
        """Write a head that no body came with."""
        head, self._head = self._head, b""
        if head and not self.disconnected and not self.transport.is_closing():
            self.transport.write(head)


def fill_scope(scope: MutableMapping[str, Any], url: bytes) -> bool:
    """Take a plain request target into ``scope``; return false for one that needs a parser (absolute, escaped)."""
    if url[:1] != b"/" or b"%" in url or b"#" in url or not url.isascii():
        return False
    path, _, query = url.partition(b"?")
    scope["path"] = path.decode("ascii")
    scope["raw_path"] = path
    scope["query_string"] = query
    return True
