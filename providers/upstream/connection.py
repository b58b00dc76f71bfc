"""One connection of the lean client: HTTP/1.1 on an asyncio protocol, parsed by llhttp, one call after the other.

llhttp is strict here (no leniency flag): what servers and proxies could read differently is refused, not guessed.
"""

import asyncio
from typing import Any

import httptools

from providers.upstream.answer import LeanAnswer
from providers.upstream.decoding import decoder_of
from providers.upstream.failures import BrokenAnswer, Disconnected, ReadTimedOut, UpstreamFailure
from providers.upstream.head import Origin
from providers.upstream.headers import Headers
from providers.upstream.keeping import KEEPALIVE_SECONDS, Keeper, has_news, idle_seconds
from providers.upstream.pieces import Pieces
from providers.upstream.uploading import Parts, Upload

MAX_HEAD_BYTES = 2**16
# Below this size a copy is cheaper than a second system call.
JOINED_BYTES = 2**16
# A connection that rested for longer is looked at before it is used: upstreams close those that are idle.
CHECKED_SECONDS = 0.5
TIMER_SLACK_SECONDS = 0.002
CLOSED = "The upstream closed the connection before its answer was complete."
BROKE = "The connection to the upstream broke."
NOT_HTTP = "The upstream's answer is not valid HTTP."
SLOW = "The upstream did not answer in time."
NOTED = frozenset({b"content-length", b"transfer-encoding", b"content-encoding", b"keep-alive"})


