"""Takes an account's secrets out of everything that goes out: some upstreams repeat what they were sent.

A secret is found as it is, in hex, in base64 (also within something longer that was encoded as a whole, like
``Bearer KEY``), and with each of its characters behind any mixture of escapes: percent-encoding in either case, JSON's
and programs' backslashes, entities of HTML, and escapes of escapes. Characters that no one sees may be between its own:
controls and line ends, which base64 in mails has, and those without a width. What stores or shows a text may drop them.
"""

import asyncio
import base64
import html.entities
import re
import string
from collections.abc import Iterator
from functools import lru_cache
from time import perf_counter
from weakref import WeakKeyDictionary

from providers import unseen
from providers.passed import Passed
from providers.unseen import AMPERSAND, BACKSLASH, PERCENT

REDACTED = b"[redacted]"
LEAST_CHARACTERS = 8
URL_SAFE = bytes.maketrans(b"+/", b"-_")
# How often something may have been escaped on top of escapes. Each round reads a body with escapes in it once more.
ROUNDS = 6
# Twice an entity of an entity (``&amp;amp;#x2F;``), for each character: how far back the beginning of a secret may be.
ESCAPE_BYTES = 24

_NAMES = {
    name[:-1].encode(): sign.encode()
    for name, sign in html.entities.html5.items()
    if name[-1] == ";" and sign.isascii()
}
_SHORT = {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"b": b"\b", b"f": b"\f"}
ESCAPE_SIGNS = (string.ascii_letters + string.digits + "\\{}%&#;").encode()
COMMON = {b"n": b"\n", b'"': b'"'}
# What an escape may be at the end of a piece: the rest of it is in the next one.
UNFINISHED_BYTES = 80
_unfinished = re.compile(
    rb"(?:(?:\\{1,32}udb40)?\\{1,64}[uUx]?\{?[0-9a-fA-F]{0,8}"
    rb"|(?:%[89a-fA-F][0-9a-fA-F]){1,3}(?:%[0-9a-fA-F]?)?|%[0-9a-fA-F]?|&[#A-Za-z0-9]{0,20}"
    rb"|[\xc2-\xf4][\x80-\xbf]{0,2})\Z"
)

TURN_BYTES = 2**15
"""How much is searched at most before others have their turn."""
LEAST_TURN_BYTES = 2**13
TURN_SECONDS = 0.004
"""How long a turn should take: where escapes make the search slow, turns become smaller."""
MOST_SECONDS = 10.0
"""How much work one answer may make. The worst of 30 MB, escapes of escapes, would take more than that."""

Spans = list[tuple[int, int]]


class TooManyEscapes(Exception):
    """An answer that is too much work to be searched; the message is for the client."""


