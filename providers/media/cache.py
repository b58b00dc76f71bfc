"""What was fetched lately, in bounded memory."""

import time
from collections import OrderedDict
from collections.abc import Callable

from providers.dialects.neutral import Media


class MediaCache:
    """Media by URL: at most ``most_bytes`` of base64, each for ``seconds``. The least recently used goes first."""

    def __init__(self, most_bytes: int, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._most_bytes = most_bytes
        self._seconds = seconds
        self._clock = clock
        self._held: OrderedDict[str, tuple[Media, float]] = OrderedDict()
        self._bytes = 0

    def get(self, url: str) -> Media | None:
        """Return what is held for a URL and still fresh."""
        held = self._held.get(url)
        if held is None:
            return None
        if held[1] <= self._clock():
            self._drop(url)
            return None
        self._held.move_to_end(url)
        return held[0]

    def put(self, url: str, media: Media) -> None:
        """Hold media; something larger than all of the memory is not held."""
        if url in self._held:
            self._drop(url)
        if len(media.data) > self._most_bytes:
            return
        self._held[url] = media, self._clock() + self._seconds
        self._bytes += len(media.data)
        while self._bytes > self._most_bytes:
            self._drop(next(iter(self._held)))

    def _drop(self, url: str) -> None:
        media, _ = self._held.pop(url)
        self._bytes -= len(media.data)
