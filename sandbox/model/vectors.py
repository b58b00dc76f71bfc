"""Embeddings: unit vectors that depend on the text only; texts that share words point alike."""

import hashlib
import math
import re
from array import array
from collections.abc import Iterator

SPREAD = 24  # how many of a vector's places one word touches
NOISE = 0.02 / 32768
_WORD = re.compile(r"\w+|[^\w\s]")


def embed(item: str | list[int], model: str, size: int, dimensions: int) -> "array[float]":
    """A unit vector of `dimensions` 32-bit floats, from a model whose vectors have `size`.

    Shorter ones are the beginning of longer ones, made unit again.
    """
    full = _noise(item, size)
    for word in _words(item):
        seed = hashlib.shake_128(f"{model}\0{word}".encode()).digest(SPREAD * 4)
        for at in range(0, SPREAD * 4, 4):
            place = int.from_bytes(seed[at : at + 2], "big") % len(full)
            full[place] += (int.from_bytes(seed[at + 2 : at + 4], "big") - 32767.5) / 32768
    kept = full[:dimensions]
    norm = math.sqrt(math.fsum(value * value for value in kept))
    return array("f", [value / norm for value in kept])


def _noise(item: str | list[int], size: int) -> list[float]:
    """A little of the whole text at every place, so that no vector is zero and no two texts are the same."""
    digest = hashlib.shake_128(repr(item).encode("utf-8", "surrogatepass")).digest(size * 2)
    return [(value + 0.5) * NOISE for value in array("h", digest)]


def _words(item: str | list[int]) -> Iterator[str]:
    if isinstance(item, str):
        yield from (word.lower() for word in _WORD.findall(item))
    else:
        yield from (str(token) for token in item)
