"""The sideband of a call over WebRTC or SIP: a socket to the vendor that carries the call's events, not its audio."""

import asyncio
import urllib.parse

from gateway.state import state
from providers.dialects import dialect_of
from providers.snapshot import Target
from providers.upstream.failures import UpstreamFailure
from providers.upstream.socket import HandshakeRefused, SocketEnded, UpstreamSocket, open_socket

# A vendor may know a new call a moment later than it reported it to us.
JOIN_SECONDS = 5.0
JOIN_PAUSE_SECONDS = 0.25
NORMAL = frozenset({1000, 1005})
UNKNOWN = 404


class Sideband:
    """An open sideband. It joins again when its connection breaks while the call goes on."""

    def __init__(self, target: Target, call_id: str, socket: UpstreamSocket) -> None:
        self._target = target
        self._call_id = call_id
        self._socket = socket

    async def receive(self) -> str | bytes:
        """Return the next message; raise ``SocketEnded`` when the call is over, or can't be joined any more."""
        while True:
            try:
                return await self._socket.receive()
            except SocketEnded as ended:
                if ended.code in NORMAL:
                    raise
                await self._rejoin(ended)

    async def send(self, message: str | bytes) -> None:
        """Send a message. Raises ``Disconnected``."""
        await self._socket.send(message)

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Close the socket; the call goes on."""
        await self._socket.close(code, reason)

    async def _rejoin(self, ended: SocketEnded) -> None:
        await asyncio.sleep(JOIN_PAUSE_SECONDS)
        try:
            self._socket = (await join(self._target, self._call_id, new=False))._socket
        except HandshakeRefused as refused:
            if refused.status == UNKNOWN:  # the call is over: it took its sideband along
                raise SocketEnded(1000, ended.reason) from None
            raise ended from None
        except UpstreamFailure:
            raise ended from None


async def join(target: Target, call_id: str, *, new: bool = True) -> Sideband:
    """Join a call; one that is ``new`` may be unknown to the vendor at first.

    Other failures are tried again, too, for ``JOIN_SECONDS``. Raises ``UpstreamFailure``.
    """
    account, loop = target.account, asyncio.get_running_loop()
    dialect = dialect_of(account)
    address = dialect.url(target, "realtime", urllib.parse.urlencode({"call_id": call_id}))
    until = loop.time() + JOIN_SECONDS
    while True:
        try:
            return Sideband(
                target, call_id, await open_socket(state.sockets, account, address, dialect.headers(account))
            )
        except UpstreamFailure as failure:
            over = isinstance(failure, HandshakeRefused) and failure.status == UNKNOWN and not new
            if over or loop.time() >= until:
                raise
        await asyncio.sleep(JOIN_PAUSE_SECONDS)
