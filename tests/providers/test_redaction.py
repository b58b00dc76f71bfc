"""An account's secrets in everything that goes out: found however they are written and cut."""

import asyncio
import base64
import json
import time
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers import redaction
from providers.redaction import REDACTED, TURN_BYTES, Redactor, TooManyEscapes

SECRET = b"sk-test+/secret=0123456789"


def written(escape: str) -> bytes:
    """Return the secret with each of its characters as ``escape`` writes a number."""
    return "".join(escape.format(sign) for sign in SECRET).encode()


FORMS = {
    "plain": SECRET,
    "escaped": "".join(f"\\u{ord(sign):04x}" for sign in SECRET.decode()).encode(),
    "half-escaped": b"sk-\\u0074est+/secret=0123456789",
    "percent": quote(SECRET, safe="").encode(),
    "base64": base64.b64encode(SECRET).rstrip(b"="),
    "base64url": base64.urlsafe_b64encode(SECRET).rstrip(b"="),
    "percent, lower case": written("%{:02x}"),
    "percent, in part": SECRET.replace(b"/", b"%2f"),
    "percent, twice": written("%25{:02X}"),
    "slash escaped": SECRET.replace(b"/", b"\\/"),
    "escaped twice": written("\\\\u{:04x}"),
    "escaped three times": written("\\\\\\\\u{:04X}"),
    "in braces": written("\\u{{{:x}}}"),
    "x": written("\\x{:02x}"),
    "octal": written("\\{:03o}"),
    "hex": SECRET.hex().encode(),
    "hex, upper case": SECRET.hex().upper().encode(),
    "entities": written("&#x{:02X};"),
    "decimal entities": written("&#{};"),
    "an entity by name": SECRET.replace(b"/", b"&sol;"),
    "an entity of an entity": SECRET.replace(b"/", b"&amp;#x2F;"),
    "an entity in Go's JSON": SECRET.replace(b"/", b"\\u0026#x2F;"),
    "JSON in a query": SECRET.replace(b"/", b"%5C%2F"),
    "base64, percent-encoded": b"".join(b"%%%02X" % sign for sign in base64.b64encode(SECRET).rstrip(b"=")),
    "NUL between": b"\0".join(bytes([sign]) for sign in SECRET),
    "escaped NUL between": b"\\u0000".join(bytes([sign]) for sign in SECRET),
    "escaped NUL between, escaped": b"\\\\u0000".join(bytes([sign]) for sign in SECRET),
    "without width": "\u200b".join(SECRET.decode()).encode(),
    "without width, escaped": b"\\u200B".join(bytes([sign]) for sign in SECRET),
    "without width, percent-encoded": b"%E2%80%8b".join(bytes([sign]) for sign in SECRET),
    "entities without width": b"&#8203;".join(bytes([sign]) for sign in SECRET),
    "soft hyphens and escapes": b"\\u00ad".join(b"\\u%04x" % sign for sign in SECRET),
    "lines": SECRET[:9] + b"\r\n" + SECRET[9:],
    "base64 in lines": b"\n".join(
        base64.b64encode(SECRET).rstrip(b"=")[at : at + 19] for at in range(0, 57, 19)
    ).rstrip(b"\n"),
    "base64 in escaped lines": b"\\r\\n".join(base64.b64encode(SECRET).rstrip(b"=")[at : at + 19] for at in (0, 19)),
    "mixed": b"\\u0073k%2dtest%2B\\/&#115;ecret%253d012\\x33456789",
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
        left = REDACTED + form[-3:] if form.startswith(b"%") else REDACTED + form[-1:]
        assert got.replace(left, REDACTED) == b"audio " + REDACTED + b" end"


SIGNS = ("{}", "\\u{:04x}", "\\\\u{:04X}", "\\x{:02x}", "%{:02x}", "%25{:02X}", "&#{};", "&#X{:x};", "&amp;#{};")


@given(st.lists(st.sampled_from(SIGNS), min_size=len(SECRET), max_size=len(SECRET)), st.integers(0, 400))
def test_any_mixture_of_escapes(escapes: list[str], cut: int) -> None:
    form = "".join(
        chr(sign) if escape == "{}" else escape.format(sign) for escape, sign in zip(escapes, SECRET, strict=True)
    ).encode()
    assert Redactor((SECRET,)).whole(b'{"error":"' + form + b'"}') == b'{"error":"[redacted]"}'
    pieces = Redactor((SECRET,)).pieces()
    passed = pieces.feed(form[:cut]) + pieces.feed(form[cut:] + b" ") + pieces.end()
    # The entity at a secret's end needs no semicolon: one that comes in the next piece is left.
    assert passed in (b"[redacted] ", b"[redacted]; ")


def test_what_is_escaped_otherwise_goes_on_unchanged() -> None:
    body = b'{"a":"\\u00e9 \\n \\"x\\" 100% of &amp; \\u0073k-\\u0074est &lt; C:\\\\n %2"}'
    clean = Redactor((SECRET,))
    assert clean.whole(body) == body
    assert clean.text(body.decode()) == body.decode()


def test_a_secret_that_is_part_of_what_replaces_it() -> None:
    assert Redactor((b"redacted",)).whole(b"a \\u0072edacted, %72edacted") == b"a [redacted], [redacted]"


def test_a_secret_with_quotes_and_line_ends() -> None:
    secret = b'-----BEGIN "KEY"-----\nAbCdEf=='
    assert Redactor((secret,)).whole(json.dumps({"a": secret.decode()}).encode()) == b'{"a": "[redacted]"}'


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


async def test_messages_of_sockets_and_headers() -> None:
    clean = Redactor((SECRET,))
    assert await clean.message(f'{{"key":"{SECRET.decode()}"}}') == '{"key":"[redacted]"}'
    assert await clean.message(b"\x00" + SECRET) == b"\x00" + REDACTED
    assert clean.text("\ud800 " + SECRET.decode()) == "\ud800 [redacted]"


def test_an_account_without_secrets() -> None:
    assert Redactor(()).whole(b"\\u0041") == b"\\u0041"


def test_a_key_of_several_lines_in_other_lines() -> None:
    secret = b"-----BEGIN KEY-----\nAbCdEfGh01\nIjKlMnOp23\n-----END KEY-----"
    for other in (secret.replace(b"\n", b"\r\n"), secret.replace(b"\n", b""), secret.replace(b"\n", b"\\r\\n")):
        assert Redactor((secret,)).whole(b"a " + other + b" b") == b"a [redacted] b"


HIDDEN = ("\0", "\x1b", "\n", "\u00ad", "\u200b", "\u200d", "\u2060", "\ufeff", "\ufe0f", "\U000e0041", "\x85")


@given(st.lists(st.text(st.sampled_from("".join(HIDDEN)), max_size=3), min_size=len(SECRET), max_size=len(SECRET)))
def test_nothing_that_a_sink_drops_hides_a_secret(between: list[str]) -> None:
    """As text, as JSON of it, and as JSON of that: without what is unseen, no secret is left in any."""
    clean = Redactor((SECRET,))
    text = "".join(sign + gap for sign, gap in zip(SECRET.decode(), between, strict=True))
    for written in (text, json.dumps(text), json.dumps(json.dumps(text)), json.dumps(text, ensure_ascii=False)):
        for got in (clean.text(written), clean.whole(written.encode()).decode()):
            assert "[redacted]" in got
            assert "".join(sign for sign in got if sign.isalnum()).find("0123456789") < 0


HOSTILE = (b"\\\\u0041%41", b"%252541", b"&amp;amp;", b"\\u0000s", b"%25252525252541")


@pytest.mark.parametrize("piece", HOSTILE)
async def test_others_have_their_turn_while_much_is_searched(piece: bytes) -> None:
    body = piece * (2**20 // len(piece))
    longest = 0.0

    async def watch() -> None:
        nonlocal longest
        while True:
            began = time.perf_counter()
            await asyncio.sleep(0)
            longest = max(longest, time.perf_counter() - began)

    watcher = asyncio.create_task(watch())
    assert await Redactor((SECRET,)).large(body) == body
    watcher.cancel()
    assert longest < 0.5, "a megabyte at once takes longer"


async def test_large_answers_take_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many there are, one is searched between two rounds of the loop, and in small pieces where it is slow."""
    monkeypatch.setattr(redaction, "TURN_SECONDS", 0.0)
    rounds, turns = 0, []
    feed = redaction.PieceRedactor.feed

    def noted(pieces: redaction.PieceRedactor, piece: bytes) -> bytes:
        turns.append((rounds, id(pieces), len(piece)))
        return feed(pieces, piece)

    monkeypatch.setattr(redaction.PieceRedactor, "feed", noted)
    clean, body = Redactor((SECRET,)), b"a" * (4 * TURN_BYTES)
    searched = asyncio.gather(*(clean.large(body) for _ in range(5)))
    while not searched.done():
        rounds += 1
        await asyncio.sleep(0)
    assert await searched == [body] * 5
    assert len({at for at, _, _ in turns}) == len(turns)
    assert len({which for _, which, _ in turns[:5]}) == 5, "in turn, not one after the other"
    assert {size for _, _, size in turns[-5:]} <= set(range(redaction.LEAST_TURN_BYTES + 1))


async def test_a_secret_anywhere_in_a_large_body() -> None:
    clean = Redactor((SECRET,))
    for form in FORMS.values():
        for at in (TURN_BYTES - len(form) - 1, TURN_BYTES - 3, TURN_BYTES, 2 * TURN_BYTES - len(form) // 2):
            body = b" " * at + form + b" " * TURN_BYTES
            assert (await clean.large(body)).count(REDACTED) == 1, (form, at)


async def test_an_answer_that_is_too_much_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redaction, "MOST_SECONDS", 0.01)
    with pytest.raises(TooManyEscapes, match="so many escapes"):
        await Redactor((SECRET,)).large(HOSTILE[0] * 2**18)


def test_the_beginning_of_a_long_text() -> None:
    clean = Redactor((SECRET,))
    for at in (0, 3, TURN_BYTES - 10):
        text = "a" * at + SECRET.decode() * 2000
        assert "test" not in clean.beginning(text, TURN_BYTES)
        assert len(clean.beginning(text, 500)) == 500
    assert clean.beginning("é" * 2**20, 3) == "ééé"
