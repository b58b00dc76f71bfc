"""How Anthropic asks for the key, words its errors and labels its answers."""

from collections.abc import Mapping

from sandbox.errors import ApiError
from sandbox.misbehaviour.faults import Faults
from sandbox.store.auth import admit
from sandbox.wire.messages import Headers, Response, named_event
from sandbox.wire.messages import error_response as any_error_response
from sandbox.wire.service import Service, retry_header, said

VERSION = b"anthropic-version"

# status: (type, message)
STATUS_ERRORS: dict[int, tuple[str, str]] = {
    400: ("invalid_request_error", "Invalid request."),
    401: ("authentication_error", "invalid x-api-key"),
    402: ("billing_error", "There is a problem with the payment details of your account."),
    403: ("permission_error", "Your API key does not have permission to use the specified resource."),
    404: ("not_found_error", "The requested resource could not be found."),
    413: ("request_too_large", "Request exceeds the maximum size"),
    429: (
        "rate_limit_error",
        "This request would exceed your organization's rate limit of 50 requests per minute. For details, refer to: "
        "https://docs.claude.com/en/api/rate-limits.",
    ),
    500: ("api_error", "Internal server error"),
    504: ("timeout_error", "The request timed out while processing."),
    529: ("overloaded_error", "Overloaded"),
}


def invalid(where: str, why: str, status: int = 400) -> ApiError:
    """The error for a field, in Anthropic's manner: `messages.0.role: Field required`."""
    return ApiError(f"{where}: {why}", status=status, param=where)


def error_body(error: ApiError) -> dict[str, object]:
    """An error as Anthropic sends it, also as an event amid a stream."""
    usual = "api_error" if error.status >= 500 else "invalid_request_error"
    kind = STATUS_ERRORS.get(error.status, (usual, ""))[0]
    return {"type": "error", "error": {"type": kind, "message": error.message}, "request_id": None}


def error_event(error: ApiError, number: int) -> bytes:
    """An error amid a stream; `number` is that of the chunk that it replaces."""
    return named_event(error_body(error))


def error_response(error: ApiError) -> Response:
    return any_error_response(error, error_body(error))


def _status_error(faults: Faults) -> ApiError:
    status = faults.status or 529
    message = STATUS_ERRORS.get(status, ("", f"Status {status}."))[1]
    return ApiError(said(faults) or message, status=status, headers=retry_header(faults))


def _check_key(keys: frozenset[bytes], headers: Mapping[bytes, bytes], query: bytes) -> None:
    """A key in `x-api-key`, or a token in `authorization`; and the API's version, without which nothing is answered."""
    key = headers.get(b"x-api-key")
    token = headers.get(b"authorization", b"")
    if key is None and not token:
        raise ApiError("x-api-key header is required", status=401)
    if not admit(keys, token.partition(b" ")[2].strip() if key is None else key):
        raise ApiError("invalid x-api-key" if key is not None else "Invalid bearer token", status=401)
    if VERSION not in headers:
        raise invalid("anthropic-version", "header is required")


_HEADERS: Headers = [
    (b"anthropic-organization-id", b"00000000-0000-4000-8000-000000000000"),
    (b"anthropic-ratelimit-requests-limit", b"4000"),
    (b"anthropic-ratelimit-requests-remaining", b"3999"),
    (b"anthropic-ratelimit-requests-reset", b"2026-11-01T00:00:00Z"),
    (b"anthropic-ratelimit-input-tokens-limit", b"2000000"),
    (b"anthropic-ratelimit-input-tokens-remaining", b"1999000"),
    (b"anthropic-ratelimit-input-tokens-reset", b"2026-11-01T00:00:00Z"),
    (b"anthropic-ratelimit-output-tokens-limit", b"400000"),
    (b"anthropic-ratelimit-output-tokens-remaining", b"399000"),
    (b"anthropic-ratelimit-output-tokens-reset", b"2026-11-01T00:00:00Z"),
]


def _headers(request_id: str, started: float) -> Headers:
    return [(b"request-id", request_id.encode()), *_HEADERS]


SERVICE = Service(_check_key, error_response, _status_error, _headers)
