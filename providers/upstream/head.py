"""The bytes of a request's head. Refuses what would let a value become a line of its own (request splitting). Pure."""

from collections.abc import Collection
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import quote, urlsplit

from accounts.numbers import whole_number
from providers.headers import CONTROL, NAME
from providers.upstream.failures import ConnectFailed, UnsendableHeaders
from providers.upstream.pieces import Pieces

PORTS = {"http": 80, "https": 443}
BODILESS = frozenset({"GET", "HEAD", "OPTIONS", "TRACE", "DELETE"})
FRAMING = frozenset({"content-length", "transfer-encoding"})
MAX_CACHED_URL = 512
MAX_CACHED_LINE = 512
MAX_CACHED_LINES = 2048
_lines: dict[tuple[str, str], bytes] = {}  # checked and encoded: most headers come again with every call


class Origin(NamedTuple):
    """Where a connection leads. ``authority`` is what the ``host`` header says."""

    tls: bool
    host: str
    port: int
    authority: str


def split_url(url: str) -> tuple[Origin, str]:
    """Return a URL's origin and the target of its request line. Raises ``ConnectFailed`` for what is not a URL."""
    return _split_often(url) if len(url) <= MAX_CACHED_URL else _split(url)


def _split(url: str) -> tuple[Origin, str]:
    if not url.isascii():  # a query's raw bytes, decoded as Latin-1: escaped, they stay what they were
        url = "".join(
            char if char < "\x80" else quote(char.encode("latin1" if char <= "\xff" else "utf-8", "replace"))
            for char in url
        )
    if not url.isprintable() or " " in url:
        raise ConnectFailed("The upstream's address is not valid.")
    try:
        parts = urlsplit(url)
        host, port = (parts.hostname or "").rstrip("."), parts.port or PORTS[parts.scheme]
    except (ValueError, KeyError):
        raise ConnectFailed("The upstream's address is not valid.") from None
    if not host or "@" in parts.netloc:
        raise ConnectFailed("The upstream's address is not valid.")
    name = f"[{host}]" if ":" in host else host
    authority = name if port == PORTS[parts.scheme] else f"{name}:{port}"
    rest = url[url.index("//") + 2 + len(parts.netloc) :].partition("#")[0]
    return Origin(parts.scheme == "https", host, port, authority), rest if rest.startswith("/") else f"/{rest}"


_split_often = lru_cache(maxsize=1024)(_split)


def encode_head(
    method: str,
    target: str,
    authority: str,
    headers: Collection[tuple[str, str]],
    body: object,
    traceparent: str = "",
) -> tuple[bytes, int | None]:
    """Return a request's head and, when ``body`` comes in pieces, their announced length; ``None``: they go chunked.

    ``body`` is ``bytes``, ``None``, or anything else for pieces: those that lie in memory know their length. Framing
    headers are ours: of those given, only the ``content-length`` of a body that streams through is used. Raises
    ``UnsendableHeaders``.
    """
    given: dict[str, str] = {}
    try:
        lines = b"".join([_lines[pair] for pair in headers])
    except KeyError:
        lines = b"".join([_lines.get(pair) or _encode_line(*pair, given) for pair in headers])
    if traceparent:
        lines += b"traceparent: %b\r\n" % traceparent.encode("ascii")
    if isinstance(body, bytes):
        return b"%b%b%bcontent-length: %d\r\n\r\n" % (
            _first_line(method, target),
            _host_line(given.get("host", authority)),
            lines,
            len(body),
        ), None
    if isinstance(body, Pieces):
        length: int | None = len(body)
    else:
        length = None if body is None else whole_number(given.get("content-length", ""))
    if body is None:
        framing = b"" if method in BODILESS else b"content-length: 0\r\n"
    elif length is None:
        framing = b"transfer-encoding: chunked\r\n"
    else:
        framing = b"content-length: %d\r\n" % length
    return b"%b%b%b%b\r\n" % (
        _first_line(method, target),
        _host_line(given.get("host", authority)),
        lines,
        framing,
    ), length


@lru_cache(maxsize=1024)
def _first_line(method: str, target: str) -> bytes:
    if not method.isalpha() or not method.isascii():
        raise UnsendableHeaders(f"{method!r} is not an HTTP method.")
    return f"{method} {target} HTTP/1.1\r\n".encode("ascii")


@lru_cache(maxsize=1024)
def _host_line(authority: str) -> bytes:
    return b"host: %b\r\n" % _encode_value(authority)


def _encode_line(name: str, value: str, given: dict[str, str]) -> bytes:
    """Return a header's line. ``host`` and the framing headers go into ``given``, by their names in lower case."""
    lower = name.lower()
    if lower == "host" or lower in FRAMING:
        given[lower] = value
        return b""
    if not NAME.fullmatch(name):
        raise _unsendable()
    line = b"%b: %b\r\n" % (name.encode(), _encode_value(value))
    if len(line) <= MAX_CACHED_LINE:
        if len(_lines) >= MAX_CACHED_LINES:
            _lines.clear()
        _lines[name, value] = line
    return line


def _encode_value(value: str) -> bytes:
    if CONTROL.search(value):
        raise _unsendable()
    try:
        return value.encode()
    except UnicodeEncodeError:
        raise _unsendable() from None


def _unsendable() -> UnsendableHeaders:
    return UnsendableHeaders("A header of this call has characters that no HTTP header can carry.")
