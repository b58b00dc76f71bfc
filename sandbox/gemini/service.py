"""How Google asks for the key, words its errors and labels its answers."""

import urllib.parse
from collections.abc import Mapping
from typing import Any

from sandbox.errors import ApiError
from sandbox.misbehaviour.faults import Faults
from sandbox.store.auth import admit
from sandbox.wire.messages import Headers, Response, encode, error_response
from sandbox.wire.service import Service, milliseconds_since, said

KEY = b"x-goog-api-key"
# status: (Google's name, message)
STATUS_ERRORS: dict[int, tuple[str, str]] = {
    400: ("INVALID_ARGUMENT", "Request contains an invalid argument."),
    401: ("UNAUTHENTICATED", "Request had invalid authentication credentials."),
    403: ("PERMISSION_DENIED", "The caller does not have permission"),
    404: ("NOT_FOUND", "Requested entity was not found."),
    408: ("DEADLINE_EXCEEDED", "Deadline expired before operation could complete."),
    409: ("ABORTED", "The operation was aborted."),
    413: ("INVALID_ARGUMENT", "Request payload size exceeds the limit."),
    429: (
        "RESOURCE_EXHAUSTED",
        "You exceeded your current quota, please check your plan and billing details. * Quota exceeded for metric: "
        "generativelanguage.googleapis.com/generate_content_requests, limit: 10\nPlease retry in 6s.",
    ),
    499: ("CANCELLED", "The operation was cancelled."),
    500: (
        "INTERNAL",
        "An internal error has occurred. Please retry or report in https://ai.google.dev/gemini-api/docs",
    ),
    501: ("UNIMPLEMENTED", "Operation is not implemented, or supported, or enabled."),
    503: ("UNAVAILABLE", "The model is overloaded. Please try again later."),
    504: ("DEADLINE_EXCEEDED", "Deadline expired before operation could complete."),
}
_TYPES = "type.googleapis.com/google.rpc."


class GoogleError(ApiError):
    """An error with Google's `details`; `name` is the status's, where it is not the usual one."""

    def __init__(self, message: str, *, status: int = 400, name: str = "", details: list[dict[str, Any]] | None = None):
        super().__init__(message, status=status)
        self.name = name
        self.details = details or []


def invalid(message: str) -> GoogleError:
    return GoogleError(message)


def violation(field: str, message: str) -> GoogleError:
    """The error for a field that Google's decoder does not take."""
    named = [{"field": field, "description": message}] if field else [{"description": message}]
    return GoogleError(message, details=[{"@type": f"{_TYPES}BadRequest", "fieldViolations": named}])


def error_body(error: ApiError) -> dict[str, Any]:
    """An error as Google sends it."""
    usual = "INTERNAL" if error.status >= 500 else "INVALID_ARGUMENT"
    name = getattr(error, "name", "") or STATUS_ERRORS.get(error.status, (usual, ""))[0]
    body: dict[str, Any] = {"code": error.status, "message": error.message, "status": name}
    details = getattr(error, "details", [])
    return {"error": {**body, "details": details} if details else body}


def error_event(error: ApiError, number: int) -> bytes:
    """An error amid a stream; `number` is that of the chunk that it replaces."""
    return b"data: " + encode(error_body(error)) + b"\r\n\r\n"


def _error_response(error: ApiError) -> Response:
    return error_response(error, error_body(error))


def _status_error(faults: Faults) -> ApiError:
    """The error of `status=N`; how long to wait is said in its details, as Google has no header for it."""
    status = faults.status or 503
    message = said(faults) or STATUS_ERRORS.get(status, ("", f"Status {status}."))[1]
    wait = faults.retry_after
    return GoogleError(
        message, status=status, details=[{"@type": f"{_TYPES}RetryInfo", "retryDelay": f"{wait}s"}] if wait else None
    )


def _check_key(keys: frozenset[bytes], headers: Mapping[bytes, bytes], query: bytes) -> None:
    """A key in `x-goog-api-key` or the query's `key`, or a token in `authorization`."""
    key = headers.get(KEY)
    if key is None:
        key = dict(urllib.parse.parse_qsl(query)).get(b"key")
    token = headers.get(b"authorization", b"")
    if key is None and not token:
        raise GoogleError(
            "Method doesn't allow unregistered callers (callers without established identity). Please use API Key or "
            "other form of API consumer identity to call this API.",
            status=403,
        )
    if key is not None and not admit(keys, key):
        info = {
            "@type": f"{_TYPES}ErrorInfo",
            "reason": "API_KEY_INVALID",
            "domain": "googleapis.com",
            "metadata": {"service": "generativelanguage.googleapis.com"},
        }
        raise GoogleError("API key not valid. Please pass a valid API key.", details=[info])
    if key is None and not admit(keys, token.partition(b" ")[2].strip()):
        raise GoogleError(
            "Request had invalid authentication credentials. Expected OAuth 2 access token, login cookie or other "
            "valid authentication credential.",
            status=401,
        )


def _headers(request_id: str, started: float) -> Headers:
    return [
        (b"vary", b"Origin"),
        (b"server-timing", b"gfet4t7; dur=%d" % milliseconds_since(started)),
        (b"x-content-type-options", b"nosniff"),
    ]


SERVICE = Service(_check_key, _error_response, _status_error, _headers)