class Connection(asyncio.Protocol):
    """A connection to ``origin``, which belongs to ``keeper``.

    ``idle_until`` is the loop's time until which it may serve another call, ``served`` how many it has served.
    """

    __slots__ = (
        "_answer",
        "_barren",
        "_bodiless",
        "_dirty",
        "_feeding",
        "_headers",
        "_heard",
        "_idle_seconds",
        "_keep",
        "_keeper",
        "_loop",
        "_noted",
        "_parser",
        "_read_timeout",
        "_timer",
        "_timer_at",
        "_total",
        "_transport",
        "_unsent",
        "_until_eof",
        "_upload",
        "idle_until",
        "origin",
        "paused",
        "served",
        "writable",
    )

    def __init__(self, loop: asyncio.AbstractEventLoop, origin: Origin, keeper: "Keeper[Connection]") -> None:
        self.origin = origin
        self.served = 0
        self.idle_until = 0.0
        self.paused = False
        self._loop = loop
        self._keeper = keeper
        self._transport: Any = None  # None before and after it is connected
        self._parser: Any = None
        self._answer: LeanAnswer | None = None  # None between calls
        self._headers: list[tuple[bytes, bytes]] = []
        self._noted: dict[bytes, bytes] = {}
        self._bodiless = False  # the answer to HEAD: it says a length and has no body
        self._until_eof = False
        self._keep = False
        self._dirty = False  # the two sides may not agree any more on where a message ends
        self._barren = 0  # bytes since the last of a body: heads, trailers, chunk extensions
        self._feeding = 0
        self._idle_seconds = KEEPALIVE_SECONDS
        self._heard = 0.0
        self._total = 0.0
        self._read_timeout = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0
        self._unsent = 0
        self._upload: Upload | None = None
        self.writable = True

    # --- a call ---------------------------------------------------------------------------------------------

    def send(
        self,
        method: str,
        head: bytes,
        body: bytes | Pieces | Parts | None,
        length: int | None,
        read_timeout: float,
        deadline: float | None,
    ) -> LeanAnswer:
        """Send a request; return its answer, whose head has not arrived yet. ``deadline`` is in the loop's time."""
        answer = self._answer = LeanAnswer(self._loop, self)
        self._headers = []
        self._noted.clear()
        self._bodiless = method == "HEAD"
        self._until_eof = self._keep = self._dirty = False
        self._barren = self._unsent = 0
        self._read_timeout = read_timeout
        self._total = deadline or 0.0
        if body is None:
            self._transport.write(head)
        elif not isinstance(body, bytes):
            self._transport.write(head)
            self._upload = Upload(self._loop, self._transport, self, aiter(body), length)
        elif len(body) <= JOINED_BYTES:
            self._transport.write(head + body)
        else:
            self._transport.write(head)
            self._transport.write(body)
        self.expect()
        return answer

    def expect(self) -> None:
        """Note that the reader waits from now on: the read timeout runs."""
        self._heard = self._loop.time()
        self._arm()

    def usable(self, now: float) -> bool:
        """Whether the connection, which is idle, may serve another call."""
        if now >= self.idle_until or self.gone:
            return False
        rested = now - (self.idle_until - self._idle_seconds)
        return rested < CHECKED_SECONDS or not has_news(self._transport)

    @property
    def gone(self) -> bool:
        """Whether the connection has closed, or is about to."""
        return self._transport is None or bool(self._transport.is_closing())

    def resume(self) -> None:
        """Read on: there is room for more."""
        self.paused = False
        if not self.gone:
            self._transport.resume_reading()

    def abort(self) -> None:
        """Close at once, whatever is under way. A reader that waits gets :class:`Disconnected`."""
        self._end(Disconnected(BROKE))

    # --- asyncio.Protocol -----------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = transport
        self._parser = httptools.HttpResponseParser(self)

    def data_received(self, data: bytes) -> None:
        """Parse what came and let the reader go on."""
        answer = self._answer
        if answer is None:  # nothing was asked
            self._end(BrokenAnswer(NOT_HTTP))
            return
        self._heard = self._loop.time()
        self._feeding = len(data)
        self._barren += self._feeding
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            cause = error.__context__
            self._dirty = True
            if not answer.complete:
                self._end(cause if isinstance(cause, UpstreamFailure) else BrokenAnswer(NOT_HTTP))
                return
        if answer.complete:
            self._finish(answer)
        elif self._barren > MAX_HEAD_BYTES:
            self._end(BrokenAnswer("The upstream's headers are larger than 64 kB."))
        elif answer.size > answer.bound:
            if not answer.collecting:
                self.paused = True
                self._transport.pause_reading()
            answer.wake()
        elif not answer.collecting:
            answer.wake()

    def eof_received(self) -> bool:
        """End: the upstream sends no more."""
        self._lost(None)
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """End: the connection is gone."""
        self._lost(exc)
        self._transport = self._parser = None

    def pause_writing(self) -> None:
        """Stop the upload."""
        self.writable = False

    def resume_writing(self) -> None:
        """Let the upload go on."""
        self.writable = True
        if self._upload is not None:
            self._upload.resume()

    # --- llhttp ---------------------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        """Note an answer too many: the connection can't be trusted any more."""
        if self._answer is not None and self._answer.complete:
            self._dirty = True

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header; trailers are left out."""
        answer = self._answer
        if answer is None or answer.status:
            return
        name = name.lower()
        if name in NOTED:
            before = self._noted.get(name)
            self._noted[name] = value if before is None else before + b"," + value
        self._headers.append((name, value))

    def on_headers_complete(self) -> None:
        """Begin the answer, unless an informational one comes before it."""
        answer = self._answer
        if answer is None or answer.complete:
            return
        status = self._parser.get_status_code()
        if status < 200:
            if status < 100 or status == 101:  # no one asked to switch protocols
                raise BrokenAnswer(NOT_HTTP)
            self._headers = []
            self._noted.clear()
            return
        if self._feeding > MAX_HEAD_BYTES and sum(len(n) + len(v) + 4 for n, v in self._headers) > MAX_HEAD_BYTES:
            raise BrokenAnswer("The upstream's headers are larger than 64 kB.")
        self._read_noted(answer)
        answer.headers = Headers(self._headers)
        answer.status = status
        self._barren = 0
        if self._bodiless:
            answer.complete = True  # the parser waits for the body that is not there: the connection is closed
        elif status >= 300 and self._upload is not None:
            self._stop_upload()

    def on_body(self, data: bytes) -> None:
        """Keep a part of the body."""
        answer = self._answer
        if answer is None or answer.complete:
            return
        answer.parts.append(data)
        answer.size += len(data)
        self._barren = 0

    def on_message_complete(self) -> None:
        """End the answer; the connection serves another call if both sides sent all they had to."""
        answer = self._answer
        if answer is None or not answer.status or answer.complete:
            return
        answer.complete = True
        self._keep = self._parser.should_keep_alive()

    # --- inside ---------------------------------------------------------------------------------------------

    def _read_noted(self, answer: LeanAnswer) -> None:
        noted = self._noted
        length = noted.get(b"content-length")
        if length is not None:
            answer.length = int(length)
        else:
            coding = noted.get(b"transfer-encoding")
            self._until_eof = coding is None or coding.lower() == b"identity"
            if coding is not None and not self._until_eof and coding.strip().lower() != b"chunked":
                raise BrokenAnswer(NOT_HTTP)
        if b"content-encoding" in noted and not self._bodiless:
            answer.decoder = decoder_of(noted[b"content-encoding"])
        if b"keep-alive" in noted:
            self._idle_seconds = idle_seconds(noted[b"keep-alive"])

    def _finish(self, answer: LeanAnswer) -> None:
        """Give the connection back; close it when it can't be used again."""
        self._answer = answer.connection = None
        reusable = self._keep and not self._dirty and not self.paused and self._upload is None
        if reusable and self._transport.get_write_buffer_size():
            reusable = False  # the answer came before all of the request was sent
        self.served += 1
        self.idle_until = self._loop.time() + self._idle_seconds
        if not reusable:
            self._close()
        self._keeper.freed(self, reusable=reusable)
        answer.wake()

    def _end(self, failure: UpstreamFailure) -> None:
        """Close at once; the call that is under way ends with ``failure``."""
        answer, self._answer = self._answer, None
        self._close()
        if answer is None:
            self._keeper.forget(self)
            return
        answer.connection = None
        answer.error = failure
        self._keeper.freed(self, reusable=False)
        answer.wake()

    def _lost(self, exc: Exception | None) -> None:
        answer = self._answer
        if answer is None:
            self._end(Disconnected(CLOSED))
        elif answer.status and self._until_eof and exc is None:
            answer.complete = True
            self._finish(answer)
        else:
            failure = Disconnected(CLOSED)
            # Nothing of an answer came, on a connection that had been idle: the upstream may have closed it before.
            failure.reused = self.served > 0 and not answer.status and not self._barren
            self._end(failure)

    def _close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._stop_upload()
        if self._transport is not None:
            self._transport.abort()

    # --- time -----------------------------------------------------------------------------------------------

    def _arm(self) -> None:
        """See to it that the timer rings in time.

        It is moved only when it would ring too late: that is once per timeout.
        """
        due = self._heard + self._read_timeout
        if self._total and self._total < due:
            due = self._total
        if self._timer is None or self._timer_at > due + TIMER_SLACK_SECONDS:
            if self._timer is not None:
                self._timer.cancel()
            self._timer_at = due
            self._timer = self._loop.call_at(due, self._ring)

    def _ring(self) -> None:
        self._timer = None
        answer = self._answer
        if answer is None:
            return
        now = self._loop.time() + TIMER_SLACK_SECONDS
        if self._total and now >= self._total:
            self._end(ReadTimedOut(SLOW))
            return
        if not self._waits(answer) or self._sends():
            self._heard = now
        elif now >= self._heard + self._read_timeout:
            self._end(ReadTimedOut(SLOW))
            return
        self._arm()

    def _waits(self, answer: LeanAnswer) -> bool:
        """Whether it is the upstream's turn, not that of our reader or of the source of the body to send."""
        if self._upload is not None and not answer.status:
            return self._upload.waits
        return answer.waiter is not None

    def _sends(self) -> bool:
        """Whether the upstream took some of what waits to be sent since the last time."""
        unsent, before = self._transport.get_write_buffer_size(), self._unsent
        self._unsent = unsent
        return bool(unsent < before or (unsent and not before))

    # --- uploads --------------------------------------------------------------------------------------------

    def moved(self) -> None:
        """Let the read timeout run from now on."""
        self._heard = self._loop.time()

    def uploaded(self) -> None:
        """Wait for the answer: the body has been sent."""
        self._upload = None
        self._heard = self._loop.time()

    def upload_failed(self, error: Exception) -> None:
        """End: the body's source failed with ``error``."""
        self._upload = None
        failure = Disconnected(BROKE)
        failure.__cause__ = error
        self._end(failure)

    def _stop_upload(self) -> None:
        upload, self._upload = self._upload, None
        if upload is not None:
            self._dirty = True
            upload.stop()
