"""uvicorn's WebSocket protocol with what a gateway needs: a say in the shutdown, patience, and the truth about lost
clients.
"""

import logging
from collections.abc import Callable
from functools import partial
from typing import Any

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

SCOPE_KEY = "gatehouse.socket"
SILENT_CODE, SILENT = 1011, "keepalive ping timeout"
"""How a close of ours is announced whose reason is that the client answers no ping."""


class SocketProtocol(WebSocketsSansIOProtocol):
    """A client's socket. ``on_shutdown`` is called when the server stops, instead of a close at once."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.on_shutdown: Callable[[], None] | None = None
        self.heard_at = 0.0
        # Its lines hold whole addresses, with queries; the gateway logs every session itself.
        self.logger = logging.getLogger("gateway.sockets")

    def handle_connect(self, event: Any) -> None:
        super().handle_connect(event)
        # The application's task has been made but not begun; a refused handshake has no scope.
        if self.response.status_code == 101:
            self.scope[SCOPE_KEY] = self  # type: ignore[literal-required]  # ours, beside the standard's

    def data_received(self, data: bytes) -> None:
        self.heard_at = self.loop.time()
        super().data_received(data)

    def shutdown(self) -> None:
        if self.on_shutdown is None or self.close_sent:
            super().shutdown()
        else:
            self.on_shutdown()

    def connection_lost(self, exc: Exception | None) -> None:
        if self.handshake_complete and not self.close_sent and self.conn.close_rcvd is None:
            # uvicorn calls this 1005, as if the client had closed without a code.
            self.queue.put_nowait({"type": "websocket.disconnect", "code": 1006, "reason": ""})
        super().connection_lost(exc)

    def keepalive_timeout(self) -> None:
        if self.read_paused or not self.writable.is_set() or self.heard_at > self.ping_sent_at:
            # We don't read at the moment, or the ping waits behind what the client does not read, or bytes came since,
            # of a message that takes longer than a ping may: a missing pong proves nothing.
            self.pong_timer = None
            self.pending_ping_payload = None
            self.schedule_ping()
            return
        self.queue.put_nowait({"type": "websocket.disconnect", "code": SILENT_CODE, "reason": SILENT})
        super().keepalive_timeout()


def protocol_of(scope: Any) -> SocketProtocol | None:
    """Return the client's socket under our own server; ``None`` under another."""
    protocol: SocketProtocol | None = scope.get(SCOPE_KEY)
    return protocol


def watch_shutdown(scope: Any, drain: Callable[[float], None], seconds: float) -> None:
    """Let ``drain`` be called with ``seconds`` when the server stops; under another server no one calls it."""
    protocol = protocol_of(scope)
    if protocol is not None:
        protocol.on_shutdown = partial(drain, seconds)


def note_refusal(scope: Any) -> None:
    """Note that the handshake was answered with an HTTP error.

    uvicorn takes it for one that the application forgot, and writes an ERROR line for whatever a client gets wrong.
    """
    protocol = protocol_of(scope)
    if protocol is not None:
        protocol.handshake_complete = True
