"""A live session: it hears and speaks by itself, and lets another model do the work."""

import base64
from collections.abc import Awaitable, Callable
from typing import Any

from sandbox.errors import ApiError, missing_parameter
from sandbox.media import tones
from sandbox.model import catalog, tokens
from sandbox.model.usage import plain_report
from sandbox.realtime.emitter import Event, SocketSession, decoded
from sandbox.realtime.input_audio import BYTES_PER_MS
from sandbox.realtime.settings import SESSION_SECONDS
from sandbox.wire.websocket import WebSocket

REPLY = "I hear you."


class Live(SocketSession):
    """One open session. It answers audio whose words it knows; every second of audio is reported as usage."""

    def __init__(self, socket: WebSocket) -> None:
        super().__init__(socket)
        self.settings: dict[str, Any] = {}
        self._heard = bytearray()
        self._size = 0

    def handlers(self) -> dict[str, Callable[[Event], Awaitable[None]]]:
        started: dict[str, Callable[[Event], Awaitable[None]]] = {
            "session.update": self._update,
            "session.input_audio.append": self._hear,
            "session.input_audio.mute": self._confirm,
            "session.input_audio.unmute": self._confirm,
            "response.create": self._delegate,
            "session.close": self._close,
        }
        return {"session.start": self._start, **{kind: self._once_started(row) for kind, row in started.items()}}

    def _once_started(self, handler: Callable[[Event], Awaitable[None]]) -> Callable[[Event], Awaitable[None]]:
        async def handle(event: Event) -> None:
            if not self.settings:
                raise ApiError("Send session.start first.", code="session_not_started")
            await handler(event)

        return handle

    async def error(self, error: ApiError, event: Event) -> None:
        event_id = event.get("event_id")
        detail = {"type": error.type, "code": error.code or "invalid_value", "message": error.message}
        shown = {**detail, "param": error.param, "client_event_id": event_id}
        await self.emitter.send("error", error=shown, client_event_id=event_id)

    async def _update(self, event: Event) -> None:
        self.settings.update(event.get("session") or {})
        await self.emitter.send("session.updated", session=self.settings)

    async def _confirm(self, event: Event) -> None:
        await self.emitter.send(f"{event['type']}d")

    async def _close(self, event: Event) -> None:
        await self.emitter.send("session.closed", reason="close_requested", session=self.settings, usage=self._usage())
        await self.end()

    async def _start(self, event: Event) -> None:
        given = event.get("session") or {}
        if not given.get("model"):
            raise missing_parameter("session.model")
        model = catalog.require(self.state, given["model"], ("live",))
        self.settings = {
            **given,
            "id": self.state.new_id("live_", 21),
            "model": model.id,
            "status": "active",
            "expires_at": int(self.state.now()) + SESSION_SECONDS,
        }
        await self.emitter.send("session.started", session=self.settings)

    async def _hear(self, event: Event) -> None:
        sound = decoded(event.get("audio"))
        self._heard += sound
        self._size += len(sound)
        text = tones.hidden_text(bytes(self._heard))
        if text is not None:
            self._heard.clear()
            for piece in tokens.split(text):
                await self.emitter.send("session.input_transcript.delta", delta=piece)
            for piece in tokens.split(REPLY):
                await self.emitter.send("session.output_transcript.delta", delta=piece)
            for spoken in tones.pcm(REPLY):
                await self.emitter.send("session.output_audio.delta", delta=base64.b64encode(spoken).decode())
        await self.emitter.send("session.usage.updated", usage=self._usage())

    async def _delegate(self, event: Event) -> None:
        asked = ((self.settings.get("delegation") or {}).get("responses") or {}).get("model")
        if not asked:
            raise ApiError("The session has no Responses delegation.", code="invalid_value")
        model = catalog.require(self.state, asked, catalog.RESPONSES_KINDS)
        response = {"id": self.state.new_id("resp_", 48), "object": "response", "model": model.shown, "output": []}
        delegation = self.state.new_id("dlg_", 16)
        for kind, fields in (
            ("response.created", {"status": "in_progress", "usage": None}),
            ("response.completed", {"status": "completed", "usage": plain_report(20, 7)}),
        ):
            nested = {"type": kind, "response": {**response, **fields}}
            await self.emitter.send("response.event", event=nested, delegation_id=delegation)

    def _usage(self) -> dict[str, float]:
        return {"seconds": self._size / BYTES_PER_MS / 1000}
