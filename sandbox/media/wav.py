"""WAV files: 24 kHz, 16 bits, mono, with a comment."""

import struct
from collections.abc import Iterable, Iterator

from sandbox.media.tones import RATE, WIDTH


def write(pieces: Iterable[bytes], samples: int, comment: str) -> Iterator[bytes]:
    """The file in pieces; `pieces` are PCM and have `samples` samples."""
    info = comment.encode("utf-8", "surrogatepass") + b"\0"
    info += b"\0" * (len(info) % 2)
    tags = b"INFO" + b"ICMT" + struct.pack("<I", len(info)) + info
    size = samples * WIDTH
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, RATE, RATE * WIDTH, WIDTH, WIDTH * 8)
    rest = form + b"LIST" + struct.pack("<I", len(tags)) + tags + b"data" + struct.pack("<I", size)
    yield b"RIFF" + struct.pack("<I", 4 + len(rest) + size) + b"WAVE" + rest
    yield from pieces
