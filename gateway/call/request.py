"""A request as the lean handler hands it to a view, and the body that it still has to read."""

import asyncio
import contextlib
import io
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from time import perf_counter_ns
from typing import Any

from django.conf import settings
from django.core.exceptions import TooManyFieldsSent
from django.core.handlers.asgi import ASGIRequest
from django.http import QueryDict
from django.utils.functional import cached_property

from accounts.numbers import whole_number
from gateway.call import errors
from gateway.call.call import Call, new_request_id
from gateway.call.discard import DISCARD_BYTES, DISCARD_SECONDS
from gateway.call.load import Ticket
from providers.azure import without_version

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[Mapping[str, Any]], Awaitable[None]]
WATCH_AFTER_SECONDS = 0.05


class InferenceRequest(ASGIRequest):
    """Django's request, built lazily: most calls need the method, the headers and the body only.

    ``raw_headers`` are the request's headers, names in lower case. The body is read by the view, after it knows the
    caller. ``HEAD`` is a ``GET`` to every view, ``asked_method`` what the client sent;
    ``head_only`` says that the answer has no body.
    """

    def __init__(self, scope: Scope, receive: Receive) -> None:
        self.scope = scope
        self.receive = receive
        self.path = self.path_info = scope["path"]
        self.asked_method: str = scope["method"]
        self.head_only = self.asked_method == "HEAD"
        self.method = "GET" if self.head_only else self.asked_method
        self.raw_headers: dict[bytes, bytes] = dict(scope["headers"])
        self.request_id = new_request_id()
        self.resolver_match = None
        self.call: Call | None = None
        self.ticket: Ticket | None = None
        self.body_begun = False
        self.body_read = False
        self.task = asyncio.current_task()
        self.received_ns = perf_counter_ns()
        self.client_gone = False
        self._upload_until = 0.0
        self._watch: asyncio.TimerHandle | asyncio.Task[None] | None = None

    @cached_property
    def META(self) -> dict[str, Any]:  # type: ignore[override]  # built when asked for
        """WSGI-like headers, for code that asks for them."""
        return ASGIRequest(self.scope, io.BytesIO()).META

    @cached_property
    def GET(self) -> QueryDict:  # type: ignore[override]  # built when asked for
        """The query's parameters.

        Raises ``InvalidRequest`` for a NUL character, which no database takes, and for very many.
        """
        query = self.scope.get("query_string", b"")
        if b"%00" in query:
            raise errors.InvalidRequest("The query holds a NUL character (%00).", code="invalid_query")
        try:
            return QueryDict(query)
        except TooManyFieldsSent:
            raise errors.InvalidRequest(
                f"The query has more than {settings.DATA_UPLOAD_MAX_NUMBER_FIELDS} fields.", code="too_many_values"
            ) from None

    def leave_version_out(self) -> None:
        """Forget the ``api-version`` of Azure's clients, before anything reads the query: here it means nothing, and
        an upstream is sent its account's own.
        """
        query = without_version(self.scope.get("query_string", b"").decode("latin1"))
        self.scope = {**self.scope, "query_string": query.encode("latin1")}

    async def read_body(self, limit: int, timeout: float) -> bytes:
        """Return the whole body.

        Raises ``TooLarge``, ``BodyTimedOut`` or ``ClientGone``, and what the load's bounds refuse with.
        """
        message = f"The body is larger than {limit} bytes. The operator sets the bound with GATEHOUSE_MAX_BODY_MB."
        length = whole_number(self.raw_headers.get(b"content-length", b""))
        if length is not None and length > limit:
            raise errors.TooLarge(message)
        announced = length or 0
        if announced and self.ticket is not None:
            self.ticket.take(announced)
        cycle = getattr(self.receive, "__self__", None)
        if getattr(cycle, "body_complete", False):  # it came with the head: there is nothing to wait for
            return self._whole_body(await self._receive_body(), limit, message)
        try:
            async with asyncio.timeout(timeout):
                first = await self._receive_body()
                if not first.get("more_body"):
                    return self._whole_body(first, limit, message)
                held = io.BytesIO()  # it gives its bytes away without copying them
                size = held.write(first.get("body", b""))
                while not self.body_read:
                    event = await self._receive_body()
                    came = held.write(event.get("body", b""))
                    size += came
                    if not announced and self.ticket is not None:
                        self.ticket.take(came)
                    if not event.get("more_body"):
                        self._body_complete()
                    if size > limit:
                        raise errors.TooLarge(message)
        except TimeoutError:
            raise errors.BodyTimedOut(f"The body did not arrive within {timeout:g} seconds.") from None
        return held.getvalue()

    def _whole_body(self, event: MutableMapping[str, Any], limit: int, message: str) -> bytes:
        self._body_complete()
        body: bytes = event.get("body", b"")
        if len(body) > limit:
            raise errors.TooLarge(message)
        return body

    async def receive_piece(self) -> bytes:
        """Return the next piece of the body; ``body_read`` says whether it was the last. For bodies that stream
        through.

        Raises ``BodyTimedOut`` when nothing comes for the body timeout, or not all within the time of an upload, and
        ``ClientGone``.
        """
        now = asyncio.get_running_loop().time()
        self._upload_until = self._upload_until or now + settings.UPLOAD_MAX_SECONDS
        left = self._upload_until - now
        try:
            async with asyncio.timeout(min(settings.BODY_TIMEOUT, left)):
                event = await self._receive_body()
        except TimeoutError:
            raise errors.BodyTimedOut(_too_slow(left)) from None
        if not event.get("more_body"):
            self._body_complete()
        piece: bytes = event.get("body", b"")
        return piece

    async def _receive_body(self) -> MutableMapping[str, Any]:
        self.body_begun = True
        event = await self.receive()
        if event["type"] == "http.disconnect":
            self.client_gone = True
            if self.call is not None:
                self.call.client_gone = True
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
        seconds = 0.0
        if self.call is not None:
            self.call.client_gone = True
            if self.call.attempt is not None:
                seconds = self.call.attempt.seconds_without_client
        if seconds > 0:
            self._watch = asyncio.get_running_loop().call_later(seconds, task.cancel)
        else:
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


def _too_slow(left: float) -> str:
    """Return why an upload ended that had so many seconds left."""
    if left < settings.BODY_TIMEOUT:
        return f"The upload did not arrive within {settings.UPLOAD_MAX_SECONDS:g} seconds."
    return f"Nothing of the body came for {settings.BODY_TIMEOUT:g} seconds."
