"""Anthropic's errors."""

from typing import Any

from providers.dialects.failures import classify, message_of, unwrapped
from providers.dialects.neutral import Failure
from providers.dialects.wire import encode, lenient, text_of

# Type: status, for errors inside a stream, which have none.
_TYPES = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "api_error": 500,
    "timeout_error": 504,
    "overloaded_error": 529,
}
_BY_STATUS = {status: kind for kind, status in _TYPES.items() if status != 413} | {503: "overloaded_error"}


def read_error(status: int, body: bytes) -> Failure:
    """Return the failure of Anthropic's answer; never raises."""
    return from_fields(status, lenient(body), body)


def from_fields(status: int, fields: Any, body: bytes = b"") -> Failure:
    """Return the failure of decoded fields; a status of 200 is replaced by the error type's own."""
    fields = unwrapped(fields)
    error = fields.get("error") if isinstance(fields, dict) else None
    inner = error if isinstance(error, dict) else {}
    kind = text_of(inner.get("type"))
    if not 400 <= status <= 599:
        status = _TYPES.get(kind, 502)
    message = text_of(inner.get("message")) or message_of(body, fields)
    missing = kind == "not_found_error" or inner.get("status") == "NOT_FOUND"  # as Google words it on Vertex AI
    return classify(status, message, "model_not_found" if missing and "model" in message.lower() else None)


def error_fields(failure: Failure) -> dict[str, Any]:
    """Return the failure in Anthropic's form."""
    kind = _BY_STATUS.get(failure.status, "invalid_request_error" if failure.status < 500 else "api_error")
    if failure.code == "insufficient_quota":
        kind = "billing_error"
    return {"type": "error", "error": {"type": kind, "message": failure.message}, "request_id": None}


def write_error(failure: Failure) -> bytes:
    """Return the failure as Anthropic's error body."""
    return encode(error_fields(failure))
