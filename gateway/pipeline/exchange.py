"""From an attempt to its reply: the request goes up, and the answer comes back whole, as events, or as raw bytes."""

import asyncio
import contextlib
import math
from collections.abc import AsyncIterator, Callable

from django.conf import settings

from gateway.call import errors
from gateway.call.body import JSON
from gateway.call.by_size import by_size
from gateway.call.call import Call
from gateway.call.reply import Reply
from gateway.objects.recording import record_answer
from gateway.pipeline import convert
from gateway.pipeline.answers import ReadAnswer, read_answer, read_converted, without_events
from gateway.pipeline.attempt import Attempt
from gateway.pipeline.convert import build_request
from gateway.pipeline.kinds import Kind, is_due, read_kind
from gateway.pipeline.replies import (
    ANTHROPIC_ID_HEADER,
    EVENT_STREAM,
    UPSTREAM_ID_HEADER,
    check_kind,
    is_json,
    media_type,
    reply_headers,
)
from gateway.pipeline.streaming import EventStream, raw_bytes
from gateway.state import state
from gateway.telemetry import tracer as tracing
from gateway.telemetry.context import span_of_attempt
from providers.dialects.chat.stream import CUT
from providers.dialects.conversion import Conversion
from providers.dialects.conversions import RESPONSES
from providers.dialects.neutral import Failure
from providers.dialects.wire import plain
from providers.redaction import redactor
from providers.upstream.client import UpstreamAnswer, UpstreamRequest, no_count
from providers.upstream.pieces import Pieces

OVERLOADED, ANTHROPICS_OVERLOADED = 503, 529


async def exchange(attempt: Attempt, *, wait_for_first_event: bool) -> Reply:
    """Send the attempt's request and return its reply. Leaves exactly one record, when the answer is complete or given
    up.

    ``wait_for_first_event``: a stream is replied to only when its first event has come, so that an error there can be
    retried. Raises ``UpstreamFailure`` and :class:`~gateway.call.errors.FirstTokenTimedOut`, or what was wrong with a
    body that streamed through: the upstream only saw it end.
    """
    attempt.record.bytes_in = attempt.call.body.size  # of an upload, what was sent is counted at its end
    attempt.begin()
    try:
        request = attempt.request = await _request(attempt)
        timeout = _first_token_seconds(attempt.call)
        if timeout is None:
            streamed = await _head(attempt, request, wait_for_first_event=wait_for_first_event)
        else:
            async with _first_token_timeout(attempt.call, timeout):
                streamed = await _head(attempt, request, wait_for_first_event=wait_for_first_event)
        return streamed if isinstance(streamed, Reply) else await _reply(attempt, *streamed)
    except BaseException as error:  # the attempt's boundary: whatever ends it, it leaves its record
        if attempt.answer is not None:
            attempt.answer.close()
        fault = attempt.call.body.fault
        attempt.free = attempt.free or fault is not None  # no vendor bills half a request
        attempt.finish(fault or error)
        if fault is not None and isinstance(error, Exception):
            raise fault from None
        raise


async def _head(
    attempt: Attempt, request: UpstreamRequest, *, wait_for_first_event: bool
) -> Reply | tuple[Kind, bytes]:
    """Send ``request`` and take its answer's head; return the reply of a stream, else the kind of the answer and what
    of its body was read.
    """
    answer = attempt.answer = await state.client.send(attempt.target.account, request)
    _note_head(attempt, answer)
    check_kind(answer)
    kind, start = await read_kind(attempt, answer)
    if kind is Kind.EVENTS:
        return await _stream_reply(attempt, answer, start, wait_for_first_event=wait_for_first_event)
    return kind, start


async def _reply(attempt: Attempt, kind: Kind, start: bytes) -> Reply:
    """Return the reply of an answer that is not a stream, ``start`` of whose body was read already."""
    answer = attempt.answer
    assert answer is not None  # its head has arrived
    return _raw_reply(attempt, answer, start) if kind is Kind.RAW else await _whole_reply(attempt, answer, start)


