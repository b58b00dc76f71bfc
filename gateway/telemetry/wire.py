"""OTLP's spans as bytes: the few protobuf messages that they need, written directly.

Objects of the protobuf library cost three times as much as all the rest of a span. Field numbers are those of
``opentelemetry/proto/trace/v1/trace.proto``; the tests read what comes out with OpenTelemetry's own messages.
"""

import struct
from collections.abc import Collection, Iterable, Mapping
from typing import Any, Final

INTERNAL, SERVER, CLIENT = 1, 2, 3
"""Kinds of spans."""
ERROR: Final = 2
MASK: Final = (1 << 64) - 1
REMEMBERED: Final = 8192
"""How many attributes are kept as bytes."""
REMEMBERED_BYTES: Final = 500
GROUPS: Final = 1024
"""How many groups of steady facts, and how many beginnings of spans, are kept as bytes."""
_double: Final = struct.Struct("<d").pack
_moments: Final = struct.Struct("<BQBQ").pack
START_TAG, END_TAG = 0x39, 0x41


def varint(number: int) -> bytes:
    """Return a whole number as protobuf has it."""
    number &= MASK
    found = bytearray()
    while number > 0x7F:
        found.append(number & 0x7F | 0x80)
        number >>= 7
    found.append(number)
    return bytes(found)


_LENGTHS: Final = [varint(number) for number in range(4096)]


def _length(size: int) -> bytes:
    return _LENGTHS[size] if size < 4096 else varint(size)


def _field(tag: bytes, content: bytes) -> bytes:
    return tag + _length(len(content)) + content


def _any_value(value: Any) -> bytes:
    kind = type(value)
    if kind is str:
        return _field(b"\x0a", value.encode("utf-8", "replace"))
    if kind is int:
        return b"\x18" + varint(value)
    if kind is float:
        return b"\x21" + _double(value)
    if kind is bool:
        return b"\x10\x01" if value else b"\x10\x00"
    if kind is list or kind is tuple:
        return _field(b"\x2a", b"".join(_field(b"\x0a", _any_value(str(each))) for each in value))
    return _field(b"\x0a", str(value).encode("utf-8", "replace"))


class Attributes:
    """Writes the attributes of a span: ``pairs`` of a fact and a name, of which a fact may have several.

    Strings and whole numbers of other facts than the ``unique`` ones are kept as bytes: they come again and again. The
    ``steady`` ones come together again and again: they are kept as one string of bytes.
    """

    def __init__(
        self, pairs: Iterable[tuple[str, str]], unique: Collection[str] = (), steady: Collection[str] = ()
    ) -> None:
        names: dict[str, list[bytes]] = {}
        for fact, name in pairs:
            names.setdefault(fact, []).append(_field(b"\x0a", name.encode()))
        rows = [(fact, tuple(keys), fact not in unique) for fact, keys in names.items()]
        self._names = [row for row in rows if row[0] not in steady]
        self._steady_names = [row for row in rows if row[0] in steady]
        self._steady = tuple(row[0] for row in self._steady_names)
        self._groups: dict[tuple[Any, ...], bytes] = {}
        self._doubles = {
            fact: tuple(b"\x4a" + _length(len(key) + 11) + key + b"\x12\x09\x21" for key in keys)
            for fact, keys in names.items()
        }
        """What comes before a fraction, whose length never differs."""
        self._remembered: dict[tuple[str, Any], bytes] = {}

    def write(self, values: Mapping[str, Any]) -> bytes:
        """Return the attributes of the facts that have a value: not ``None``, an empty string or list."""
        key = tuple(map(values.get, self._steady))
        group = self._groups.get(key)
        if group is None:
            if len(self._groups) >= GROUPS:  # callers choose some of the values
                self._groups.clear()
            group = self._groups[key] = b"".join(self._parts(values, self._steady_names))
        return group + b"".join(self._parts(values, self._names))

    def _parts(self, values: Mapping[str, Any], names: list[tuple[str, tuple[bytes, ...], bool]]) -> list[bytes]:
        parts: list[bytes] = []
        remembered, doubles, value_of = self._remembered, self._doubles, values.get
        for fact, keys, recurs in names:
            value = value_of(fact)
            if value is None or value == "" or value == [] or value == ():
                continue
            kind = type(value)
            if kind is float:
                packed = _double(value)
                for before in doubles[fact]:
                    parts.append(before + packed)
            elif recurs and (kind is str or kind is int):
                found = remembered.get((fact, value))
                if found is None:
                    found = _written(keys, value)
                    if len(remembered) < REMEMBERED and len(found) < REMEMBERED_BYTES:
                        remembered[fact, value] = found
                parts.append(found)
            else:
                parts.append(_written(keys, value))
        return parts


