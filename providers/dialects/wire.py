"""Reading and writing JSON for the dialects: shape checks that name the field, ids, and the top level of a body."""

import os
from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec

from accounts.numbers import whole_number
from providers.dialects.failures import DialectError, unreadable
from providers.dialects.usage import MAX_COUNT
from providers.upstream.pieces import LARGE_BYTES, Part, Pieces

Fields = dict[str, Any]
Kind = TypeVar("Kind")

encode = msgspec.json.Encoder().encode
decode = msgspec.json.Decoder().decode
_NAMES: dict[Any, str] = {str: "a string", int: "an integer", bool: "a boolean", list: "an array", dict: "an object"}


def plain(fields: Mapping[str, Any]) -> Fields:
    """Return a body's fields as plain values; those that are still JSON bytes are decoded. ``null`` is left out."""
    found = {}
    for name, value in fields.items():
        if isinstance(value, msgspec.Raw):
            try:
                value = decode(value)
            except (ValueError, RecursionError) as error:
                raise DialectError(f"Invalid JSON in '{name}'.", param=name, code="invalid_json") from error
        if value is not None:
            found[name] = value
    return found


def encode_fields(fields: Mapping[str, Any], size: int) -> bytes | Pieces:
    """Return a body's fields as a JSON object. Where the body that they come from was large, of ``size`` bytes, it is
    in pieces: values that are JSON bytes are not copied.
    """
    if size <= LARGE_BYTES:
        return encode(fields)
    parts: list[Part] = []
    for name, value in fields.items():
        written = memoryview(value) if isinstance(value, msgspec.Raw) else encode(value)
        parts += [b"," if parts else b"{", encode(name), b":", written]
    return Pieces([*parts, b"}"] if parts else (b"{}",))


def take(fields: Fields, name: str, kind: type[Kind], where: str = "") -> Kind | None:
    """Remove and return a field that must be of a type; ``None`` where it is not given. ``int`` takes no boolean."""
    value = fields.pop(name, None)
    if value is None:
        return None
    return typed(value, kind, f"{where}.{name}" if where else name)


def typed(value: Any, kind: type[Kind], where: str) -> Kind:
    """Return ``value`` if it is of the type, else raise an error that names the field."""
    if isinstance(value, kind) and (kind is not int or not isinstance(value, bool)):
        return value
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)  # type: ignore[return-value]
    if kind is int and isinstance(value, float) and value.is_integer():
        return int(value)  # type: ignore[return-value]
    expected = _NAMES.get(kind, "a number")
    raise DialectError(f"Invalid type for '{where}': expected {expected}.", param=where, code="invalid_type")


def items(value: Any, where: str) -> list[Fields]:
    """Return a list of objects, or raise an error that names the item."""
    for index, item in enumerate(typed(value, list, where)):
        if not isinstance(item, dict):
            typed(item, dict, f"{where}[{index}]")
    return value  # type: ignore[no-any-return]


def invalid(where: str, value: Any, valid: str) -> DialectError:
    """Return the error for a value that is not one of those that are valid."""
    shown = value if isinstance(value, str) and len(value) <= 64 else encode(value)[:64].decode("utf-8", "replace")
    return DialectError(f"Invalid value for '{where}': {shown!r}. {valid}", param=where, code="invalid_value")


def answer_fields(body: bytes, what: str = "it is not a JSON object") -> Fields:
    """Return the fields of an upstream answer, or raise the error for an unreadable one."""
    try:
        fields = decode(body)
    except (ValueError, RecursionError) as error:
        raise unreadable(what) from error
    if not isinstance(fields, dict):
        raise unreadable(what)
    return fields


def lenient(body: bytes) -> Any:
    """Return a JSON value, or ``None`` if it is not JSON."""
    try:
        return decode(body)
    except (ValueError, RecursionError):
        return None


def lenient_fields(fields: Mapping[str, Any]) -> Fields:
    """Return an answer's fields as plain values; none of them where one is not JSON."""
    try:
        return plain(fields)
    except DialectError:
        return {}


def new_id(prefix: str) -> str:
    """Return a new random id."""
    return prefix + os.urandom(12).hex()


def arguments_text(value: Any) -> str:
    """Return a call's arguments as JSON text of an object: empty and null are ``{}``."""
    if value is None or value == "":
        return "{}"
    return value if isinstance(value, str) else encode(value).decode()


def arguments_object(text: str) -> Fields:
    """Return a call's arguments as an object.

    A model's broken JSON is kept under ``_raw``: history with it must still be sendable.
    """
    if not text or text == "{}":
        return {}
    value = lenient(text.encode("utf-8", "replace"))
    if value is None:
        return {} if text.strip() == "null" else {"_raw": text}
    return value if isinstance(value, dict) else {"_raw": value}


def count(fields: Any, name: str) -> int:
    """Return a count from an upstream's usage: what is not a positive integer, also as a string, or beyond all bounds
    is 0.
    """
    value = fields.get(name) if isinstance(fields, dict) else None
    if isinstance(value, str):
        value = whole_number(value, MAX_COUNT)
    return value if isinstance(value, int) and 0 < value <= MAX_COUNT else 0


def text_of(value: Any) -> str:
    """Return a string from an upstream's answer; anything else is empty."""
    return value if isinstance(value, str) else ""


def listed(fields: Any, name: str) -> list[Fields]:
    """Return the objects of a list in an upstream's answer; anything else is left out."""
    value = fields.get(name) if isinstance(fields, dict) else None
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []
