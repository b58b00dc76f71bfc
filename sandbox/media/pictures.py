"""Images that depend on a prompt, and on the pixels of other images."""

import base64
import hashlib
import re
from array import array
from operator import itemgetter
from typing import BinaryIO

from sandbox.media import jpeg, png, webp
from sandbox.media.png import Picture

_SIZE = re.compile(r"(\d{1,4})x(\d{1,4})")
TILES = 8
BADGE = 8  # a drawing made for the prompt covers an eighth of an edited image
MAX_SIDE = 4096
MAX_FILE = 32 * 1024 * 1024
MAX_PIECE = 1024 * 1024


def measures(size: str) -> tuple[int, int]:
    """`"1024x1536"` as (width, height); 1024x1024 for anything else."""
    match = _SIZE.fullmatch(size)
    if match is None:
        return 1024, 1024
    return min(max(int(match[1]), 1), MAX_SIDE), min(max(int(match[2]), 1), MAX_SIDE)


def drawn(
    text: str, width: int, height: int, *, variant: int = 0, stage: int = 0, transparent: bool = False
) -> Picture:
    """A mosaic of colours that depend on `text`, the same for the same arguments.

    `stage` 1, 2, 3 are sketches of it with ever more tiles, 0 is the finished image. With `transparent` the
    outermost tiles are see-through.
    """
    tiles = TILES if stage == 0 else min(stage + 1, TILES)
    colours = _colours(f"{variant}\0{text}", tiles * tiles)
    columns = [(width * index // tiles, width * (index + 1) // tiles) for index in range(tiles)]
    rows = []
    for line in range(tiles):
        edge = line in (0, tiles - 1)
        row = b"".join(
            _tile(colours[line * tiles + index], transparent and (edge or index in (0, tiles - 1))) * (end - start)
            for index, (start, end) in enumerate(columns)
        )
        rows.append(row * (height * (line + 1) // tiles - height * line // tiles))
    return Picture(width, height, b"".join(rows))


def _colours(seed: str, count: int) -> list[bytes]:
    shake = hashlib.shake_128(seed.encode("utf-8", "surrogatepass")).digest(count * 3)
    return [shake[start : start + 3] for start in range(0, count * 3, 3)]


def _tile(colour: bytes, clear: bool) -> bytes:
    return colour + (b"\0" if clear else b"\xff")


def from_file(file: BinaryIO) -> Picture:
    """The image in a PNG; for other formats, and very large files, a drawing that depends on each of their bytes."""
    file.seek(0)
    head = file.read(len(png.SIGNATURE))
    size = file.seek(0, 2)
    file.seek(0)
    if head == png.SIGNATURE and size <= MAX_FILE:
        data = file.read()
        try:
            return png.read(data)
        except png.PngError:
            file.seek(0)
    digest = hashlib.sha256()
    while piece := file.read(MAX_PIECE):
        digest.update(piece)
    return drawn(digest.hexdigest(), 256, 256)


def scaled(picture: Picture, width: int, height: int) -> Picture:
    """The image in another size, by its nearest pixels."""
    if (picture.width, picture.height) == (width, height):
        return picture
    pixels = array("I", picture.pixels)
    wanted = [picture.width * x // width for x in range(width)]
    pick = itemgetter(*wanted) if width > 1 else itemgetter(slice(0, 1))
    lines: dict[int, bytes] = {}
    rows = []
    for y in range(height):
        source = picture.height * y // height
        if source not in lines:
            lines[source] = array("I", pick(pixels[source * picture.width : (source + 1) * picture.width])).tobytes()
        rows.append(lines[source])
    return Picture(width, height, b"".join(rows))


def coarse(picture: Picture, stage: int) -> Picture:
    """A sketch of the image: stages 1, 2, 3 have 8, 16, 32 dots to its side."""
    dots = 4 << stage
    small = scaled(picture, min(dots, picture.width), min(dots, picture.height))
    return scaled(small, picture.width, picture.height)


def edited(
    sources: list[Picture], prompt: str, width: int, height: int, *, mask: Picture | None = None, variant: int = 0
) -> Picture:
    """The sources side by side, tinted and marked as `prompt` says; only where `mask` is see-through, if given."""
    base = _side_by_side([scaled(source, width, height) for source in sources])
    changed = _marked(_tinted(base, f"{variant}\0{prompt}"), prompt, variant)
    return changed if mask is None else _through(base, changed, scaled(mask, width, height))


def varied(source: Picture, width: int, height: int, variant: int) -> Picture:
    """The source with its colours changed a little."""
    return _tinted(scaled(source, width, height), f"variation {variant}")


def _side_by_side(pictures: list[Picture]) -> Picture:
    """As many upright strips as there are images, each showing its part of one of them."""
    first = pictures[0]
    if len(pictures) == 1:
        return first
    width, stride = first.width, first.width * 4
    ends = [width * (index + 1) // len(pictures) * 4 for index in range(len(pictures))]
    starts = [0, *ends[:-1]]
    rows = []
    for top in range(0, stride * first.height, stride):
        for picture, start, end in zip(pictures, starts, ends, strict=True):
            rows.append(picture.pixels[top + start : top + end])
    return Picture(width, first.height, b"".join(rows))


def _tinted(picture: Picture, seed: str) -> Picture:
    """Each colour moved a quarter of the way to one that depends on `seed`."""
    target = _colours(seed, 1)[0]
    pixels = bytearray(picture.pixels)
    for channel in range(3):
        table = bytes((value * 3 + target[channel]) // 4 for value in range(256))
        pixels[channel::4] = pixels[channel::4].translate(table)
    return Picture(picture.width, picture.height, bytes(pixels))


def _marked(picture: Picture, prompt: str, variant: int) -> Picture:
    """The image with a small drawing of the prompt in its upper right corner."""
    width, height = picture.width // BADGE, picture.height // BADGE
    if not width or not height:
        return picture
    badge = drawn(prompt, width, height, variant=variant)
    pixels = bytearray(picture.pixels)
    for y in range(height):
        end = (y + 1) * picture.width * 4
        pixels[end - width * 4 : end] = badge.pixels[y * width * 4 : (y + 1) * width * 4]
    return Picture(picture.width, picture.height, bytes(pixels))


def _through(base: Picture, changed: Picture, mask: Picture) -> Picture:
    """`changed` where the mask is fully see-through, `base` elsewhere."""
    clear = mask.pixels[3::4].translate(b"\xff" + bytes(255))
    spread = bytearray(len(clear) * 4)
    for channel in range(4):
        spread[channel::4] = clear
    size = len(base.pixels)
    chosen = int.from_bytes(spread, "little")
    before, after = int.from_bytes(base.pixels, "little"), int.from_bytes(changed.pixels, "little")
    mixed = before ^ ((before ^ after) & chosen)
    return Picture(base.width, base.height, mixed.to_bytes(size, "little"))


def encoded(picture: Picture, form: str = "png", *, alpha: bool = False) -> bytes:
    """The image as a file; `form` is png, jpeg or webp."""
    if form == "jpeg":
        return jpeg.write(picture)
    return webp.write(picture, alpha=alpha) if form == "webp" else png.write(picture, alpha=alpha)


def as_base64(picture: Picture, form: str = "png", *, alpha: bool = False) -> str:
    return base64.b64encode(encoded(picture, form, alpha=alpha)).decode()
