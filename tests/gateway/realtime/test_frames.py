"""Client's messages: what is an event is checked as one, whatever stands before it and however it is encoded."""

import json
import os
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.call.errors import InvalidRequest
from gateway.realtime.frames import fields_of

EVENT = b'{"type":"session.update","session":{"model":"gpt-realtime-2"}}'


@pytest.mark.parametrize("count", [0, 1, 63, 64, 65, 4096, 1_000_000])
@pytest.mark.parametrize("blank", [b" ", b"\t", b"\r\n"])
def test_whitespace_before_an_event_hide_nothing(count: int, blank: bytes) -> None:
    fields = fields_of(blank * count + EVENT)
    assert fields is not None
    assert bytes(fields["type"]) == b'"session.update"'


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-be", "utf-8-sig"])
@pytest.mark.parametrize("count", [0, 64, 5000])
def test_another_encoding_is_refused(encoding: str, count: int) -> None:
    with pytest.raises(InvalidRequest):
        fields_of((" " * count + EVENT.decode()).encode(encoding))


@pytest.mark.parametrize("before", [b"\x00", b"\x0b", b"[", b"// ", b"garbage ", b"\xff\xfe ", b"\xc2\xa0"])
def test_an_event_behind_something_else_is_refused(before: bytes) -> None:
    with pytest.raises(InvalidRequest):
        fields_of(before + EVENT)


JUNK = [
    "\x0b",
    "\x0c",
    "\x1c",
    "\x85",
    "\u00a0",
    "\u2003",
    "\u3000",
    "\ufeff ",
    "/**/",
    "/* a */\n",
    "# a\n",
    "[",
    "x",
    "\x0b\0",
]
WRITTEN = [
    '"ty\\u0070e"',
    '"\\u0074\\u0079\\u0070\\u0065"',
    '"t\\x79pe"',
    "'type'",
    "'typ\\u0065'",
    '"t\\u{79}pe"',
    '"typ\\U00000065"',
]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16-le", "utf-16-be", "utf-32-le"])
@pytest.mark.parametrize("name", WRITTEN)
@pytest.mark.parametrize("before", JUNK)
def test_junk_and_escapes_together_hide_nothing(before: str, name: str, encoding: str) -> None:
    event = before + EVENT.decode().replace('"type"', name, 1)
    with pytest.raises(InvalidRequest):
        fields_of(event.encode(encoding))


@pytest.mark.parametrize("message", [b"", b"\x00\x01\xff", b"\xff" + os.urandom(1000), b"1", b'"type"', b"[]", b"null"])
def test_what_is_no_object_is_refused(message: bytes) -> None:
    """None of the APIs has messages that are not events: audio comes within them, as base64."""
    with pytest.raises(InvalidRequest):
        fields_of(message)


@given(st.binary(max_size=200))
def test_no_bytes_raise_anything_else(message: bytes) -> None:
    try:
        fields_of(message)
    except InvalidRequest:
        pass


EVENTS = st.builds(
    lambda fields, pad, spoil, place, encoding: (
        pad + (text := json.dumps(fields))[: place % (len(text) + 1)] + spoil + text[place % (len(text) + 1) :]
    ).encode(encoding, "replace"),
    st.dictionaries(
        st.sampled_from(["type", "model", "session", "é"]), st.text(max_size=5) | st.integers(), max_size=3
    ),
    st.sampled_from(["", " ", "\n" * 70, "\ufeff", "\0", "//"]),
    st.sampled_from(["", "", ",", '"', "}", "{", "\0", "x"]),
    st.integers(0, 100),
    st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-16-be", "utf-32-le", "latin-1"]),
)


def lenient(message: bytes) -> Any:
    """What a server reads that takes bytes for text whatever they begin with."""
    return json.loads(message)


@given(EVENTS | st.binary(max_size=60))
def test_no_event_passes_unread(message: bytes) -> None:
    """What is read, others read alike."""
    try:
        fields = fields_of(message)
    except InvalidRequest:
        return
    assert lenient(message) == {name: json.loads(bytes(value)) for name, value in fields.items()}