class Redactor:
    """Finds an account's secrets in bytes. Immutable; one serves every call of the account's revision."""

    __slots__ = (
        "_alphabet",
        "_bare_forms",
        "_escape",
        "_forms",
        "_harmless",
        "_needles",
        "_needles_text",
        "_never_first",
    )

    def __init__(self, secrets: tuple[bytes, ...]) -> None:
        secrets = tuple(sorted(filter(None, secrets), key=len, reverse=True))
        forms: dict[bytes, None] = {}
        needles: dict[bytes, None] = {}
        for secret in secrets:
            within = [form for form in _base64_within(secret) if len(form) >= LEAST_CHARACTERS]
            plain = [secret, secret.replace(b" ", b"+")]
            hexadecimal = secret.hex().encode()
            encoded = base64.b64encode(secret).rstrip(b"=")
            forms |= dict.fromkeys([*plain, encoded, encoded.translate(URL_SAFE)])
            forms |= dict.fromkeys([*within, hexadecimal, hexadecimal.upper()])
            needles |= dict.fromkeys([*plain, *(within or [encoded]), *_of_either_case(hexadecimal)])
        self._forms = tuple(forms)
        self._needles = tuple(dict.fromkeys(map(unseen.without, needles)))
        self._needles_text = tuple(form.decode("utf-8", "replace") for form in needles)
        self._bare_forms = tuple(dict.fromkeys(map(unseen.without, forms)))
        signs = b"".join(secrets)
        self._escape = _escape_pattern(signs) if secrets else None
        # What a secret and its escapes are made of: nothing else is within one.
        self._alphabet = bytes(set(b"".join(forms)) | set(ESCAPE_SIGNS) | set(unseen.BYTES))
        # Nor does one begin with these: not with its own first character, an escape, or half a character of UTF-8.
        first = {form[0] for form in (*self._forms, *self._bare_forms) if form}
        self._never_first = bytes(set(range(0x80)) - first - {BACKSLASH, PERCENT, AMPERSAND})
        self._harmless = tuple(b"\\" + name for name, sign in COMMON.items() if sign not in signs)

    def whole(self, body: bytes) -> bytes:
        """Return ``body`` without the secrets. Events and bodies are given whole, so that no secret is cut in two."""
        if self._escape is None:
            return body
        found: Spans = []
        if self._has_needle(unseen.without(body)):
            body = self._without_forms(body)
            found = self._between_unseen(body)
        if self._has_escapes(body):
            found += self._behind_escapes(body, self._escape)
        return _without(body, _merged(found)) if found else body

    async def large(self, body: bytes) -> bytes:
        """Return what :meth:`whole` does, with turns for others in between.

        Raises ``TooManyEscapes`` when that is the work of more than ``MOST_SECONDS``.
        """
        if len(body) <= TURN_BYTES or self._escape is None:
            return self.whole(body)
        pieces, passed, spent = self.pieces(), Passed(body), 0.0
        turn, size, start = _turn_of_loop(), TURN_BYTES, 0
        while start < len(body):
            async with turn:
                began = perf_counter()
                passed.add(pieces.feed(body[start : start + size]))
                took = perf_counter() - began
                await asyncio.sleep(0)
            start += size
            spent += took
            if spent > MOST_SECONDS:
                raise TooManyEscapes("The upstream's answer has so many escapes that it can't be searched for secrets.")
            size = max(LEAST_TURN_BYTES, size // 2) if took > TURN_SECONDS else min(TURN_BYTES, size * 2)
        passed.add(pieces.end())
        return passed.whole()

    def _has_needle(self, bare: bytes) -> bool:
        """Whether a secret may be in what is without the characters that no one sees."""
        # Every event comes here: no generator for any(), and find() instead of in, which tries a number first.
        for needle in self._needles:  # noqa: SIM110
            if bare.find(needle) >= 0:
                return True
        return False

    def _without_forms(self, body: bytes) -> bytes:
        for form in self._forms:
            body = body.replace(form, REDACTED)
        return body

    def _behind_escapes(self, body: bytes, escape: re.Pattern[bytes]) -> Spans:
        """Return where in ``body`` secrets are that have escapes in them."""
        found: Spans = []
        layers = [body]
        for _ in range(ROUNDS):
            text, escapes = escape.subn(_unescaped, layers[-1])
            if not escapes:
                break
            spans = _merged(_spans(text, self._forms) + self._between_unseen(text))
            for before in reversed(layers if spans else ()):
                spans = _spans_before(before, spans, escape)
            found += spans
            layers.append(text)
        return found

    def _between_unseen(self, text: bytes) -> Spans:
        """Return where in ``text`` secrets are whose characters have some between them that no one sees."""
        if not self._has_needle(unseen.without(text)):
            return []
        return _spans_before(text, _spans(unseen.ANY.sub(b"", text), self._bare_forms), unseen.ANY, width=0)

    def _has_escapes(self, body: bytes) -> bool:
        """Whether some may be other than the line ends and quotes that any JSON is full of."""
        if PERCENT in body or AMPERSAND in body:
            return True
        return BACKSLASH in body and body.count(b"\\") != sum(map(body.count, self._harmless))

    def text(self, value: str) -> str:
        """Return a string without the secrets: a header's value, an error's message."""
        escaped = "\\" in value or "%" in value or "&" in value
        if not escaped and value.isascii() and value.isprintable():
            for needle in self._needles_text:
                if needle in value:
                    break
            else:
                return value
        clean = self.whole(value.encode("utf-8", "surrogatepass"))
        return clean.decode("utf-8", "surrogatepass")

    def beginning(self, value: str, length: int) -> str:
        """Return the first ``length`` characters of a string without the secrets, of a long one without reading all."""
        if len(value) <= TURN_BYTES:
            return self.text(value)[:length]
        begun = self.pieces().feed(value[:TURN_BYTES].encode("utf-8", "surrogatepass"))
        return begun.decode("utf-8", "replace")[:length]

    async def message(self, message: str | bytes) -> str | bytes:
        """Return a socket's message without the secrets. Raises ``TooManyEscapes``, as :meth:`large` does."""
        if isinstance(message, bytes):
            return await self.large(message)
        if len(message) <= TURN_BYTES:
            return self.text(message)
        return (await self.large(message.encode("utf-8", "surrogatepass"))).decode("utf-8", "surrogatepass")

    def pieces(self) -> "PieceRedactor":
        """Return what cleans a stream of pieces that may cut a secret in two."""
        return PieceRedactor(self)

    def held_bytes(self, data: bytes) -> int:
        """Return how many bytes at the end of ``data`` could begin a secret, or an escape of one's character."""
        if self._escape is None:
            return 0
        tail = data[-ESCAPE_BYTES * max(map(len, self._forms)) :]
        text = tail = tail[len(tail.rstrip(self._alphabet)) :]
        if not tail.strip(self._never_first):
            return 0  # as behind most events
        layers: list[bytes] = []
        most = 0
        for _ in range(ROUNDS):
            unfinished = _unfinished.search(text, max(0, len(text) - UNFINISHED_BYTES))
            if unfinished is not None:
                text = text[: unfinished.start()]
            start = self._begun(text)
            for before in reversed(layers):
                ((start, _),) = _spans_before(before, [(start, start)], self._escape)
            most = max(most, len(tail) - start)
            layers.append(text)
            text, escapes = self._escape.subn(_unescaped, text)
            if not escapes:
                break
        return most

    def _begun(self, text: bytes) -> int:
        """Return where the beginning of a secret is that may go on behind the end of ``text``."""
        start = len(text) - max(_overlap(text, form) for form in self._forms)
        if len(unseen.without(text)) == len(text):
            return start
        bare = unseen.ANY.sub(b"", text)
        first = len(bare) - max(_overlap(bare, form) for form in self._bare_forms)
        ((before, _),) = _spans_before(text, [(first, first)], unseen.ANY, width=0)
        return min(start, before) if first < len(bare) else start


class PieceRedactor:
    """Cleans pieces of one stream: the end of a piece that could begin a secret waits for the next."""

    __slots__ = ("_held", "_redactor")

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor
        self._held = b""

    def feed(self, piece: bytes) -> bytes:
        """Return what can go on by now."""
        data = self._redactor.whole(self._held + piece if self._held else piece)
        keep = self._redactor.held_bytes(data)
        self._held = data[len(data) - keep :] if keep else b""
        return data[: len(data) - keep] if keep else data

    def end(self) -> bytes:
        """Return what is left at the end of the stream."""
        held, self._held = self._held, b""
        return held


_turns: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Lock] = WeakKeyDictionary()


