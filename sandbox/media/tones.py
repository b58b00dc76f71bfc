"""Text as audio: a tone for each letter, and the text itself in the samples' lowest bits.

PCM is 24 kHz, 16 bits, mono, little-endian. The lowest bits cannot be heard, and they survive whatever keeps samples as
they are: WAV, FLAC, raw PCM that is put into a file.
"""

import math
import zlib
from array import array
from collections.abc import Iterator
from functools import cache

RATE = 24_000
WIDTH = 2  # bytes of a sample
LETTERS_PER_SECOND = 15
MIN_LETTERS = 6
_LOUDNESS = 6000
_CHUNK_LETTERS = 8

_MAGIC = b"TTS1"
_HEAD = len(_MAGIC) + 4
MAX_TEXT = 1 << 16
_EVEN = bytes(value & 0xFE for value in range(256))
_LOWEST = bytes(value & 1 for value in range(256))


def samples(text: str, speed: float = 1.0) -> int:
    """How many samples `pcm` makes."""
    return max(len(text), MIN_LETTERS) * _per_letter(speed)


def _per_letter(speed: float) -> int:
    return int(RATE / (LETTERS_PER_SECOND * speed))


def pcm(text: str, voice: str = "", speed: float = 1.0) -> Iterator[bytes]:
    """The audio in pieces of half a second or less."""
    letters = text.ljust(MIN_LETTERS)
    length = _per_letter(speed)
    base = 30 + zlib.crc32(voice.encode()) % 40
    bits = _bits(text)
    for start in range(0, len(letters), _CHUNK_LETTERS):
        piece = b"".join(_letter(letter, base, length) for letter in letters[start : start + _CHUNK_LETTERS])
        count = len(piece) // WIDTH
        yield _marked(piece, bits[:count]) if bits else piece
        bits = bits[count:]


def _letter(letter: str, base: int, length: int) -> bytes:
    return bytes(length * WIDTH) if letter.isspace() else _tone(base + ord(letter) % 64, length)


@cache
def _tone(period: int, length: int) -> bytes:
    """Whole waves of `period` samples, then silence; so that it begins and ends without a click."""
    wave = array("h", (int(_LOUDNESS * math.sin(2 * math.pi * at / period)) for at in range(period)))
    return (wave.tobytes() * (length // period)).ljust(length * WIDTH, b"\0")


def _bits(text: str) -> bytes:
    """The hidden bits, a byte for each."""
    data = text.encode("utf-8", "surrogatepass")
    data = _MAGIC + len(data).to_bytes(4, "big") + data
    written = format(int.from_bytes(data, "big"), f"0{len(data) * 8}b")
    return bytes(ord(bit) & 1 for bit in written)


def _marked(piece: bytes, bits: bytes) -> bytes:
    made = bytearray(piece)
    size = len(bits)
    even = int.from_bytes(made[: size * WIDTH : WIDTH].translate(_EVEN), "big")
    made[: size * WIDTH : WIDTH] = (even | int.from_bytes(bits, "big")).to_bytes(size, "big")
    return bytes(made)


def hidden_text(sound: bytes) -> str | None:
    """The text in the lowest bits of PCM; None when there is none."""
    low = sound[::WIDTH].translate(_LOWEST)
    head = _unpacked(low[: _HEAD * 8])
    if not head.startswith(_MAGIC) or len(head) < _HEAD:
        return None
    size = int.from_bytes(head[len(_MAGIC) :], "big")
    data = _unpacked(low[_HEAD * 8 : (_HEAD + size) * 8]) if size <= MAX_TEXT else b""
    return data.decode("utf-8", "replace") if len(data) == size else None


def _unpacked(bits: bytes) -> bytes:
    whole = bits[: len(bits) // 8 * 8].translate(_AS_DIGITS)
    return int(whole or b"0", 2).to_bytes(len(whole) // 8, "big")


_AS_DIGITS = b"01" + bytes(254)
