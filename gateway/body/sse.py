"""Server-sent events: split once, decoded at most once, for everyone who listens to a stream.

A line ends with CR LF, LF or CR, and an event with an empty line (WHATWG HTML, "Server-sent events"): all nine pairs
end one.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping

import msgspec

BOM = b"\xef\xbb\xbf"
"""A byte order mark, which a stream may begin with (and JSON should not, but does)."""
MAX_EVENT_BYTES = 16 * 2**20
TAIL_BYTES = 3  # of a blank line that is cut in two, at most so much came before the cut
_end = re.compile(rb"(?>\r\n|\n|\r)(?>\r\n|\n|\r)")
LENIENT_BYTES = 2**24
"""What is larger is read as strict JSON alone: the lenient parser holds up every other call for half a second."""
_fields = msgspec.json.Decoder(dict[str, msgspec.Raw])
_string = msgspec.json.Decoder(str)
_raw = msgspec.json.Decoder(msgspec.Raw)
_NONE: Mapping[str, msgspec.Raw] = {}


class EventTooLarge(Exception):
    """An event that is larger than :data:`MAX_EVENT_BYTES`."""


class Event:
    """One event as it came, its blank line included."""

    __slots__ = ("_data", "_fields", "raw")

    def __init__(self, raw: bytes) -> None:
        self.raw = raw
        self._data: bytes | None = None
        self._fields: Mapping[str, msgspec.Raw] | None = None

    @property
    def name(self) -> bytes:
        """The value of its last ``event:`` line, empty without one."""
        if self.raw.find(b"event") < 0:
            return b""
        names = [line[6:].strip() for line in self.raw.splitlines() if line.startswith(b"event:")]
        return names[-1] if names else b""

    @property
    def data(self) -> bytes:
        """Its data, the lines joined; empty for a comment."""
        if self._data is None:
            self._data = _data(self.raw)
        return self._data

    @property
    def fields(self) -> Mapping[str, msgspec.Raw]:
        """The top-level fields of its data; none when that is not a JSON object."""
        if self._fields is None:
            self._fields = fields_of(self.data) if self.data[:1] == b"{" else _NONE
        return self._fields


class Events:
    """One or more whole events, as they came."""

    __slots__ = ("_events", "raw")

    def __init__(self, raw: bytes) -> None:
        self.raw = raw
        self._events: list[Event] | None = None

    def __iter__(self) -> Iterator[Event]:
        if self._events is None:
            self._events = [Event(part) for part in split(self.raw)]
        return iter(self._events)


class Splitter:
    """Cuts a stream into whole events: :meth:`feed` returns those that a piece completes, and keeps the rest.

    A byte order mark before the first does not belong to it, and is left out.
    """

    __slots__ = ("_fresh", "_mark", "_rest", "_rest_bytes", "_tail")

    def __init__(self) -> None:
        self._fresh = True
        self._mark = b""
        self._rest: list[bytes] = []
        self._rest_bytes = 0
        self._tail = b""

    @property
    def has_rest(self) -> bool:
        """Whether something came behind the last whole event, or may still be part of a mark before the first."""
        return bool(self._rest) or self._fresh

    @property
    def rest(self) -> bytes:
        """What came behind the last whole event."""
        return b"".join(self._rest)

    def feed(self, chunk: bytes) -> Events | None:
        """Return the events that are whole by now. Raises :class:`EventTooLarge`."""
        if self._fresh:
            chunk = self._without_mark(chunk)
        # What is kept holds no blank line: only the new bytes are searched, however large the event gets.
        found = _last_end(self._tail + chunk if self._rest else chunk)
        end = found - len(self._tail)
        if not self._rest and end == len(chunk):
            return Events(chunk) if chunk else None
        whole = b"".join((*self._rest, chunk[:end])) if found else b""
        if found:
            self._rest, self._rest_bytes, self._tail = [], 0, b""
        rest = chunk[end:] if found else chunk
        if rest:
            self._rest.append(rest)
            self._rest_bytes += len(rest)
            self._tail = (self._tail + rest[-TAIL_BYTES:])[-TAIL_BYTES:]
            if self._rest_bytes > MAX_EVENT_BYTES:
                raise EventTooLarge
        return Events(whole) if whole else None

    def bare(self) -> Events | None:
        """Return what is left at the end as an event, where a server sent JSON alone instead of events."""
        rest = self.rest
        if rest.lstrip()[:1] not in (b"{", b"["):
            return None
        self._rest, self._rest_bytes, self._tail = [], 0, b""
        return Events(b"".join(b"data: %b\n" % line for line in rest.strip().splitlines()) + b"\n")

    def _without_mark(self, chunk: bytes) -> bytes:
        start = self._mark + chunk
        if len(start) < len(BOM) and BOM.startswith(start):
            self._mark = start
            return b""
        self._fresh = False
        return start.removeprefix(BOM)


def _data(raw: bytes) -> bytes:
    """Return the data of an event. Those that are written in one of three usual ways are not cut into lines."""
    if raw.startswith(b"data: "):
        first = raw.find(b"\n")
        if first == len(raw) - 2 and raw.endswith(b"\n\n") and raw.find(b"\r") < 0:
            return raw[6:-2].strip()
        if first == len(raw) - 3 and raw.endswith(b"\r\n\r\n") and raw.find(b"\r") == first - 1:
            return raw[6:-4].strip()
    elif raw.startswith(b"event: ") and raw.endswith(b"\n\n"):
        first = raw.find(b"\n")
        last = raw.find(b"\n", first + 1) == len(raw) - 2
        if last and raw.startswith(b"data: ", first + 1) and raw.find(b"\r") < 0:
            return raw[first + 7 : -2].strip()
    return b"\n".join([line[5:].strip() for line in raw.splitlines() if line.startswith(b"data:")])


def _all_crlf(data: bytes) -> bool:
    """Whether all lines end with CR LF."""
    both = data.count(b"\r\n")
    return both == data.count(b"\n") and both == data.count(b"\r")


def split(events: bytes) -> list[bytes]:
    """Return the events of a piece of a stream, each with its blank line."""
    end = b"\n\n" if b"\r" not in events else b"\r\n\r\n" if _all_crlf(events) else b""
    if end:
        *whole, last = events.split(end)
        parts = [part + end for part in whole]
        return [*parts, last] if last else parts
    parts, start = [], 0
    for found in _end.finditer(events):
        parts.append(events[start : found.end()])
        start = found.end()
    return [*parts, events[start:]] if start < len(events) else parts


def fields_of(data: bytes) -> Mapping[str, msgspec.Raw]:
    """Return the top-level fields of a JSON object, as tolerant as a client's parser; none when it is not one."""
    try:
        return _fields.decode(data)
    except (ValueError, RecursionError):
        pass
    if len(data) > LENIENT_BYTES:
        return _NONE
    try:
        decoded = json.loads(data)  # takes lone surrogates and NaN, as clients' parsers do
    except (ValueError, RecursionError):
        return _NONE
    if not isinstance(decoded, dict):
        return _NONE
    return {name: msgspec.Raw(json.dumps(value).encode()) for name, value in decoded.items()}


