"""FLAC files: samples as they are, in frames with checksums, and a comment."""

import struct
from array import array
from collections.abc import Iterable, Iterator

from sandbox.media.tones import RATE, WIDTH

BLOCK = 4096  # samples of a frame


def crc_table(polynomial: int, bits: int) -> list[int]:
    """The table of a cyclic checksum of so many bits, for `crc`."""
    top, mask = 1 << (bits - 1), (1 << bits) - 1
    table = []
    for value in range(256):
        value <<= bits - 8
        for _ in range(8):
            value = ((value << 1) ^ polynomial if value & top else value << 1) & mask
        table.append(value)
    return table


_CRC8 = crc_table(0x07, 8)
_CRC16 = crc_table(0x8005, 16)


def write(pieces: Iterable[bytes], samples: int, comment: str) -> Iterator[bytes]:
    """The file in pieces, a frame each; `pieces` are PCM and have `samples` samples."""
    yield b"fLaC" + _block(0, _stream_info(samples)) + _block(4, comments(comment), last=True)
    size = BLOCK * WIDTH
    waiting, number = b"", 0
    for piece in pieces:
        waiting += piece
        while len(waiting) >= size:
            yield _frame(waiting[:size], number)
            waiting, number = waiting[size:], number + 1
    if waiting:
        yield _frame(waiting, number)


def _block(kind: int, data: bytes, *, last: bool = False) -> bytes:
    return bytes((kind | (0x80 if last else 0),)) + len(data).to_bytes(3, "big") + data


def _stream_info(samples: int) -> bytes:
    """Block sizes, unknown frame sizes, the rate, one channel, 16 bits, and no checksum of the whole."""
    packed = (RATE << 44) | (0 << 41) | ((WIDTH * 8 - 1) << 36) | samples
    return struct.pack(">HH", BLOCK, BLOCK) + bytes(6) + packed.to_bytes(8, "big") + bytes(16)


def comments(text: str) -> bytes:
    """A Vorbis comment, which Opus uses too."""
    vendor, entry = b"sandbox", b"DESCRIPTION=" + text.encode("utf-8", "surrogatepass")
    return struct.pack("<I", len(vendor)) + vendor + struct.pack("<II", 1, len(entry)) + entry


def _frame(sound: bytes, number: int) -> bytes:
    """A frame whose only channel is written verbatim."""
    count = len(sound) // WIDTH
    # A fixed block size, given in 16 bits at the end of the header; the rate in kHz; mono; 16 bits.
    head = b"\xff\xf8\x7c\x08" + _utf8_number(number) + (count - 1).to_bytes(2, "big") + bytes((RATE // 1000,))
    head += bytes((crc(head, _CRC8, 8),))
    swapped = array("H", sound)
    swapped.byteswap()
    body = head + b"\x02" + swapped.tobytes()
    return body + crc(body, _CRC16, 16).to_bytes(2, "big")


def _utf8_number(number: int) -> bytes:
    return chr(number).encode("utf-8", "surrogatepass")


def crc(data: bytes, table: list[int], bits: int) -> int:
    value, shift, mask = 0, bits - 8, (1 << bits) - 1
    for byte in data:
        value = ((value << 8) ^ table[(value >> shift) ^ byte]) & mask
    return value
