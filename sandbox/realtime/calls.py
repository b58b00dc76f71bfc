"""Calls over WebRTC and SIP: no audio passes, but their events do, over the sidebands that join.

The other party says hello, with whatever directives the session's instructions hold, as soon as one has joined.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from typing import Any

from sandbox.errors import ApiError
from sandbox.misbehaviour.faults import NO_FAULTS
from sandbox.model import catalog
from sandbox.realtime import settings as session_settings
from sandbox.realtime.session import Session
from sandbox.state import State
from sandbox.wire.connection import Connection
from sandbox.wire.messages import Host, encode
from sandbox.wire.websocket import SocketClosed, WebSocket

GREETING = "Hello!"
CALLS, OVER = "realtime-calls", "realtime-calls-over"
ANSWER = "\r\n".join(
    (
        "v=0",
        "o=- 4611731400430051336 2 IN IP4 127.0.0.1",
        "s=-",
        "t=0 0",
        "a=group:BUNDLE 0",
        "a=msid-semantic: WMS *",
        "m=audio 9 UDP/TLS/RTP/SAVPF 111",
        "c=IN IP4 0.0.0.0",
        "a=rtcp:9 IN IP4 0.0.0.0",
        "a=ice-lite",
        "a=ice-ufrag:sand",
        "a=ice-pwd:sandboxsandboxsandboxsandbox",
        "a=fingerprint:sha-256 " + ":".join(["5A"] * 32),
        "a=setup:passive",
        "a=mid:0",
        "a=sendrecv",
        "a=rtcp-mux",
        "a=rtpmap:111 opus/48000/2",
        "a=candidate:1 1 udp 2130706431 127.0.0.1 9 typ host",
        "a=end-of-candidates",
        "",
    )
)
_directives = re.compile(r"\[\[sandbox:.*?\]\]", re.DOTALL).findall


class CallSocket(WebSocket):
    """What a call's session takes for its client: all sidebands together."""

    def __init__(self, app: Host) -> None:
        self.app = app
        self.connection = Connection()
        self.faults = NO_FAULTS
        self.joined: list[WebSocket] = []
        self.said: asyncio.Queue[str | bytes] = asyncio.Queue()

    async def receive(self) -> str | bytes:
        return await self.said.get()

    async def send(self, message: str | bytes) -> None:
        for socket in list(self.joined):
            with contextlib.suppress(OSError):
                await socket.send(message)

    async def close(self, code: int = 1000, reason: str = "") -> None:
        for socket in list(self.joined):
            with contextlib.suppress(OSError):
                await socket.close(code, reason)


class Call:
    """A call that goes on."""

    def __init__(self, app: Host, settings: dict[str, Any]) -> None:
        self.socket = CallSocket(app)
        self.session = Session(self.socket, settings)
        self._running: asyncio.Task[None] | None = None

    async def join(self, socket: WebSocket) -> None:
        """Serves a sideband until either side ends it; raises SocketClosed then."""
        self.socket.joined.append(socket)
        self.socket.connection = socket.connection
        if self._running is None:
            self._running = asyncio.create_task(self.session.run())
            self._greet()
        else:
            event_id = self.session.state.new_id("event_", 21)
            created = {"type": "session.created", "event_id": event_id, "session": self.session.settings}
            await socket.send(encode(created).decode())
        try:
            while True:
                self.socket.said.put_nowait(await socket.receive())
        finally:
            self.socket.joined.remove(socket)

    async def end(self) -> None:
        """Ends the call, and its sidebands with it."""
        if self._running is not None:
            self._running.cancel()
            with contextlib.suppress(asyncio.CancelledError, SocketClosed):
                await self._running
        await self.socket.close(1000, "call ended")

    def _greet(self) -> None:
        words = " ".join([GREETING, *_directives(str(self.session.settings["instructions"]))])
        item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": words}]}
        for event in ({"type": "conversation.item.create", "item": item}, {"type": "response.create"}):
            self.socket.said.put_nowait(encode(event))


def begin(app: Host, call_id: str, given: dict[str, Any]) -> Call:
    """Begins the call `call_id` with the session that was asked for; raises ApiError for one that can't be."""
    state = app.state
    if call_id in state.store(CALLS) or call_id in state.store(OVER):
        raise ApiError("The call was answered before.", status=409, code="call_already_answered")
    if given.get("type", "realtime") != "realtime":
        raise ApiError("Invalid value: 'session.type'.", param="session.type", code="invalid_value")
    model = catalog.require(state, str(given.get("model") or "gpt-realtime"), ("realtime",)).id
    settings = session_settings.realtime(state, model)
    session_settings.update(state, settings, {name: value for name, value in given.items() if name != "model"})
    call: Call = state.store(CALLS).put(call_id, Call(app, settings))
    return call


def find(state: State, call_id: str) -> Call:
    """The call that goes on under `call_id`; raises ApiError 404."""
    call: Call | None = state.store(CALLS).get(call_id)
    if call is None:
        raise ApiError("No session found for the provided call_id.", status=404, code="call_id_not_found")
    return call


async def end(state: State, call_id: str) -> None:
    """Ends a call; raises ApiError 404."""
    call = find(state, call_id)
    state.store(CALLS).pop(call_id)
    state.store(OVER).put(call_id, True)
    await call.end()
