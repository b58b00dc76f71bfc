"""Anything at all: streams are split as the standard says, bodies are read as other parsers read them, and an id is
found however it is written.
"""

import json
import random
import sys
from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import Any
from urllib.parse import quote

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.body import sse
from gateway.body.json import decode_fields
from gateway.body.mentions import Mentions, read_body
from gateway.call.errors import CallError, InvalidRequest, UnsupportedMedia

# --- streams of events ------------------------------------------------------------------------------------------------

words = (
    *(b" ", b":", b": comment", b"data: ", b"data:", b"event: ", b"event:error", b"id: 1", b"retry: 5", b"[DONE]"),
    *(b'{"a": 1}', b'{"usage": {}}', b'"\\r\\n"', b"x", b"\xff", b"\xc2\x85", b"\x0b", b"\x0c", b"\0"),
)
shards = st.sampled_from([b"\n", b"\r", b"\r\n", b"\n\n", b"\r\r", b"\r\n\r\n", b"\n\r\n", *words])
# Most servers end all lines in one way.
even = st.sampled_from([(b"\n", b"\n\n"), (b"\r\n", b"\r\n\r\n")]).flatmap(
    lambda ends: st.lists(st.sampled_from([*ends, b"data: x", b"event: y", *words]), max_size=30)
)
streams = (st.lists(shards, max_size=30) | even).map(b"".join)


def pieces(stream: bytes, cuts: Iterable[int]) -> list[bytes]:
    """Return the stream in pieces, none of them empty."""
    edges = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    return [stream[start:end] for start, end in pairwise(edges) if end > start]


def standard(stream: bytes) -> list[tuple[bytes, bytes]]:
    """Return type and data of the events that HTML's rules dispatch, without the white space around them."""
    found, name, data = [], b"", []
    for line in stream.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")[:-1]:
        if not line:
            if data:
                found.append((name, b"\n".join(data)))
            name, data = b"", []
            continue
        field, _, value = line.partition(b":")
        if field == b"data" and b":" in line:  # a bare "data" adds an empty line, which no JSON has
            data.append(value.strip())
        elif field == b"event":
            name = value.strip()
    return found


def ours(events: Iterable[sse.Event]) -> list[tuple[bytes, bytes]]:
    return [(event.name, event.data) for event in events if b"data:" in event.raw and _has_data(event)]


def _has_data(event: sse.Event) -> bool:
    return any(line.startswith(b"data:") for line in event.raw.splitlines())


@given(streams, st.lists(st.integers(0, 200), max_size=8))
@example(b"data: [DONE] \n\n", [])
@example(b'data:  {"usage":{}}\n\n', [])
@example(b"data: \r:\n\n", [])
@example(b'data: {"a":\rdata: 1}\n\n', [])
def test_events_are_those_of_the_standard_in_whatever_pieces(stream: bytes, cuts: list[int]) -> None:
    splitter = sse.Splitter()
    fed = [events for piece in pieces(stream, cuts) if (events := splitter.feed(piece)) is not None]
    assert b"".join(events.raw for events in fed) + splitter.rest == stream
    seen = [event for events in fed for event in events]
    rest = splitter.rest
    assert ours(seen) == standard(stream[: len(stream) - len(rest)])
    assert not standard(rest) or rest.endswith(b"\r\n\r")  # its LF may be still to come


@pytest.mark.parametrize("text", ['{"a":NaN}', '{"a":1}', "[1]", "{", ""])
def test_what_is_large_is_read_strictly(text: str) -> None:
    large = text.encode() + b" " * sse.LENIENT_BYTES
    strict = text in ('{"a":1}', "[1]")
    assert sse.is_json(large) == strict
    assert bool(sse.fields_of(large)) == (text == '{"a":1}')
    assert sse.is_json(text.encode()) == (strict or text == '{"a":NaN}')
    assert bool(sse.fields_of(text.encode())) == (text in ('{"a":1}', '{"a":NaN}'))


# --- JSON bodies ------------------------------------------------------------------------------------------------------

names = st.sampled_from(["a", "model", "é", "", '"', "\\", "a\x00", "\U0001f600", "\ud800"])
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6) | names,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=8,
)
FORMS = st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32", "latin-1"])
SPOILS = st.sampled_from(["", ",", "}", "{", '"', "\0", "//", " ", "\ufeff", "1", "NaN", "'", "\\", "\n", ":"])


