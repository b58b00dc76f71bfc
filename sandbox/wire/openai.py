"""How OpenAI words the errors of `status=N`, and labels its answers."""

from sandbox.errors import ApiError
from sandbox.misbehaviour.faults import Faults
from sandbox.wire.messages import Headers
from sandbox.wire.service import milliseconds_since, retry_header, said

# status: (type, code, message), in OpenAI's words
STATUS_ERRORS: dict[int, tuple[str, str | None, str]] = {
    400: ("invalid_request_error", None, "Invalid request."),
    401: ("invalid_request_error", "invalid_api_key", "Incorrect API key provided."),
    403: (
        "invalid_request_error",
        "unsupported_country_region_territory",
        "Country, region, or territory not supported",
    ),
    404: ("invalid_request_error", "model_not_found", "The model does not exist or you do not have access to it."),
    408: ("timeout", None, "Request timed out."),
    409: ("conflict_error", None, "The resource was updated by another request."),
    413: ("invalid_request_error", "request_too_large", "The request is too large."),
    422: ("invalid_request_error", None, "Unable to process the request despite the format being correct."),
    429: (
        "requests",
        "rate_limit_exceeded",
        "Rate limit reached for requests in organization org-sandbox on requests per min (RPM): Limit 10000, "
        "Used 10000, Requested 1. Please try again in 6ms.",
    ),
    500: ("server_error", None, "The server had an error while processing your request. Sorry about that!"),
    502: ("server_error", None, "Bad gateway."),
    503: ("service_unavailable_error", None, "The engine is currently overloaded, please try again later"),
    504: ("server_error", None, "Gateway timeout."),
}


def status_error(faults: Faults) -> ApiError:
    """The error of `status=N`, in OpenAI's shape and words."""
    status = faults.status or 500
    kind, code, message = STATUS_ERRORS.get(
        status, ("server_error" if status >= 500 else "invalid_request_error", None, f"Status {status}.")
    )
    return ApiError(
        said(faults) or message, status=status, type=kind, code=faults.code or code, headers=retry_header(faults)
    )


_HEADERS: Headers = [
    (b"openai-version", b"2020-10-01"),
    (b"openai-organization", b"org-sandbox"),
    (b"openai-project", b"proj_sandbox"),
    (b"x-ratelimit-limit-requests", b"10000"),
    (b"x-ratelimit-limit-tokens", b"2000000"),
    (b"x-ratelimit-remaining-requests", b"9999"),
    (b"x-ratelimit-remaining-tokens", b"1999900"),
    (b"x-ratelimit-reset-requests", b"6ms"),
    (b"x-ratelimit-reset-tokens", b"3ms"),
]


def headers(request_id: str, started: float) -> Headers:
    """The headers that OpenAI adds to every answer; `started` is a `time.perf_counter()`."""
    return [
        (b"x-request-id", request_id.encode()),
        (b"openai-processing-ms", b"%d" % milliseconds_since(started)),
        *_HEADERS,
    ]
