"""The reply to a call: whole, or streamed piece by piece."""

from collections.abc import AsyncIterator, Callable
from typing import Protocol


class Sink(Protocol):
    """Where the pieces of a stream may go at once, without a turn of the event loop."""

    @property
    def ready(self) -> bool:
        """Whether the client takes a piece now."""

    def put(self, piece: bytes) -> None:
        """Send a piece; call it only while ``ready``."""


class Reply:
    """What goes back: ``body`` whole, or ``stream`` piece by piece. ``close`` runs once, whatever happens.

    ``stream_into`` lets pieces go to a sink as they come, while the stream waits for its next one.
    """

    __slots__ = ("_on_close", "_stream", "body", "headers", "status", "stream_into")

    def __init__(
        self,
        status: int,
        headers: list[tuple[bytes, bytes]],
        body: bytes = b"",
        stream: AsyncIterator[bytes] | None = None,
        on_close: Callable[[], None] | None = None,
        stream_into: Callable[[Sink], None] | None = None,
    ) -> None:
        self.status = status
        self.headers = headers
        self.body = body
        self._stream = stream
        self.stream_into = stream_into
        self._on_close = on_close

    @property
    def stream(self) -> AsyncIterator[bytes] | None:
        """The pieces of the body; :meth:`listen` is the only way to another stream, so that no piece goes past it."""
        return self._stream

    def listen(self, stream: AsyncIterator[bytes]) -> None:
        """Have ``stream``, which passes the present one on, in its place. All pieces go through it, none at once."""
        self._stream = stream
        self.stream_into = None

    def also_on_close(self, action: Callable[[], None]) -> None:
        """Let ``action`` run when the reply is closed, after what runs already."""
        before = self._on_close

        def both() -> None:
            if before is not None:
                before()
            action()

        self._on_close = both

    def close(self) -> None:
        """Release what the reply holds and record what is known. Safe to call twice, and for a stream never begun."""
        on_close, self._on_close = self._on_close, None
        if on_close is not None:
            on_close()
