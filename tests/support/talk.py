"""Small words of the sockets' tests: a client, the seed's conversation, audio, and the events that come."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
from openai import AsyncOpenAI

from sandbox.media import tones
from tests.support.fixtures import ACCOUNT
from tests.support.installation import Gateway

MODEL = "gpt-4o-realtime-preview"
SILENCE = bytes(48 * 600)
SECONDS = 20


def client(gateway: Gateway, token: str, account: str = ACCOUNT, **options: Any) -> AsyncOpenAI:
    """The customer's SDK, set up as the guide says."""
    return AsyncOpenAI(
        base_url=f"{gateway.origin}/v1",
        websocket_base_url=f"ws://127.0.0.1:{gateway.port}/live/{account}",
        api_key=token,
        max_retries=0,
        **options,
    )


async def events_until(connection: Any, kind: str) -> list[Any]:
    """Read events up to the first of ``kind``."""
    found = []
    async with asyncio.timeout(SECONDS):
        async for event in connection:
            found.append(event)
            if event.type == kind:
                return found
    raise AssertionError(f"the session ended before {kind}: {[event.type for event in found]}")


async def say(connection: Any, text: str) -> None:
    """Say a line as the user, and ask for a response."""
    await connection.conversation.item.create(
        item={"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}
    )
    await connection.response.create()


async def text_session(connection: Any) -> None:
    """Ask for text, as the guide does."""
    await connection.session.update(
        session={"type": "realtime", "output_modalities": ["text"], "instructions": "You reply in one short sentence."}
    )


async def say_bare(socket: "Socket", text: str) -> None:
    """Say a line over a bare socket, and ask for a text."""
    content = [{"type": "input_text", "text": text}]
    await socket.send("session.update", session={"type": "realtime", "output_modalities": ["text"]})
    await socket.send("conversation.item.create", item={"type": "message", "role": "user", "content": content})
    await socket.send("response.create")


def sound_pieces(text: str) -> list[str]:
    """Speech that says ``text``, and the silence after it, as a microphone's pieces."""
    return [base64.b64encode(piece).decode() for piece in [*tones.pcm(text), SILENCE]]


class Socket:
    """A bare socket, for what the SDK would hide."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket

    async def send(self, kind: str, **fields: Any) -> None:
        await self.socket.send_str(json.dumps({"type": kind, **fields}))

    async def event(self) -> dict[str, Any]:
        """The next event; fails when the socket closes instead."""
        message = await self.socket.receive(SECONDS)
        assert message.type is aiohttp.WSMsgType.TEXT, (message, self.socket.close_code)
        event: dict[str, Any] = json.loads(message.data)
        return event

    async def until(self, kind: str, check: Callable[[dict[str, Any]], bool] = lambda event: True) -> dict[str, Any]:
        """The first event of ``kind`` from here on."""
        while True:
            event = await self.event()
            if event["type"] == kind and check(event):
                return event

    async def closed(self) -> tuple[int | None, str]:
        """Read on to the close; return its code and reason."""
        while True:
            message = await self.socket.receive(SECONDS)
            if message.type is aiohttp.WSMsgType.CLOSE:
                return message.data, message.extra or ""
            if message.type in (aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.ERROR):
                return self.socket.close_code, ""


def address(gateway: Gateway, path: str) -> str:
    return f"http://127.0.0.1:{gateway.port}{path}"


@asynccontextmanager
async def dial(gateway: Gateway, token: str, path: str = "", **options: Any) -> AsyncIterator[Socket]:
    """Open a bare socket; by default the realtime session of the guide."""
    path = path or f"/live/{ACCOUNT}/realtime?model={MODEL}"
    headers = {"authorization": f"Bearer {token}"} if token else {}
    headers |= options.pop("headers", {})
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(address(gateway, path), headers=headers, max_msg_size=0, **options) as socket,
    ):
        yield Socket(socket)


async def refusal(gateway: Gateway, token: str, path: str = "", **options: Any) -> tuple[int, dict[str, Any]]:
    """Return how a handshake is refused: its HTTP status, and the inner error object."""
    path = path or f"/live/{ACCOUNT}/realtime?model={MODEL}"
    headers = {
        "connection": "upgrade",
        "upgrade": "websocket",
        "sec-websocket-version": "13",
        "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
        **({"authorization": f"Bearer {token}"} if token else {}),
        **options.pop("headers", {}),
    }
    async with aiohttp.ClientSession() as session, session.get(address(gateway, path), headers=headers) as answer:
        assert answer.status != 101, "the socket was opened"
        body = await answer.json()
        assert answer.headers["x-request-id"].startswith("req_")
        return answer.status, body["error"]
