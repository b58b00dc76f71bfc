"""A session's input audio: what was appended, when speech starts and stops in it, and what it says."""

from array import array
from dataclasses import dataclass, field

from sandbox.media import tones
from sandbox.model import tokens

BYTES_PER_MS = tones.RATE * tones.WIDTH // 1000
MIN_COMMIT_MS = 100
LOUD = 500  # a sample's height from which on it is speech


@dataclass(slots=True)
class Heard:
    """Committed audio: its text (empty for audio that the sandbox did not make) and size in bytes."""

    text: str
    size: int

    @property
    def tokens(self) -> int:
        return self.size // tokens.AUDIO_BYTES_PER_TOKEN + 1

    @property
    def seconds(self) -> float:
        return self.size / BYTES_PER_MS / 1000


@dataclass(slots=True)
class InputAudio:
    """The input audio buffer. Times are milliseconds since the session's first audio."""

    sound: bytearray = field(default_factory=bytearray)
    position: int = 0
    speaking: bool = False
    silent_ms: int = 0

    @property
    def now_ms(self) -> int:
        return self.position // BYTES_PER_MS

    def append(self, sound: bytes) -> None:
        self.sound += sound
        self.position += len(sound)

    def starts(self, sound: bytes) -> int | None:
        """When speech started, if it does in this piece: what was heard before it is forgotten."""
        if self.speaking or not is_loud(sound):
            return None
        self.speaking, self.silent_ms = True, 0
        self.sound = bytearray(sound)
        return self.now_ms - len(sound) // BYTES_PER_MS

    def stops(self, sound: bytes, silence_ms: int) -> int | None:
        """When speech stopped, if there has been silence for long enough."""
        if not self.speaking:
            return None
        self.silent_ms = 0 if is_loud(sound) else self.silent_ms + len(sound) // BYTES_PER_MS
        if self.silent_ms < silence_ms:
            return None
        self.speaking = False
        return self.now_ms - self.silent_ms

    def take(self) -> Heard:
        """What was heard so far; the buffer is empty then."""
        sound = bytes(self.sound)
        self.clear()
        return Heard(tones.hidden_text(sound) or "", len(sound))

    def clear(self) -> None:
        self.sound = bytearray()
        self.speaking, self.silent_ms = False, 0


def is_loud(sound: bytes) -> bool:
    samples = array("h", sound[: len(sound) // tones.WIDTH * tones.WIDTH])
    return bool(samples) and max(max(samples), -min(samples)) > LOUD
