"""Reading the fields of a request: Google's decoder takes both `camelCase` and `snake_case`, and nothing unknown."""

import re
from collections.abc import Iterable
from typing import Any

from sandbox.gemini.service import invalid, violation
from sandbox.wire.numbers import whole_number

Fields = dict[str, Any]

_UPPER = re.compile(r"[A-Z]")
_KINDS = {str: "TYPE_STRING", bool: "TYPE_BOOL", int: "TYPE_INT32", float: "TYPE_FLOAT"}


def snake(name: str) -> str:
    """The other spelling of a `camelCase` name."""
    return _UPPER.sub(lambda match: f"_{match[0].lower()}", name)


def closed(fields: Any, known: Iterable[str], where: str = "") -> Fields:
    """The object with its fields in `camelCase`; raises ApiError 400 for a field that does not exist."""
    if not isinstance(fields, dict):
        raise violation(where, f"Invalid value at '{where}' (object)")
    spelled = {name: name for name in known} | {snake(name): name for name in known}
    found: Fields = {}
    for name, value in fields.items():
        if name not in spelled:
            place = f" at '{where}'" if where else ""
            raise violation(where, f'Invalid JSON payload received. Unknown name "{name}"{place}: Cannot find field.')
        if value is not None:
            found[spelled[name]] = value
    return found


def typed(fields: Fields, name: str, kind: type, where: str = "") -> Any:
    """The value of a field; None when it is missing. A number may be written as a string."""
    value = fields.get(name)
    if value is None:
        return None
    if kind is int and isinstance(value, str):
        digits = value.removeprefix("-")
        number = whole_number(digits)
        if number is not None:
            return number if digits == value else -number
    fits = isinstance(value, (int, float) if kind is float else kind)
    if not fits or (isinstance(value, bool) and kind is not bool):
        path = f"{where}.{name}" if where else name
        raise violation(path, f"Invalid value at '{snake(path)}' ({_KINDS.get(kind, kind.__name__)}), {value!r}")
    return value


def items(fields: Fields, name: str, where: str = "") -> list[Any]:
    """The value of a field that may repeat; one alone counts as a list of it, as in Google's decoder."""
    value = fields.get(name)
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def one_of(fields: Fields, name: str, allowed: Iterable[str], where: str = "") -> str:
    """The value of an enum's field; empty when it is missing."""
    value = fields.get(name)
    if value is None or value in allowed:
        return value or ""
    path = f"{where}.{name}" if where else name
    raise violation(path, f"Invalid value at '{snake(path)}' (TYPE_ENUM), {value!r}")


def within(value: float | None, low: float, high: float, name: str) -> None:
    """Raises ApiError 400 for a number outside of its bounds."""
    if value is not None and not low <= value <= high:
        raise invalid(
            f"* GenerateContentRequest.generation_config.{name}: {name} must be in the range [{low}, {high}]."
        )
