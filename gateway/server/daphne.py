"""A client's socket under daphne: what ASGI can't pass to its WebSocket library (autobahn), set there directly.

By itself daphne drops the connection at messages above 1 MiB, refuses to send close codes of the standard's own, like
1001 and 1011, and passes no reasons. The protocol object comes with the ``send`` that daphne gives its applications.
Nothing is patched: these are autobahn's documented options for a connection, and the method that daphne closes with
itself.
"""

import sys
from functools import partial
from typing import Any

from gateway.call.request import Send
from providers.upstream.socket import MAX_MESSAGE_BYTES

# daphne's limit unless an option names another one, which stays then.
DEFAULT_BYTES = 2**20
# How long a client may go on sending what was too large before it answers our close; after that autobahn resets the
# connection, and the client might never see why.
CLOSE_SECONDS = 5


class DaphneSocket:
    """One client's socket."""

    def __init__(self, protocol: Any) -> None:
        self._protocol = protocol

    def widen(self) -> None:
        """Take and send messages up to 64 MiB from here on, and answer larger ones with the close code 1009."""
        protocol = self._protocol
        if protocol.maxMessagePayloadSize == DEFAULT_BYTES:
            protocol.maxMessagePayloadSize = MAX_MESSAGE_BYTES
        if protocol.maxFramePayloadSize == DEFAULT_BYTES:
            protocol.maxFramePayloadSize = MAX_MESSAGE_BYTES
        protocol.failByDrop = False
        protocol.closeHandshakeTimeout = CLOSE_SECONDS

    @property
    def max_bytes(self) -> int:
        """How large a message may be in either direction; 0 when the operator set no limit."""
        limit: int = self._protocol.maxMessagePayloadSize
        return limit

    @property
    def broken_limit(self) -> int:
        """The bytes that a message of the client's, or a frame of one, was larger than; 0 when none was too large."""
        protocol = self._protocol
        frame: int = protocol.maxFramePayloadSize if protocol.wasMaxFramePayloadSizeExceeded else 0
        return self.max_bytes if protocol.wasMaxMessagePayloadSizeExceeded else frame

    @property
    def reason(self) -> str:
        """The reason in the client's close frame."""
        return self._protocol.remoteCloseReason or ""

    def fits(self, message: str | bytes) -> bool:
        """Return whether daphne would send ``message``."""
        limit = self.max_bytes
        if not limit or len(message) * 4 <= limit:
            return True
        size = len(message) if isinstance(message, bytes) or message.isascii() else len(message.encode())
        return size <= limit

    def close(self, code: int, reason: bytes) -> None:
        """Close an open socket with any ``code`` that is valid in a close frame; nothing happens to another."""
        if self._protocol.state == self._protocol.STATE_OPEN:
            self._protocol.sendCloseFrame(code=code, reasonUtf8=reason)


def socket_of(send: Send) -> DaphneSocket | None:
    """Return the socket behind daphne's ``send``; ``None`` under another server, or when ``send`` was wrapped on the
    way.
    """
    loaded = sys.modules.get("daphne.ws_protocol")
    # Importing it would install Twisted's reactor in other servers.
    if loaded is None or not isinstance(send, partial) or not send.args:
        return None
    protocol = send.args[0]
    return DaphneSocket(protocol) if isinstance(protocol, loaded.WebSocketProtocol) else None
