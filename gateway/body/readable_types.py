"""The content types that ``/proxy/`` passes on: those whose bodies can be read as the vendor reads them, and media.

In any other format (CBOR, MessagePack, Protocol Buffers, XML, YAML, plain text ...) an id or a model could be written
in ways that a search does not find, so nothing in them can be checked.
"""

import re

from gateway.call.errors import UnsupportedMedia

FORM = b"application/x-www-form-urlencoded"
LINES = frozenset({b"application/x-ndjson", b"application/ndjson", b"application/jsonl", b"application/x-jsonlines"})
FILES = frozenset({b"application/octet-stream", b"application/pdf", b"application/zip"})
# Texts that people upload: no server reads the fields of a call from such a file.
DOCUMENTS = frozenset({b"", b"text/plain", b"text/csv", b"text/markdown"})
TEXTS = frozenset({b"", b"text/plain"})
_json = re.compile(rb"application/(?:[\w.-]+\+)?json\Z").match
_media = re.compile(rb"(?:audio|image|video)/[\w.-]+\Z").match  # not image/svg+xml and its like: "+" names a format


def media_type(content_type: bytes) -> bytes:
    """Return a content type without its parameters, in lower case."""
    return content_type.partition(b";")[0].strip().lower()


def is_data(content_type: bytes) -> bool:
    """Whether a body of this type is a file, and no fields of a call."""
    media = media_type(content_type)
    return media in FILES or _media(media) is not None


def check_body_type(content_type: bytes) -> None:
    """Raise :class:`~gateway.call.errors.UnsupportedMedia` for a type that a body must not have."""
    media = media_type(content_type)
    if media and not (media == FORM or media in LINES or _json(media) or is_data(media)):
        raise UnsupportedMedia(
            f"/proxy/ can't read a body of the type {_shown(media)}, so it can't check what it names. Send JSON, JSON "
            "lines, a form, or a file as audio/*, image/*, video/*, application/pdf, application/zip or "
            "application/octet-stream."
        )


def check_part_type(content_type: bytes, name: str, *, is_file: bool) -> None:
    """Raise :class:`~gateway.call.errors.UnsupportedMedia` for a type that a part of a form must not have.

    Some servers read a part that says it is JSON as a field, with a file's name or without one.
    """
    media = media_type(content_type)
    if is_file and not (media in DOCUMENTS or is_data(media)):
        raise UnsupportedMedia(
            f"/proxy/ can't check the file in the part {name[:80]!r} of the type {_shown(media)}. Give the part a "
            "Content-Type: application/octet-stream, audio/*, image/*, video/*, application/pdf, application/zip, "
            "text/plain, text/csv or text/markdown.",
            param=name[:80],
        )
    if not is_file and media not in TEXTS and not _json(media):
        raise UnsupportedMedia(
            f"/proxy/ can't read the part {name[:80]!r} of the type {_shown(media)}. Leave out its Content-Type, or "
            "send JSON.",
            param=name[:80],
        )


def _shown(media: bytes) -> str:
    return repr(media.decode("latin1")[:80])
