"""Bounds on what Django's own handler reads: by itself it waits for any body, of any length, for any time."""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from django.conf import settings

from gateway.call import errors
from gateway.call.request import Receive, Scope, Send

Application = Callable[[Scope, Receive, Send], Awaitable[None]]


def with_bounded_body(application: Application) -> Application:
    """Return ``application`` behind bounds on the body: all of it must come within ``GATEHOUSE_BODY_TIMEOUT_S``, and be
    no larger than ``GATEHOUSE_MAX_BODY_MB``."""

    async def bounded(scope: Scope, receive: Receive, send: Send) -> None:
        await application(scope, _Body(receive, send).receive, send)

    return bounded


class _Body:
    """A request's body as it comes. One that breaks a bound is answered; the application sees a client that left."""

    __slots__ = ("_complete", "_receive", "_send", "_size", "_until")

    def __init__(self, receive: Receive, send: Send) -> None:
        self._receive = receive
        self._send = send
        self._until = asyncio.get_running_loop().time() + settings.BODY_TIMEOUT
        self._size = 0
        self._complete = False

    async def receive(self) -> MutableMapping[str, Any]:
        if self._complete:
            return await self._receive()
        try:
            async with asyncio.timeout_at(self._until):
                event = await self._receive()
        except TimeoutError:
            late = f"The body did not arrive within {settings.BODY_TIMEOUT:g} seconds."
            return await self._refuse(errors.BodyTimedOut(late))
        self._complete = not event.get("more_body")
        self._size += len(event.get("body", b""))
        if self._size > settings.MAX_BODY_BYTES:
            return await self._refuse(errors.TooLarge(f"The body is larger than {settings.MAX_BODY_BYTES} bytes."))
        return event

    async def _refuse(self, error: errors.CallError) -> MutableMapping[str, Any]:
        self._complete = True
        body = errors.render_json(error)
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(body)).encode()),
            (b"connection", b"close"),
        ]
        await self._send({"type": "http.response.start", "status": errors.status_of(error), "headers": headers})
        await self._send({"type": "http.response.body", "body": body, "more_body": False})
        return {"type": "http.disconnect"}
