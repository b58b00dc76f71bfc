"""A large JSON body without the middles of its long base64: images, audio and files are most of what is large, and
nothing but the vendor reads them.

What is looked at, checked and converted is the short text, in which a mark replaces each middle. What is sent is the
one body that came. A mark can't be guessed, so nothing that a caller writes is one.
"""

import os
import re
import string
from typing import Final

import msgspec

from accounts.numbers import whole_number
from providers.upstream.pieces import Part, Pieces

STEP_BYTES: Final = 2**16
"""What is looked at in one step, while which no other thread has its turn. What is twice as long is always found."""
KEPT_BYTES: Final = 4096
"""How much of the beginning of a string stays: more than any name, label or text that is cut off somewhere."""
KEPT_END_BYTES: Final = 64
MOST_PERCENT: Final = 25
"""A body that stays longer than this is read whole: there is little to win."""
CODE: Final = (string.ascii_letters + string.digits + "+/=").encode()
"""What a middle is made of: characters that JSON writes as they are. An end with ``=`` is allowed anywhere."""
DIGITS: Final = 6
GLANCE: Final = 8
_is_name = re.compile(rb'"[ \t\r\n]*+:').match


class Shortened:
    """A body's short ``text``, and its top-level ``fields`` once they are decoded."""

    __slots__ = ("_mark", "_raw", "_spans", "fields", "text")

    def __init__(self, raw: bytes, spans: list[tuple[int, int]]) -> None:
        self._raw = raw
        self._spans = spans
        self._mark = b"gH" + os.urandom(12).hex().encode()  # letters that no number has
        self.fields: dict[str, msgspec.Raw] = {}
        pieces, place = [], 0
        for number, (start, end) in enumerate(spans):
            pieces += [raw[place:start], b"%b%06d" % (self._mark, number)]
            place = end
        self.text = b"".join([*pieces, raw[place:]])

    def is_marked(self, text: str) -> bool:
        """Whether a part of the body is missing in a string of the short text."""
        return self._mark.decode() in text

    def marked_names(self) -> set[str]:
        """Return which of :attr:`fields` lack something."""
        return {name for name, value in self.fields.items() if bytes(value).find(self._mark) >= 0}

    def whole_fields(self) -> dict[str, msgspec.Raw]:
        """Return :attr:`fields` as they are in the body, of which they are parts, not copies."""
        view, width = memoryview(self._raw), len(self._mark) + DIGITS
        found = dict(self.fields)
        for name, short in self.fields.items():
            value = bytes(short)
            first, last = value.find(self._mark), value.rfind(self._mark)
            if first >= 0:
                start = self._spans[self._number(value, first)][0] - first
                end = self._spans[self._number(value, last)][1] + len(value) - (last + width)
                found[name] = msgspec.Raw(view[start:end])
        return found

    def restored(self, text: bytes) -> Pieces | None:
        """Return what was made of the short text with all that is missing in it; ``None`` where a mark did not come
        through, so that it has to be made of the whole body.
        """
        view, width = memoryview(self._raw), len(self._mark) + DIGITS
        parts: list[Part] = []
        seen: set[int] = set()
        place, glance = 0, self._mark[:GLANCE]
        while (at := text.find(glance, place)) >= 0:
            number = self._number(text, at) if text.startswith(self._mark, at) else -1
            if number < 0:
                return None
            start, end = self._spans[number]
            parts += [text[place:at], view[start:end]]
            seen.add(number)
            place = at + width
        return Pieces([*parts, text[place:]]) if len(seen) == len(self._spans) else None

    def _number(self, text: bytes, at: int) -> int:
        """Return which middle the mark at a place of ``text`` replaces; -1 where it was cut off."""
        start = at + len(self._mark)
        digits = text[start : start + DIGITS]
        number = whole_number(digits, len(self._spans) - 1) if len(digits) == DIGITS else None
        return -1 if number is None else number


def shortened(raw: bytes) -> Shortened | None:
    """Return a body without its long base64; ``None`` where that would not make it much shorter.

    The short text is valid JSON where ``raw`` is, and only there: what is left out is right before a quote, is
    longer than any word of JSON, and has no sign that ends a string or escapes one. No name is left out, so that
    those which are given twice still are.
    """
    spans: list[tuple[int, int]] = []
    at, left = 0, len(raw)
    while at + STEP_BYTES <= len(raw):
        if raw.find(b'"', at, at + STEP_BYTES) >= 0:
            at += STEP_BYTES
            continue
        start, end = raw.rfind(b'"', 0, at) + 1 + KEPT_BYTES, raw.find(b'"', at + STEP_BYTES)
        if end < 0:
            break
        if start + STEP_BYTES <= end and _is_name(raw, end) is None and _is_code(raw, start - GLANCE, end):
            spans.append((start, end - KEPT_END_BYTES))
            left -= end - KEPT_END_BYTES - start
        at = end + 1
    return Shortened(raw, spans) if spans and left * 100 <= len(raw) * MOST_PERCENT else None


def _is_code(raw: bytes, start: int, end: int) -> bool:
    """Whether there is nothing but base64 between two places: also right before the first, where an escape could be."""
    return not any(raw[at : min(at + STEP_BYTES, end)].translate(None, CODE) for at in range(start, end, STEP_BYTES))
