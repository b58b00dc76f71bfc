"""The journal: the attempts that are under way, each in slots of a file that are used again when it has ended.

A slot has a head, then a part of the attempt's line. Nearly every line fits one slot. The parts of a longer one have a
number in common, and the line counts once all of them are there.
"""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from struct import Struct

from usage.spool_file import SpoolFile

SLOT = 1024
HEAD = Struct("<BxHHHQ")
"""1 (0: the slot is free), how many parts, which one of them (from 0), its length in bytes, the line's number."""
PART = SLOT - HEAD.size


class Journal:
    """The journal of one process, a new file. Not safe for threads. Methods raise ``OSError`` like the file's."""

    def __init__(self, path: Path, *, mapped: bool) -> None:
        self._file = SpoolFile(path, mapped=mapped)
        self._free: list[int] = []
        self._end = 0
        self._number = 0

    def write(self, line: bytes) -> Sequence[int]:
        """Write ``line``; return the places that :meth:`clear` takes when the attempt has ended."""
        self._number += 1
        count = -(-len(line) // PART)
        places: list[int] = []
        for index in range(count):
            part = line[index * PART : (index + 1) * PART]
            places.append(self._take())
            try:
                self._file.place(places[-1], HEAD.pack(1, count, index, len(part), self._number) + part)
            except OSError:
                with suppress(OSError):
                    self.clear(places)
                raise
        return places

    def clear(self, places: Sequence[int]) -> None:
        """Forget what :meth:`write` wrote."""
        self.release(places)
        for place in places:
            self._file.clear(place)

    def release(self, places: Sequence[int]) -> None:
        """Let other lines have ``places``; what is there can be read until then."""
        self._free += places

    def close(self) -> None:
        """Let go of the file; what is in it stays."""
        self._file.close()

    def _take(self) -> int:
        if self._free:
            return self._free.pop()  # the last one freed, so that few pages are ever touched
        self._end += SLOT
        return self._end - SLOT


def begun(path: Path) -> Iterator[bytes]:
    """Yield the lines of a journal: of attempts that its process had begun, and not ended, when it died."""
    parts: dict[int, dict[int, bytes]] = {}
    with path.open("rb") as file:
        while len(head := file.read(HEAD.size)) == HEAD.size:
            used, count, index, length, number = HEAD.unpack(head)
            part = file.read(PART)
            if used != 1 or len(part) < length:
                continue
            known = parts.setdefault(number, {})
            known[index] = part[:length]
            if len(known) == count:
                yield b"".join(known[index] for index in sorted(known))
                del parts[number]
