"""How Azure asks for the key, words its errors and labels its answers."""

import urllib.parse
from collections.abc import Mapping
from typing import Any

from sandbox.errors import ApiError
from sandbox.misbehaviour.faults import Faults
from sandbox.store.auth import admit
from sandbox.wire.messages import Headers, Request, Response, error_response, json_response
from sandbox.wire.service import Service, said

KEY = b"api-key"
CATEGORIES = ("hate", "self_harm", "sexual", "violence")
SAFE: dict[str, Any] = {name: {"filtered": False, "severity": "safe"} for name in CATEGORIES}
FOUND: dict[str, Any] = {**SAFE, "violence": {"filtered": True, "severity": "medium"}}

# status: (code, message); what a model says is in OpenAI's words, these are the resource's.
STATUS_ERRORS: dict[int, tuple[str, str]] = {
    401: (
        "401",
        "Access denied due to invalid subscription key or wrong API endpoint. Make sure to provide a valid key for an "
        "active subscription and use a correct regional API endpoint for your resource.",
    ),
    404: (
        "DeploymentNotFound",
        "The API deployment for this resource does not exist. If you created the deployment within the last 5 minutes, "
        "please wait a moment and try again.",
    ),
    429: (
        "429",
        "Requests to the ChatCompletions_Create Operation under Azure OpenAI API have exceeded token rate limit of "
        "your current OpenAI S0 pricing tier. Please retry after 6 seconds.",
    ),
    500: ("InternalServerError", "Backend returned unexpected response. Please contact Microsoft for help."),
    503: ("ServiceUnavailable", "The service is temporarily unable to process your request. Please try again later."),
}
FILTERED = (
    "The response was filtered due to the prompt triggering Azure OpenAI's content management policy. Please modify "
    "your prompt and retry. To learn more about our content filtering policies please read our documentation: "
    "https://go.microsoft.com/fwlink/?linkid=2198766"
)
NO_RESOURCE = "Invalid URL"  # how OpenAI's words for an unknown path begin


class AzureError(ApiError):
    """An error of the resource itself: a code and a message, and no type."""


def resource_error(status: int) -> AzureError:
    code, message = STATUS_ERRORS[status]
    return AzureError(message, status=status, code=code)


def not_found() -> AzureError:
    return AzureError("Resource not found", status=404, code="404")


def _error_response(error: ApiError) -> Response:
    if error.code == "content_filter":
        inner = {"code": "ResponsibleAIPolicyViolation", "content_filter_result": FOUND}
        said_so = {"message": error.message, "type": None, "param": "prompt", "code": error.code, "status": 400}
        return json_response({"error": {**said_so, "innererror": inner}}, 400)
    if error.message.startswith(NO_RESOURCE):
        error = not_found()
    if isinstance(error, AzureError):
        return error_response(error, {"error": {"code": error.code, "message": error.message}})
    return error_response(error)


def _status_error(faults: Faults) -> ApiError:
    status = faults.status or 500
    if faults.code == "content_filter":
        return AzureError(FILTERED, status=400, code=faults.code)
    code, message = STATUS_ERRORS.get(status, (str(status), f"Status {status}."))
    wait = faults.retry_after
    headers = {"retry-after": wait, "retry-after-ms": str(int(float(wait) * 1000))} if wait else {}
    return AzureError(said(faults) or message, status=status, code=faults.code or code, headers=headers)


def _check_key(keys: frozenset[bytes], headers: Mapping[bytes, bytes], query: bytes) -> None:
    """A key in `api-key`, in the header or the query, or a token in `authorization`."""
    given = headers.get(KEY) or dict(urllib.parse.parse_qsl(query)).get(KEY, b"")
    scheme, _, token = headers.get(b"authorization", b"").partition(b" ")
    if not given and scheme.lower() == b"bearer":
        given = token.strip()
    if not admit(keys, given):
        raise resource_error(401)


def _headers(request_id: str, started: float) -> Headers:
    return [
        (b"apim-request-id", request_id.encode()),
        (b"x-ms-region", b"East US 2"),
        (b"x-ratelimit-remaining-requests", b"9999"),
        (b"x-ratelimit-remaining-tokens", b"1999900"),
    ]


def named_deployment(request: Request) -> str:
    """The deployment in a request's path, which the handlers behind know nothing of."""
    return request.params.pop("deployment")


SERVICE = Service(_check_key, _error_response, _status_error, _headers)
