"""The headers of an upstream's answer, as bytes, decoded where they are looked up."""

import math
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from functools import lru_cache
from typing import Any


class Headers(Mapping[str, str]):
    """An answer's headers, names in lower case. A name that comes twice is found once, and listed twice by ``items``.

    ``raw`` has the pairs as bytes, in the order in which they came.
    """

    __slots__ = ("raw",)

    def __init__(self, raw: list[tuple[bytes, bytes]]) -> None:
        self.raw = raw

    def __getitem__(self, name: str) -> str:
        value = self.get(name)
        if value is None:
            raise KeyError(name)
        return str(value)

    def get(self, name: str, default: Any = None) -> Any:
        """Return the first value of ``name``, decoded as Latin-1, or ``default``."""
        wanted = _encoded(name)
        for known, value in self.raw:
            if known == wanted:
                return value.decode("latin1")
        return default

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self.get(name) is not None

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys(name.decode("latin1") for name, _ in self.raw))

    def __len__(self) -> int:
        return len({name for name, _ in self.raw})

    def items(self) -> list[tuple[str, str]]:  # type: ignore[override]
        """Return all pairs, also those whose name comes twice."""
        return [(name.decode("latin1"), value.decode("latin1")) for name, value in self.raw]


@lru_cache(maxsize=256)
def _encoded(name: str) -> bytes:
    return name.lower().encode("latin1", "replace")


def retry_after(pairs: Iterable[tuple[bytes, bytes]]) -> float | None:
    """Return how many seconds an answer asks to wait, by its headers in lower case; ``None`` where it does not."""
    for name, value in pairs:
        if name in (b"retry-after", b"retry-after-ms"):
            with suppress(ValueError):
                seconds = float(value) / (1000 if name == b"retry-after-ms" else 1)
                return max(0.0, seconds) if math.isfinite(seconds) else None
    return None