def _written(keys: Iterable[bytes], value: Any) -> bytes:
    content = _any_value(value)
    content = b"\x12" + _length(len(content)) + content
    size, found = len(content), b""
    for key in keys:
        whole = len(key) + size
        found += b"\x4a" + (_LENGTHS[whole] if whole < 4096 else varint(whole)) + key + content
    return found


_named: dict[tuple[str, int], bytes] = {}
"""Names with kinds, as spans have them."""


def span(
    trace_id: bytes,
    span_id: bytes,
    parent_id: bytes,
    name: str,
    times: tuple[int, int],
    kind: int,
    attributes: bytes = b"",
    fault: str | None = None,
) -> bytes:
    """Return a span as a ``ScopeSpans`` has it. ``times`` are its beginning and end in nanoseconds since 1970.

    ``fault`` says that it failed, and why; ``None``: it did not.
    """
    began, ended = times
    parent = b"\x22\x08" + parent_id if parent_id else b""
    named = _named.get((name, kind))
    if named is None:
        if len(_named) >= GROUPS:
            _named.clear()
        named = _named[name, kind] = _field(b"\x2a", name.encode("utf-8", "replace")) + b"\x30" + _LENGTHS[kind]
    status = b""
    if fault is not None:
        status = _field(b"\x7a", _field(b"\x12", fault.encode("utf-8", "replace")) + b"\x18\x02")
    content = b"".join(
        (
            b"\x0a\x10",
            trace_id,
            b"\x12\x08",
            span_id,
            parent,
            named,
            _moments(START_TAG, began, END_TAG, max(began, ended)),
            attributes,
            status,
        )
    )
    return b"\x12" + _length(len(content)) + content


class Part:
    """Writes spans of one name that only have a parent and times: stages of a call, of which each has several."""

    def __init__(self, name: str) -> None:
        named = _field(b"\x2a", name.encode()) + b"\x30" + _LENGTHS[INTERNAL]
        size = 18 + 10 + 10 + len(named) + 18  # two ids of eight bytes, one of sixteen, two moments
        self._head = b"\x12" + _length(size) + b"\x0a\x10"
        self._named = named
        self._pack = struct.Struct(f"<{len(self._head)}s16s2s8s2s8s{len(named)}sBQBQ").pack

    def write(self, trace_id: bytes, span_id: bytes, parent_id: bytes, began: int, ended: int) -> bytes:
        """Return the span as :func:`span` does. Moments are nanoseconds since 1970."""
        ended = max(began, ended)
        return self._pack(
            *(self._head, trace_id, b"\x12\x08", span_id, b"\x22\x08", parent_id, self._named),
            *(START_TAG, began, END_TAG, ended),
        )


def export_request(resource: Mapping[str, str], spans: Iterable[bytes]) -> bytes:
    """Return an ``ExportTraceServiceRequest`` of one resource's spans."""
    described = b"".join(
        _field(b"\x0a", _field(b"\x0a", name.encode()) + _field(b"\x12", _any_value(value)))
        for name, value in resource.items()
    )
    scope = _field(b"\x0a", _field(b"\x0a", b"gatehouse"))
    return _field(b"\x0a", _field(b"\x0a", described) + _field(b"\x12", scope + b"".join(spans)))
