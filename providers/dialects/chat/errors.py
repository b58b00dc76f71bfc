"""Errors of OpenAI's dialect, and of the many servers that nearly speak it."""

from typing import Any

from providers.dialects.failures import classify, message_of
from providers.dialects.neutral import Failure
from providers.dialects.wire import Fields, encode, lenient, text_of


def read_error(status: int, body: bytes) -> Failure:
    """Return the failure of a chat server's answer; never raises."""
    fields = lenient(body)
    return from_fields(status, fields, body)


def from_fields(status: int, fields: Any, body: bytes = b"") -> Failure:
    """Return the failure of decoded fields; servers nest them in ``error`` or not, and put a status into ``code``."""
    error = fields.get("error") if isinstance(fields, dict) else None
    inner: Fields = error if isinstance(error, dict) else fields if isinstance(fields, dict) else {}
    message = text_of(inner.get("message")) or message_of(body, fields)
    code = inner.get("code")
    if isinstance(code, int) and 400 <= code <= 599 and not 400 <= status <= 599:
        status = code
    elif not 400 <= status <= 599:
        status = _status_of(text_of(inner.get("type")), text_of(code))
    metadata = inner.get("metadata")
    if isinstance(metadata, dict) and isinstance(metadata.get("raw"), str):
        message = f"{message}: {metadata['raw'][:300]}"  # OpenRouter: what the provider behind it said
    return classify(
        status, message, text_of(code) or text_of(inner.get("type")) or None, text_of(inner.get("param")) or None
    )


_KINDS = {
    "rate_limit": 429,
    "insufficient_quota": 429,
    "invalid_request": 400,
    "authentication": 401,
    "permission": 403,
    "not_found": 404,
    "overloaded": 503,
    "timeout": 504,
    "context_length": 400,
    "content_filter": 400,
}


def _status_of(kind: str, code: str) -> int:
    """Return the status of an error inside a stream, which has only a type and a code."""
    said = f"{kind} {code}".lower()
    return next((status for word, status in _KINDS.items() if word in said), 502)


def write_error(failure: Failure) -> bytes:
    """Return the failure in OpenAI's form."""
    return encode({"error": error_fields(failure)})


def error_fields(failure: Failure) -> Fields:
    """Return what is inside ``error``."""
    return {"message": failure.message, "type": failure.type, "param": failure.param, "code": failure.code}