@st.composite
def bodies(draw: st.DrawFn) -> bytes:
    """A JSON object as some program writes it, sometimes with something put into it."""
    pairs = draw(st.lists(st.tuples(names, values), max_size=4))
    ascii_only, gap = draw(st.booleans()), draw(st.sampled_from(["", " ", "\n", "\t "]))
    inner = f",{gap}".join(
        f"{json.dumps(name, ensure_ascii=ascii_only)}:{gap}{json.dumps(value, ensure_ascii=ascii_only)}"
        for name, value in pairs
    )
    text = f"{{{inner}{gap}}}"
    place = draw(st.integers(0, len(text)))
    text = text[:place] + draw(SPOILS) + text[place:]
    form, errors = draw(FORMS), draw(st.sampled_from(["surrogatepass", "replace"]))
    return text.encode(form, "replace" if form == "latin-1" else errors)


def pairs_of(body: bytes) -> list[tuple[str, Any]] | None:
    """Return the top-level pairs as Python's parser reads them, doubles included; ``None``: no object."""
    top: list[list[tuple[str, Any]]] = []

    def keep(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        top.append(pairs)
        return dict(pairs)

    try:
        value = json.loads(body, object_pairs_hook=keep)
    except (ValueError, RecursionError):
        return None
    return top[-1] if isinstance(value, dict) else None


@given(bodies())
@example(b'{"a":[1e999]}')
@example(b'{"a":-1e999}')
@example(b'{"a":1' + b"0" * 400 + b"}")
def test_bodies_are_read_as_others_read_them(body: bytes) -> None:
    theirs = pairs_of(body)
    try:
        fields = decode_fields(body)
    except InvalidRequest as refused:
        if refused.code == "duplicate_field":
            assert theirs is None or len({name for name, _ in theirs}) < len(theirs)
        return
    assert theirs is not None, "no other parser takes it"
    assert [name for name, _ in theirs] == list(fields), "a name is duplicate, or another order"
    for name, value in theirs:
        assert _same(_decoded(fields[name], value), value)
    assert _same(_decoded(body, dict(theirs)), dict(theirs))


def _decoded(raw: bytes | msgspec.Raw, value: Any) -> Any:
    """Return what is sent on, decoded: ``value``, where it has a number that is too large for anyone but Python."""
    try:
        return msgspec.json.decode(raw)
    except msgspec.ValidationError:
        assert any(abs(number) > sys.float_info.max for number in _numbers(value))
        return value


def _numbers(value: Any) -> Iterator[float]:
    if isinstance(value, (int, float)):
        yield value
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _numbers(inner)


def _same(one: Any, other: Any) -> bool:
    return bool(json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True))


# --- bodies of any form -----------------------------------------------------------------------------------------------

ID = "file-Ab3dEfGh1jKlMn0p"


def as_json(text: str, chance: random.Random) -> str:
    return "".join(f"\\u{ord(letter):04x}" if chance.random() < 0.5 else letter for letter in text)


def as_form(text: str, chance: random.Random) -> str:
    return "".join(f"%{ord(letter):02x}" if chance.random() < 0.5 else letter for letter in text)


WAYS = {
    "json": (
        b"application/json",
        lambda word, chance: json.dumps({"x": "WORD"}).replace("WORD", as_json(word, chance)),
    ),
    "list": (b"application/json", lambda word, chance: f'["a,{as_json(word, chance)}"]'),
    "inner": (b"application/json", lambda word, chance: json.dumps({"x": json.dumps({"y": f"/{word}/"})})),
    "lines": (b"", lambda word, chance: f'{{}}\n{{"a": "{as_json(word, chance)}"}}\n'),
    "form": (b"application/x-www-form-urlencoded", lambda word, chance: f"a[]={as_form(word, chance)}&b="),
    "form of json": (b"application/x-www-form-urlencoded", lambda word, chance: f"a={quote(json.dumps([word]))}"),
}


@given(st.sampled_from(sorted(WAYS)), st.randoms(use_true_random=False))
def test_an_id_is_found_in_any_form(way: str, chance: random.Random) -> None:
    content_type, write = WAYS[way]
    body = write(ID, chance).encode()
    found = Mentions()
    try:
        read_body(found, body, content_type)
    except InvalidRequest:
        return
    assert ID in found.ids


@given(st.sampled_from(["text/plain", "text/xml", "application/yaml", "application/cbor", "text/csv"]), st.binary())
def test_what_nobody_here_reads_is_refused(content_type: str, noise: bytes) -> None:
    """However an id is written in it: with entities, tags, in base64."""
    with pytest.raises(UnsupportedMedia):
        read_body(Mentions(), noise + ID.encode() + noise, content_type.encode())


@given(st.binary(max_size=200) | bodies(), st.sampled_from([b"", b"application/json", b"text/plain; charset=utf-16"]))
def test_no_body_raises_anything_else(body: bytes, content_type: bytes) -> None:
    try:
        read_body(Mentions(), body, content_type)
    except CallError:
        pass
