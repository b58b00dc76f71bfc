"""A translation session: what is said in one language goes out in another as it comes."""

import base64
from typing import Any

from sandbox.errors import ApiError
from sandbox.media import tones
from sandbox.model import tokens
from sandbox.realtime.emitter import Emitter, Event, SocketCut, read_event, unknown_event
from sandbox.realtime.hearing import BYTES_PER_MS
from sandbox.realtime.session import decoded
from sandbox.realtime.settings import SESSION_SECONDS
from sandbox.wire.websocket import WebSocket

STEP_MS = 200
EVENTS = ("session.update", "session.input_audio_buffer.append", "session.close")


class Translation:
    """One open session. Its translation of a sound is the same sound."""

    def __init__(self, socket: WebSocket, model: str) -> None:
        state = socket.app.state
        self.socket = socket
        self.emitter = Emitter(socket)
        self.settings: dict[str, Any] = {
            "id": state.new_id("sess_", 21),
            "type": "translation",
            "model": model,
            "expires_at": int(state.now()) + SESSION_SECONDS,
            "audio": {"input": {"transcription": None, "noise_reduction": None}, "output": {"language": "en"}},
        }
        self._heard = bytearray()
        self._said = 0

    async def run(self) -> None:
        """Serves the session until either side ends it."""
        await self.emitter.send("session.created", session=self.settings)
        while True:
            event: Event = {}
            try:
                event = read_event(await self.socket.receive())
                if event["type"] not in EVENTS:
                    raise unknown_event(event["type"], EVENTS)
                if event["type"] == "session.close":
                    await self.emitter.send("session.closed")
                    await self.socket.close(1000, "session closed")
                    return
                await (self._update if event["type"] == "session.update" else self._translate)(event)
            except ApiError as error:
                await self.emitter.error(error, event.get("event_id"))
            except SocketCut:
                return

    async def _update(self, event: Event) -> None:
        audio = (event.get("session") or {}).get("audio") or {}
        for side in ("input", "output"):
            self.settings["audio"][side].update(audio.get(side) or {})
        await self.emitter.send("session.updated", session=self.settings)

    async def _translate(self, event: Event) -> None:
        sound = decoded(event.get("audio"))
        self._heard += sound
        elapsed = len(self._heard) // BYTES_PER_MS // STEP_MS * STEP_MS
        await self.emitter.send(
            "session.output_audio.delta",
            delta=base64.b64encode(sound).decode(),
            format="pcm16",
            sample_rate=tones.RATE,
            channels=1,
            elapsed_ms=elapsed,
        )
        pieces = tokens.split(tones.hidden_text(bytes(self._heard)) or "")
        for piece in pieces[self._said :]:
            if self.settings["audio"]["input"].get("transcription"):
                await self.emitter.send("session.input_transcript.delta", delta=piece, elapsed_ms=elapsed)
            await self.emitter.send("session.output_transcript.delta", delta=piece, elapsed_ms=elapsed)
        self._said = len(pieces)