async def _request(attempt: Attempt) -> UpstreamRequest:
    call, target = attempt.call, attempt.target
    request = await build_request(attempt)
    request.total_timeout = call.options.request_timeout
    _change_headers(attempt, request)
    upload = call.body.upload
    if upload is not None:
        request.body = upload.body(target.model.upstream_id)
        request.headers["content-type"] = upload.content_type
        length = upload.length(target.model.upstream_id)
        if length is not None:
            request.headers["content-length"] = str(length)
    if tracing.tracer is not None:
        span_id = span_of_attempt(attempt.record.attempt_id)
        request.traceparent = call.trace.header(span_id, tracing.tracer.ratio)
        if call.forwarded:
            request.headers.popall("traceparent", None)
    return request


def _change_headers(attempt: Attempt, request: UpstreamRequest) -> None:
    """Change the headers that a virtual model's target is to get otherwise. None of them carries a credential."""
    planned = attempt.planned
    if planned is None:
        return
    for name in planned.removed_headers:
        request.headers.popall(name, None)
    for name, value in planned.set_headers:
        request.headers[name] = value


def _note_head(attempt: Attempt, answer: UpstreamAnswer) -> None:
    attempt.head_arrived()
    record = attempt.record
    record.upstream_status = record.status = answer.status
    attempt.outcome = _outcome(answer.status)
    named = answer.headers.get(UPSTREAM_ID_HEADER) or answer.headers.get(ANTHROPIC_ID_HEADER, "")
    record.upstream_request_id = redactor(attempt.target.account.secrets).text(named)[:200]


def _outcome(status: int) -> int:
    """Return the status that decides about another attempt: Anthropic has one of its own for an overload."""
    return OVERLOADED if status == ANTHROPICS_OVERLOADED else status


async def _whole_reply(attempt: Attempt, answer: UpstreamAnswer, first: bytes) -> Reply:
    ticket = attempt.call.ticket
    count = ticket.count if ticket is not None else no_count
    count(len(first))
    body = first + await answer.read(settings.MAX_ANSWER_BYTES, count)
    answer.close()
    attempt.head_arrived()
    if body[:1] != b"{" and answer.status < 300:
        body = await by_size(len(body), without_events, attempt, body)
    if attempt.conversion is not None:
        return await _converted_reply(attempt, answer, attempt.conversion, body)
    read = await read_answer(attempt, answer.status, body)
    _note_reply(attempt, read)
    if read.status < 300 and read.fields:
        await record_answer(attempt.call, read.fields)
    mistyped = read.fields and ("content-type" not in answer.headers or (first and not is_json(answer)))
    headers = reply_headers(attempt, answer, read.status, JSON if mistyped else "")
    return _with_body(attempt.call, read, headers)


async def _converted_reply(attempt: Attempt, answer: UpstreamAnswer, conversion: Conversion, body: bytes) -> Reply:
    converted = await by_size(len(body), convert.whole, attempt, conversion, answer.status, body)
    read = await read_converted(attempt, converted)
    _note_reply(attempt, read)
    if read.fields and attempt.call.operation.path == RESPONSES:
        await record_answer(attempt.call, read.fields)
        await convert.keep_response(attempt.call, attempt.target, plain(read.fields))
    headers = reply_headers(attempt, answer, read.status, converted.media_type)
    return _with_body(attempt.call, read, [*headers, *_wait(answer, converted.failure)])


def _with_body(call: Call, read: ReadAnswer, headers: list[tuple[bytes, bytes]]) -> Reply:
    """Return the reply with an answer's body. A large one that only passes is not joined from its pieces."""
    body = read.body
    if isinstance(body, bytes) or not is_due(call):
        return Reply(read.status, headers, bytes(body))
    return Reply(read.status, [*headers, (b"content-length", str(len(body)).encode())], stream=_copies(body))


async def _copies(body: Pieces) -> AsyncIterator[bytes]:
    async for piece in body:
        yield bytes(piece)


def _wait(answer: UpstreamAnswer, failure: Failure | None) -> list[tuple[bytes, bytes]]:
    """Return the header that says how long to wait, where the provider says it in its error's body."""
    if failure is None or failure.retry_after is None or "retry-after" in answer.headers:
        return []
    return [(b"retry-after", str(math.ceil(failure.retry_after)).encode())]


