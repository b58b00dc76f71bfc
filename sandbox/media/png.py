"""Portable Network Graphics, read and written with nothing but zlib."""

import struct
import zlib
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate

SIGNATURE = b"\x89PNG\r\n\x1a\n"
MAX_PIXELS = 4 * 1024 * 1024

# colour type: samples per pixel
_SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
_ALPHA_TYPES = (4, 6)
_BITS = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}


class PngError(ValueError):
    """The bytes are not a PNG that can be read here; the message says why."""


@dataclass(slots=True)
class Picture:
    """Pixels as RGBA, four bytes each, row by row from the top."""

    width: int
    height: int
    pixels: bytes


@dataclass(slots=True, frozen=True)
class Header:
    """What a PNG says of itself before its pixels."""

    width: int
    height: int
    bits: int
    colour: int
    interlaced: bool

    @property
    def has_alpha(self) -> bool:
        return self.colour in _ALPHA_TYPES


def write(picture: Picture, *, alpha: bool = True) -> bytes:
    """A PNG file with 8 bits for each of RGBA, or of RGB without `alpha`."""
    pixels, samples = (picture.pixels, 4) if alpha else (_without_alpha(picture.pixels), 3)
    stride = picture.width * samples
    compressor = zlib.compressobj(1)
    data = []
    before = b""
    same = b"\x02" + bytes(stride)  # "like the row above"
    for start in range(0, stride * picture.height, stride):
        row = pixels[start : start + stride]
        data.append(compressor.compress(same if row == before else b"\0" + row))
        before = row
    data.append(compressor.flush())
    head = struct.pack(">IIBBBBB", picture.width, picture.height, 8, 6 if alpha else 2, 0, 0, 0)
    return SIGNATURE + _chunk(b"IHDR", head) + _chunk(b"IDAT", b"".join(data)) + _chunk(b"IEND", b"")


