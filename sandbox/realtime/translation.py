"""A translation session: what is said in one language goes out in another as it comes."""

import base64
from typing import Any

from sandbox.media import tones
from sandbox.model import tokens
from sandbox.realtime.emitter import Event, SocketSession, decoded
from sandbox.realtime.input_audio import BYTES_PER_MS
from sandbox.realtime.settings import SESSION_SECONDS
from sandbox.wire.websocket import WebSocket

STEP_MS = 200


class Translation(SocketSession):
    """One open session. Its translation of audio is the same audio."""

    def __init__(self, socket: WebSocket, model: str) -> None:
        super().__init__(socket)
        self.settings: dict[str, Any] = {
            "id": self.state.new_id("sess_", 21),
            "type": "translation",
            "model": model,
            "expires_at": int(self.state.now()) + SESSION_SECONDS,
            "audio": {"input": {"transcription": None, "noise_reduction": None}, "output": {"language": "en"}},
        }
        self._heard = bytearray()
        self._said = 0

    def handlers(self) -> dict[str, Any]:
        return {
            "session.update": self._update,
            "session.input_audio_buffer.append": self._translate,
            "session.close": self._close,
        }

    async def run(self) -> None:
        await self.emitter.send("session.created", session=self.settings)
        await super().run()

    async def _close(self, event: Event) -> None:
        await self.emitter.send("session.closed")
        await self.end()

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
