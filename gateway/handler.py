"""The lean ASGI handler of the inference paths.

Django's stock handler costs about half a millisecond a request: a thread-sensitive context, signal receivers, a threaded
close. Inference views touch no ORM, no session and no middleware, so this handler resolves the URLconf and awaits the view
directly. Every other path stays with the stock handler.
"""

import asyncio
import contextlib
import io
import logging
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from functools import lru_cache
from typing import Any

from django.conf import settings
from django.core.exceptions import RequestDataTooBig
from django.core.handlers.asgi import ASGIRequest
from django.http import QueryDict
from django.urls import Resolver404, ResolverMatch, get_resolver
from django.utils.functional import cached_property

from gateway import errors
from gateway.call import Call, Reply, new_request_id
from gateway.logs import log_call
from gateway.runtime import runtime

logger = logging.getLogger("gateway.handler")

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[Mapping[str, Any]], Awaitable[None]]

WATCH_AFTER_SECONDS = 0.05
DISCARD_BYTES = 64 * 2**20
DISCARD_SECONDS = 5.0
LAST_WORDS_SECONDS = 2.0
REMEMBERED_PATH_CHARACTERS = 200


class InferenceRequest(ASGIRequest):
    """Django's request, built lazily: most calls need the method, the headers and the body only.

    ``raw_headers`` are the request's headers, names in lower case. The body is read by the view, after it knows the caller.
    """

    def __init__(self, scope: Scope, receive: Receive) -> None:
        self.scope = scope
        self.receive = receive
        self.path = self.path_info = scope["path"]
        self.method = scope["method"]
        self.raw_headers: dict[bytes, bytes] = dict(scope["headers"])
        self.request_id = new_request_id()
        self.resolver_match = None
        self.call: Call | None = None
        self.body_begun = False
        self.body_read = False
        self.task = asyncio.current_task()
        self.client_gone = False
        self._watch: asyncio.TimerHandle | asyncio.Task[None] | None = None

    @cached_property
    def META(self) -> dict[str, Any]:  # type: ignore[override]  # built when asked for
        """WSGI-like headers, for whoever asks for them."""
        return ASGIRequest(self.scope, io.BytesIO()).META

    @cached_property
    def GET(self) -> QueryDict:  # type: ignore[override]  # built when asked for
        """The query's parameters. Raises ``InvalidRequest`` for a NUL character, which no database takes."""
        query = self.scope.get("query_string", b"")
        if b"%00" in query:
            raise errors.InvalidRequest("The query holds a NUL character (%00).", code="invalid_query")
        return QueryDict(query)

    async def read_body(self, limit: int, timeout: float) -> bytes:
        """Return the whole body. Raises ``TooLarge``, ``BodyTimedOut`` or ``ClientGone``."""
        message = f"The body is larger than {limit} bytes. The operator sets the bound with GATEHOUSE_MAX_BODY_MB."
        length = self.raw_headers.get(b"content-length", b"")
        if length.isdigit() and int(length) > limit:
            raise errors.TooLarge(message)
        try:
            async with asyncio.timeout(timeout):
                first = await self._receive_body()
                if not first.get("more_body"):
                    self._body_complete()
                    if len(first.get("body", b"")) > limit:
                        raise errors.TooLarge(message)
                    return first.get("body", b"")
                parts, size = [first.get("body", b"")], len(first.get("body", b""))
                while not self.body_read:
                    event = await self._receive_body()
                    parts.append(event.get("body", b""))
                    size += len(parts[-1])
                    if not event.get("more_body"):
                        self._body_complete()
                    if size > limit:
                        raise errors.TooLarge(message)
        except TimeoutError:
            raise errors.BodyTimedOut(f"The body did not arrive within {timeout:g} seconds.") from None
        return b"".join(parts)

    async def receive_piece(self) -> bytes:
        """Return the next piece of the body; ``body_read`` tells whether it was the last. For bodies that stream through.

        Raises ``BodyTimedOut`` when nothing comes for the body timeout, and ``ClientGone``.
        """
        try:
            async with asyncio.timeout(settings.BODY_TIMEOUT):
                event = await self._receive_body()
        except TimeoutError:
            raise errors.BodyTimedOut(f"Nothing of the body came for {settings.BODY_TIMEOUT:g} seconds.") from None
        if not event.get("more_body"):
            self._body_complete()
        piece: bytes = event.get("body", b"")
        return piece

    async def _receive_body(self) -> MutableMapping[str, Any]:
        self.body_begun = True
        event = await self.receive()
        if event["type"] == "http.disconnect":
            self.client_gone = True
            raise errors.ClientGone("The client closed the connection before its body was complete.")
        return event

    def _body_complete(self) -> None:
        self.body_read = True
        self.watch()

    def watch(self) -> None:
        """Begin to notice a client that leaves; in a moment, so that quick calls don't pay for it."""
        loop, task = asyncio.get_running_loop(), self.task
        assert task is not None  # an ASGI application is always awaited in a task
        self._watch = loop.call_later(WATCH_AFTER_SECONDS, self._start_watching, loop, task)

    def stop_watching(self) -> None:
        """End the watch."""
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None

    def _start_watching(self, loop: asyncio.AbstractEventLoop, task: asyncio.Task[Any]) -> None:
        self._watch = loop.create_task(self._wait_for_disconnect(task))

    async def _wait_for_disconnect(self, task: asyncio.Task[Any]) -> None:
        while (await self.receive())["type"] != "http.disconnect":
            continue
        self.client_gone = True
        if self.call is not None:
            self.call.client_gone = True
        task.cancel()

    async def discard_body(self) -> None:
        """Read on a little after a refusal, so that a client which still sends its body gets to see the answer.

        A client that waits for ``100 Continue`` sends nothing yet: it sees the answer at once.
        """
        if not self.body_begun and self.raw_headers.get(b"expect", b"").lower() == b"100-continue":
            return
        size = 0
        with contextlib.suppress(TimeoutError, errors.ClientGone):
            async with asyncio.timeout(DISCARD_SECONDS):
                while not self.body_read and size < DISCARD_BYTES:
                    event = await self._receive_body()
                    size += len(event.get("body", b""))
                    self.body_read = not event.get("more_body")


