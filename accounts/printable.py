"""Strings that others chose, made fit for a terminal and for a line of a log."""

from typing import Final

ODD: Final = {
    code: f"\\u{code:04x}"
    for code in (*range(0x20), *range(0x7F, 0xA0), 0x200E, 0x200F, *range(0x2028, 0x202F), *range(0x2066, 0x206A))
}
"""What a terminal or a reader of lines may act on: control characters, separators of lines, turns of the direction."""


def printable(text: str) -> str:
    """Return ``text`` with what a terminal would act on spelled out, like ``\\u001b``; the rest stays as it is."""
    return text.translate(ODD)