def is_json(data: bytes) -> bool:
    """Whether a client's JSON parser takes ``data``; of more than ``LENIENT_BYTES`` only what is strictly JSON."""
    read: Callable[[bytes], object] = json.loads if len(data) <= LENIENT_BYTES else _raw.decode
    try:
        read(data)
    except (ValueError, RecursionError):
        return False
    return True


def string_of(fields: Mapping[str, msgspec.Raw], name: str) -> str:
    """Return a string field, empty when it is missing or not a string."""
    raw = fields.get(name)
    try:
        return _string.decode(raw) if raw is not None else ""
    except (ValueError, RecursionError):
        return ""


def _last_end(data: bytes) -> int:
    """Return where the last whole event of ``data`` ends, behind an empty line; 0 without one."""
    if data.endswith(b"\n\n"):
        return len(data)
    if b"\r" not in data:
        return data.rfind(b"\n\n") + 2 if b"\n\n" in data else 0
    if data.endswith(b"\r\n\r\n") and data[-5:-4] not in (b"\r", b"\n"):
        return len(data)
    last = data.rfind(b"\r\n\r\n")
    if data[max(last - 2, 0) : last] != b"\r\n" and _all_crlf(data):
        return last + 4 if last >= 0 else 0
    ends = [found.end() for found in _end.finditer(data)]
    if ends and ends[-1] == len(data) and data.endswith(b"\r\n\r"):
        ends.pop()  # the lines end with CR LF, and the last LF is still to come
    return ends[-1] if ends else 0
