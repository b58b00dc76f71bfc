"""A short text that matches a regular expression, for schemas with `pattern`."""

import re
from re import _constants as op  # type: ignore[attr-defined]
from re import _parser  # type: ignore[attr-defined]
from typing import Any

_CATEGORIES = {op.CATEGORY_DIGIT: "7", op.CATEGORY_WORD: "a", op.CATEGORY_SPACE: " "}
_OUTSIDE = {op.CATEGORY_NOT_DIGIT: "a", op.CATEGORY_NOT_WORD: "-", op.CATEGORY_NOT_SPACE: "a"}
_CANDIDATES = "aA0_- .b1x"


def example_of(pattern: str) -> str:
    """A text that matches; the pattern itself when it is invalid or uses look-around."""
    try:
        parsed = _parser.parse(pattern)
    except re.error:
        return pattern
    return "".join(_node(kind, value) for kind, value in parsed)


def _node(kind: Any, value: Any) -> str:
    if kind is op.LITERAL:
        return chr(value)
    if kind is op.NOT_LITERAL:
        return next(char for char in _CANDIDATES if ord(char) != value)
    if kind is op.ANY:
        return "a"
    if kind is op.IN:
        return _one_of(value)
    if kind in (op.MAX_REPEAT, op.MIN_REPEAT):
        low, high, inner = value
        times = max(low, min(1, high))
        return "".join(_node(*item) for item in inner) * times
    if kind is op.SUBPATTERN:
        return "".join(_node(*item) for item in value[3])
    if kind is op.BRANCH:
        return "".join(_node(*item) for item in value[1][0])
    return ""  # anchors and look-around take no character


def _one_of(items: list[tuple[Any, Any]]) -> str:
    if items[0][0] is op.NEGATE:
        return next((char for char in _CANDIDATES if not any(_holds(item, char) for item in items[1:])), "~")
    kind, value = items[0]
    if kind is op.LITERAL:
        return chr(value)
    if kind is op.RANGE:
        return chr(value[0])
    return _CATEGORIES.get(value) or _OUTSIDE.get(value, "a")


def _holds(item: tuple[Any, Any], char: str) -> bool:
    kind, value = item
    if kind is op.LITERAL:
        return ord(char) == value
    if kind is op.RANGE:
        return bool(value[0] <= ord(char) <= value[1])
    return {
        op.CATEGORY_DIGIT: char.isdigit(),
        op.CATEGORY_WORD: char.isalnum() or char == "_",
        op.CATEGORY_SPACE: char.isspace(),
    }.get(value, False)