async def handle(scope: Scope, receive: Receive, send: Send) -> None:
    """Serve one inference request."""
    request = InferenceRequest(scope, receive)
    state = _Sending(send)
    try:
        reply = await _respond(request)
        try:
            await _deliver(request, reply, state)
        finally:
            reply.close()
            if reply.stream is not None:
                await reply.stream.aclose()  # type: ignore[attr-defined]
    except asyncio.CancelledError:
        if not await _ended_from_outside(request, state):
            raise
    except Exception as error:  # the request's boundary: every failure is answered in one form, and logged once
        await _fail(request, error, state)
    finally:
        request.stop_watching()
        runtime.running.discard(request.call)
        log_call(request, state.status)


async def _respond(request: InferenceRequest) -> Reply:
    match = resolve(request.path_info)
    request.resolver_match = match
    reply: Reply = await match.func(request, *match.args, **match.kwargs)
    return reply


async def _deliver(request: InferenceRequest, reply: Reply, state: "_Sending") -> None:
    if reply.stream is None:
        await state.whole(reply.status, [*reply.headers, *_own_headers(request)], reply.body)
        return
    await state.start(reply.status, [*reply.headers, *_own_headers(request)])
    async for part in reply.stream:
        await state.part(part)
    await state.finish()


async def _fail(request: InferenceRequest, error: Exception, state: "_Sending") -> None:
    if errors.row_of(error).status == 500:
        logger.exception("Call %s failed.", request.request_id)
    if request.call is not None:
        request.call.error = errors.code_of(error)
    if isinstance(error, RequestDataTooBig):
        error = errors.TooLarge("The body is larger than the operator allows.")
    if request.client_gone:
        state.status = 499
        return
    if state.started:
        if state.events:  # of anything else the client must see that it is incomplete: the server cuts the connection
            await state.part(errors.render_sse(error))
            await state.finish()
        return
    if not request.body_read and not isinstance(error, errors.BodyTimedOut):
        await request.discard_body()
    headers = [(name.encode(), value.encode("latin1", "replace")) for name, value in errors.headers_of(error).items()]
    headers += [(b"content-type", b"application/json"), *_own_headers(request)]
    await state.whole(errors.status_of(error), headers, errors.render_json(error))


async def _ended_from_outside(request: InferenceRequest, state: "_Sending") -> bool:
    """Deal with a cancelled call; return whether the cancellation was ours, and is done with."""
    if request.client_gone:
        state.status = 499
        return True
    ended_by = request.call.ended_by if request.call is not None else None
    task = asyncio.current_task()
    if task is not None:
        task.uncancel()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(LAST_WORDS_SECONDS):
            await _fail(request, ended_by or errors.shutting_down(), state)
    return ended_by is not None


def _own_headers(request: InferenceRequest) -> list[tuple[bytes, bytes]]:
    headers = [(b"x-request-id", request.request_id.encode())]
    traceparent = request.raw_headers.get(b"traceparent")
    if traceparent is not None:
        headers.append((b"traceparent", traceparent))
    return headers


class _Sending:
    """What has gone to the client so far."""

    __slots__ = ("_headers", "_send", "started", "status")

    def __init__(self, send: Send) -> None:
        self._send = send
        self.status = 0
        self.started = False
        self._headers: list[tuple[bytes, bytes]] = []

    @property
    def events(self) -> bool:
        """Whether what has begun is a stream of server-sent events."""
        return any(name == b"content-type" and value[:17] == b"text/event-stream" for name, value in self._headers)

    async def whole(self, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
        headers.append((b"content-length", str(len(body)).encode()))
        await self.start(status, headers)
        await self._send({"type": "http.response.body", "body": body, "more_body": False})

    async def start(self, status: int, headers: list[tuple[bytes, bytes]]) -> None:
        self.status = status
        self.started = True
        self._headers = headers
        await self._send({"type": "http.response.start", "status": status, "headers": headers})

    async def part(self, body: bytes) -> None:
        await self._send({"type": "http.response.body", "body": body, "more_body": True})

    async def finish(self) -> None:
        await self._send({"type": "http.response.body", "body": b"", "more_body": False})


def resolve(path: str) -> ResolverMatch:
    """Return the URLconf's match for ``path``; raise :class:`~gateway.errors.NotFound`."""
    return _remembered(path) if len(path) <= REMEMBERED_PATH_CHARACTERS else _resolve(path)


def _resolve(path: str) -> ResolverMatch:
    try:
        return get_resolver().resolve(path)
    except Resolver404:
        raise errors.NotFound(
            f"Unknown path {path[:200]!r}. The OpenAI-compatible endpoints are under /v1, /api/llm and "
            "/api/llm/api/inference/openai, for example /v1/chat/completions.",
            code="unknown_url",
        ) from None


_remembered = lru_cache(maxsize=1024)(_resolve)
