"""Errors of ours as the callers of each front door know them: OpenAI's, Anthropic's or Google's."""

from collections.abc import Callable

from gateway.call import errors
from providers.dialects import anthropic, gemini
from providers.dialects.neutral import Failure

WRITERS: dict[str, Callable[[Failure], bytes]] = {"anthropic": anthropic.write_error, "gemini": gemini.write_error}
"""What writes an error for the callers of a door; the others are OpenAI's."""
NO_REQUEST_ID = b'"request_id":null'
"""What Anthropic's writer leaves: the dialects know no calls."""


def render(error: BaseException, door: str, request_id: str) -> bytes:
    """Return the body for ``error``."""
    writer = WRITERS.get(door)
    return errors.render_json(error) if writer is None else with_request_id(writer(failure_of(error)), request_id)


def render_event(error: BaseException, door: str, request_id: str) -> bytes:
    """Return ``error`` as a server-sent event, for a stream that has begun."""
    if door == "gemini":  # Google's events have no names
        return b"data: " + render(error, door, request_id) + b"\r\n\r\n"
    return b"event: error\ndata: " + render(error, door, request_id) + b"\n\n"


def with_request_id(body: bytes, request_id: str) -> bytes:
    """Return an error of ours with the request's id, where it is in Anthropic's form: the others have no place for it.

    What a JSON string says has its quotes escaped, so that only the field itself can be meant.
    """
    return body.replace(NO_REQUEST_ID, b'"request_id":"' + request_id.encode() + b'"')


def failure_of(error: BaseException) -> Failure:
    """Return an error in the neutral form."""
    body = errors.describe(error)["error"]
    return Failure(errors.status_of(error), body["message"], body["type"], body["code"], body["param"])
