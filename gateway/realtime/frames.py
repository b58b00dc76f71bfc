"""What a client's message says: its JSON fields, whether it came as text or as bytes."""

import msgspec

from gateway.body import json as json_body

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
