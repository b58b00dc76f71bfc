"""Numbers that someone else wrote: read without a surprise.

``str.isdigit()`` takes ``²`` and thousands of digits, and ``int()`` refuses both; ``float()`` takes ``1e308`` and
``nan``. So nothing but this module asks a string whether it is a number.
"""

import math
import re
from decimal import Decimal

LARGEST = 2**63 - 1  # what a database and a JSON reader can hold
LONGEST_WRITTEN = 64  # characters of a number in a string
LONGEST_MS = 10**12  # more than thirty years
DECIMAL = re.compile(r"[0-9]{1,19}(\.[0-9]{1,30})?([eE][-+]?[0-9]{1,2})?", re.ASCII)


def is_written_in_digits(text: str | bytes) -> bool:
    """Whether nothing but ASCII digits writes it, however many."""
    return text.isascii() and text.isdigit()


def whole_number(text: str | bytes, most: int = LARGEST) -> int | None:
    """Return the number from 0 to ``most`` that ASCII digits write; ``None`` for anything else, signs and spaces
    included.
    """
    if not is_written_in_digits(text):
        return None
    digits = text.lstrip("0") if isinstance(text, str) else text.lstrip(b"0")
    if len(digits) > len(str(most)):
        return None
    number = int(digits or "0")
    return number if number <= most else None


def positive_whole(value: object, most: int = LARGEST) -> int | None:
    """Return the positive whole number, at most ``most``, that a JSON value is or writes: ``3``, ``3.0``, ``"3"``,
    ``"3e0"``; ``None`` for anything else.
    """
    if isinstance(value, str):
        try:
            value = float(value) if len(value) <= LONGEST_WRITTEN else None
        except ValueError:
            return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= most:
        return None
    return int(value) if int(value) == value else None


def milliseconds(seconds: float, most: int = LONGEST_MS) -> int | None:
    """Return a reported duration in whole milliseconds; ``None`` when no duration can be that: negative, endless, no
    number.
    """
    if not math.isfinite(seconds) or not 0 <= seconds <= most / 1000:
        return None
    return round(seconds * 1000)


def decimal_number(text: str, most: int = LARGEST) -> Decimal | None:
    """Return the number from 0 to ``most`` of a string like ``0.5`` or ``1e-3``; ``None`` for another."""
    if DECIMAL.fullmatch(text) is None:
        return None
    number = Decimal(text)
    return number if number <= most else None
