"""Speech: the neutral form of a request, OpenAI's reading of it, and audio in the container that was asked for."""

import struct
from collections.abc import Mapping
from typing import Any

import msgspec

from providers.dialects.wire import invalid, plain, take

FORMATS = {
    "mp3": "audio/mpeg",
    "opus": "audio/ogg",
    "aac": "audio/aac",
    "flac": "audio/flac",
    "wav": "audio/wav",
    "pcm": "audio/pcm",
}
RATE = 24_000
"""Samples a second of raw audio, of 16 bits, little-endian, one channel: OpenAI's ``pcm``, and what Gemini speaks in.
"""


class SpeechRequest(msgspec.Struct):
    """A text to speak. ``format`` is one of ``FORMATS``."""

    text: str
    voice: str
    model: str = ""
    instructions: str = ""
    format: str = "mp3"
    speed: float | None = None
    extra: dict[str, Any] = {}


def read_request(fields: Mapping[str, Any]) -> SpeechRequest:
    """Return OpenAI's request for speech."""
    body = plain(fields)
    text = take(body, "input", str)
    if not text:
        raise invalid("input", text or "", "It must be a non-empty string.")
    voice = body.pop("voice", None)
    if isinstance(voice, dict):
        voice = voice.get("id")
    if not isinstance(voice, str) or not voice:
        raise invalid("voice", voice, "It must be the name of a voice.")
    form = take(body, "response_format", str) or "mp3"
    if form not in FORMATS:
        shown = ", ".join(f"'{each}'" for each in FORMATS)
        raise invalid("response_format", form, f"Supported values are: {shown}.")
    return SpeechRequest(
        text,
        voice,
        take(body, "model", str) or "",
        take(body, "instructions", str) or "",
        form,
        take(body, "speed", float),
        body,
    )


def wav(pcm: bytes, rate: int = RATE) -> bytes:
    """Return raw audio as a WAV file."""
    return wav_head(len(pcm), rate) + pcm


def wav_head(size: int | None, rate: int = RATE) -> bytes:
    """Return a WAV file's head; without a size, one for a stream whose end is not known."""
    known = 0xFFFFFFFF if size is None else size
    body = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, rate, rate * 2, 2, 16)
    total = 0xFFFFFFFF if size is None else 36 + size
    return struct.pack("<4sI4s", b"RIFF", total, b"WAVE") + body + struct.pack("<4sI", b"data", known)
