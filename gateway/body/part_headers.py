"""The headers of a multipart body's parts: name, file's name, and everything that two parsers could read differently.

Each rule has a reader behind it that reads another part, or another value, than its neighbours do; the tests run them
side by side.
"""

import html
import re
from urllib.parse import unquote

from accounts.numbers import whole_number
from gateway.call.errors import InvalidRequest

MAX_FILE_NAME = 255
PLAIN_ENCODINGS = frozenset({b"", b"7bit", b"8bit", b"binary"})
# Values are UTF-8 for everyone only when they say so, or nothing.
TEXT_CHARSETS = frozenset({b"", b"utf-8", b"utf8", b"us-ascii"})
CHARSET_PART = "_charset_"  # gives the charset of the other parts, for those who know it

_header_name = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+\Z").match
_parameter = re.compile(
    rb';[ \t]*(?:([!#$%&\'+.^_`|~0-9A-Za-z-]+\*?)=(?:"((?:[^"\\\x00-\x1f\x7f]|\\[^\x00-\x1f\x7f])*)"|([^\s;"\\,]+))[ '
    rb"\t]*)?"
)
# The one form in which every reader sees the same parameters.
_disposition = re.compile(
    rb'form-data(?:; ?[A-Za-z-]+\*?=(?:"(?:[^"\\]|\\.)*"|[^\s;"\\,=()<>@:/\[\]?{}\x00-\x1f\x7f-\xff]+))+\Z',
    re.IGNORECASE,
).match
_escaped = re.compile(rb"\\(.)")
_kind = re.compile(rb"[^;]*")
# What cuts a name short, decodes it, or ends it early for some reader.
_odd_name = re.compile(r'[%;\\"\x00-\x1f\x7f]|^\s|\s$')


def malformed(message: str, param: str | None = None) -> InvalidRequest:
    """Return the error for a multipart body that is not valid."""
    return InvalidRequest(message, param=param, code="invalid_multipart")


def parameters(value: bytes) -> tuple[bytes, dict[bytes, bytes]]:
    """Return a header's value in lower case and its parameters, names in lower case.

    Raises ``ValueError`` for duplicates.
    """
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


def part_headers(block: bytes) -> dict[bytes, bytes]:
    """Return a part's headers, names in lower case; raise for what two parsers could read differently."""
    headers: dict[bytes, bytes] = {}
    for line in block.split(b"\r\n"):
        name, colon, value = line.partition(b":")
        if not colon or not _header_name(name) or b"\n" in value or b"\r" in value or b"\x00" in value:
            raise malformed("A multipart part has a header that is not well-formed.")
        name = name.lower()
        if name in headers:
            raise malformed("A multipart part has the same header twice.")
        headers[name] = value.strip()
    if headers.get(b"content-transfer-encoding", b"").lower() not in PLAIN_ENCODINGS:
        raise malformed("A multipart part has a Content-Transfer-Encoding. Send its bytes as they are.")
    if headers.get(b"content-encoding", b"identity").lower() != b"identity":
        raise malformed("A multipart part has a Content-Encoding. Send its bytes as they are.")
    return headers


def part_name(headers: dict[bytes, bytes]) -> tuple[str, bool]:
    """Return a part's name, and whether it is a file; raise for what a reader could take for the other, or by another
    name.
    """
    disposition = headers.get(b"content-disposition", b"")
    try:
        kind, options = parameters(disposition)
    except ValueError:
        kind, options = b"", {}
    if kind != b"form-data" or not options.get(b"name") or b"name*" in options:
        raise malformed('A multipart part has no plain name (Content-Disposition: form-data; name="...").')
    if not _disposition(disposition) or any(b"name=" in value.lower() for value in options.values()):
        raise malformed("The Content-Disposition of a multipart part is not well-formed.")
    name = _ascii(options[b"name"])
    if _odd_name.search(name) or name == CHARSET_PART:
        raise malformed(f"A multipart part is called {name[:80]!r}, which some servers read as another name.")
    is_file = b"filename" in options
    if b"filename*" in options and not is_file:
        raise malformed(f"The part {name[:80]!r} has a filename* alone, which some servers do not read.", name[:80])
    if is_file and not _is_file_name(options[b"filename"]):
        raise malformed(f"The part {name[:80]!r} has an empty file name: some servers take it for text.", name[:80])
    _check_type(headers.get(b"content-type", b""), name, is_file=is_file)
    return name, is_file


def _ascii(value: bytes) -> str:
    try:
        return value.decode("ascii")
    except UnicodeDecodeError:  # servers differ in what they decode it by
        raise malformed("The name of a multipart part has letters beyond ASCII.") from None


def _is_file_name(raw: bytes) -> bool:
    """Whether something is left of a file's name when a server has taken its folders away, as Django does."""
    name = html.unescape(_escaped.sub(rb"\1", raw).decode("utf-8", "replace"))
    for separator in ("/", "\\"):
        name = name.rsplit(separator, 1)[-1]
    return "".join(sign for sign in name if sign.isprintable()).strip() not in ("", ".", "..")


def _check_type(content_type: bytes, name: str, *, is_file: bool) -> None:
    media, _, rest = content_type.partition(b";")
    media = media.strip().lower()
    if media.startswith((b"multipart/", b"message/")):
        raise malformed(f"The part {name[:80]!r} holds parts of its own.", name[:80])
    if is_file:
        return
    try:
        _, options = parameters(b";" + rest)
    except ValueError:
        options = {b"charset": b"?"}
    charset = options.get(b"charset", b"").strip(b"'").lower()
    if media == b"application/octet-stream" or charset not in TEXT_CHARSETS or b"charset*" in options:
        raise malformed(f"The part {name[:80]!r} is not plain UTF-8 text. Leave out its Content-Type.", name[:80])


def part_length(headers: dict[bytes, bytes]) -> int | None:
    """Return the length that a part says it has, which some readers go by; ``None`` when it says none."""
    given = headers.get(b"content-length")
    if given is None:
        return None
    length = whole_number(given)
    if length is None:
        raise malformed("A multipart part has a Content-Length that is not a number.")
    return length


def part_file_name(headers: dict[bytes, bytes]) -> str:
    """Return the name of a part's file, without what can't be shown; empty when it has none."""
    _, options = parameters(headers.get(b"content-disposition", b""))
    plain = _escaped.sub(rb"\1", options.get(b"filename", b"")).decode("utf-8", "replace")
    name = plain or unquote(options.get(b"filename*", b"").decode("latin1").rpartition("'")[2])
    return "".join(character for character in name if character.isprintable())[:MAX_FILE_NAME]
