"""What a call must have used whose vendor never said so: estimated from what was sent and what came back.

The rules, for a request: every string that a model reads counts by the family's encoding; a message counts four tokens
more, and a conversation three. Tools and schemas count as their JSON. An image counts by its ``detail``, audio by its
length as its format's usual rate makes it; files and what the vendor keeps itself (earlier responses, stored prompts)
count nothing, nor does thinking that is not shown. For an answer: the strings of its deltas.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from gateway.billing.audio_length import PCM_BYTES_PER_MS
from gateway.billing.tokens import Family, count_tokens

# What a model reads of a request, by field; of the second kind the whole JSON.
READ_FIELDS = ("messages", "input", "prompt", "instructions", "system", "contents", "suffix", "query", "documents")
SCHEMA_FIELDS = ("tools", "functions", "response_format", "text")
# Strings inside that no model reads.
UNREAD = frozenset(
    {"type", "id", "role", "status", "detail", "format", "url", "media_type", "mime_type", "mimeType", "call_id"}
) | {
    "tool_call_id",
    "file_id",
    "item_id",
    "signature",
    "encrypted_content",
    "filename",
    "data",
    "file_data",
    "file_url",
}
MESSAGE_TOKENS, CONVERSATION_TOKENS = 4, 3
# Strings of an answer's deltas, by field.
SHOWN_FIELDS = frozenset(
    {"content", "reasoning_content", "reasoning", "refusal", "text", "thinking", "transcript", "delta", "partial_json"}
) | {"arguments", "name"}
# Events that repeat a whole, or whose delta is audio in base64.
NOT_SHOWN = (".done", ".completed", ".created", ".in_progress", ".added", ".incomplete", ".failed", "audio.delta")
COMPRESSED_BYTES_PER_MS = 16
"""The usual rate of audio that is compressed."""
PCM_FORMATS = frozenset({"wav", "pcm16", "pcm"})
IMAGE_PARTS = ("image_url", "input_image", "image")
MAX_DEPTH = 32

_encode = msgspec.json.Encoder().encode


@dataclass(slots=True)
class Counted:
    """What was found: ``texts`` to be counted, ``tokens`` that are known without counting, images and audio."""

    texts: list[str] = field(default_factory=list)
    tokens: int = 0
    images: list[bool] = field(default_factory=list)
    """Whether each image is a small one."""
    audio_seconds: float = 0.0
    spoken_seconds: float = 0.0

    def total(self, family: Family) -> int:
        """Return all tokens. Takes CPU time: not for the event loop."""
        images = sum(family.small_image if small else family.image for small in self.images)
        return count_tokens(self.texts, family) + self.tokens + images + self.audio_tokens(family)

    def audio_tokens(self, family: Family) -> int:
        """Return the tokens of the audio among them."""
        return round(self.audio_seconds * family.audio + self.spoken_seconds * family.spoken)


def request_of(fields: Mapping[str, Any]) -> Counted:
    """Return what a request's decoded body gives a model to read."""
    found = Counted()
    for name in READ_FIELDS:
        if name in fields:
            _read(fields[name], found, 0)
    if found.tokens and "messages" in fields:
        found.tokens += CONVERSATION_TOKENS
    for name in SCHEMA_FIELDS:
        if fields.get(name):
            found.texts.append(_encode(fields[name]).decode())
    return found


def answer_of(events: Iterable[Mapping[str, Any]]) -> Counted:
    """Return what the decoded events of a stream show of a model's output."""
    found = Counted()
    for event in events:
        kind = event.get("type")
        if not (isinstance(kind, str) and kind.endswith(NOT_SHOWN)):
            _shown(event, found, 0)
    # One text: a delta is often less than a token's text, and never more than a part of the whole.
    found.texts = ["".join(found.texts)]
    return found


def _read(value: Any, found: Counted, depth: int) -> None:
    if depth > MAX_DEPTH:
        return
    if isinstance(value, str):
        found.texts.append(value)
    elif isinstance(value, list):
        if value and all(type(each) is int for each in value):
            found.tokens += len(value)  # tokens, as completions and embeddings take them
            return
        for each in value:
            _read(each, found, depth + 1)
    elif isinstance(value, dict):
        _read_object(value, found, depth)


def _read_object(value: dict[str, Any], found: Counted, depth: int) -> None:
    kind = value.get("type")
    if isinstance(value.get("role"), str):
        found.tokens += MESSAGE_TOKENS
    if kind in IMAGE_PARTS:
        inner = value.get("image_url")
        detail = value.get("detail") or (inner.get("detail") if isinstance(inner, dict) else "")
        found.images.append(detail == "low")
        return
    audio = value.get("input_audio")
    if isinstance(audio, dict):
        found.audio_seconds += _seconds(audio.get("data"), audio.get("format"))
        return
    medium = value.get("mime_type") or value.get("mimeType")
    if isinstance(medium, str) and medium.startswith("image/"):
        found.images.append(False)
        return
    if isinstance(medium, str) and medium.startswith("audio/"):
        found.audio_seconds += _seconds(value.get("data"), medium.removeprefix("audio/"))
        return
    for name, each in value.items():
        if name not in UNREAD:
            _read(each, found, depth + 1)


def _shown(value: Any, found: Counted, depth: int) -> None:
    """Take the strings of the fields that show output, wherever they are in an event."""
    if depth > MAX_DEPTH:
        return
    if isinstance(value, list):
        for each in value:
            _shown(each, found, depth + 1)
    elif isinstance(value, dict):
        for name, each in value.items():
            if isinstance(each, str):
                if name in SHOWN_FIELDS:
                    found.texts.append(each)
            elif name == "audio" and isinstance(each, dict):
                found.spoken_seconds += _seconds(each.get("data"), "pcm16")
            elif name != "reasoning_details":  # it repeats ``reasoning``
                _shown(each, found, depth + 1)


def _seconds(data: Any, form: Any) -> float:
    """Return about how long audio in base64 is."""
    size = len(data) * 3 / 4 if isinstance(data, str) else 0
    return size / (PCM_BYTES_PER_MS if form in PCM_FORMATS else COMPRESSED_BYTES_PER_MS) / 1000
