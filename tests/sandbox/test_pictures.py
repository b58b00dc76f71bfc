"""The picture formats that are written and read by hand, against Pillow."""

import io

import pytest
from PIL import Image

from sandbox.media import jpeg, pictures, png, webp
from sandbox.media.png import Picture, PngError

SIZE = (37, 23)


def noise(size: tuple[int, int] = SIZE) -> Image.Image:
    return Image.merge("RGBA", [Image.effect_noise(size, spread) for spread in (20, 40, 60, 80)])


def smooth(size: tuple[int, int] = SIZE) -> Image.Image:
    """Gradients, for which encoders choose other filters than for noise."""
    return noise((4, 4)).resize(size, Image.Resampling.BICUBIC)


def as_png(picture: Image.Image, **options: object) -> bytes:
    file = io.BytesIO()
    picture.save(file, "PNG", **options)
    return file.getvalue()


@pytest.mark.parametrize("source", [noise, smooth])
@pytest.mark.parametrize("mode", ["RGBA", "RGB", "L", "LA", "P", "1"])
def test_pngs_are_read(source: object, mode: str) -> None:
    original = source()  # type: ignore[operator]
    picture = original if mode == "RGBA" else original.convert("LA" if mode == "LA" else "RGB").convert(mode)
    read = png.read(as_png(picture))
    assert (read.width, read.height) == SIZE
    assert read.pixels == picture.convert("RGBA").tobytes()


@pytest.mark.parametrize("colours", [2, 4, 16])
def test_small_palettes_are_read(colours: int) -> None:
    picture = smooth().convert("RGB").quantize(colours)
    assert png.read(as_png(picture, bits={2: 1, 4: 2, 16: 4}[colours])).pixels == picture.convert("RGBA").tobytes()


def test_sixteen_bits_lose_their_lower_half() -> None:
    assert png.read(as_png(Image.new("I;16", (2, 1), 0x1234))).pixels == bytes((0x12, 0x12, 0x12, 255)) * 2


@pytest.mark.parametrize(
    "data",
    [
        b"GIF89a",
        as_png(noise())[:60],
        as_png(noise())[:200] + b"x" * 500,
        as_png(noise())[:16] + b"\xff" * 8 + as_png(noise())[24:],
    ],
)
def test_what_cannot_be_read_is_told(data: bytes) -> None:
    with pytest.raises(PngError):
        png.read(data)
    assert pictures.from_file(io.BytesIO(data)).width == 256


@pytest.mark.parametrize("made", [noise(), smooth(), Image.new("RGBA", (300, 200), "#12345678")])
def test_what_is_written_can_be_read_by_others(made: Image.Image) -> None:
    picture = Picture(*made.size, made.tobytes())
    for data in (png.write(picture), webp.write(picture, alpha=True)):
        assert Image.open(io.BytesIO(data)).convert("RGBA").tobytes() == picture.pixels
    opaque = Image.open(io.BytesIO(png.write(picture, alpha=False)))
    assert opaque.mode == "RGB"
    assert opaque.tobytes() == made.convert("RGB").tobytes()


@pytest.mark.parametrize("size", [(1, 1), (8, 8), (100, 77), (1024, 256)])
def test_jpegs_have_the_colour_of_each_blocks_middle(size: tuple[int, int]) -> None:
    picture = pictures.drawn("a test", *size)
    read = Image.open(io.BytesIO(jpeg.write(picture))).convert("RGB")
    assert read.size == size
    x, y = min(4, size[0] - 1), min(4, size[1] - 1)
    at = (y * size[0] + x) * 4
    assert all(abs(a - b) <= 2 for a, b in zip(read.getpixel((x, y)), picture.pixels[at : at + 3], strict=True))


def test_scaling_takes_the_nearest_pixels() -> None:
    picture = smooth()
    scaled = pictures.scaled(Picture(*SIZE, picture.tobytes()), 5, 50)
    assert (scaled.width, scaled.height, len(scaled.pixels)) == (5, 50, 1000)
    for x, y in ((0, 0), (4, 49), (2, 25)):
        at = (y * 5 + x) * 4
        assert tuple(scaled.pixels[at : at + 4]) == picture.getpixel((SIZE[0] * x // 5, SIZE[1] * y // 50))
    assert pictures.scaled(scaled, 1, 1).pixels == scaled.pixels[:4]
