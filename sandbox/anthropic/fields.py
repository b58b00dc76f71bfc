"""Reading the fields of a request, with Anthropic's words for what is wrong with them."""

from collections.abc import Iterable
from typing import Any

from sandbox.anthropic.service import invalid

Fields = dict[str, Any]

_WORDS = {
    str: "a valid string",
    int: "a valid integer",
    float: "a valid number",
    bool: "a valid boolean",
    dict: "a valid dictionary",
    list: "a valid list",
}


def get(fields: Fields, name: str, kind: type, where: str = "", *, needed: bool = False) -> Any:
    """The value of a field; None when it is missing or null. Raises ApiError 400 for another type."""
    value, path = fields.get(name), f"{where}.{name}" if where else name
    if value is None:
        if needed:
            raise invalid(path, "Field required")
        return None
    fits = isinstance(value, (int, float) if kind is float else kind)
    if not fits or (isinstance(value, bool) and kind is not bool):
        raise invalid(path, f"Input should be {_WORDS[kind]}")
    return value


def within(value: float | None, low: float, high: float, where: str) -> None:
    """Raises ApiError 400 for a number outside of its bounds."""
    if value is not None and value < low:
        raise invalid(where, f"Input should be greater than or equal to {low}")
    if value is not None and value > high:
        raise invalid(where, f"Input should be less than or equal to {high}")


def tag(fields: Any, allowed: Iterable[str], where: str) -> str:
    """The `type` of an object; raises ApiError 400 for one that is not `allowed`."""
    if not isinstance(fields, dict):
        raise invalid(where, "Input should be a valid dictionary or object to extract fields from")
    kind = fields.get("type")
    if not isinstance(kind, str) or kind not in allowed:
        names = ", ".join(f"'{name}'" for name in allowed)
        raise invalid(where, f"Input tag '{kind}' found using 'type' does not match any of the expected tags: {names}")
    return kind


def closed(fields: Fields, known: Iterable[str], where: str = "") -> None:
    """Raises ApiError 400 for a field that does not exist."""
    for name in fields:
        if name not in known:
            raise invalid(f"{where}.{name}" if where else name, "Extra inputs are not permitted")
