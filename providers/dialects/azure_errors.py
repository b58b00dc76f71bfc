"""Azure's errors in OpenAI's words: its resources answer with codes of their own, and without a type."""

from providers.dialects.chat.errors import from_fields, write_error
from providers.dialects.wire import Fields, encode, lenient, text_of

OPENAIS = frozenset({"message", "type", "param", "code"})


def azure_error(status: int, body: bytes) -> bytes:
    """Return the body of an error; what is in OpenAI's words already, and what no one can read, as it came.

    ``innererror``, which says what a content filter found, and whatever else is in the error stays.
    """
    fields = lenient(body)
    if not isinstance(fields, dict) or not fields:
        return body
    error = fields.get("error")
    if isinstance(error, dict) and text_of(error.get("type")) and error.keys() >= OPENAIS:
        return body
    failure = from_fields(status, fields, body)
    if not isinstance(error, dict):
        return write_error(failure)
    code = text_of(error.get("code"))
    own: Fields = {"message": failure.message, "type": text_of(error.get("type")) or failure.type}
    own |= {"param": error.get("param") or failure.param, "code": failure.code or code or None}
    return encode({**fields, "error": {**error, **own}})
