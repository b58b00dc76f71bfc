"""What the sandbox must know of a client's connection beyond ASGI: when it is lost, and how to cut it."""

from __future__ import annotations

import asyncio
import socket
import struct
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from sandbox.wire.messages import Host
from sandbox.wire.recorder import Record

SCOPE_KEY = "sandbox.connection"
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class Connection:
    """One client connection. Without a transport (another server than ours) it only sleeps."""

    def __init__(self, transport: asyncio.Transport | None = None) -> None:
        self.transport = transport
        self.lost = False
        self.on_lost: asyncio.Future[None] | None = None
        self.record: Record | None = None

    async def pause(self, seconds: float | None) -> bool:
        """Sleeps, for ever with None, but wakes at once when the client leaves; False when it has left."""
        if self.lost:
            return False
        loop = asyncio.get_running_loop()
        waiter = self.on_lost = loop.create_future()
        timer = None if seconds is None else loop.call_later(seconds, _finish, waiter)
        try:
            await waiter
        finally:
            self.on_lost = None
            if timer is not None:
                timer.cancel()
        return not self.lost

    async def close(self, *, reset: bool) -> None:
        """Ends the connection now: properly, or by a TCP reset. Returns when it is closed."""
        self.record = None
        if self.transport is None:
            return
        if reset:
            sock: socket.socket | None = self.transport.get_extra_info("socket")
            if sock is not None:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
            self.transport.abort()
        else:
            self.transport.close()
        await self.pause(1.0)

    def connection_lost(self, now: float) -> None:
        self.lost = True
        if self.record is not None:
            self.record.disconnected_at = now
            self.record = None
        if self.on_lost is not None:
            _finish(self.on_lost)


def _finish(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)


class SandboxProtocol(HttpToolsProtocol):
    """uvicorn's HTTP protocol, which also hands each request its Connection and counts open ones."""

    connection: Connection

    @property
    def sandbox(self) -> Host:
        app: Host = self.app  # type: ignore[assignment]
        return app

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.connection = Connection(transport)
        self.sandbox.stats.open_connections += 1

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope[SCOPE_KEY] = self.connection  # type: ignore[literal-required]

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self.sandbox.stats.open_connections -= 1
        self.connection.connection_lost(self.sandbox.state.now())

    def handle_websocket_upgrade(self) -> None:
        self.sandbox.stats.open_connections -= 1
        super().handle_websocket_upgrade()


class SandboxWebSocketProtocol(WebSocketsSansIOProtocol):
    """uvicorn's WebSocket protocol, which also hands the application its Connection."""

    connection: Connection

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.connection = Connection(self.transport)

    def handle_connect(self, event: Any) -> None:
        super().handle_connect(event)
        # The application's task has been made but not begun; a refused handshake has no scope.
        if self.response.status_code == 101:
            self.scope[SCOPE_KEY] = self.connection  # type: ignore[literal-required]

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        sandbox: Host = self.app  # type: ignore[assignment]
        self.connection.connection_lost(sandbox.state.now())
