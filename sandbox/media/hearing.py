"""What an audio file says, and how long it is: the text that `resources/speech.py` puts in, read back."""

import struct
from dataclasses import dataclass
from typing import BinaryIO

from sandbox.media import mp3, opus, tones
from sandbox.media.flac import BLOCK

HEAD = 1024 * 1024  # bytes at a file's beginning that are looked at
TAIL = 64 * 1024
GUESSED_RATE = 16_000  # bytes a second of a file that cannot be read


@dataclass(slots=True)
class Heard:
    """`text` is None for audio that the sandbox did not make."""

    text: str | None
    seconds: float


def listen(file: BinaryIO) -> Heard:
    """Reads the beginning and the end of a file, however large it is."""
    size = file.seek(0, 2)
    file.seek(0)
    head = file.read(HEAD)
    if head.startswith(b"RIFF") and head[8:12] == b"WAVE":
        return _wav(head, size)
    if head.startswith(b"fLaC"):
        return _flac(head)
    if head.startswith(b"OggS"):
        file.seek(max(0, size - TAIL))
        return _ogg(head, file.read(TAIL), size)
    if head.startswith(b"ID3"):
        return _tagged(head, size)
    text = tones.hidden_text(head)
    return Heard(text, size / (GUESSED_RATE if text is None else tones.RATE * tones.WIDTH))


def _wav(head: bytes, size: int) -> Heard:
    text, bytes_per_second, at = None, 0, 12
    while at + 8 <= len(head):
        kind, length = struct.unpack_from("<4sI", head, at)
        content = head[at + 8 : at + 8 + length]
        if kind == b"fmt " and len(content) >= 12:
            bytes_per_second = struct.unpack_from("<I", content, 8)[0]
        elif kind == b"LIST" and content[4:8] == b"ICMT":
            (long,) = struct.unpack_from("<I", content, 8)
            text = content[12 : 12 + long].split(b"\0")[0].decode("utf-8", "replace")
        elif kind == b"data":
            # A stream's header does not know how long it will be.
            length = min(length, size - at - 8)
            text = tones.hidden_text(content) if text is None else text
            return Heard(text, length / (bytes_per_second or GUESSED_RATE))
        at += 8 + length + length % 2
    return Heard(text, size / (bytes_per_second or GUESSED_RATE))


def _flac(head: bytes) -> Heard:
    text, seconds, at, last = None, 0.0, 4, False
    while not last and at + 4 <= len(head):
        last, kind, length = head[at] >= 0x80, head[at] & 0x7F, int.from_bytes(head[at + 1 : at + 4], "big")
        content = head[at + 4 : at + 4 + length]
        if kind == 0 and len(content) >= 18:
            packed = int.from_bytes(content[10:18], "big")
            seconds = (packed & ((1 << 36) - 1)) / ((packed >> 44) or 1)
        elif kind == 4:
            text = _comment(content)
        at += 4 + length
    return Heard(_flac_hidden(head, at) if text is None else text, seconds)


def _flac_hidden(head: bytes, at: int) -> str | None:
    """The lowest bits of the first frame, if it is verbatim as ours are."""
    start = at + 9
    if head[start : start + 1] != b"\x02":
        return None
    sound = bytearray(head[start + 1 : start + 1 + BLOCK * tones.WIDTH])
    sound[::2], sound[1::2] = sound[1::2], sound[::2]
    return tones.hidden_text(bytes(sound))


def _ogg(head: bytes, tail: bytes, size: int) -> Heard:
    at = head.find(b"OpusTags")
    text = _comment(head[at + 8 :]) if at >= 0 else None
    last = tail.rfind(b"OggS")
    if last < 0 or last + 14 > len(tail):
        return Heard(text, size / GUESSED_RATE)
    (granule,) = struct.unpack_from("<q", tail, last + 6)
    return Heard(text, max(granule - opus.PRE_SKIP, 0) / opus.RATE)


def _comment(data: bytes) -> str | None:
    """The description in a Vorbis comment."""
    try:
        (vendor,) = struct.unpack_from("<I", data)
        (count,) = struct.unpack_from("<I", data, 4 + vendor)
        at = 8 + vendor
        for _ in range(min(count, 100)):
            (length,) = struct.unpack_from("<I", data, at)
            name, _, value = data[at + 4 : at + 4 + length].partition(b"=")
            if name.upper() == b"DESCRIPTION":
                return value.decode("utf-8", "replace")
            at += 4 + length
    except struct.error:
        pass
    return None


def _tagged(head: bytes, size: int) -> Heard:
    """MP3 or AAC behind an ID3 tag; the frames of either are all of one size."""
    text, end = mp3.read_tag(head)
    length = size - end
    if head[end : end + 2] == b"\xff\xf3":
        return Heard(text, length / mp3.MP3_FRAME_BYTES * mp3.MP3_SAMPLES / mp3.RATE)
    if head[end : end + 2] == b"\xff\xf1":
        return Heard(text, length / mp3.AAC_FRAME_BYTES * mp3.AAC_SAMPLES / mp3.RATE)
    return Heard(text, length / GUESSED_RATE)
