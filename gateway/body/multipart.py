"""Follows the parts of a multipart body while it streams by.

The upstream reads the same bytes with another parser. So whatever two parsers could read differently is refused: another part,
or another value of a part, must never be seen there than here.
"""

import re
from collections.abc import Callable, Iterable
from urllib.parse import unquote

from gateway.call.errors import InvalidRequest

MAX_HEADER_BYTES = 16 * 2**10
MAX_PARTS = 512
MAX_FIELD_BYTES = 4096
FILE_PART = "file"
MAX_FILE_NAME = 255
PLAIN_ENCODINGS = frozenset({b"", b"7bit", b"8bit", b"binary"})

_header_name = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+\Z").match
_parameter = re.compile(
    rb';[ \t]*(?:([!#$%&\'+.^_`|~0-9A-Za-z-]+\*?)=(?:"((?:[^"\\\x00-\x1f\x7f]|\\[^\x00-\x1f\x7f])*)"|([^\s;"\\,]+))[ \t]*)?'
)
_escaped = re.compile(rb"\\(.)")
_kind = re.compile(rb"[^;]*")


def unsound(message: str, param: str | None = None) -> InvalidRequest:
    """Return the error for a multipart body that is not sound."""
    return InvalidRequest(message, param=param, code="invalid_multipart")


def parameters(value: bytes) -> tuple[bytes, dict[bytes, bytes]]:
    """Return a header's value in lower case and its parameters, names in lower case. Raises ``ValueError`` for doubles."""
    kind = _kind.match(value)
    assert kind is not None  # it matches nothing, too
    found: dict[bytes, bytes] = {}
    position = kind.end()
    while position < len(value):
        match = _parameter.match(value, position)
        if match is None:
            raise ValueError("not well-formed")
        position = match.end()
        if match[1] is not None:
            name = match[1].lower()
            if name in found:
                raise ValueError("a parameter is given twice")
            found[name] = match[2] if match[2] is not None else match[3]
    return kind[0].strip().lower(), found


