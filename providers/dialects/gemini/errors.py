"""Google's errors."""

from typing import Any

from providers.dialects.failures import classify, message_of, unwrapped
from providers.dialects.neutral import Failure
from providers.dialects.wire import encode, lenient, listed, text_of

_STATUSES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    408: "DEADLINE_EXCEEDED",
    409: "ABORTED",
    429: "RESOURCE_EXHAUSTED",
    499: "CANCELLED",
    500: "INTERNAL",
    501: "UNIMPLEMENTED",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
_NAMED = {name: status for status, name in reversed(_STATUSES.items())} | {
    "FAILED_PRECONDITION": 400,
    "OUT_OF_RANGE": 400,
}


def read_error(status: int, body: bytes) -> Failure:
    """Return the failure of Gemini's answer; never raises."""
    return from_fields(status, lenient(body), body)


def from_fields(status: int, fields: Any, body: bytes = b"") -> Failure:
    """Return the failure of decoded fields. Streams without ``alt=sse`` put the error into an array."""
    fields = unwrapped(fields)
    error = fields.get("error") if isinstance(fields, dict) else None
    inner = error if isinstance(error, dict) else {}
    name = text_of(inner.get("status"))
    if not 400 <= status <= 599:
        code = inner.get("code")
        status = code if isinstance(code, int) and 400 <= code <= 599 else _NAMED.get(name, 502)
    message = text_of(inner.get("message")) or message_of(body, fields)
    reasons = [text_of(detail.get("reason")) for detail in listed(inner, "details")]
    if any(reason in ("API_KEY_INVALID", "API_KEY_EXPIRED", "ACCESS_TOKEN_EXPIRED") for reason in reasons):
        status = 401
    failure = classify(status, message)
    failure.retry_after = _retry_after(inner)
    return failure


def _retry_after(error: Any) -> float | None:
    """Return the seconds to wait that Google says in an error's body, as it sends no ``retry-after`` header."""
    for detail in listed(error, "details"):
        delay = text_of(detail.get("retryDelay")).removesuffix("s")
        try:
            seconds = float(delay)
        except ValueError:
            continue
        if 0 <= seconds < 86400:
            return seconds
    return None


def error_fields(failure: Failure) -> dict[str, Any]:
    """Return the failure in Google's form."""
    name = _STATUSES.get(failure.status, "INVALID_ARGUMENT" if failure.status < 500 else "INTERNAL")
    return {"error": {"code": failure.status, "message": failure.message, "status": name}}


def write_error(failure: Failure) -> bytes:
    """Return the failure as Google's error body."""
    return encode(error_fields(failure))
