"""Errors of ours as the callers of each front door know them: OpenAI's, Anthropic's or Google's."""

from collections.abc import Callable

from gateway.call import errors
from providers.dialects import anthropic, gemini
from providers.dialects.neutral import Failure

WRITERS: dict[str, Callable[[Failure], bytes]] = {"anthropic": anthropic.write_error, "gemini": gemini.write_error}
"""What writes an error for the callers of a door; the others are OpenAI's."""


def render(error: BaseException, door: str) -> bytes:
    """Return the body for ``error``."""
    writer = WRITERS.get(door)
    return errors.render_json(error) if writer is None else writer(failure_of(error))


def render_event(error: BaseException, door: str) -> bytes:
    """Return ``error`` as a server-sent event, for a stream that has begun."""
    if door == "gemini":  # Google's events have no names
        return b"data: " + render(error, door) + b"\r\n\r\n"
    return b"event: error\ndata: " + render(error, door) + b"\n\n"


def failure_of(error: BaseException) -> Failure:
    """Return an error in the neutral form."""
    body = errors.describe(error)["error"]
    return Failure(errors.status_of(error), body["message"], body["type"], body["code"], body["param"])
