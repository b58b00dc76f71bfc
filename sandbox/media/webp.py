"""Lossless WebP, written with nothing but repeats of the pixel to the left and of the row above."""

import struct
from array import array
from collections.abc import Iterator
from itertools import groupby

from sandbox.media.png import Picture

MAX_COPY = 4096
_ABOVE, _LEFT = "0", "1"  # the codes of the two distances in use
# Of the 280 symbols for green and for lengths, so many have codes of 8 bits, the others of 9.
_SHORT = 232
_GREEN_SYMBOLS = 280
_FIRST_LENGTH = 256
# The order in which the lengths of code lengths' codes are written.
_ORDER = (17, 18, 0, 1, 2, 3, 4, 5, 16, 6, 7, 8, 9)


def write(picture: Picture, *, alpha: bool = False) -> bytes:
    """A WebP file; without `alpha` all of it is opaque."""
    bits = [_number(picture.width - 1, 14), _number(picture.height - 1, 14), "1" if alpha else "0", _number(0, 3)]
    bits.append("000")  # no transforms, no colour cache, one group of codes
    bits += [_green_code(), _plain_code(), _plain_code(), _plain_code() if alpha else _only(255), _DISTANCES]
    bits += _pixels(picture, alpha)
    joined = "".join(bits)
    joined += "0" * (-len(joined) % 8)
    data = b"\x2f" + int(joined[::-1], 2).to_bytes(len(joined) // 8, "little")
    size = len(data)
    data += b"\0" * (size % 2)
    return b"RIFF" + struct.pack("<I", len(data) + 12) + b"WEBPVP8L" + struct.pack("<I", size) + data


def _number(value: int, length: int) -> str:
    """A number's bits in the order of the stream, lowest first."""
    return format(value, f"0{length}b")[::-1] if length else ""


def _green_code() -> str:
    """Lengths 8 and 9, distinguished by a bit each."""
    lengths = "0" * _SHORT + "1" * (_GREEN_SYMBOLS - _SHORT)
    return "0" + _number(len(_ORDER) - 4, 4) + _code_lengths(8, 9) + "0" + lengths


def _plain_code() -> str:
    """256 symbols of 8 bits; as all have one length, none is written."""
    return "0" + _number(len(_ORDER) - 4, 4) + _code_lengths(8) + "0"


def _code_lengths(*used: int) -> str:
    return "".join(_number(1 if length in used else 0, 3) for length in _ORDER)


def _only(symbol: int) -> str:
    """A code of one symbol, which takes no bits."""
    return "101" + _number(symbol, 8)


_DISTANCES = "110" + "0" + _number(1, 8)  # the symbols 0 and 1


def _pixels(picture: Picture, alpha: bool) -> Iterator[str]:
    colours = array("I", picture.pixels)
    before = None
    repeated = 0
    for start in range(0, len(colours), picture.width):
        row = colours[start : start + picture.width]
        if row == before:
            repeated += picture.width
            continue
        yield from _copies(repeated, _ABOVE)
        repeated = 0
        for colour, run in groupby(row):
            yield _literal(colour, alpha)
            yield from _copies(sum(1 for _ in run) - 1, _LEFT)
        before = row
    yield from _copies(repeated, _ABOVE)


def _literal(colour: int, alpha: bool) -> str:
    red, green, blue, opacity = colour.to_bytes(4, "little")
    return _green(green) + f"{red:08b}{blue:08b}" + (f"{opacity:08b}" if alpha else "")


def _green(symbol: int) -> str:
    """The canonical code of a symbol for green or for a length."""
    if symbol < _SHORT:
        return f"{symbol:08b}"
    return f"{(_SHORT << 1) + symbol - _SHORT:09b}"


def _copies(count: int, distance: str) -> Iterator[str]:
    while count:
        length = min(count, MAX_COPY)
        count -= length
        yield _length(length) + distance


def _length(length: int) -> str:
    value = length - 1
    if value < 4:
        return _green(_FIRST_LENGTH + value)
    high = value.bit_length() - 1
    second = (value >> (high - 1)) & 1
    extra = value - ((2 + second) << (high - 1))
    return _green(_FIRST_LENGTH + 2 * high + second) + _number(extra, high - 1)
