"""The life of a call: policies, then the targets in order, and one answer.

Each attempt has an id of ours and leaves one record. Once a byte of an answer has gone to the client, nothing is tried again.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from time import perf_counter_ns

from django.conf import settings

from gateway.call import errors
from gateway.call.call import Call
from gateway.call.reply import Reply
from gateway.pipeline import streaming
from gateway.pipeline.records import _Finisher, new_record
from gateway.pipeline.replies import UPSTREAM_ID_HEADER, _check_kind, _is_json, _reply_headers
from gateway.state import state
from providers.dialects import openai as openai_dialect
from providers.snapshot import Target
from providers.upstream.client import UpstreamAnswer, UpstreamRequest
from usage.records import AttemptRecord


async def attempt(call: Call, target: Target, number: int) -> Reply:
    """Send the call to one target. Leaves exactly one record, when the answer is complete or given up."""
    record = new_record(call, target, number)
    request = _encode(call, target)
    record.bytes_in = len(call.body)  # of an upload, what was sent is counted at its end
    state.spool.begin(record)
    finish = _Finisher(call, target, record)
    answer: UpstreamAnswer | None = None
    try:
        first = b""
        async with _first_token_timeout(call):
            answer = await state.client.send(target.account, request)
            call.timings["upstream"] = (perf_counter_ns() - finish.started_ns) / 1e6
            record.upstream_status = record.status = answer.status
            record.upstream_request_id = answer.headers.get(UPSTREAM_ID_HEADER, "")[:200]
            _check_kind(answer)
            streamed = answer.status == 200 and answer.headers.get("content-type", "").startswith("text/event-stream")
            if streamed and call.options.first_token_timeout is not None:
                first = await answer.first_chunk()
                record.ttft_us = (perf_counter_ns() - finish.started_ns) // 1000
        if streamed:
            return _stream_reply(call, target, record, answer, finish, first)
        if answer.status < 300 and (call.operation.raw or not _is_json(answer)):
            return _raw_reply(call, target, record, answer, finish)
        return await _whole_reply(call, target, record, answer, finish)
    except BaseException as error:  # the attempt's boundary: whatever ends it, it leaves its record
        if answer is not None:
            answer.close()
        finish(error)
        raise


async def _whole_reply(
    call: Call, target: Target, record: AttemptRecord, answer: UpstreamAnswer, finish: "_Finisher"
) -> Reply:
    body = await answer.read(settings.MAX_ANSWER_BYTES)
    answer.close()
    call.timings["upstream"] = (perf_counter_ns() - finish.started_ns) / 1e6
    if 200 <= answer.status < 300:
        body = streaming.read_answer(record, body, target)
    else:
        record.error_class = "upstream_error"
        body = target.account.without_secrets(body)
    record.bytes_out = len(body)
    finish(None)
    return Reply(answer.status, _reply_headers(call, target, answer), body)


def _raw_reply(call: Call, target: Target, record: AttemptRecord, answer: UpstreamAnswer, finish: "_Finisher") -> Reply:
    def on_close() -> None:
        answer.close()
        finish(call.ended_by or asyncio.CancelledError())

    finish.replied = True
    stream = streaming.raw_bytes(record, answer, finish)
    return Reply(answer.status, _reply_headers(call, target, answer), stream=stream, on_close=on_close)


def _stream_reply(
    call: Call, target: Target, record: AttemptRecord, answer: UpstreamAnswer, finish: "_Finisher", first: bytes
) -> Reply:
    finish.replied = True
    call.stream = record.stream = True  # a multipart body may ask for it after the model, unseen until now
    stream = streaming.EventStream(call, record, answer, finish)

    def on_close() -> None:
        answer.close()
        finish(call.ended_by or asyncio.CancelledError())

    return Reply(answer.status, _reply_headers(call, target, answer), stream=stream.events(first), on_close=on_close)


@contextlib.asynccontextmanager
async def _first_token_timeout(call: Call) -> AsyncIterator[None]:
    """Bound the wait for a stream's first token, when the caller asked to.

    An upload may ask for a stream in a part behind the model, so that it is known only when the time is over.
    """
    timeout = call.options.first_token_timeout if call.stream or call.upload is not None else None
    if timeout is None:
        yield
        return
    loop = asyncio.get_running_loop()

    timer: asyncio.TimerHandle | None = None

    def end(bound: asyncio.Timeout) -> None:
        nonlocal timer
        if call.stream or (call.upload is not None and call.upload.wants_stream):
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


def _encode(call: Call, target: Target) -> UpstreamRequest:
    headers = openai_dialect.headers(target.account, call.forwarded)
    body: bytes | AsyncIterator[bytes] | None
    if call.upload is not None:
        body = call.upload.body(target.model.upstream_id)
        headers["content-type"] = call.upload.content_type
        length = call.upload.length(target.model.upstream_id)
        if length is not None:
            headers["content-length"] = str(length)
    elif call.model_asked:
        headers["content-type"] = "application/json"
        body = openai_dialect.encode_body(
            target, call.path, call.fields, stream=call.stream, wants_usage=call.wants_usage
        )
    else:
        body = call.body or None
        if body is not None and call.content_type:
            headers["content-type"] = call.content_type
    url = openai_dialect.url(target, call.path, call.query, call.base_url)
    return UpstreamRequest(call.method, url, headers, body, call.options.request_timeout)
