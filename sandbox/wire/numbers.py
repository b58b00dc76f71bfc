"""Whole numbers in queries and forms."""


def whole_number(text: str, longest: int = 18) -> int | None:
    """Return the number that at most `longest` ASCII digits write; `None` for anything else, like `²` or 5,000
    digits.
    """
    return int(text) if text.isascii() and text.isdigit() and len(text) <= longest else None
