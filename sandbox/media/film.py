"""A film of one MP4 file: the boxes that a player looks for, and nothing to see."""

import struct


def film(seconds: int, payload: bytes) -> bytes:
    """An MP4 file of this length; `payload` goes into its media data."""
    movie_header = struct.pack(">IIIII", 0, 0, 0, 1000, seconds * 1000)
    movie_header += struct.pack(">IHHII", 0x00010000, 0x0100, 0, 0, 0)
    movie_header += struct.pack(">9I", 0x00010000, 0, 0, 0, 0x00010000, 0, 0, 0, 0x40000000)
    movie_header += bytes(24) + struct.pack(">I", 1)
    return (
        _box(b"ftyp", b"isom" + struct.pack(">I", 512) + b"isomiso2mp41")
        + _box(b"moov", _box(b"mvhd", movie_header))
        + _box(b"mdat", payload)
    )


def _box(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content) + 8) + kind + content