def _turn_of_loop() -> asyncio.Lock:
    """Return what large answers take turns by: one searches between two rounds of the loop, however many there are."""
    loop = asyncio.get_running_loop()
    return _turns.get(loop) or _turns.setdefault(loop, asyncio.Lock())


@lru_cache(maxsize=4096)
def redactor(secrets: tuple[bytes, ...]) -> Redactor:
    """Return the redactor of an account's ``secrets``."""
    return Redactor(secrets)


def _base64_within(secret: bytes) -> Iterator[bytes]:
    """Yield what base64 writes for ``secret`` in the middle of something longer: it depends on where it begins."""
    for before in range(3):
        encoded = base64.b64encode(bytes(before) + secret)
        whole = encoded[-(-before * 8 // 6) : (before + len(secret)) * 8 // 6]
        yield whole
        yield whole.translate(URL_SAFE)


def _of_either_case(hexadecimal: bytes) -> list[bytes]:
    """Return what is looked for to find hex in either case: its longest run of mere digits, if that is long."""
    run = max(re.findall(rb"[0-9]+", hexadecimal), key=len, default=b"")
    return [run] if len(run) >= LEAST_CHARACTERS else [hexadecimal, hexadecimal.upper()]


def _overlap(data: bytes, form: bytes) -> int:
    """Return how many bytes at the end of ``data`` are a proper beginning of ``form``."""
    start = max(0, len(data) - len(form) + 1)
    while (start := data.find(form[:1], start)) >= 0:
        if form.startswith(data[start:]):
            return len(data) - start
        start += 1
    return 0


def _escape_pattern(signs: bytes) -> re.Pattern[bytes]:
    """Return a pattern for one escape of one byte: of any byte by its number, of ``signs`` by a backslash or name.

    A backslash before a quote or an ``n`` fills some bodies: it counts only where a secret has such a sign.
    """
    top = rb"[0-9a-fA-F]" if max(signs, default=0) > 0x7F else rb"[0-7]"
    plain = {bytes([code]) for code in signs if not bytes([code]).isalnum()} | {b"\\", b"%", b"&"}
    short = {letter for letter, sign in _SHORT.items() if sign in plain}
    after = b"".join(re.escape(sign) for sign in sorted(plain | short))
    names = b"|".join(sorted(name for name, sign in _NAMES.items() if sign in plain))
    digit = rb"[0-9a-fA-F]"
    sign = top + digit
    return re.compile(
        rb"\\(?:u00(?P<u>" + sign + rb")|x(?P<x>" + sign + rb")"
        rb"|U000000(?P<U>" + sign + rb")|u\{0{0,6}(?P<braces>" + sign + rb")\}"
        rb"|(?P<octal>[01][0-7]{2})|(?P<after>[" + after + rb"]))"
        rb"|%(?P<percent>" + sign + rb")"
        rb"|&(?:\#[xX]0{0,6}(?P<hex>" + sign + rb")(?:;|(?!" + digit + rb"))"
        rb"|\#0{0,6}(?P<decimal>[3-9][0-9]|1[01][0-9]|12[0-7])(?:;|(?![0-9]))|(?P<name>" + names + rb");)"
    )


def _unescaped(found: re.Match[bytes]) -> bytes:
    kind, value = found.lastgroup, found[found.lastgroup or 0]
    if kind == "after":
        return _SHORT.get(value, value)
    if kind == "name":
        return _NAMES[value]
    return bytes([int(value, 8 if kind == "octal" else 10 if kind == "decimal" else 16)])


def _spans(text: bytes, forms: tuple[bytes, ...]) -> Spans:
    """Return where ``forms`` are in ``text``, in order, none overlapping another."""
    found: Spans = []
    for form in forms:
        start = text.find(form)
        while start >= 0:
            found.append((start, start + len(form)))
            start = text.find(form, start + len(form))
    return _merged(found)


def _spans_before(text: bytes, spans: Spans, escape: re.Pattern[bytes], width: int = 1) -> Spans:
    """Return where ``spans`` of what ``escape`` made of ``text`` are in ``text``: every escape became ``width``
    bytes."""
    places = [place for span in spans for place in span]
    moved: list[int] = []
    shift = 0
    for found in escape.finditer(text):
        at = found.start() - shift
        while len(moved) < len(places) and places[len(moved)] <= at:
            moved.append(places[len(moved)] + shift)
        if len(moved) == len(places):
            break
        shift += found.end() - found.start() - width
    moved += [place + shift for place in places[len(moved) :]]
    return list(zip(moved[::2], moved[1::2], strict=True))


def _merged(spans: Spans) -> Spans:
    """Return the spans in order, with those that overlap as one."""
    merged: Spans = []
    for start, end in sorted(spans):
        if merged and start < merged[-1][1]:
            merged[-1] = merged[-1][0], max(end, merged[-1][1])
        else:
            merged.append((start, end))
    return merged


def _without(body: bytes, spans: Spans) -> bytes:
    parts, last = [], 0
    for start, end in spans:
        parts += [body[last:start], REDACTED]
        last = end
    return b"".join([*parts, body[last:]])
