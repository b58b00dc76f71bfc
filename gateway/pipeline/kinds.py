"""What an answer is: events, a body to be read whole, or bytes that pass. Its first bytes say so, not its type.

Servers send events as JSON or as text, and JSON as text or as events.
"""

from enum import Enum

from gateway.body.sse import BOM
from gateway.call.call import Call
from gateway.call.operation import HEARD
from gateway.pipeline.attempt import Attempt
from gateway.pipeline.replies import EVENT_STREAM, HTML, NO_BODY, WEB_PAGE, is_json, media_type
from providers.upstream.client import UpstreamAnswer
from providers.upstream.failures import BrokenAnswer

EVENT_STARTS = (b"data:", b"event:", b":", b"id:", b"retry:")
JSON_STARTS = (b"{", b"[")
PAGE_STARTS = (b"<!doctype", b"<html")
ENOUGH_BYTES = 4096
"""Whitespace before an answer is waited out so long."""


class Kind(Enum):
    """How an answer is read."""

    EVENTS = "events"
    WHOLE = "whole"
    RAW = "raw"


def starts_events(body: bytes) -> bool:
    """Whether server-sent events begin so."""
    return body.removeprefix(BOM).lstrip().startswith(EVENT_STARTS)


def may_stream(call: Call) -> bool:
    """Whether events may answer a call. An upload asks for them behind its model, and speech by its format."""
    return bool(
        call.stream
        or call.body.upload is not None
        or call.operation.audio
        or not call.operation.door
        or not call.operation.model_type
        or call.method != "POST"
    )


async def read_kind(attempt: Attempt, answer: UpstreamAnswer) -> tuple[Kind, bytes]:
    """Return what the answer is, and what of its body was read to know. Raises ``BrokenAnswer`` for what is of no use.

    A stream that is called one is not waited for. Of JSON to a call without a stream nothing is read: what it is shows
    when it is read whole.
    """
    call, status = attempt.call, answer.status
    if status < 300 and status not in NO_BODY and media_type(answer) == HTML:
        return await _read_html(attempt, answer)
    if call.operation.raw:
        return (Kind.RAW if status < 300 else Kind.WHOLE), b""
    if status in NO_BODY and is_due(call):
        raise BrokenAnswer(f"The upstream answered with the status {status}, which has no content.")
    if status >= 300 or status in NO_BODY:
        return Kind.WHOLE, b""
    if is_json(answer) and not (call.stream and status == 200):
        return Kind.WHOLE, b""
    if status == 200 and media_type(answer) == EVENT_STREAM:
        return (Kind.EVENTS if may_stream(call) else Kind.WHOLE), b""
    if attempt.conversion is None and not _may_be_mistyped(call, answer):
        return Kind.RAW, b""
    start = await _read_start(answer)
    return _kind_of(attempt, answer, start), start


async def _read_html(attempt: Attempt, answer: UpstreamAnswer) -> tuple[Kind, bytes]:
    """Return what an answer is that is called a web page: JSON or events, where they are due. Raises ``BrokenAnswer``
    for any other.
    """
    start = b"" if attempt.call.operation.raw else await _read_start(answer)
    if not start.removeprefix(BOM).lstrip().startswith((*JSON_STARTS, *EVENT_STARTS)):
        raise BrokenAnswer(WEB_PAGE)
    return _kind_of(attempt, answer, start), start


def _may_be_mistyped(call: Call, answer: UpstreamAnswer) -> bool:
    """Whether the first bytes may say more than the type. Files and audio may begin with anything."""
    may_be_text = is_json(answer) or media_type(answer).startswith("text/")
    return (call.stream or is_due(call)) and (may_be_text or not call.operation.audio)


def is_due(call: Call) -> bool:
    """Whether a good answer must have something in it."""
    return bool(call.model_asked and call.operation.model_type and not call.operation.raw)


def _kind_of(attempt: Attempt, answer: UpstreamAnswer, start: bytes) -> Kind:
    call = attempt.call
    seen = start.removeprefix(BOM).lstrip()
    spoken_text = call.operation.audio == HEARD and not call.stream  # a transcript may begin with anything
    if answer.status == 200 and seen.startswith(EVENT_STARTS) and not spoken_text:
        return Kind.EVENTS if may_stream(call) else Kind.WHOLE
    if attempt.conversion is not None or is_json(answer) or seen.startswith(JSON_STARTS):
        return Kind.WHOLE
    if seen[:9].lower().startswith(PAGE_STARTS):
        raise BrokenAnswer(WEB_PAGE)
    if not start and is_due(call) and not spoken_text:
        raise BrokenAnswer("The upstream answered with a success and an empty body.")
    return Kind.RAW


async def _read_start(answer: UpstreamAnswer) -> bytes:
    """Read on until the first bytes say what they begin."""
    start = b""
    while piece := await answer.next_chunk():
        start += piece
        seen = start.removeprefix(BOM).lstrip()
        if len(start) >= ENOUGH_BYTES or (seen and not _is_beginning(seen)):
            break
    return start


def _is_beginning(seen: bytes) -> bool:
    """Whether more has to come to know what ``seen`` begins."""
    if BOM.startswith(seen):
        return True
    return not seen.startswith(EVENT_STARTS) and any(mark.startswith(seen) for mark in EVENT_STARTS)