def _note_reply(attempt: Attempt, read: ReadAnswer) -> None:
    attempt.response = read.fields
    attempt.record.bytes_out = len(read.body)
    attempt.record.status = read.status
    attempt.outcome = _outcome(read.outcome or read.status)
    attempt.finish(None)


def _raw_reply(attempt: Attempt, answer: UpstreamAnswer, start: bytes) -> Reply:
    attempt.replied = True
    attempt.reply_begins()
    headers = reply_headers(attempt, answer, answer.status)
    if attempt.call.head_only:  # vendors have no HEAD: the file's bytes are left where they are
        attempt.finish(None)
    return Reply(answer.status, headers, stream=raw_bytes(attempt, answer, start), on_close=_closer(attempt, answer))


async def _stream_reply(attempt: Attempt, answer: UpstreamAnswer, first: bytes, *, wait_for_first_event: bool) -> Reply:
    call = attempt.call
    call.stream = attempt.record.stream = True  # a multipart body may ask for it after the model, unseen until now
    stream = EventStream(attempt, answer, first)
    until_output = call.options.first_token_timeout is not None or call.plan.hedge is not None
    if until_output or wait_for_first_event:
        await stream.prime(until_output=until_output)
    elif attempt.conversion is not None:
        await stream.prime_once()
    if stream.first_error is not None and attempt.conversion is not None:
        return _refused_reply(attempt, answer, attempt.conversion)
    attempt.replied = True
    attempt.reply_begins()
    mistyped = "" if media_type(answer) == EVENT_STREAM else EVENT_STREAM
    headers = reply_headers(attempt, answer, answer.status, mistyped)
    headers.append((b"x-accel-buffering", b"no"))  # nginx would hold events back
    closer = _closer(attempt, answer)
    return Reply(answer.status, headers, stream=stream.events(), on_close=closer, stream_into=stream.pass_into)


def _refused_reply(attempt: Attempt, answer: UpstreamAnswer, conversion: Conversion) -> Reply:
    """Return the reply to a stream that began with an error: nothing has gone out, so it has the error's status."""
    answer.close()
    assert attempt.streamed is not None
    failure = attempt.streamed.failure or CUT
    attempt.outcome = attempt.record.status = failure.status
    body = redactor(attempt.target.account.secrets).whole(conversion.refused(failure))
    attempt.record.bytes_out = len(body)
    attempt.finish(None)
    headers = reply_headers(attempt, answer, failure.status, JSON)
    return Reply(failure.status, [*headers, *_wait(answer, failure)], body)


def _closer(attempt: Attempt, answer: UpstreamAnswer) -> Callable[[], None]:
    def on_close() -> None:
        answer.close()
        attempt.finish(attempt.call.ended_by or asyncio.CancelledError())

    return on_close


def _first_token_seconds(call: Call) -> float | None:
    """Return how long the first output of a stream may take. An upload may ask for a stream in a part behind the model,
    so that it is known only when the time is over."""
    return call.options.first_token_timeout if call.stream or call.body.upload is not None else None


@contextlib.asynccontextmanager
async def _first_token_timeout(call: Call, timeout: float) -> AsyncIterator[None]:
    """Bound the wait for a stream's first output to ``timeout`` seconds."""
    upload = call.body.upload
    loop = asyncio.get_running_loop()
    timer: asyncio.TimerHandle | None = None

    def end(bound: asyncio.Timeout) -> None:
        nonlocal timer
        if call.stream or (upload is not None and upload.wants_stream):
            bound.reschedule(loop.time())
        else:
            timer = loop.call_later(timeout, end, bound)

    try:
        async with asyncio.timeout(None) as bound:
            timer = loop.call_later(timeout, end, bound)
            yield
    except TimeoutError:
        raise errors.FirstTokenTimedOut(
            f"No first token came within {timeout * 1000:.0f} ms (x-tfy-ttft-timeout-ms)."
        ) from None
    finally:
        if timer is not None:
            timer.cancel()
