"""Searching texts by the words that they share with a question."""

import operator
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from sandbox.errors import ApiError, invalid_value

BYTES_PER_TOKEN = 4
MAX_TEXT = 1024 * 1024  # bytes of a file that can be found
_WORD = re.compile(r"\w+")
_UNPRINTABLE = re.compile(r"[^\n\t\x20-\x7e\xa0-\uffff]+|\ufffd+")

Attributes = Mapping[str, Any]


class Chunk(NamedTuple):
    """A piece of a text, with its words."""

    text: str
    words: frozenset[str]


def readable(data: bytes) -> str:
    """What can be read of a file; nothing of one that is mostly something else than text."""
    text = _UNPRINTABLE.sub(" ", data.decode("utf-8", "replace")).strip()
    return text if len(text) * 4 >= len(data) else ""


def chunks(text: str, size: int, overlap: int) -> list[Chunk]:
    """`text` in pieces; `size` and `overlap` are in tokens."""
    length, step = size * BYTES_PER_TOKEN, max((size - overlap) * BYTES_PER_TOKEN, 1)
    starts = range(0, max(len(text) - overlap * BYTES_PER_TOKEN, 1), step)
    return [Chunk(piece, words(piece)) for start in starts if (piece := text[start : start + length])]


def words(text: str) -> frozenset[str]:
    return frozenset(_WORD.findall(text.lower()))


def score(asked: frozenset[str], chunk: Chunk) -> float:
    """The part of the question's words that the chunk has, from 0 to 1."""
    return len(asked & chunk.words) / len(asked) if asked else 0.0


_COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "eq": operator.eq,
    "ne": operator.ne,
    "gt": operator.gt,
    "gte": operator.ge,
    "lt": operator.lt,
    "lte": operator.le,
    "in": lambda value, wanted: value in wanted,
    "nin": lambda value, wanted: value not in wanted,
}


def fits(wanted: Any, attributes: Attributes) -> bool:
    """Whether attributes fit a comparison or compound filter; raises ApiError 400 for anything else."""
    if not isinstance(wanted, dict):
        raise ApiError("Invalid 'filters': expected an object.", param="filters")
    kind = wanted.get("type")
    if kind in ("and", "or"):
        inner: Iterator[bool] = (fits(one, attributes) for one in wanted.get("filters", []))
        return all(inner) if kind == "and" else any(inner)
    if kind not in _COMPARISONS:
        raise invalid_value("filters.type", kind, ", ".join((*_COMPARISONS, "and", "or")))
    key = str(wanted.get("key"))
    if key not in attributes:
        return False
    try:
        return _COMPARISONS[kind](attributes[key], wanted.get("value"))
    except TypeError:
        # Values of different kinds do not compare.
        return False
