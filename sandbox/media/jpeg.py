"""JPEG, written with the mean colour of each block of 8 by 8 pixels only."""

import struct
from functools import cache

from sandbox.media.png import Picture

BLOCK = 8
# Codes of the lengths of DC differences: how many codes of each number of bits, as in the standard's example.
_DC_COUNTS = bytes((0, 1, 5, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0))
_DC_VALUES = bytes(range(12))
# The only code of AC coefficients says that there are none: a single bit.
_AC_COUNTS = bytes((1,)) + bytes(15)
_NO_AC = "0"


def write(picture: Picture) -> bytes:
    """A baseline JPEG file, colours only."""
    components = b"".join(bytes((number, 0x11, 0)) for number in (1, 2, 3))
    frame = struct.pack(">BHHB", 8, picture.height, picture.width, 3) + components
    scan = b"\x03" + b"".join(bytes((number, 0)) for number in (1, 2, 3)) + b"\0\x3f\0"
    return b"".join(
        (
            b"\xff\xd8",
            _segment(0xE0, b"JFIF\0\x01\x01\0\0\x01\0\x01\0\0"),
            _segment(0xDB, b"\0" + b"\x01" * 64),
            _segment(0xC0, frame),
            _segment(0xC4, b"\0" + _DC_COUNTS + _DC_VALUES),
            _segment(0xC4, b"\x10" + _AC_COUNTS + b"\0"),
            _segment(0xDA, scan),
            _scan(picture),
            b"\xff\xd9",
        )
    )


def _segment(marker: int, data: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(data) + 2) + data


def _scan(picture: Picture) -> bytes:
    """Each block's colour as the difference to the block before; the colour in its middle is that of all of it."""
    bits = []
    before = (0, 0, 0)
    for y in range(0, picture.height, BLOCK):
        row = min(y + BLOCK // 2, picture.height - 1) * picture.width
        for x in range(0, picture.width, BLOCK):
            at = (row + min(x + BLOCK // 2, picture.width - 1)) * 4
            levels = _levels(picture.pixels[at], picture.pixels[at + 1], picture.pixels[at + 2])
            for level, last in zip(levels, before, strict=True):
                bits.append(_difference(level - last))
            before = levels
    joined = "".join(bits)
    joined += "1" * (-len(joined) % 8)
    return int(joined, 2).to_bytes(len(joined) // 8, "big").replace(b"\xff", b"\xff\0")


@cache
def _levels(red: int, green: int, blue: int) -> tuple[int, int, int]:
    """Brightness and the two colour differences, as DC coefficients."""
    luma = 0.299 * red + 0.587 * green + 0.114 * blue
    return round((luma - 128) * 8), round((blue - luma) * 0.564 * 8), round((red - luma) * 0.713 * 8)


@cache
def _difference(value: int) -> str:
    """The bits of a DC difference, and of "no AC coefficients" behind it."""
    length = abs(value).bit_length()
    written = format(value if value > 0 else value + (1 << length) - 1, f"0{length}b") if length else ""
    return _codes()[length] + written + _NO_AC


@cache
def _codes() -> list[str]:
    """The canonical codes of the DC lengths 0 to 11."""
    codes, code = [], 0
    for length, count in enumerate(_DC_COUNTS, 1):
        for _ in range(count):
            codes.append(format(code, f"0{length}b"))
            code += 1
        code <<= 1
    return codes
