"""The life of a call: policies, then the targets in order, and one answer.

Each attempt has an id of ours and leaves one record. Once a byte of an answer has gone to the client, nothing is tried again.
"""

import asyncio
import contextlib
import math
import random
from collections.abc import AsyncIterator
from time import perf_counter_ns, time_ns

from django.conf import settings

from gateway import errors, metering, streaming
from gateway.call import Call, Reply
from gateway.policies import POLICIES, compose
from gateway.runtime import runtime
from providers.dialects import openai as openai_dialect
from providers.snapshot import Target
from providers.upstream.client import UpstreamAnswer, UpstreamRequest
from providers.upstream.failures import BrokenAnswer, UpstreamFailure
from usage.records import Attempt, new_id

RETRY_DELAY_SECONDS = 0.1
LONGEST_RETRY_DELAY_SECONDS = 10.0
UPSTREAM_ID_HEADER = "x-request-id"

# What of an upstream's answer goes on to the client. Names are matched in lower case, prefixes as they stand here.
PASSED_HEADERS = frozenset(
    {"content-type", "content-disposition", "retry-after", "retry-after-ms", "cache-control", "x-should-retry"}
)
FILE_HEADERS = frozenset({"accept-ranges", "content-range", "content-length", "etag", "last-modified"})
PASSED_PREFIXES = ("x-ratelimit-", "openai-processing", "openai-version", "openai-model")


async def run(call: Call) -> Reply:
    """Run a described call through the policies to its reply. Raises what ``errors.TABLE`` knows."""
    return await _chain(call)


async def deliver(call: Call) -> Reply:
    """Try the call's targets until one answers; raise the last failure when none does."""
    left = call.options.retries
    number = 0
    while True:
        target = call.targets[min(number, len(call.targets) - 1)]
        number += 1
        call.attempts = number
        call.target = target
        try:
            reply = await attempt(call, target, number)
        except (UpstreamFailure, errors.FirstTokenTimedOut) as failure:
            if call.upload is not None and call.upload.fault is not None:
                raise call.upload.fault from None
            if not _may_retry(call, left, errors.status_of(failure), sent=getattr(failure, "sent", True)):
                raise
            delay = None
        else:
            if not _may_retry(call, left, reply.status, sent=True):
                return reply
            delay = _asked_delay(reply)
            reply.close()
        left -= 1
        await asyncio.sleep(_delay(call.options.retries - left, delay))


async def attempt(call: Call, target: Target, number: int) -> Reply:
    """Send the call to one target. Leaves exactly one record, when the answer is complete or given up."""
    record = new_record(call, target, number)
    request = _encode(call, target)
    record.bytes_in = len(call.body)  # of an upload, what was sent is counted at its end
    runtime.spool.begin(record)
    finish = _Finisher(call, target, record)
    answer: UpstreamAnswer | None = None
    try:
        first = b""
        async with _first_token_timeout(call):
            answer = await runtime.client.send(target.account, request)
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
    call: Call, target: Target, record: Attempt, answer: UpstreamAnswer, finish: "_Finisher"
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


def _is_json(answer: UpstreamAnswer) -> bool:
    media = answer.headers.get("content-type", "application/json").split(";", 1)[0].strip().lower()
    return media == "application/json" or media.endswith("+json") or answer.status == 204


def _check_kind(answer: UpstreamAnswer) -> None:
    """Raise ``BrokenAnswer`` for what no API answers.

    That is a redirect, which is never followed, a web page as a success, and a status that HTTP does not have.
    """
    if not 200 <= answer.status < 600:
        raise BrokenAnswer(f"The upstream answered with the status {answer.status}, which HTTP does not have.")
    if 300 <= answer.status < 400:
        raise BrokenAnswer(f"The upstream answered with a redirect ({answer.status}). Check the account's base URL.")
    if answer.status < 300 and answer.headers.get("content-type", "").lower().startswith("text/html"):
        raise BrokenAnswer("The upstream answered with a web page. Check the account's base URL.")


def _raw_reply(call: Call, target: Target, record: Attempt, answer: UpstreamAnswer, finish: "_Finisher") -> Reply:
    def on_close() -> None:
        answer.close()
        finish(call.ended_by or asyncio.CancelledError())

    finish.replied = True
    stream = streaming.raw_bytes(record, answer, finish)
    return Reply(answer.status, _reply_headers(call, target, answer), stream=stream, on_close=on_close)