def _without_alpha(pixels: bytes) -> bytes:
    rgb = bytearray(len(pixels) // 4 * 3)
    for channel in range(3):
        rgb[channel::3] = pixels[channel::4]
    return bytes(rgb)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def header(data: bytes) -> Header:
    """Raises PngError when `data` does not begin like a PNG."""
    if not data.startswith(SIGNATURE) or data[12:16] != b"IHDR" or len(data) < 33:
        raise PngError("not a PNG")
    width, height, bits, colour, _, _, interlace = struct.unpack(">IIBBBBB", data[16:29])
    if colour not in _SAMPLES or bits not in _BITS[colour] or not width or not height:
        raise PngError("an unknown kind of PNG")
    return Header(width, height, bits, colour, bool(interlace))


def read(data: bytes) -> Picture:
    """Raises PngError for damaged, interlaced, or very large images (above 4 megapixels)."""
    head = header(data)
    if head.interlaced:
        raise PngError("interlaced")
    if head.width * head.height > MAX_PIXELS:
        raise PngError("too large")
    chunks: dict[bytes, list[bytes]] = {}
    for kind, content in _chunks(data):
        chunks.setdefault(kind, []).append(content)
    bits_per_pixel = head.bits * _SAMPLES[head.colour]
    stride = (head.width * bits_per_pixel + 7) // 8
    raw = _inflate(b"".join(chunks.get(b"IDAT", [])), (stride + 1) * head.height)
    rows = _unfiltered(raw, stride, max(1, bits_per_pixel // 8))
    samples = b"".join(_bytes(row, head.bits, head.width * _SAMPLES[head.colour], head.colour) for row in rows)
    return Picture(head.width, head.height, _rgba(samples, head.colour, chunks))


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    position = len(SIGNATURE)
    while position + 12 <= len(data):
        (length,) = struct.unpack_from(">I", data, position)
        yield data[position + 4 : position + 8], data[position + 8 : position + 8 + length]
        position += length + 12


def _inflate(data: bytes, size: int) -> bytes:
    """Exactly `size` bytes, however many the data would become."""
    try:
        raw = zlib.decompressobj().decompress(data, size)
    except zlib.error as error:
        raise PngError("damaged") from error
    if len(raw) < size:
        raise PngError("cut off")
    return raw


def _unfiltered(raw: bytes, stride: int, step: int) -> Iterator[bytes]:
    """The rows; `step` is the distance to the same sample of the pixel before, in bytes."""
    above = bytes(stride)
    for start in range(0, len(raw), stride + 1):
        kind, row = raw[start], raw[start + 1 : start + 1 + stride]
        if kind == 1:
            row = _undo_sub(row, step)
        elif kind == 2:
            row = _undo_up(row, above)
        elif kind == 3:
            row = _undo_average(row, above, step)
        elif kind == 4:
            row = _undo_paeth(row, above, step)
        elif kind:
            raise PngError("damaged")
        above = row
        yield row


def _undo_sub(row: bytes, step: int) -> bytes:
    made = bytearray(len(row))
    for offset in range(step):
        # Running sums; the low byte of each is what counts.
        made[offset::step] = array("Q", accumulate(row[offset::step])).tobytes()[::8]
    return bytes(made)


_LOW_BITS = 0x7F


def _undo_up(row: bytes, above: bytes) -> bytes:
    """Adds two rows byte by byte, all at once: the low seven bits with carries kept inside, then the highest."""
    size = len(row)
    low = int.from_bytes(bytes((_LOW_BITS,)) * size, "little")
    left, right = int.from_bytes(row, "little"), int.from_bytes(above, "little")
    total = ((left & low) + (right & low)) ^ ((left ^ right) & ~low)
    return (total & ((1 << (8 * size)) - 1)).to_bytes(size, "little")


def _undo_average(row: bytes, above: bytes, step: int) -> bytes:
    made = bytearray(row)
    for index in range(len(row)):
        left = made[index - step] if index >= step else 0
        made[index] = (row[index] + (left + above[index]) // 2) & 255
    return bytes(made)


def _undo_paeth(row: bytes, above: bytes, step: int) -> bytes:
    made = bytearray(row)
    for index in range(step):
        made[index] = (row[index] + above[index]) & 255
    for index in range(step, len(row)):
        left, up, corner = made[index - step], above[index], above[index - step]
        to_left, to_up = abs(up - corner), abs(left - corner)
        to_corner = abs(left + up - 2 * corner)
        above_or_corner = up if to_up <= to_corner else corner
        near = left if to_left <= to_up and to_left <= to_corner else above_or_corner
        made[index] = (row[index] + near) & 255
    return bytes(made)


def _bytes(row: bytes, bits: int, count: int, colour: int) -> bytes:
    """A row's samples as bytes: 16 bits lose their lower half, few bits are spread out."""
    if bits == 8:
        return row
    if bits == 16:
        return row[::2]
    mask = (1 << bits) - 1
    scale = 1 if colour == 3 else 255 // mask
    per_byte = 8 // bits
    spread = (
        ((row[index // per_byte] >> (8 - bits * (index % per_byte + 1))) & mask) * scale for index in range(count)
    )
    return bytes(spread)


def _rgba(samples: bytes, colour: int, chunks: dict[bytes, list[bytes]]) -> bytes:
    if colour == 6:
        return samples
    step = _SAMPLES[colour]
    count = len(samples) // step
    made = bytearray(b"\xff" * (count * 4))
    if colour == 3:
        palette = b"".join(chunks.get(b"PLTE", []))
        for channel in range(3):
            made[channel::4] = samples.translate(palette[channel::3].ljust(256, b"\0")[:256])
        alpha = b"".join(chunks.get(b"tRNS", []))
        made[3::4] = samples.translate(alpha.ljust(256, b"\xff")[:256])
        return bytes(made)
    for channel in range(3):
        made[channel::4] = samples[(channel if colour == 2 else 0) :: step]
    if colour == 4:
        made[3::4] = samples[1::2]
    return bytes(made)
