"""The client's side of a socket: accepting, refusing, error events and closing, under any ASGI server."""

import asyncio
import contextlib
import logging
from collections.abc import MutableMapping
from typing import Any

from gateway.call import errors
from gateway.call.call import Call, new_request_id
from gateway.call.request import Receive, Scope, Send
from gateway.realtime.client_secrets import answered_subprotocol
from gateway.realtime.closing import CloseReason, brief, close_code, error_event, headers_of, status_of
from gateway.server import daphne
from gateway.server.websocket import SILENT, SILENT_CODE, note_refusal
from providers.upstream.socket import clipped, sendable

logger = logging.getLogger("gateway.realtime")

LAST_WORDS_SECONDS = 2.0


class ClientGone(Exception):
    """The client closed the socket, or is lost; ``code`` is 1006 then."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(f"{code} {reason}")
        self.code = code
        self.reason = reason


class ClientSocket:
    """A client's socket. Errors go out as HTTP answers before it is accepted, and as OpenAI's error events after."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scope = scope
        self.path: str = scope["path"]
        self.asked_method = "WEBSOCKET"
        self.raw_headers: dict[bytes, bytes] = dict(scope["headers"])
        self.subprotocols: list[str] = scope.get("subprotocols", [])
        self.request_id = new_request_id()
        self.call: Call | None = None
        self.accepted = False
        self.status = 0
        self._receive = receive
        self._send = send
        self._daphne = daphne.socket_of(send)
        self._can_refuse = "websocket.http.response" in (scope.get("extensions") or {})

    async def accept(self, headers: list[tuple[bytes, bytes]]) -> None:
        """Open the socket for a session."""
        if self._daphne is not None:
            self._daphne.widen()
        await self._open(headers)

    async def _open(self, headers: list[tuple[bytes, bytes]]) -> None:
        self.accepted = True
        self.status = 101
        subprotocol = answered_subprotocol(self.subprotocols)
        own = [(b"x-request-id", self.request_id.encode()), *headers]
        await self._send({"type": "websocket.accept", "subprotocol": subprotocol, "headers": own})

    async def receive(self) -> str | bytes:
        """Return the next message; raise :class:`ClientGone`. What is not asked for stays with the client.

        Raises :class:`~gateway.call.errors.TooLarge` where the server reports that it closed for a message of the
        client's, and
        :class:`~gateway.call.errors.SessionOver` where it closed for a client that answers no ping.
        """
        event: MutableMapping[str, Any] = await self._receive()
        if event["type"] == "websocket.disconnect":
            reason = event.get("reason") or ""
            if self._daphne is not None:
                reason = self._daphne.reason
                if self._daphne.broken_limit:
                    raise self._too_large("client", self._daphne.broken_limit)
            if (event.get("code"), reason) == (SILENT_CODE, SILENT):
                raise errors.SessionOver("The client answered no ping: it is lost, or too slow.", code="client_silent")
            raise ClientGone(event.get("code") or 1005, reason)
        text: str | None = event.get("text")
        if text is not None:
            return text
        data: bytes = event["bytes"]
        return data

    async def send(self, message: str | bytes) -> None:
        """Send a message; return when the client can take another. Raises ``OSError`` when it is gone, ``TooLarge``
        when the server does not send messages of its size.
        """
        if self._daphne is not None and not self._daphne.fits(message):
            raise self._too_large("upstream", self._daphne.max_bytes)
        if isinstance(message, str):
            await self._send({"type": "websocket.send", "text": message})
        else:
            await self._send({"type": "websocket.send", "bytes": message})

    async def send_error(self, error: Exception, event_id: str | None = None) -> None:
        """Send ``error`` as an error event; ``event_id`` is that of the client's event at fault."""
        await self.send(error_event(error, event_id))

    async def refuse(self, error: Exception) -> None:
        """Answer the handshake with an HTTP error, or, where the server can't, open the socket to say it there."""
        if errors.row_of(error).status == 500:
            raise error
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(LAST_WORDS_SECONDS):
                if self.accepted or not self._can_refuse:
                    if not self.accepted:
                        await self._open([])
                    await self.send_error(error)
                    await self.close(close_code(error), brief(error))
                    return
                self.status = status_of(error)
                headers = [(name.encode(), value.encode("latin1", "replace")) for name, value in headers_of(error)]
                headers += [(b"content-type", b"application/json"), (b"x-request-id", self.request_id.encode())]
                body = errors.render_json(error)
                headers.append((b"content-length", str(len(body)).encode()))
                await self._send({"type": "websocket.http.response.start", "status": self.status, "headers": headers})
                await self._send({"type": "websocket.http.response.body", "body": body, "more_body": False})
                note_refusal(self.scope)

    async def close(self, code: int, reason: str = "") -> None:
        """Close the socket."""
        code, clipped_reason = sendable(code), clipped(reason)
        if self._daphne is not None:
            self._daphne.close(code, clipped_reason)
        else:
            await self._send({"type": "websocket.close", "code": code, "reason": clipped_reason.decode()})

    def _too_large(self, side: str, limit: int) -> errors.TooLarge:
        logger.warning(
            "Session %s ends: a message of the %s is larger than %d bytes, the limit of this server.",
            self.request_id,
            side,
            limit,
        )
        return errors.TooLarge(
            f"A message of the {side} is larger than {limit} bytes, which is this server's limit.",
            code="message_too_large",
        )

    async def end(self, ending: CloseReason) -> None:
        """Report to the client how its session ended, unless it ended it."""
        if ending.side == "client":
            return
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(LAST_WORDS_SECONDS):
                if ending.error is not None:
                    await self.send_error(ending.error)
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(LAST_WORDS_SECONDS):
                await self.close(ending.code, ending.reason)