def _stream_reply(
    call: Call, target: Target, record: Attempt, answer: UpstreamAnswer, finish: "_Finisher", first: bytes
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


class _Finisher:
    """Completes an attempt's record, once: what it used, cost and took goes to the spool.

    ``replied`` says that the answer's head goes to the client, so that its status is what the client sees.
    """

    __slots__ = ("_call", "_done", "_record", "_target", "replied", "started_ns")

    def __init__(self, call: Call, target: Target, record: Attempt) -> None:
        self._call = call
        self._target = target
        self._record = record
        self._done = False
        self.replied = False
        self.started_ns = perf_counter_ns()

    def __call__(self, error: BaseException | None) -> None:
        if self._done:
            return
        self._done = True
        record, call = self._record, self._call
        record.latency_us = (perf_counter_ns() - self.started_ns) // 1000
        if call.upload is not None:
            record.bytes_in = call.upload.sent
        if error is not None:
            cause = _cause(call, error)
            record.error_class = errors.code_of(cause)
            if not self.replied:
                record.status = errors.status_of(cause)
            record.client_gone = call.client_gone
            call.error = record.error_class
        if call.operation.units is not None and 200 <= record.upstream_status < 300:
            record.units = {**call.operation.units(call), **record.units}
        unsent = error is not None and not getattr(error, "sent", True)
        if not call.operation.charges:
            metering.waive(record)
        elif not call.operation.model_type or record.upstream_status >= 400 or unsent:
            record.cost_pico = 0  # calls without a model, and refused or unsent ones, are charged by nobody
        else:
            metering.price(record, self._target)
        runtime.spool.append(record)


def _cause(call: Call, error: BaseException) -> BaseException:
    """Return why an attempt ended; a call that is cancelled by nobody else is so by the server, which shuts down."""
    if call.ended_by is not None:
        return call.ended_by
    if isinstance(error, asyncio.CancelledError) and not call.client_gone:
        return errors.shutting_down()
    return error


def new_record(call: Call, target: Target, number: int) -> Attempt:
    """Return the record of an attempt that begins now."""
    caller = call.caller
    return Attempt(
        attempt_id=new_id(),
        request_id=call.request_id,
        started_at=time_ns() // 1000,
        subject_type=caller.subject_type,
        subject_id=caller.subject_id,
        subject_name=caller.subject_name,
        token_id=caller.token_id,
        token_prefix=caller.prefix,
        teams=list(caller.teams),
        account=target.account.name,
        provider=target.account.provider,
        model_asked=call.model_asked,
        model_served=target.model.upstream_id,
        operation=call.operation.name,
        endpoint=call.endpoint,
        stream=call.stream,
        attempt_number=number,
        metadata={**call.options.metadata, **caller.tags} if caller.tags else call.options.metadata,
        object_id=str(call.notes.get("object_id", "")),
        batch_key=str(call.notes.get("batch_key", "")),
        batch_line=str(call.notes.get("batch_line", "")),
    )


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


def _reply_headers(call: Call, target: Target, answer: UpstreamAnswer) -> list[tuple[bytes, bytes]]:
    headers = [
        (b"x-tfy-resolved-model", target.model.public_name.encode("latin1", "replace")),
        (b"server-timing", _server_timing(call)),
    ]
    if answer.status >= 400:
        headers.append((errors.ORIGIN_HEADER.encode(), b"upstream"))
    whole_file = call.operation.raw and answer.status < 300 and "content-encoding" not in answer.headers
    for name, value in answer.headers.items():
        name = name.lower()
        if name in PASSED_HEADERS or name.startswith(PASSED_PREFIXES) or (whole_file and name in FILE_HEADERS):
            headers.append((name.encode("latin1"), value.encode("latin1", "replace")))
        elif name == UPSTREAM_ID_HEADER:
            headers.append((b"x-upstream-request-id", value.encode("latin1", "replace")))
    return headers


def _server_timing(call: Call) -> bytes:
    """Return the Server-Timing header: the upstream's share and ours, in milliseconds."""
    total = (perf_counter_ns() - call.started_ns) / 1e6
    upstream = call.timings.get("upstream", 0.0)
    return b"upstream;dur=%.2f, gateway;dur=%.2f" % (upstream, max(0.0, total - upstream))


def _may_retry(call: Call, left: int, status: int, *, sent: bool) -> bool:
    """Whether another attempt is allowed: the caller asked for it, and for this status; nothing sent costs nothing.

    A body that streamed through is gone once it began to be sent.
    """
    if call.upload is not None and call.upload.sent:
        return False
    return left > 0 and (not sent or status in call.options.retry_statuses)


def _asked_delay(reply: Reply) -> float | None:
    for name, value in reply.headers:
        if name in (b"retry-after", b"retry-after-ms"):
            with contextlib.suppress(ValueError):
                seconds = float(value) / (1000 if name == b"retry-after-ms" else 1)
                return seconds if math.isfinite(seconds) else None
    return None


def _delay(retry: int, asked: float | None) -> float:
    if asked is not None:
        return min(max(asked, 0.0), LONGEST_RETRY_DELAY_SECONDS)
    backoff = min(RETRY_DELAY_SECONDS * 2 ** (retry - 1), LONGEST_RETRY_DELAY_SECONDS)
    return backoff * random.uniform(0.75, 1.25)


_chain = compose(POLICIES, deliver)
