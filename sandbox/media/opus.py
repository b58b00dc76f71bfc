"""Opus in Ogg: packets of silence, and a comment."""

import struct
from collections.abc import Iterator

from sandbox.media.flac import comments, crc, crc_table

RATE = 48_000  # of granule positions, whatever was recorded
PACKET = b"\xf8\xff\xfe"  # 20 ms of silence in one channel
PACKET_SAMPLES = 960
PRE_SKIP = 312
_PACKETS_PER_PAGE = 10
_SERIAL = 0x53414E44
_FIRST, _LAST = 2, 4  # flags of a page
_CRC32 = crc_table(0x04C11DB7, 32)
_MAX_COMMENT = 60_000  # so that it fits into one page


def write(seconds: float, comment: str) -> Iterator[bytes]:
    """The file in pieces, a page each."""
    head = b"OpusHead" + struct.pack("<BBHIhB", 1, 1, PRE_SKIP, 24_000, 0, 0)
    yield _page([head], 0, 0, _FIRST)
    text = comment.encode("utf-8", "surrogatepass")[:_MAX_COMMENT].decode("utf-8", "ignore")
    yield _page([b"OpusTags" + comments(text)], 0, 1)
    total = -(-int(seconds * RATE + PRE_SKIP) // PACKET_SAMPLES)
    for number, start in enumerate(range(0, total, _PACKETS_PER_PAGE), 2):
        count = min(_PACKETS_PER_PAGE, total - start)
        granule = (start + count) * PACKET_SAMPLES
        yield _page([PACKET] * count, granule, number, _LAST if start + count == total else 0)


def _page(packets: list[bytes], granule: int, number: int, flags: int = 0) -> bytes:
    lacing = b"".join(b"\xff" * (len(packet) // 255) + bytes((len(packet) % 255,)) for packet in packets)
    head = b"OggS" + struct.pack("<BBqII", 0, flags, granule, _SERIAL, number)
    rest = bytes((len(lacing),)) + lacing + b"".join(packets)
    checksum = crc(head + bytes(4) + rest, _CRC32, 32)
    return head + struct.pack("<I", checksum) + rest
