"""What a client's message says: its JSON fields, whether it came as text or as bytes."""

import json

import msgspec

from gateway.body import json as json_body
from gateway.call.errors import InvalidRequest

Fields = dict[str, msgspec.Raw]
WHITESPACE = b" \t\r\n"
TYPE = b'"type"'
_text = msgspec.json.Decoder(str)


def fields_of(message: str | bytes) -> Fields | None:
    """Return the fields of a client's event; ``None`` for bytes that no reader takes for an event, such as audio.

    Raises :class:`~gateway.call.errors.InvalidRequest` for text that is not a JSON object, and for JSON that another
    reader could see otherwise: duplicate names, or bytes in another encoding than UTF-8.
    """
    if isinstance(message, str):
        return json_body.decode_fields(message.encode())
    start = message.lstrip(WHITESPACE)
    if start.startswith(b"{") and b"\0" not in start[:4]:
        return json_body.decode_fields(message)
    if _could_be_read(message, start):
        raise InvalidRequest(
            "A binary message that holds an event must be one JSON object, UTF-8 without a byte order mark.",
            code="invalid_encoding",
        )
    return None


def _could_be_read(message: bytes, start: bytes) -> bool:
    """Whether some reader could take ``message`` for an event: an object in another encoding, or with something before
    it.

    The whole of it decides, however long what comes before the object is. A message without the name of a type is not
    an event.
    """
    if TYPE in message.replace(b"\0", b""):
        return True
    encoding = json.detect_encoding(start[:4]) if start else "utf-8"
    return message.decode(encoding, "ignore").lstrip("\ufeff \t\r\n").startswith("{")


def text(fields: Fields, name: str) -> str:
    """Return a string field of an event; empty when it is missing or not a string."""
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
