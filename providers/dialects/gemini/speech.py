"""Speech by Gemini's models for it."""

import base64
import binascii
import re

from providers.dialects.failures import DialectError, unsupported
from providers.dialects.gemini.answer import read_answer as read_generated
from providers.dialects.neutral import Media, Usage
from providers.dialects.speech import FORMATS, RATE, SpeechRequest, wav
from providers.dialects.wire import Fields, encode

# OpenAI's voices, and one of Gemini's of a like kind; any other name is taken as Gemini's own.
VOICES = {
    "alloy": "Kore",
    "ash": "Charon",
    "ballad": "Algieba",
    "cedar": "Iapetus",
    "coral": "Leda",
    "echo": "Puck",
    "fable": "Enceladus",
    "marin": "Callirrhoe",
    "nova": "Aoede",
    "onyx": "Orus",
    "sage": "Sulafat",
    "shimmer": "Zephyr",
    "verse": "Fenrir",
}
_OWN = {"mp3": "AUDIO_MP3", "opus": "AUDIO_OGG_OPUS"}
_PACKS = re.compile(r"gemini-([3-9]|\d\d)")  # models that make packed audio themselves
_RATE = re.compile(r"rate=(\d{4,6})")


def write_request(
    request: SpeechRequest, model: str, *, strict: bool = False, vertex: bool = False
) -> tuple[bytes, list[str]]:
    """Return the JSON for ``generateContent``, and what had to be dropped.

    Gemini speaks in raw audio, which is ``pcm`` or becomes ``wav``; newer models also make ``mp3`` and ``opus``,
    but not on Vertex AI.
    """
    packs = not vertex and _PACKS.search(model) is not None
    if request.format not in ("pcm", "wav") and not (packs and request.format in _OWN):
        taken = "'wav', 'pcm', 'mp3' and 'opus'" if packs else "'wav' and 'pcm'"
        message = f"Unsupported value: 'response_format' of the model '{model}' must be one of {taken}."
        raise DialectError(message, param="response_format", code="unsupported_value")
    dropped = [*(["speed"] if request.speed not in (None, 1.0) else []), *request.extra]
    if dropped and strict:
        raise unsupported(dropped[0], f"is not supported by the model '{model}'.")
    text = f"{request.instructions.rstrip(': ')}: {request.text}" if request.instructions else request.text
    voice = VOICES.get(request.voice.lower(), request.voice)
    config: Fields = {
        "responseModalities": ["AUDIO"],
        "speechConfig": {"voiceConfig": {"prebuiltVoiceConfig": {"voiceName": voice}}},
    }
    if request.format in _OWN:
        config["responseFormat"] = {"audio": {"mimeType": _OWN[request.format]}}
    return encode({"contents": [{"role": "user", "parts": [{"text": text}]}], "generationConfig": config}), dropped


def read_answer(body: bytes, request: SpeechRequest) -> tuple[bytes, str, Usage | None]:
    """Return the audio, its media type and the usage. An answer without audio is an error."""
    answer = read_generated(body)
    parts = [part for choice in answer.choices for part in choice.parts if isinstance(part, Media)]
    if not parts:
        code = "content_filter" if answer.choices[0].finish == "content_filter" else "no_audio"
        status = 400 if code == "content_filter" else 502
        raise DialectError("The model answered without audio.", code=code, status=status)
    try:
        sound = b"".join(base64.b64decode(part.data) for part in parts)
    except binascii.Error as error:
        raise DialectError("The model's audio is not valid base64.", code="no_audio", status=502) from error
    found = _RATE.search(parts[0].mime)
    if request.format == "wav" and not sound.startswith(b"RIFF"):
        sound = wav(sound, int(found[1]) if found else RATE)
    return sound, FORMATS[request.format], answer.usage
