"""Spoken chat answers: a soft tone for each token, in real PCM or WAV."""

import base64
import io
import math
import wave
from array import array
from collections.abc import Iterator
from functools import cache
from typing import Any

from sandbox.errors import ApiError, invalid_value, missing_parameter
from sandbox.model.catalog import Model
from sandbox.model.generation import Output
from sandbox.store import params
from sandbox.store.params import Body

RATE = 24_000
SECONDS_PER_TOKEN = 0.1
AUDIO_TOKENS_PER_TOKEN = 2
LIFETIME = 3600  # seconds that an answer's audio may be referred to


def wanted_format(body: Body, model: Model) -> str:
    """`wav` or `pcm16` when the answer shall be spoken, else empty; raises ApiError 400 when it cannot be."""
    modalities = body.get("modalities") or ["text"]
    if not isinstance(modalities, list) or "audio" not in modalities:
        return ""
    if model.kind != "audio-chat":
        raise invalid_value("modalities", "audio", "'text'")
    if not isinstance(body.get("audio"), dict):
        raise missing_parameter("audio")
    wanted = params.choice(body["audio"], "format", ("wav", "pcm16"), "wav")
    if body.get("stream") and wanted != "pcm16":
        raise ApiError(
            f"Unsupported value: 'audio.format' does not support '{wanted}' when stream=true. Supported values are: "
            "'pcm16'.",
            param="audio.format",
            code="unsupported_value",
        )
    return wanted


def message_part(output: Output, audio_id: str, created: int, wanted: str) -> dict[str, Any]:
    """The `audio` of a whole message."""
    sound = b"".join(tone(index) for index in range(len(output.pieces)))
    return {
        "id": audio_id,
        "data": base64.b64encode(_wav(sound) if wanted == "wav" else sound).decode(),
        "transcript": output.text,
        "expires_at": created + LIFETIME,
    }


def deltas(output: Output, audio_id: str, created: int) -> Iterator[dict[str, Any]]:
    """The `audio` of each chunk's delta: transcript and audio by turns, the expiry last."""
    for index, piece in enumerate(output.stream()):
        yield {"id": audio_id, "transcript": piece}
        yield {"id": audio_id, "data": base64.b64encode(tone(index)).decode()}
    yield {"id": audio_id, "expires_at": created + LIFETIME}


@cache
def _tone(pitch: int) -> bytes:
    count = int(RATE * SECONDS_PER_TOKEN)
    return array("h", [int(4000 * math.sin(2 * math.pi * pitch * at / RATE)) for at in range(count)]).tobytes()


def tone(index: int) -> bytes:
    """A tenth of a second of 24 kHz 16-bit mono; the pitch goes up and down with `index`."""
    return _tone(220 + 20 * (index % 12))


def _wav(sound: bytes) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(2)
        writer.setframerate(RATE)
        writer.writeframes(sound)
    return file.getvalue()
