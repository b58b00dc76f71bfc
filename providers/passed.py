"""A body that is checked piece by piece, and as a rule passes as it is: it is held once then."""

import io


class Passed:
    """What a body becomes piece by piece: itself, as a rule, so that it is copied only from the first difference on."""

    __slots__ = ("_body", "_held", "_same")

    def __init__(self, body: bytes) -> None:
        self._body = body
        self._same = 0
        self._held: io.BytesIO | None = None

    def add(self, piece: bytes) -> None:
        """Take the next piece of what the body becomes."""
        if self._held is None and self._body.startswith(piece, self._same):
            self._same += len(piece)
            return
        if self._held is None:
            self._held = io.BytesIO()
            self._held.write(memoryview(self._body)[: self._same])
        self._held.write(piece)

    def whole(self) -> bytes:
        """Return all of it: the body itself, unless a piece differed."""
        return self._body[: self._same] if self._held is None else self._held.getvalue()
