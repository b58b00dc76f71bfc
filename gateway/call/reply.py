"""The reply to a call: whole, or streamed piece by piece."""

from collections.abc import AsyncIterator, Callable


class Reply:
    """What goes back: ``body`` whole, or ``stream`` piece by piece. ``close`` runs once, whatever happens."""

    __slots__ = ("_on_close", "body", "headers", "status", "stream")

    def __init__(
        self,
        status: int,
        headers: list[tuple[bytes, bytes]],
        body: bytes = b"",
        stream: AsyncIterator[bytes] | None = None,
        on_close: Callable[[], None] | None = None,
    ) -> None:
        self.status = status
        self.headers = headers
        self.body = body
        self.stream = stream
        self._on_close = on_close

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
