"""Bytes of a client's are signs of its life; a close because it gave none is ours."""

import asyncio
import base64
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest
import uvicorn

from gateway.call.errors import SessionOver
from gateway.realtime.client import ClientSocket
from gateway.server.websocket import SocketProtocol
from tests.support.servers import free_port

PING = 0.3
PIECE, PIECES = 1000, 30


class Received:
    """An application that reads one socket with :class:`ClientSocket` and keeps how that went."""

    def __init__(self) -> None:
        self.outcome: asyncio.Future[str | bytes | Exception] = asyncio.Future()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await receive()  # websocket.connect
        client = ClientSocket(scope, receive, send)
        await client.accept([])
        try:
            self.outcome.set_result(await client.receive())
        except Exception as error:  # the test gets it from the outcome
            self.outcome.set_result(error)


@contextlib.asynccontextmanager
async def connected() -> AsyncIterator[tuple[Received, asyncio.StreamReader, asyncio.StreamWriter]]:
    """A server with short pings, and a client that answers none of them."""
    app, port = Received(), free_port()
    config = uvicorn.Config(
        app, port=port, ws=SocketProtocol, ws_ping_interval=PING, ws_ping_timeout=PING, lifespan="off", log_config=None
    )
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server._serve())
    while not server.started:
        await asyncio.sleep(0.01)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    key = base64.b64encode(bytes(16)).decode()
    lines = ["GET / HTTP/1.1", "Host: x", "Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13"]
    writer.write("\r\n".join([*lines, f"Sec-WebSocket-Key: {key}", "", ""]).encode())
    assert b" 101 " in await reader.readuntil(b"\r\n\r\n")
    try:
        yield app, reader, writer
    finally:
        writer.close()
        server.should_exit = True
        await serving


async def test_a_frame_that_takes_longer_than_pings_may_arrives() -> None:
    async with connected() as (app, _, writer):
        size = PIECE * PIECES
        writer.write(bytes([0x82, 0x80 | 126]) + size.to_bytes(2, "big") + bytes(4))
        for _ in range(PIECES):
            writer.write(b"x" * PIECE)
            await writer.drain()
            await asyncio.sleep(4 * PING * 2 / PIECES)
        assert await asyncio.wait_for(app.outcome, 5) == b"x" * size


@pytest.mark.parametrize("begun", [False, True], ids=["silent", "in the middle of a frame"])
async def test_a_close_for_silence_is_ours(begun: bool) -> None:
    async with connected() as (app, reader, writer):
        if begun:
            writer.write(bytes([0x82, 0x80 | 126]) + (1000).to_bytes(2, "big") + bytes(4) + b"x" * 10)
        outcome = await asyncio.wait_for(app.outcome, 5)
        assert isinstance(outcome, SessionOver)
        assert outcome.code == "client_silent"
        sent = await asyncio.wait_for(reader.read(), 5)
        assert b"\x03\xf3keepalive ping timeout" in sent
