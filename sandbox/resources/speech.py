"""`/v1/audio/speech`: text as audio that carries the text, so that a transcription can read it back."""

import base64
import itertools
from collections.abc import Iterable, Iterator
from typing import Any

from sandbox.errors import ApiError, invalid_type, invalid_value, missing_parameter
from sandbox.media import flac, mp3, opus, tones, wav
from sandbox.misbehaviour import faults
from sandbox.model import catalog, tokens
from sandbox.model.usage import report
from sandbox.resources.voices import VOICES as OWN_VOICES
from sandbox.store import params
from sandbox.store.params import Body
from sandbox.wire.messages import Answer, Request, Stream, event
from sandbox.wire.routing import Route

VOICES = (
    *("alloy", "ash", "ballad", "coral", "echo", "fable", "nova", "onyx", "sage", "shimmer", "verse", "marin"),
    "cedar",
)
MAX_INPUT = 4096
TOKENS_PER_SECOND = 20
CONTENT_TYPES = {
    "mp3": b"audio/mpeg",
    "opus": b"audio/opus",
    "aac": b"audio/aac",
    "flac": b"audio/flac",
    "wav": b"audio/wav",
    "pcm": b"audio/pcm",
}
_KNOWN = frozenset({"model", "input", "voice", "instructions", "response_format", "speed", "stream_format"})


async def create(request: Request) -> Answer:
    body = request.json()
    model = catalog.require(request.app.state, params.model_name(body), ("speech",))
    params.known(body, _KNOWN)
    text, voice = faults.strip(_input(body)), _voice(request, body)
    speed = params.number(body, "speed", 0.25, 4, 1)
    form = params.choice(body, "response_format", CONTENT_TYPES, "mp3")
    instructions = params.limited(body, "instructions", MAX_INPUT)
    wanted = params.choice(body, "stream_format", ("sse", "audio"), "audio")
    sound = _sound(form, text, voice, speed)
    if request.faults.endless:
        sound = itertools.cycle(list(sound))
    if wanted == "audio":
        return Stream(sound, content_type=CONTENT_TYPES[form])
    if model.id.startswith("tts-1"):
        raise ApiError(
            "Unsupported value: 'stream_format' does not support 'sse' with this model.",
            param="stream_format",
            code="unsupported_value",
        )
    seconds = tones.samples(text, speed) / tones.RATE
    sent, made = tokens.count(text) + tokens.count(instructions), int(seconds * TOKENS_PER_SECOND) + 1
    return Stream(_events(sound, report(sent, made, request.faults.usage)))


def _input(body: Body) -> str:
    params.required(body, "input")
    text = params.limited(body, "input", MAX_INPUT)
    if not text:
        raise ApiError(
            "Invalid 'input': empty string. Expected a string with minimum length 1, but got an empty string instead.",
            param="input",
            code="empty_string",
        )
    return text


def _voice(request: Request, body: Body) -> str:
    voice: Any = body.get("voice")
    if voice is None:
        raise missing_parameter("voice")
    if isinstance(voice, dict):
        return str(OWN_VOICES.find(request, voice.get("id")).id)
    if not isinstance(voice, str):
        raise invalid_type("voice", "one of a string or an object", voice)
    if voice not in VOICES:
        raise invalid_value("voice", voice, params.quoted(VOICES))
    return voice


def _sound(form: str, text: str, voice: str, speed: float) -> Iterable[bytes]:
    """The file in pieces. MP3, AAC and Opus are silent, for want of an encoder, but carry the text as well."""
    samples = tones.samples(text, speed)
    if form == "mp3":
        return mp3.write_mp3(samples, text)
    if form == "aac":
        return mp3.write_aac(samples, text)
    if form == "opus":
        return opus.write(samples / tones.RATE, text)
    pcm = tones.pcm(text, voice, speed)
    if form == "wav":
        return wav.write(pcm, samples, text)
    return flac.write(pcm, samples, text) if form == "flac" else pcm


def _events(sound: Iterable[bytes], usage: dict[str, int]) -> Iterator[bytes]:
    for piece in sound:
        yield event({"type": "speech.audio.delta", "audio": base64.b64encode(piece).decode()})
    yield event({"type": "speech.audio.done", "usage": usage})


ROUTES = (Route("POST", "/v1/audio/speech", create),)
