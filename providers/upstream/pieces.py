"""A request's body that lies in memory in several places, and is sent without being joined."""

from collections.abc import AsyncIterator, Iterable

SENT_BYTES = 2**18
"""How much is handed to the connection at once: under TLS all of that is encrypted before others have their turn."""
LARGE_BYTES = 2**20
"""A body above this size is sent in pieces: below it, to copy or to write it takes less than a millisecond."""

Part = bytes | memoryview


class Pieces:
    """Parts of a body, in their order. It may be sent as often as needed; ``len`` is its size in bytes."""

    __slots__ = ("_parts", "_size")

    def __init__(self, parts: Iterable[Part]) -> None:
        self._parts: list[Part] = []
        small: list[Part] = []
        for part in parts:
            if len(part) < SENT_BYTES:
                small.append(part)
                continue
            self._parts += [b"".join(small), part] if small else [part]
            small.clear()
        if small:
            self._parts.append(b"".join(small))
        self._size = sum(map(len, self._parts))

    def __len__(self) -> int:
        return self._size

    def __bytes__(self) -> bytes:
        return b"".join(self._parts)

    async def __aiter__(self) -> AsyncIterator[Part]:
        for part in self._parts:
            view = memoryview(part)
            for start in range(0, len(view), SENT_BYTES):
                yield view[start : start + SENT_BYTES]
