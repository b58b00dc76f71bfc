"""What a session heard and said, counted as it goes by: for responses whose usage the vendor does not report.

Sizes are taken from the messages' lengths, without parsing them. Of the input only what is new counts, not the
conversation before it: an estimate on the low side, marked as one.
"""

import re

from gateway.billing.audio import heard_tokens, spoken_tokens, text_tokens
from gateway.billing.audio_length import PCM_BYTES_PER_MS
from usage.records import AttemptRecord

G711_BYTES_PER_MS = 8
APPEND_CHARACTERS = 48
"""Of an ``append`` event without its audio, as SDKs write it."""
G711 = re.compile(r'"(?:g711_[au]law|audio/pcm[au])"')
DELTA = '"delta":'
AUDIO_DELTAS = frozenset({"response.output_audio.delta", "response.audio.delta"})


class SessionAudio:
    """Counts base64 characters of audio, and characters of text, since the last response."""

    __slots__ = ("_bytes_per_ms", "_heard", "_said", "_spoken")

    def __init__(self) -> None:
        self._bytes_per_ms = PCM_BYTES_PER_MS
        self._heard = self._said = self._spoken = 0

    def configure(self, message: str) -> None:
        """Read the audio's format from a server's event about the session."""
        self._bytes_per_ms = G711_BYTES_PER_MS if G711.search(message) else PCM_BYTES_PER_MS

    def hear(self, message: str | bytes) -> None:
        """Count an event with audio of the client's."""
        self._heard += max(0, len(message) - APPEND_CHARACTERS)

    def say(self, kind: str, message: str) -> None:
        """Count an event of the type ``kind`` with a part of a response: audio, or text."""
        start = message.find(DELTA)
        size = max(0, len(message) - start - len(DELTA) - 3) if start >= 0 else 0
        if kind in AUDIO_DELTAS:
            self._spoken += size
        else:
            self._said += size

    def fill(self, record: AttemptRecord) -> None:
        """Fill in what a response used that reports nothing, and begin to count again."""
        if not (record.input_tokens or record.output_tokens) and (self._spoken or self._said):
            record.audio_input_tokens = record.input_tokens = heard_tokens(self._milliseconds(self._heard))
            record.audio_output_tokens = spoken_tokens(self._milliseconds(self._spoken))
            record.output_tokens = record.audio_output_tokens + text_tokens(self._said)
            record.estimated = True
        self._heard = self._said = self._spoken = 0

    def _milliseconds(self, characters: int) -> int:
        return characters * 3 // 4 // self._bytes_per_ms


class UnheardAudio(SessionAudio):
    """The audio of a call that passes the gateway by: what a response used that reports nothing stays unknown."""

    __slots__ = ()

    def fill(self, record: AttemptRecord) -> None:
        """Fill in nothing: an estimate without the audio would be far too low."""
