"""What a client's message says: its JSON fields, whether it came as text or as bytes."""

from collections.abc import Iterable, Set

import msgspec

from gateway.body import json as json_body
from gateway.call.errors import InvalidRequest

Fields = dict[str, msgspec.Raw]
_text = msgspec.json.Decoder(str)


def fields_of(message: str | bytes) -> Fields:
    """Return the fields of a client's event.

    Raises :class:`~gateway.call.errors.InvalidRequest` for what is not one JSON object in UTF-8 with unique names, text
    or bytes: every event of every socket is one, and what we cannot read another reader might.
    """
    return json_body.decode_fields(encoded(message))


def encoded(message: str | bytes) -> bytes:
    """Return a message as the bytes that its JSON is read from."""
    return message.encode() if isinstance(message, str) else message


def refuse_other_case(names: Iterable[str], read: Set[str]) -> None:
    """Raise :class:`~gateway.call.errors.InvalidRequest` for one of ``names`` that is one of those we ``read`` but for
    its case: some servers, Go's among them, take any case for a field, and would read what we did not check.
    """
    for name in names:
        meant = name.casefold()
        if name not in read and meant in read:
            raise InvalidRequest(f"Write {meant!r}, not {name[:80]!r}.", param=name[:80], code="unknown_parameter")


def text(fields: Fields, name: str) -> str:
    """Return a text field of an event; empty when it is missing or no text."""
    raw = fields.get(name)
    if raw is None:
        return ""
    try:
        return _text.decode(raw)
    except ValueError:
        return ""


def rewritten(message: str | bytes, fields: Fields) -> str | bytes:
    """Return the event with other ``fields``, as the text or the bytes that it came as."""
    written = msgspec.json.encode(fields)
    return written.decode() if isinstance(message, str) else written
