"""The lean ASGI handler of the inference paths.

Django's stock handler costs about half a millisecond a request: a thread-sensitive context, signal receivers, a
threaded close. Inference views touch no ORM, no session and no middleware, so this handler resolves the URLconf and
awaits the view directly. Every other path stays with the stock handler.
"""

import asyncio
import contextlib
import logging
from functools import lru_cache

from django.conf import settings
from django.urls import Resolver404, ResolverMatch, get_resolver

from gateway.call import doors, errors
from gateway.call.reply import Reply
from gateway.call.request import InferenceRequest, Receive, Scope, Send
from gateway.pipeline.records import record_refusal
from gateway.pipeline.traces import call_ended
from gateway.policies import release
from gateway.server import body_log
from gateway.server.access_log import log_call
from gateway.server.cycle import Cycle
from gateway.server.heartbeats import with_heartbeats
from gateway.state import state
from gateway.telemetry import meter
from gateway.telemetry import tracer as tracing
from usage import request_log

logger = logging.getLogger("gateway.server.handler")


LAST_WORDS_SECONDS = 2.0
REMEMBERED_PATH_CHARACTERS = 200
NO_BODY = frozenset({204, 205, 304})


async def handle(scope: Scope, receive: Receive, send: Send) -> None:
    """Serve one inference request."""
    request = InferenceRequest(scope, receive)
    sending = _Sending(send)
    try:
        reply = await _respond(request)
        try:
            await _deliver(request, reply, sending)
        finally:
            reply.close()
            if reply.stream is not None:
                await reply.stream.aclose()  # type: ignore[attr-defined]
    except asyncio.CancelledError:
        if not await _ended_from_outside(request, sending):
            raise
    except Exception as error:  # the request's boundary: every failure is answered in one form, and logged once
        await _fail(request, error, sending)
    finally:
        request.stop_watching()
        state.running.discard(request.call)
        if request.call is not None:
            release(request.call)
        if request.ticket is not None:
            request.ticket.release()
        log_call(request, sending.status)
        if request.call is not None:
            call_ended(request.call, sending.status)
            if sending.capture is not None:
                body_log.add(request.call, sending.capture)
            request.call.forget_attempt()


async def _respond(request: InferenceRequest) -> Reply:
    match = resolve(request.path_info)
    request.resolver_match = match
    if "azure" in match.kwargs:
        request.leave_version_out()
    reply: Reply = await match.func(request, *match.args, **match.kwargs)
    return reply


async def _deliver(request: InferenceRequest, reply: Reply, sending: "_Sending") -> None:
    if request_log.log is not None:
        sending.capture = body_log.capture(request.call, reply.headers)
    headers = [*reply.headers, *_own_headers(request)]
    if reply.stream is None:
        gone = request.client_gone
        body = reply.body if reply.status < 400 else doors.with_request_id(reply.body, request.request_id)
        await sending.whole(reply.status, headers, body)
    else:
        await sending.start(reply.status, headers)
        stream = with_heartbeats(reply.stream, settings.SSE_HEARTBEAT_SECONDS) if sending.events else reply.stream
        if not request.head_only:
            if reply.stream_into is not None and stream is reply.stream and sending.at_once:
                reply.stream_into(sending)
            async for part in stream:
                await sending.part(part)
        gone = request.client_gone
        await sending.finish()
    if gone:  # the call went on for its usage; the server takes what is sent to no one
        sending.status = 499


async def _fail(request: InferenceRequest, error: Exception, sending: "_Sending") -> None:
    if errors.row_of(error).status == 500:
        logger.exception("Call %s failed.", request.request_id)
    if request.call is not None:
        request.call.error = errors.code_of(error)
        record_refusal(request.call, error)
    elif isinstance(error, errors.BadToken):
        meter.unauthenticated(errors.code_of(error))
    if request.client_gone:
        sending.status = 499
        return
    if sending.started:
        if sending.events:  # of anything else the client must see that it is incomplete: the server cuts the connection
            await sending.part(doors.render_event(error, _door(request), request.request_id))
            await sending.finish()
        return
    if not request.body_read and not isinstance(error, errors.BodyTimedOut):
        await request.discard_body()
    headers = [(name.encode(), value.encode("latin1", "replace")) for name, value in errors.headers_of(error).items()]
    headers += [(b"content-type", b"application/json"), *_own_headers(request)]
    if request_log.log is not None:
        sending.capture = body_log.capture(request.call, headers)
    await sending.whole(errors.status_of(error), headers, doors.render(error, _door(request), request.request_id))


