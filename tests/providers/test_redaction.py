"""An account's secrets in everything that goes out: found however they are written and cut."""

import base64
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers.redaction import REDACTED, Redactor

SECRET = b"sk-test+/secret=0123456789"
FORMS = {
    "plain": SECRET,
    "escaped": "".join(f"\\u{ord(sign):04x}" for sign in SECRET.decode()).encode(),
    "half-escaped": b"sk-\\u0074est+/secret=0123456789",
    "percent": quote(SECRET, safe="").encode(),
    "base64": base64.b64encode(SECRET).rstrip(b"="),
    "base64url": base64.urlsafe_b64encode(SECRET).rstrip(b"="),
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_a_whole_body(form: bytes) -> None:
    assert Redactor((SECRET,)).whole(b'{"error":"Bearer ' + form + b' was refused"}') == (
        b'{"error":"Bearer ' + REDACTED + b' was refused"}'
    )


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_pieces_that_cut_it(form: bytes) -> None:
    body = b"audio " + form + b" end"
    for cut in range(len(body)):
        pieces = Redactor((SECRET,)).pieces()
        got = pieces.feed(body[:cut]) + pieces.feed(body[cut:]) + pieces.end()
        # Of base64 the last character may be left: it has less than a whole one of the secret.
        assert got.replace(REDACTED + form[-1:], REDACTED) == b"audio " + REDACTED + b" end"


@given(st.lists(st.binary(max_size=40), max_size=10))
def test_what_is_no_secret_goes_on_unchanged(parts: list[bytes]) -> None:
    pieces = Redactor((SECRET,)).pieces()
    assert b"".join(pieces.feed(part) for part in parts) + pieces.end() == b"".join(parts)


@pytest.mark.parametrize("before", [b"", b"B", b"Be", b"Bearer ", b"key=", b"user:"])
@pytest.mark.parametrize("after", [b"", b";", b'"}', b" and more"])
def test_base64_of_something_around_it(before: bytes, after: bytes) -> None:
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        body = Redactor((SECRET,)).whole(b'{"echo":"' + encode(before + SECRET + after) + b'"}')
        assert REDACTED in body
        left = body.split(b'"')[3].replace(REDACTED, b"")
        assert len(left) <= len(encode(before + after)) + 4, "no more is left than of what is around it"


def test_messages_of_sockets_and_headers() -> None:
    clean = Redactor((SECRET,))
    assert clean.message(f'{{"key":"{SECRET.decode()}"}}') == '{"key":"[redacted]"}'
    assert clean.message(b"\x00" + SECRET) == b"\x00" + REDACTED
    assert clean.text("\ud800 " + SECRET.decode()) == "\ud800 [redacted]"


def test_an_account_without_secrets() -> None:
    assert Redactor(()).whole(b"\\u0041") == b"\\u0041"