class PartScanner:
    """Follows the parts of a multipart body, fed piece by piece; keeps the values of the wanted text parts.

        ``wanted`` are names of parts, or a function that says whether a name is wanted. ``model_span`` is where the model's value
        stands in the body, as soon as it is known. ``on_file`` gets the content of the part ``file`` as it comes, whose file's name is
    in ``file_name`` (``None`` before the part, empty when it has none). A wanted part that
        is given twice is refused unless its name ends in ``[]``: all of its values are in ``lists``. Raises
        :class:`InvalidRequest` for what is not a sound multipart body.
    """

    def __init__(
        self,
        boundary: bytes,
        wanted: Iterable[str] | Callable[[str], bool] = (),
        on_file: Callable[[bytes], None] | None = None,
    ) -> None:
        self.values: dict[str, bytes] = {}
        self.lists: dict[str, list[bytes]] = {}
        self.model_span: tuple[int, int] | None = None
        self.file_name: str | None = None
        self.ended = False
        names = frozenset() if callable(wanted) else frozenset(wanted)
        self._is_wanted = wanted if callable(wanted) else names.__contains__
        self._dashes = b"--" + boundary
        self._kept = len(self._dashes) + 1  # what could be the beginning of a delimiter, with its line break
        self._buffer = b""
        self._position = 0
        self._step = self._before_first
        self._parts = 0
        self._field: str | None = None
        self._value = bytearray()
        self._value_start = 0
        self._on_file = on_file
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
        if len(self._buffer) < len(self._dashes):
            return False
        if not self._buffer.startswith(self._dashes):
            raise unsound("The multipart body does not begin with the boundary of the Content-Type header.")
        self._advance(len(self._dashes))
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
            raise unsound("A multipart boundary is not followed by a line break (CR LF).")
        self._step = self._headers
        return True

    def _behind(self) -> bool:
        if self._buffer.strip():
            raise unsound("Something stands behind the last boundary of the multipart body.")
        self._advance(len(self._buffer))
        return False

    def _headers(self) -> bool:
        end = self._buffer.find(b"\r\n\r\n")
        if end > MAX_HEADER_BYTES or (end < 0 and len(self._buffer) > MAX_HEADER_BYTES):
            raise unsound("The headers of a multipart part are too long.")
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
            raise unsound(f"The multipart body has more than {MAX_PARTS} parts.")
        headers = part_headers(block)
        name, is_file = part_name(headers)
        if name == "model" and (
            is_file or headers.get(b"content-transfer-encoding", b"").lower() not in PLAIN_ENCODINGS
        ):
            raise unsound("The part 'model' must be one text.", "model")
        self._check_single(name, is_file)
        self._in_file = self._on_file is not None and name == FILE_PART
        if self._in_file:
            self.file_name = part_file_name(headers)
        self._field = name if not is_file and (name == "model" or self._is_wanted(name)) else None
        self._value.clear()

    def _check_single(self, name: str, is_file: bool) -> None:
        inspected = name == FILE_PART and self._on_file is not None
        if name in self._seen and (name == "model" or inspected or self._is_wanted(name)) and not name.endswith("[]"):
            raise unsound(f"The part {name[:80]!r} is given twice.", name[:80])
        if self._on_file is not None and is_file and name != FILE_PART:
            raise unsound(f"The part {name[:80]!r} must not be a file.", name[:80])
        self._seen.add(name)

    def _data(self) -> bool:
        found = self._buffer.find(self._dashes)
        while found >= 0:
            before = self._buffer[max(0, found - 2) : found]
            if before == b"\r\n":
                self._take(self._buffer[: found - 2])
                self._end_part()
                self._advance(found + len(self._dashes))
                self._step = self._after_delimiter
                return True
            if before[-1:] in (b"\r", b"\n") or self._position + found == self._value_start:
                raise unsound("A multipart boundary does not stand behind a line break (CR LF).")
            found = self._buffer.find(self._dashes, found + 1)
        safe = len(self._buffer) - self._kept
        if safe > 0:
            self._take(self._buffer[:safe])
            self._advance(safe)
        return False

    def _take(self, data: bytes) -> None:
        if self._in_file and self._on_file is not None and data:
            self._on_file(data)
        if self._field is None:
            return
        self._value += data
        if len(self._value) > MAX_FIELD_BYTES:
            raise unsound(f"The part {self._field[:80]!r} is too long.", self._field[:80])

    def _end_part(self) -> None:
        if self._field is None:
            return
        value = bytes(self._value)
        self.values[self._field] = value
        self.lists.setdefault(self._field, []).append(value)
        if self._field == "model":
            self.model_span = (self._value_start, self._value_start + len(value))
        self._field = None


def part_headers(block: bytes) -> dict[bytes, bytes]:
    """Return a part's headers, names in lower case; raise for what two parsers could read differently."""
    headers: dict[bytes, bytes] = {}
    for line in block.split(b"\r\n"):
        name, colon, value = line.partition(b":")
        if not colon or not _header_name(name) or b"\n" in value or b"\r" in value:
            raise unsound("A multipart part has a header that is not well-formed.")
        name = name.lower()
        if name in headers:
            raise unsound("A multipart part has the same header twice.")
        headers[name] = value.strip()
    return headers


def part_name(headers: dict[bytes, bytes]) -> tuple[str, bool]:
    """Return a part's name, and whether it is a file."""
    try:
        kind, options = parameters(headers.get(b"content-disposition", b""))
    except ValueError:
        raise unsound("The Content-Disposition of a multipart part is not well-formed.") from None
    if kind != b"form-data" or not options.get(b"name") or b"name*" in options or b"\\" in options[b"name"]:
        raise unsound('A multipart part has no plain name (Content-Disposition: form-data; name="...").')
    return options[b"name"].decode("utf-8", "replace"), b"filename" in options or b"filename*" in options


def part_file_name(headers: dict[bytes, bytes]) -> str:
    """Return the name of a part's file, without what can't be shown; empty when it has none."""
    _, options = parameters(headers.get(b"content-disposition", b""))
    plain = _escaped.sub(rb"\1", options.get(b"filename", b"")).decode("utf-8", "replace")
    name = plain or unquote(options.get(b"filename*", b"").decode("latin1").rpartition("'")[2])
    return "".join(character for character in name if character.isprintable())[:MAX_FILE_NAME]
