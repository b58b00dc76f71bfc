"""Takes an account's secrets out of everything that goes out: some upstreams repeat what they were sent.

A secret is found as it is, percent-encoded, in base64 (also within something longer that was encoded as a whole, like
``Bearer KEY``), and with any of its characters written as a JSON escape.
"""

import base64
import re
from collections.abc import Iterator
from functools import lru_cache
from urllib.parse import quote

REDACTED = b"[redacted]"
LEAST_CHARACTERS = 8
ESCAPE_BYTES = 6
BACKSLASH = 0x5C
URL_SAFE = bytes.maketrans(b"+/", b"-_")


class Redactor:
    """Finds an account's secrets in bytes. Immutable; one serves every call of the account's revision."""

    __slots__ = ("_escaped", "_plain", "_plain_text", "_secrets")

    def __init__(self, secrets: tuple[bytes, ...]) -> None:
        forms: dict[bytes, None] = {}
        for secret in sorted(secrets, key=len, reverse=True):
            forms[secret] = None
            forms[quote(secret, safe="").encode()] = None
            forms[base64.b64encode(secret).rstrip(b"=")] = None
            forms[base64.urlsafe_b64encode(secret).rstrip(b"=")] = None
        for secret in secrets:
            forms |= dict.fromkeys(form for form in _base64_within(secret) if len(form) >= LEAST_CHARACTERS)
        self._secrets = secrets
        self._plain = tuple(forms)
        self._plain_text = tuple(form.decode("utf-8", "replace") for form in forms)
        self._escaped = _escaped_pattern(secrets)

    def whole(self, body: bytes) -> bytes:
        """Return ``body`` without the secrets. Events and bodies are given whole, so that no secret is cut in two."""
        for form in self._plain:
            if form in body:
                body = body.replace(form, REDACTED)
        if self._escaped is not None and b"\\u" in body:
            body = self._escaped.sub(REDACTED, body)
        return body

    def text(self, value: str) -> str:
        """Return a string without the secrets: a header's value, an error's message."""
        if "\\u" not in value and not any(form in value for form in self._plain_text):
            return value
        clean = self.whole(value.encode("utf-8", "surrogatepass"))
        return clean.decode("utf-8", "surrogatepass")

    def message(self, message: str | bytes) -> str | bytes:
        """Return a socket's message without the secrets."""
        if isinstance(message, bytes):
            return self.whole(message)
        return self.text(message)

    def pieces(self) -> "PieceRedactor":
        """Return what cleans a stream of pieces that may cut a secret in two."""
        return PieceRedactor(self, self._plain, self._secrets)


class PieceRedactor:
    """Cleans pieces of one stream: the end of a piece that could begin a secret waits for the next."""

    __slots__ = ("_forms", "_held", "_redactor", "_secrets")

    def __init__(self, redactor: Redactor, forms: tuple[bytes, ...], secrets: tuple[bytes, ...]) -> None:
        self._redactor = redactor
        self._forms = forms
        self._secrets = secrets
        self._held = b""

    def feed(self, piece: bytes) -> bytes:
        """Return what can go on by now."""
        data = self._redactor.whole(self._held + piece if self._held else piece)
        keep = max((_overlap(data, form) for form in self._forms), default=0)
        if b"\\" in data:
            keep = max(keep, *(_escaped_overlap(data, secret) for secret in self._secrets), 0)
        self._held = data[len(data) - keep :] if keep else b""
        return data[: len(data) - keep] if keep else data

    def end(self) -> bytes:
        """Return what is left at the end of the stream."""
        held, self._held = self._held, b""
        return held


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


def _overlap(data: bytes, form: bytes) -> int:
    """Return how many bytes at the end of ``data`` are a proper beginning of ``form``."""
    start = max(0, len(data) - len(form) + 1)
    while (start := data.find(form[:1], start)) >= 0:
        if form.startswith(data[start:]):
            return len(data) - start
        start += 1
    return 0


def _escaped_overlap(data: bytes, secret: bytes) -> int:
    """Return how many bytes at the end of ``data`` begin ``secret`` with some of its characters as JSON escapes."""
    start = max(0, len(data) - ESCAPE_BYTES * len(secret) + 1)
    while start < len(data):
        if data[start] in (secret[0], BACKSLASH) and _begins(data, start, secret):
            return len(data) - start
        start += 1
    return 0


def _begins(data: bytes, start: int, secret: bytes) -> bool:
    """Whether ``data`` ends, from ``start``, within ``secret``."""
    for byte in secret:
        rest, escape = data[start : start + ESCAPE_BYTES].lower(), b"\\u%04x" % byte
        if escape.startswith(rest) and len(rest) < ESCAPE_BYTES:
            return True  # nothing is left, or the beginning of an escape
        if rest == escape:
            start += ESCAPE_BYTES
        elif data[start] == byte:
            start += 1
        else:
            return False
    return False


def _escaped_pattern(secrets: tuple[bytes, ...]) -> re.Pattern[bytes] | None:
    """Return a pattern for the secrets with any of their characters as a JSON escape, ``None`` without secrets."""
    written = [
        b"".join(b"(?:%s|\\\\u00(?i:%02x))" % (re.escape(bytes([byte])), byte) for byte in secret)
        for secret in secrets
        if secret
    ]
    return re.compile(b"|".join(written)) if written else None
