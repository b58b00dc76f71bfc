"""Errors of OpenAI's dialect, and of the many servers that nearly speak it."""

from typing import Any

from providers.dialects.failures import classify, message_of, unwrapped
from providers.dialects.neutral import Failure
from providers.dialects.reported import status_of
from providers.dialects.wire import Fields, encode, lenient, text_of


def read_error(status: int, body: bytes) -> Failure:
    """Return the failure of a chat server's answer; never raises."""
    fields = lenient(body)
    return from_fields(status, fields, body)


def from_fields(status: int, fields: Any, body: bytes = b"") -> Failure:
    """Return the failure of decoded fields; servers nest them in ``error`` or not, and put a status into ``code``."""
    fields = unwrapped(fields)
    error = fields.get("error") if isinstance(fields, dict) else None
    inner: Fields = error if isinstance(error, dict) else fields if isinstance(fields, dict) else {}
    message = text_of(inner.get("message")) or message_of(body, fields)
    code = inner.get("code")
    if not 400 <= status <= 599:
        status = status_of((code, inner.get("type")))
    metadata = inner.get("metadata")
    if isinstance(metadata, dict) and isinstance(metadata.get("raw"), str):
        message = f"{message}: {metadata['raw'][:300]}"  # OpenRouter: what the provider behind it said
    return classify(
        status, message, text_of(code) or text_of(inner.get("type")) or None, text_of(inner.get("param")) or None
    )


def write_error(failure: Failure) -> bytes:
    """Return the failure in OpenAI's form."""
    return encode({"error": error_fields(failure)})


def error_fields(failure: Failure) -> Fields:
    """Return what is inside ``error``."""
    return {"message": failure.message, "type": failure.type, "param": failure.param, "code": failure.code}
