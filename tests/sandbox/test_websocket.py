"""The groundwork of WebSocket resources: dispatch, keys, faults and records, with a resource of this test's own."""

import asyncio
from collections.abc import AsyncIterator

import aiohttp
import pytest

from sandbox.__main__ import Server, server
from sandbox.app import Sandbox, create_app
from sandbox.wire.recorder import Record
from sandbox.wire.routing import Route, Router
from sandbox.wire.websocket import WebSocket

KEY = {"authorization": "Bearer sk-sandbox"}


async def echo(socket: WebSocket) -> None:
    """Sends back what comes, with the path's parameter; "cut" and "close" end it."""
    await socket.accept()
    while True:
        message = await socket.receive()
        if message == "cut":
            await socket.connection.close(reset=True)
            return
        if message == "close":
            await socket.close(4000, "as asked")
            return
        await socket.send(f"{socket.params['name']}: {message}" if isinstance(message, str) else message)


class Echo:
    """A running application with one WebSocket route."""

    def __init__(self, app: Sandbox, running: Server, session: aiohttp.ClientSession) -> None:
        self.app = app
        self.session = session
        port = running.servers[0].sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{port}/v1/echo/bob"

    @property
    def record(self) -> Record:
        assert self.app.recorder is not None
        return list(self.app.recorder)[-1]


@pytest.fixture
async def running() -> AsyncIterator[Echo]:
    app = create_app()
    app.router = Router([Route("WEBSOCKET", "/v1/echo/{name}", echo)])
    running = server(app)
    task = asyncio.create_task(running._serve())  # without the signal handlers, which are the test runner's
    while not running.started:
        await asyncio.sleep(0.01)
    async with aiohttp.ClientSession() as session:
        yield Echo(app, running, session)
    running.should_exit = True
    await task


async def test_messages_go_both_ways(running: Echo) -> None:
    async with running.session.ws_connect(running.url, headers=KEY) as socket:
        await socket.send_str("hi")
        await socket.send_bytes(b"\x00\xff")
        assert await socket.receive_str() == "bob: hi"
        assert await socket.receive_bytes() == b"\x00\xff"
        assert running.app.stats.open_websockets == 1
    assert running.record.status == 101
    assert running.record.messages == ["hi", "AP8="]
    await _until(lambda: running.app.stats.open_websockets == 0)
    assert running.record.disconnected_at is not None


async def test_a_browsers_key(running: Echo) -> None:
    protocols = ("realtime", "openai-insecure-api-key.sk-sandbox")
    async with running.session.ws_connect(running.url, protocols=protocols) as socket:
        await socket.send_str("hi")
        assert await socket.receive_str() == "bob: hi"


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("", {}, 401),
        ("", {"authorization": "Bearer nope"}, 401),
        ("/and/more", KEY, 404),
        ("?x-sandbox=status%3D429", KEY, 429),
        ("", {**KEY, "x-sandbox": "status=503"}, 503),
    ],
)
async def test_a_refused_handshake(running: Echo, path: str, headers: dict[str, str], status: int) -> None:
    with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
        await running.session.ws_connect(running.url + path, headers=headers)
    assert caught.value.status == running.record.status == status


async def test_the_servers_close_has_code_and_reason(running: Echo) -> None:
    async with running.session.ws_connect(running.url, headers=KEY) as socket:
        await socket.send_str("close")
        message = await socket.receive()
        assert (message.type, message.data, message.extra) == (aiohttp.WSMsgType.CLOSE, 4000, "as asked")


async def test_a_cut_comes_without_a_close(running: Echo) -> None:
    async with running.session.ws_connect(running.url, headers=KEY) as socket:
        await socket.send_str("cut")
        assert (await socket.receive()).type in (aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.ERROR)
        assert socket.close_code == 1006
    assert running.record.disconnected_at is None


async def _until(condition) -> None:  # type: ignore[no-untyped-def]
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.01)
