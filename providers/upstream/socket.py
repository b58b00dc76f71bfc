"""A WebSocket to an upstream, opened through the account's own guarded connections."""

import asyncio

import aiohttp
from multidict import CIMultiDict

from providers.snapshot import AccountSnapshot
from providers.upstream.aiohttp_client import AiohttpClient, check_url
from providers.upstream.failures import BrokenAnswer, ConnectTimedOut, Disconnected, UpstreamFailure, classify
from providers.upstream.tokens import current

MAX_MESSAGE_BYTES = 64 * 2**20
HANDSHAKE_SECONDS = 30.0
CLOSE_SECONDS = 2.0
ABNORMAL = 1006
# What a close frame may carry, beside the application's own 3000 to 4999.
LEGAL_CODES = frozenset({1000, 1001, 1002, 1003, *range(1007, 1015)})


class HandshakeRefused(UpstreamFailure):
    """The upstream answered the handshake with an HTTP status: ``status`` and ``headers`` are its own."""

    sent = False

    def __init__(self, error: aiohttp.WSServerHandshakeError) -> None:
        super().__init__(f"The upstream refused the socket with status {error.status}.")
        self.status = error.status
        self.headers = dict(error.headers or {})


class SocketEnded(Exception):
    """The upstream's side of the socket is over; ``code`` is 1006 when it broke without a close."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(f"{code} {reason}")
        self.code = code
        self.reason = reason


class UpstreamSocket:
    """An open socket.

    A slow reader slows the upstream, a slow upstream the sender: neither side is buffered beyond its bound.
    """

    __slots__ = ("_socket", "headers")

    def __init__(self, socket: "aiohttp.ClientWebSocketResponse[bool]", headers: dict[str, str]) -> None:
        self._socket = socket
        self.headers = headers

    async def receive(self) -> str | bytes:
        """Return the next message; raise :class:`SocketEnded`."""
        message = await self._socket.receive()
        kind = message.type
        if kind is aiohttp.WSMsgType.TEXT or kind is aiohttp.WSMsgType.BINARY:
            data: str | bytes = message.data
            return data
        if kind is aiohttp.WSMsgType.CLOSE:
            raise SocketEnded(message.data or 1005, message.extra or "")
        code = self._socket.close_code if kind is aiohttp.WSMsgType.ERROR else None
        raise SocketEnded(code or ABNORMAL, "")

    async def send(self, message: str | bytes) -> None:
        """Send a message; return when the connection can take another. Raises :class:`Disconnected`."""
        try:
            if isinstance(message, str):
                await self._socket.send_frame(message.encode(), aiohttp.WSMsgType.TEXT)
            else:
                await self._socket.send_frame(message, aiohttp.WSMsgType.BINARY)
        except (aiohttp.ClientError, OSError) as error:
            raise Disconnected("The upstream closed the socket.") from error

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Close the socket with ``code`` as far as a close frame may carry it; give up on a deaf peer soon."""
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                await self._socket.close(code=sendable(code), message=clipped(reason))
        except (TimeoutError, aiohttp.ClientError, OSError):
            return


async def open_socket(
    client: AiohttpClient, account: AccountSnapshot, url: str, headers: CIMultiDict[str]
) -> UpstreamSocket:
    """Connect to ``url`` (``http`` or ``https``: the upgrade keeps the scheme's meaning).

    Raises :class:`UpstreamFailure`.
    """
    if account.token is not None:
        headers["authorization"] = f"Bearer {await current(client, account, account.token)}"
    try:
        session = client.socket_session(account)
        check_url(account, url)
        async with asyncio.timeout(account.connect_timeout + HANDSHAKE_SECONDS):
            socket = await session.ws_connect(
                url,
                headers=headers,
                max_msg_size=MAX_MESSAGE_BYTES + 1,  # aiohttp takes less than that
                timeout=aiohttp.ClientWSTimeout(ws_receive=None, ws_close=CLOSE_SECONDS),
            )
    except aiohttp.WSServerHandshakeError as error:
        if error.status == 101 or error.status < 400:
            raise BrokenAnswer("The upstream did not open a socket. Check the account's base URL.") from None
        raise HandshakeRefused(error) from None
    except TimeoutError as error:
        if isinstance(error, aiohttp.ServerTimeoutError):
            raise classify(error) from error
        raise ConnectTimedOut("The upstream did not open the socket in time.") from None
    except (aiohttp.ClientError, OSError) as error:
        raise classify(error) from error
    answered = socket._response.headers
    return UpstreamSocket(socket, {name.lower(): value for name, value in answered.items()})


def sendable(code: int) -> int:
    """Return the code that a close frame may carry for ``code``: 1005 (none given) becomes 1000, 1006 and 1015
    1011.
    """
    if code in LEGAL_CODES or 3000 <= code <= 4999:
        return code
    return 1000 if code == 1005 else 1011


def clipped(reason: str) -> bytes:
    """Return a close reason as bytes, no longer than a close frame can hold, never cut within a character."""
    return reason.encode()[:123].decode("utf-8", "ignore").encode()
