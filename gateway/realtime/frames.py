"""What a client's message says: its JSON fields, whether it came as text or as bytes."""

import json

import msgspec

from gateway.body import json as json_body
from gateway.call.errors import InvalidRequest

Fields = dict[str, msgspec.Raw]
JSON_START_BYTES = 64
_text = msgspec.json.Decoder(str)


def fields_of(message: str | bytes) -> Fields | None:
    """Return the fields of a client's event; ``None`` for bytes that hold no JSON object, which mean nothing to us.

    Raises :class:`~gateway.call.errors.InvalidRequest` for text that is no JSON object, and for JSON that another reader could
    see otherwise: doubled names, or bytes in another encoding than UTF-8.
    """
    if isinstance(message, str):
        return json_body.decode_fields(message.encode())
    encoding = json.detect_encoding(message[:4]) if message else "utf-8"
    start = message[:JSON_START_BYTES].decode(encoding, "ignore").lstrip("\ufeff \t\r\n")
    if not start.startswith("{"):
        return None
    if encoding != "utf-8":
        raise InvalidRequest("An event must be UTF-8 without a byte order mark.", code="invalid_encoding")
    return json_body.decode_fields(message)


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
    encoded = msgspec.json.encode(fields)
    return encoded.decode() if isinstance(message, str) else encoded
