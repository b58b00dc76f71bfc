"""One table from exception to status, type and code, and one renderer for JSON, SSE and sockets.

The body is OpenAI's ``{"error": {message, type, param, code}}`` inside the contract's superset: ``status``, ``message``
and ``error_origin_level``. Errors of ours carry the header ``x-gatehouse-error-origin: gateway``; an upstream's own
error answer is passed on as it came, marked ``upstream``.
"""

import asyncio
from dataclasses import dataclass
from typing import Any

import msgspec

from providers.upstream import failures, socket

ORIGIN_HEADER = "x-gatehouse-error-origin"


class CallError(Exception):
    """A call that Gatehouse refuses or can't finish.

    ``param`` names the field at fault, ``code`` overrides the table's; ``details`` are beside them in the answer.
    """

    def __init__(
        self,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        headers: dict[str, str] | None = None,
        details: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self.code = code
        self.headers = headers or {}
        self.details = details or {}


class InvalidRequest(CallError):
    """The request's form or fields are wrong."""


class BadToken(CallError):
    """No token, or one that does not open anything."""


class Forbidden(CallError):
    """A known caller who may not do this."""


class NotFound(CallError):
    """No such endpoint or object, or none that the caller may know of."""


class ModelNotFound(NotFound):
    """No such model, or none that the caller may know of."""


class MethodNotAllowed(CallError):
    """The endpoint is there, the method is not."""


class BodyTimedOut(CallError):
    """The client did not send its body in time."""


class FirstTokenTimedOut(CallError):
    """The upstream's first token did not come within the asked time."""


class TooLarge(CallError):
    """The body is larger than the operator allows."""


class HeadTooLarge(CallError):
    """The request's headers are larger than we read."""


class UnsupportedMedia(CallError):
    """The body's content type is not what the endpoint takes."""


class UrlTooLong(CallError):
    """The request's first line is longer than we read."""


class CallTooLong(CallError):
    """The call took longer than the operator allows."""


class KeyReused(CallError):
    """An idempotency key came with another request than before."""


class KeyInUse(CallError):
    """A call with the same idempotency key is under way, or its answer is not kept."""


class BadRange(CallError):
    """The range that a request asks for is not in the file."""


class TooManyRequests(CallError):
    """A limit of ours is reached."""


class BudgetExceeded(TooManyRequests):
    """A budget has no room for the call."""


class SessionOver(CallError):
    """A socket was open, or silent, for as long as it may be."""


class ClientGone(CallError):
    """The client closed the connection; no one reads this."""


class HedgeLost(CallError):
    """Another request of the call was answered first; no one reads this."""


class TruncatedStream(CallError):
    """The upstream's stream ended before it was complete."""


class Unavailable(CallError):
    """Gatehouse can't serve at the moment: not loaded yet, or shutting down."""


@dataclass(frozen=True, slots=True)
class Row:
    """What a kind of exception answers. ``level`` says at which stage the call ended."""

    status: int
    type: str
    code: str
    level: str


# The first row whose class matches wins, so subclasses are above their bases.
TABLE: tuple[tuple[type[BaseException], Row], ...] = (
    (ModelNotFound, Row(404, "invalid_request_error", "model_not_found", "authorization")),
    (NotFound, Row(404, "invalid_request_error", "not_found", "routing")),
    (BadToken, Row(401, "invalid_request_error", "invalid_api_key", "authentication")),
    (Forbidden, Row(403, "invalid_request_error", "permission_denied", "authorization")),
    (MethodNotAllowed, Row(405, "invalid_request_error", "method_not_allowed", "routing")),
    (BodyTimedOut, Row(408, "invalid_request_error", "request_timeout", "request")),
    (SessionOver, Row(408, "invalid_request_error", "session_expired", "limits")),
    (FirstTokenTimedOut, Row(408, "server_error", "first_token_timeout", "model")),
    (TooLarge, Row(413, "invalid_request_error", "request_too_large", "request")),
    (HeadTooLarge, Row(431, "invalid_request_error", "headers_too_large", "request")),
    (UrlTooLong, Row(414, "invalid_request_error", "url_too_long", "request")),
    (CallTooLong, Row(504, "server_error", "call_too_long", "limits")),
    (UnsupportedMedia, Row(415, "invalid_request_error", "unsupported_media_type", "request")),
    (KeyInUse, Row(409, "invalid_request_error", "idempotency_key_in_use", "request")),
    (KeyReused, Row(422, "invalid_request_error", "idempotency_key_reused", "request")),
    (BadRange, Row(416, "invalid_request_error", "range_not_satisfiable", "request")),
    (BudgetExceeded, Row(429, "insufficient_quota", "budget_exceeded", "limits")),
    (TooManyRequests, Row(429, "rate_limit_error", "rate_limit_exceeded", "limits")),
    (ClientGone, Row(499, "invalid_request_error", "client_closed_request", "request")),
    (HedgeLost, Row(499, "server_error", "hedge_lost", "gateway")),
    (InvalidRequest, Row(400, "invalid_request_error", "invalid_request", "request")),
    (TruncatedStream, Row(502, "server_error", "upstream_stream_truncated", "model")),
    (Unavailable, Row(503, "server_error", "unavailable", "gateway")),
    (socket.HandshakeRefused, Row(502, "server_error", "upstream_refused", "model")),
    (failures.EgressRefused, Row(502, "server_error", "upstream_address_refused", "model")),
    (failures.SignInFailed, Row(502, "server_error", "upstream_sign_in_failed", "model")),
    (failures.ConnectionsBusy, Row(503, "server_error", "connections_busy", "limits")),
    (failures.ConnectTimedOut, Row(504, "server_error", "upstream_connect_timeout", "model")),
    (failures.ConnectFailed, Row(502, "server_error", "upstream_unreachable", "model")),
    (failures.ReadTimedOut, Row(504, "server_error", "upstream_timeout", "model")),
    (failures.BrokenAnswer, Row(502, "server_error", "upstream_broken_answer", "model")),
    (failures.UpstreamFailure, Row(502, "server_error", "upstream_disconnected", "model")),
    (asyncio.CancelledError, Row(499, "invalid_request_error", "client_closed_request", "request")),
    (Exception, Row(500, "server_error", "internal_error", "gateway")),
)


def unknown_path(path: str) -> NotFound:
    """Return the error of a client whose address is not one of ours."""
    return NotFound(
        f"Unknown path {path[:200]!r}. The OpenAI-compatible endpoints are under /v1, /api/llm and "
        "/api/llm/api/inference/openai, for example /v1/chat/completions.",
        code="unknown_url",
    )


def shutting_down() -> Unavailable:
    """Return the error of a call that the end of the server cuts off."""
    return Unavailable("Gatehouse is shutting down. Try again.", code="shutting_down", headers={"retry-after": "1"})


def row_of(error: BaseException) -> Row:
    """Return the table's row for ``error``."""
    for kind, row in TABLE:
        if isinstance(error, kind):
            return row
    raise error


def status_of(error: BaseException) -> int:
    """Return the HTTP status that ``error`` answers."""
    return row_of(error).status


def code_of(error: BaseException) -> str:
    """Return the OpenAI error code of ``error``."""
    return (isinstance(error, CallError) and error.code) or row_of(error).code


def describe(error: BaseException) -> dict[str, Any]:
    """Return the body for ``error`` as a dict. An unexpected exception's own text is never shown."""
    row = row_of(error)
    if isinstance(error, CallError):
        message, param = error.message, error.param
    elif isinstance(error, failures.UpstreamFailure):
        message, param = str(error), None
    else:
        message, param = "Gatehouse failed on this call. The operator finds the reason under this request id.", None
    details = error.details if isinstance(error, CallError) else {}
    return {
        "status": "failure",
        "message": message,
        "error": {"message": message, "type": row.type, "param": param, "code": code_of(error), **details},
        "error_origin_level": row.level,
    }


def message_of(error: BaseException) -> str:
    """Return what ``error`` says to a caller."""
    return str(describe(error)["message"])


def render_json(error: BaseException) -> bytes:
    """Return the body for ``error`` as JSON."""
    return msgspec.json.encode(describe(error))


def render_sse(error: BaseException) -> bytes:
    """Return ``error`` as a server-sent event, for a stream that has begun."""
    return b"event: error\ndata: " + render_json(error) + b"\n\n"


def headers_of(error: BaseException) -> dict[str, str]:
    """Return the headers that an answer for ``error`` carries."""
    headers = {ORIGIN_HEADER: "gateway", **(error.headers if isinstance(error, CallError) else {})}
    if isinstance(error, BadToken):
        headers["www-authenticate"] = "Bearer"
    return headers