async def _ended_from_outside(request: InferenceRequest, sending: "_Sending") -> bool:
    """Deal with a cancelled call; return whether the cancellation was ours, and is done with."""
    if request.client_gone:
        sending.status = 499
        return True
    ended_by = request.call.ended_by if request.call is not None else None
    task = asyncio.current_task()
    if task is not None:
        task.uncancel()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(LAST_WORDS_SECONDS):
            await _fail(request, ended_by or errors.shutting_down(), sending)
    return ended_by is not None


def _door(request: InferenceRequest) -> str:
    """Return the dialect that the request's view speaks."""
    match = request.resolver_match
    return getattr(getattr(match.func, "cls", None), "door", "openai") if match is not None else "openai"


def _own_headers(request: InferenceRequest) -> list[tuple[bytes, bytes]]:
    headers = [(b"x-request-id", request.request_id.encode())]
    call = request.call
    if call is not None:
        headers.append((b"x-tfy-feedback-target-id", call.trace.feedback_target))
    if tracing.tracer is not None and call is not None:
        headers.append((b"traceparent", call.trace.header(call.trace.span_id, tracing.tracer.ratio).encode()))
    elif (given := request.raw_headers.get(b"traceparent")) is not None:
        headers.append((b"traceparent", given))
    return headers


class _Sending:
    """What has gone to the client so far."""

    __slots__ = ("_cycle", "_headers", "_send", "capture", "started", "status")

    def __init__(self, send: Send) -> None:
        self._send = send
        cycle = getattr(send, "__self__", None)
        self._cycle = cycle if isinstance(cycle, Cycle) else None
        self.status = 0
        self.started = False
        self.capture: request_log.Capture | None = None
        self._headers: list[tuple[bytes, bytes]] = []

    @property
    def events(self) -> bool:
        """Whether what has begun is a stream of server-sent events."""
        return any(name == b"content-type" and value[:17] == b"text/event-stream" for name, value in self._headers)

    @property
    def at_once(self) -> bool:
        """Whether pieces may be put at all: only our own server takes them so."""
        return self._cycle is not None

    @property
    def ready(self) -> bool:
        """Whether the client takes a piece now."""
        return self._cycle is not None and self._cycle.ready

    def put(self, piece: bytes) -> None:
        """Send a piece of a stream at once."""
        assert self._cycle is not None  # the sender is ready
        if self.capture is not None:
            self.capture.add(piece)
        self._cycle.put(piece)

    async def whole(self, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
        if status not in NO_BODY:
            headers.append((b"content-length", str(len(body)).encode()))
        if self.capture is not None:
            self.capture.add(body)
        await self.start(status, headers)
        await self._send({"type": "http.response.body", "body": body, "more_body": False})

    async def start(self, status: int, headers: list[tuple[bytes, bytes]]) -> None:
        self.status = status
        self.started = True
        self._headers = headers
        await self._send({"type": "http.response.start", "status": status, "headers": headers})

    async def part(self, body: bytes) -> None:
        if self.capture is not None:
            self.capture.add(body)
        await self._send({"type": "http.response.body", "body": body, "more_body": True})

    async def finish(self) -> None:
        await self._send({"type": "http.response.body", "body": b"", "more_body": False})


def resolve(path: str) -> ResolverMatch:
    """Return the URLconf's match for ``path``; raise :class:`~gateway.call.errors.NotFound`."""
    return _remembered(path) if len(path) <= REMEMBERED_PATH_CHARACTERS else _resolve(path)


def _resolve(path: str) -> ResolverMatch:
    try:
        return get_resolver().resolve(path)
    except Resolver404:
        raise errors.unknown_path(path) from None


_remembered = lru_cache(maxsize=1024)(_resolve)
