"""MP3 and AAC files: real frames of silence behind a tag that holds the text."""

import struct
from collections.abc import Iterator

# MPEG-2 layer III, 32 kbit/s, 24 kHz, mono; all-zero side information means silence.
_MP3_FRAME = b"\xff\xf3\x44\xc0" + bytes(92)
MP3_SAMPLES = 576
# ADTS with one channel of low-complexity AAC at 24 kHz that has no audio in it.
_AAC_FRAME = b"\xff\xf1\x58\x40\x01\xbf\xfc" + b"\x00\xc8\x00\x80\x23\x80"
AAC_SAMPLES = 1024
RATE = 24_000
MP3_FRAME_BYTES = len(_MP3_FRAME)
AAC_FRAME_BYTES = len(_AAC_FRAME)
_FRAMES_PER_PIECE = 8


def write_mp3(samples: int, comment: str) -> Iterator[bytes]:
    """The file in pieces; silence as long as `samples` of audio at 24 kHz."""
    yield tag(comment)
    yield from _frames(_MP3_FRAME, -(-samples // MP3_SAMPLES))


def write_aac(samples: int, comment: str) -> Iterator[bytes]:
    yield tag(comment)
    yield from _frames(_AAC_FRAME, -(-samples // AAC_SAMPLES))


def _frames(frame: bytes, count: int) -> Iterator[bytes]:
    while count > 0:
        yield frame * min(count, _FRAMES_PER_PIECE)
        count -= _FRAMES_PER_PIECE


def tag(comment: str) -> bytes:
    """An ID3v2.4 tag with a comment."""
    content = b"\x03eng\0" + comment.encode("utf-8", "surrogatepass")
    frame = b"COMM" + _synchsafe(len(content)) + b"\0\0" + content
    return b"ID3\x04\0\0" + _synchsafe(len(frame)) + frame


def _synchsafe(size: int) -> bytes:
    return struct.pack(">4B", *((size >> shift) & 0x7F for shift in (21, 14, 7, 0)))


def read_tag(data: bytes) -> tuple[str | None, int]:
    """The comment of an ID3v2.4 tag at the beginning of `data`, and where the tag ends; (None, 0) without a tag."""
    if not data.startswith(b"ID3\x04"):
        return None, 0
    end = 10 + _size(data[6:10])
    at = 10
    while at + 10 <= end and data[at : at + 4].isalnum():
        size = _size(data[at + 4 : at + 8])
        if data[at : at + 4] == b"COMM":
            return data[at + 15 : at + 10 + size].decode("utf-8", "replace"), end
        at += 10 + size
    return None, end


def _size(synchsafe: bytes) -> int:
    return sum((byte & 0x7F) << shift for byte, shift in zip(synchsafe, (21, 14, 7, 0), strict=False))
