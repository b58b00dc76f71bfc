"""uvicorn's WebSocket protocol with what a gateway needs: a say in the shutdown, patience, and the truth about lost clients."""

import logging
from collections.abc import Callable
from functools import partial
from typing import Any

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

SCOPE_KEY = "gatehouse.socket"


class SocketProtocol(WebSocketsSansIOProtocol):
    """A client's socket. ``on_shutdown`` is called when the server stops, instead of a close at once."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.on_shutdown: Callable[[], None] | None = None
        # Its lines hold whole addresses, with queries; the gateway logs every session itself.
        self.logger = logging.getLogger("gateway.sockets")

    def handle_connect(self, event: Any) -> None:
        super().handle_connect(event)
        # The application's task has been made but not begun; a refused handshake has no scope.
        if self.response.status_code == 101:
            self.scope[SCOPE_KEY] = self  # type: ignore[literal-required]  # ours, beside the standard's

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
        if self.read_paused or not self.writable.is_set():
            # We don't read at the moment, or the ping waits behind what the client does not read: silence proves nothing.
            self.pong_timer = None
            self.pending_ping_payload = None
            self.schedule_ping()
            return
        super().keepalive_timeout()


def protocol_of(scope: Any) -> SocketProtocol | None:
    """Return the client's socket under our own server; ``None`` under another."""
    protocol: SocketProtocol | None = scope.get(SCOPE_KEY)
    return protocol


def watch_shutdown(scope: Any, drain: Callable[[float], None], seconds: float) -> None:
    """Let ``drain`` be called with ``seconds`` when the server stops; under another server nobody calls it."""
    protocol = protocol_of(scope)
    if protocol is not None:
        protocol.on_shutdown = partial(drain, seconds)
