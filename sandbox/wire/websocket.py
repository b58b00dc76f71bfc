"""The server's side of one WebSocket, for resources that speak it."""

from __future__ import annotations

import urllib.parse
from typing import Any

from sandbox.misbehaviour import faults as directives
from sandbox.misbehaviour.faults import NO_FAULTS, Faults
from sandbox.wire.connection import SCOPE_KEY, Connection
from sandbox.wire.messages import Headers, Host, Receive, Response, Scope, Send
from sandbox.wire.recorder import Record

KEY_SUBPROTOCOL = "openai-insecure-api-key."


class SocketClosed(Exception):
    """The client closed the socket, or is gone; `code` and `reason` are its own."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(f"{code} {reason}")
        self.code = code
        self.reason = reason


class WebSocket:
    """A socket that is not accepted yet.

    `headers` have lower-case names; `params` are the path's; `faults` come from the `x-sandbox` header or query
    parameter; `connection` can cut the socket without a closing handshake.
    """

    def __init__(self, app: Host, scope: Scope, receive: Receive, send: Send, params: dict[str, str]) -> None:
        self.app = app
        self.connection: Connection = scope.get(SCOPE_KEY) or Connection()
        self.record: Record | None = None
        self.path: str = scope["path"]
        self.headers: dict[bytes, bytes] = dict(scope["headers"])
        self.subprotocols: list[str] = scope.get("subprotocols", [])
        self.params = params
        self.accepted = False
        self.query: dict[str, str] = dict(
            urllib.parse.parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        )
        self.faults: Faults = NO_FAULTS
        self._receive = receive
        self._send = send

    def read_faults(self) -> Faults:
        """The directives of the handshake; raises ApiError 400 for an unknown one."""
        asked = self.headers.get(b"x-sandbox", b"").decode("latin-1") or self.query.get("x-sandbox", "")
        self.faults = directives.parse(asked) if asked else NO_FAULTS
        return self.faults

    async def accept(self, subprotocol: str | None = None, headers: Headers | None = None) -> None:
        self.accepted = True
        if self.record is not None:
            self.record.status = 101
        await self._send({"type": "websocket.accept", "subprotocol": subprotocol, "headers": headers or []})

    async def receive(self) -> str | bytes:
        """The next message, text or binary; raises SocketClosed."""
        message: dict[str, Any] = await self._receive()
        if message["type"] == "websocket.connect":
            message = await self._receive()
        if message["type"] == "websocket.disconnect":
            raise SocketClosed(message.get("code", 1005), message.get("reason") or "")
        text: str | None = message.get("text")
        received: str | bytes = text if text is not None else message["bytes"]
        if self.record is not None:
            self.record.add_message(received)
        return received

    async def send(self, message: str | bytes) -> None:
        if isinstance(message, str):
            await self._send({"type": "websocket.send", "text": message})
        else:
            await self._send({"type": "websocket.send", "bytes": message})

    async def close(self, code: int = 1000, reason: str = "") -> None:
        await self._send({"type": "websocket.close", "code": code, "reason": reason})

    async def refuse(self, answer: Response) -> None:
        """Answers the handshake with an HTTP error, or closes the socket that was accepted already."""
        if self.accepted:
            await self.close(1008, answer.body.decode("utf-8", "replace")[:120])
            return
        if self.record is not None:
            self.record.status = answer.status
        headers = [(b"content-type", answer.content_type), (b"content-length", b"%d" % len(answer.body))]
        headers += answer.headers or []
        await self._send({"type": "websocket.http.response.start", "status": answer.status, "headers": headers})
        await self._send({"type": "websocket.http.response.body", "body": answer.body})

    def authorization(self) -> bytes:
        """The Authorization header, or what a browser puts into the subprotocol instead."""
        for subprotocol in self.subprotocols:
            if subprotocol.startswith(KEY_SUBPROTOCOL):
                return b"Bearer " + subprotocol.removeprefix(KEY_SUBPROTOCOL).encode()
        return self.headers.get(b"authorization", b"")
