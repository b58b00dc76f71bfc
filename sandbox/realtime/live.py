"""A live session: it hears and speaks by itself, and lets another model do the work."""

import base64
from typing import Any

from sandbox.errors import ApiError, missing_parameter
from sandbox.media import tones
from sandbox.model import catalog, tokens
from sandbox.realtime.emitter import Emitter, Event, SocketCut, read_event, unknown_event
from sandbox.realtime.hearing import BYTES_PER_MS
from sandbox.realtime.session import decoded
from sandbox.realtime.settings import SESSION_SECONDS
from sandbox.wire.websocket import WebSocket

EVENTS = (
    *("session.start", "session.update", "session.input_audio.append", "session.input_audio.mute"),
    *("session.input_audio.unmute", "response.create", "session.close"),
)
REPLY = "I hear you."


class Live:
    """One open session. It answers a sound whose words it knows; every second of sound is reported as usage."""

    def __init__(self, socket: WebSocket) -> None:
        self.socket = socket
        self.state = socket.app.state
        self.emitter = Emitter(socket)
        self.settings: dict[str, Any] = {}
        self._heard = bytearray()
        self._size = 0

    async def run(self) -> None:
        """Serves the session until either side ends it."""
        while True:
            event: Event = {}
            try:
                event = read_event(await self.socket.receive())
                if not await self._handle(event):
                    return
            except ApiError as error:
                await self._error(error, event.get("event_id"))
            except SocketCut:
                return

    async def _error(self, error: ApiError, event_id: str | None) -> None:
        detail = {"type": error.type, "code": error.code or "invalid_value", "message": error.message}
        await self.emitter.send(
            "error", error={**detail, "param": error.param, "client_event_id": event_id}, client_event_id=event_id
        )

    async def _handle(self, event: Event) -> bool:
        """Answers an event; False when the session is over."""
        kind = event["type"]
        if kind not in EVENTS:
            raise unknown_event(kind, EVENTS)
        if not self.settings and kind != "session.start":
            raise ApiError("Send session.start first.", code="session_not_started")
        if kind == "session.start":
            await self._start(event)
        elif kind == "session.update":
            self.settings.update(event.get("session") or {})
            await self.emitter.send("session.updated", session=self.settings)
        elif kind == "session.input_audio.append":
            await self._hear(decoded(event.get("audio")))
        elif kind == "response.create":
            await self._delegate()
        elif kind == "session.close":
            await self.emitter.send(
                "session.closed", reason="close_requested", session=self.settings, usage=self._usage()
            )
            await self.socket.close(1000, "session closed")
            return False
        else:
            await self.emitter.send(f"{kind}d")
        return True

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

    async def _hear(self, sound: bytes) -> None:
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

    async def _delegate(self) -> None:
        asked = ((self.settings.get("delegation") or {}).get("responses") or {}).get("model")
        if not asked:
            raise ApiError("The session has no Responses delegation.", code="invalid_value")
        model = catalog.require(self.state, asked, catalog.RESPONSES_KINDS)
        response = {"id": self.state.new_id("resp_", 48), "object": "response", "model": model.shown, "output": []}
        delegation = self.state.new_id("dlg_", 16)
        usage = {
            "input_tokens": 20,
            "input_tokens_details": {"cached_tokens": 0},
            "output_tokens": 7,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": 27,
        }
        for kind, fields in (
            ("response.created", {"status": "in_progress", "usage": None}),
            ("response.completed", {"status": "completed", "usage": usage}),
        ):
            nested = {"type": kind, "response": {**response, **fields}}
            await self.emitter.send("response.event", event=nested, delegation_id=delegation)

    def _usage(self) -> dict[str, float]:
        return {"seconds": self._size / BYTES_PER_MS / 1000}
