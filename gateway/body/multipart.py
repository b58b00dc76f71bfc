"""Follows the parts of a multipart body while it streams by.

The upstream reads the same bytes with another parser. So whatever two parsers could read differently is refused:
another part, or another value of a part, must never be seen there than here.
"""

from collections.abc import Callable, Iterable

from gateway.body.part_headers import malformed, part_file_name, part_headers, part_length, part_name
from gateway.body.readable_types import check_part_type

MAX_HEADER_BYTES = 16 * 2**10
MAX_PARTS = 512
MAX_FIELD_BYTES = 4096
MAX_TEXT_BYTES = 2**20
FILE_PART = "file"


class PartScanner:
    """Follows the parts of a multipart body, fed piece by piece; keeps the values of the wanted text parts.

    ``wanted`` are names of parts, or a function that says whether a name is wanted. ``model_span`` is where the model's
    value is in the body, as soon as it is known; ``first_delimiter`` where the first delimiter ends, ``dashes`` the
    delimiter itself. ``on_file`` gets the content of the part ``file`` as it comes, whose file's name is in
    ``file_name`` (``None`` before the part, empty when it has none); ``hears`` gets it, too, and makes no demands on
    the form. A wanted part that is given twice is refused unless its name ends in ``[]``: all of its values are in
    ``lists``. ``keeps_others`` keeps every other part without a file in ``others``, too, up to 1 MiB together, and
    lets no part be of a type that can't be read. Raises :class:`InvalidRequest` for what is not a valid multipart body.
    """

    def __init__(
        self,
        boundary: bytes,
        wanted: Iterable[str] | Callable[[str], bool] = (),
        on_file: Callable[[bytes], None] | None = None,
        keeps_others: bool = False,
        max_field_bytes: int = MAX_FIELD_BYTES,
        hears: Callable[[bytes], None] | None = None,
    ) -> None:
        self.others: list[tuple[str, bytes]] = []
        self._keeps_others = keeps_others
        self._text_room = MAX_TEXT_BYTES
        self._max_field_bytes = max_field_bytes
        self.values: dict[str, bytes] = {}
        self.lists: dict[str, list[bytes]] = {}
        self.model_span: tuple[int, int] | None = None
        self.file_name: str | None = None
        self.ended = False
        self.first_delimiter = 0
        names = frozenset() if callable(wanted) else frozenset(wanted)
        self._is_wanted = wanted if callable(wanted) else names.__contains__
        self.dashes = b"--" + boundary
        self._kept = len(self.dashes) + 1  # what could be the beginning of a delimiter, with its line break
        self._buffer = b""
        self._position = 0
        self._step = self._before_first
        self._parts = 0
        self._field: str | None = None
        self._wanted = False
        self._value = bytearray()
        self._value_start = 0
        self._declared: int | None = None
        self._size = 0
        self._on_file = on_file
        self._hears = hears
        self._listens = False
        self._in_file = False
        self._seen: set[str] = set()

    def feed(self, data: bytes) -> None:
        """Take the next piece of the body."""
        self._buffer += data
        while self._step():
            continue

    def _advance(self, count: int) -> None:
        self._buffer = self._buffer[count:]
        self._position += count

    def _before_first(self) -> bool:
        if self._buffer[:2] == b"\r\n":
            self._advance(2)
        if len(self._buffer) < len(self.dashes):
            return False
        if not self._buffer.startswith(self.dashes):
            raise malformed("The multipart body does not begin with the boundary of the Content-Type header.")
        self._advance(len(self.dashes))
        self.first_delimiter = self._position
        self._step = self._after_delimiter
        return True

    def _after_delimiter(self) -> bool:
        if len(self._buffer) < 2:
            return False
        if self._buffer.startswith(b"--"):
            self._advance(2)
            self.ended = True
            self._step = self._behind
            return True
        if not self._buffer.startswith(b"\r\n"):
            raise malformed("A multipart boundary is not followed by a line break (CR LF).")
        self._step = self._headers
        return True

    def _behind(self) -> bool:
        if self._buffer.strip():
            raise malformed("Something follows the last boundary of the multipart body.")
        self._advance(len(self._buffer))
        return False

    def _headers(self) -> bool:
        end = self._buffer.find(b"\r\n\r\n")
        if end > MAX_HEADER_BYTES or (end < 0 and len(self._buffer) > MAX_HEADER_BYTES):
            raise malformed("The headers of a multipart part are too long.")
        if end < 0:
            return False
        self._begin_part(self._buffer[2:end])
        self._advance(end + 4)
        self._value_start = self._position
        self._step = self._data
        return True

    def _begin_part(self, block: bytes) -> None:
        self._parts += 1
        if self._parts > MAX_PARTS:
            raise malformed(f"The multipart body has more than {MAX_PARTS} parts.")
        if self.dashes in block:
            raise malformed("A multipart part has the boundary in its headers.")
        headers = part_headers(block)
        name, is_file = part_name(headers)
        if self._keeps_others:
            check_part_type(headers.get(b"content-type", b""), name, is_file=is_file)
        if name == "model" and is_file:
            raise malformed("The part 'model' must be one text.", "model")
        self._check_single(name, is_file)
        self._in_file = self._on_file is not None and name == FILE_PART
        if self._in_file:
            self.file_name = part_file_name(headers)
        self._listens = self._hears is not None and name == FILE_PART
        self._wanted = name == "model" or self._is_wanted(name)
        self._field = name if not is_file and (self._wanted or self._keeps_others) else None
        self._value.clear()
        self._declared, self._size = part_length(headers), 0

    def _check_single(self, name: str, is_file: bool) -> None:
        inspected = name == FILE_PART and self._on_file is not None
        if name in self._seen and (name == "model" or inspected or self._is_wanted(name)) and not name.endswith("[]"):
            raise malformed(f"The part {name[:80]!r} is given twice.", name[:80])
        if self._on_file is not None and is_file and name != FILE_PART:
            raise malformed(f"The part {name[:80]!r} must not be a file.", name[:80])
        self._seen.add(name)

    def _data(self) -> bool:
        found = self._buffer.find(self.dashes)
        if found >= 0:
            if self._buffer[max(0, found - 2) : found] != b"\r\n":  # some servers end the part here, too
                raise malformed("A multipart boundary is not at the beginning of a line (after CR LF).")
            self._take(self._buffer[: found - 2])
            self._end_part()
            self._advance(found + len(self.dashes))
            self._step = self._after_delimiter
            return True
        safe = len(self._buffer) - self._kept
        if safe > 0:
            self._take(self._buffer[:safe])
            self._advance(safe)
        return False

    def _take(self, data: bytes) -> None:
        self._size += len(data)
        if self._in_file and self._on_file is not None and data:
            self._on_file(data)
        if self._listens and self._hears is not None and data:
            self._hears(data)
        if self._field is None:
            return
        self._value += data
        if len(self._value) > (self._max_field_bytes if self._wanted else self._text_room):
            raise malformed(f"The part {self._field[:80]!r} is too long.", self._field[:80])

    def _end_part(self) -> None:
        if self._declared is not None and self._declared != self._size:
            raise malformed("A multipart part has another length than its Content-Length says.")
        if self._field is None:
            return
        value = bytes(self._value)
        if self._keeps_others:
            self.others.append((self._field, value))
            self._text_room -= len(value)
        if not self._wanted:
            self._field = None
            return
        self.values[self._field] = value
        self.lists.setdefault(self._field, []).append(value)
        if self._field == "model":
            self.model_span = (self._value_start, self._value_start + len(value))
        self._field = None
