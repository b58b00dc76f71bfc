"""Reading a JSON body's fields; each refuses a wrong value in OpenAI's words (ApiError 400).

A name may be a path for the error's `param`, such as `tools[0].name`: its last part is the field that is read.
"""

from collections.abc import Container, Iterable
from typing import Any

from sandbox.errors import ApiError, invalid_type, invalid_value, missing_parameter

Body = dict[str, Any]


def model_name(body: Body) -> str:
    name = body.get("model")
    if name is None or name == "":
        raise ApiError("you must provide a model parameter")
    if not isinstance(name, str):
        raise invalid_type("model", "a string", name)
    return name


def given(body: Body, path: str) -> Any:
    """The field at the end of a path; None when it is missing."""
    return body.get(path.rpartition(".")[2])


def required(body: Body, name: str) -> Any:
    value = given(body, name)
    if value is None:
        raise missing_parameter(name)
    return value


def string(body: Body, name: str, default: str = "") -> str:
    value = given(body, name)
    if value is None:
        return default
    if not isinstance(value, str):
        raise invalid_type(name, "a string", value)
    return value


def limited(body: Body, name: str, longest: int) -> str:
    """A string of at most `longest` characters; empty when it is not given."""
    value = string(body, name)
    if len(value) > longest:
        raise too_long(name, "string", longest, len(value))
    return value


def strings(body: Body, name: str) -> list[str]:
    """A required array of strings."""
    value = required(body, name)
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise invalid_type(name, "an array of strings", value)
    return value


def objects(body: Body, name: str) -> list[Body]:
    """An array of objects; empty when it is not given."""
    value = given(body, name)
    if value is None:
        return []
    if not isinstance(value, list):
        raise invalid_type(name, "an array of objects", value)
    for index, item in enumerate(value):
        if not isinstance(item, dict):
            raise invalid_type(f"{name}[{index}]", "an object", item)
    return value


def kind(item: Any, where: str, kinds: Iterable[str], param: str = "") -> str:
    """The `type` of an object, one of `kinds`; an error names `param`, or by default the type."""
    if not isinstance(item, dict):
        raise invalid_type(where, "an object", item)
    found = item.get("type")
    if found is None:
        raise missing_parameter(f"{where}.type")
    if found not in kinds:
        raise invalid_value(param or f"{where}.type", found, quoted(kinds))
    return str(found)


def known(body: Iterable[str], names: Container[str]) -> None:
    """Refuses parameters that do not exist."""
    for name in body:
        if name not in names:
            raise ApiError(f"Unknown parameter: '{name}'.", param=name, code="unknown_parameter")


def boolean(body: Body, name: str, default: bool = False) -> bool:
    value = given(body, name)
    if value is None:
        return default
    if not isinstance(value, bool):
        raise invalid_type(name, "a boolean", value)
    return value


def mapping(body: Body, name: str) -> Body:
    value = given(body, name)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise invalid_type(name, "an object", value)
    return value


def integer(
    body: Body, name: str, low: int | None = None, high: int | None = None, default: int | None = None
) -> int | None:
    value = given(body, name)
    if value is None:
        return default
    if not isinstance(value, int) or isinstance(value, bool):
        raise invalid_type(name, "an integer", value)
    _in_range("integer", name, value, low, high)
    return value


def number(body: Body, name: str, low: float, high: float, default: float) -> float:
    value = given(body, name)
    if value is None:
        return default
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise invalid_type(name, "a decimal", value)
    _in_range("decimal", name, value, low, high)
    return value


def choice(body: Body, name: str, allowed: Iterable[str], default: str) -> str:
    value = given(body, name)
    if value is None:
        return default
    if not isinstance(value, str):
        raise invalid_type(name, one_of(allowed), value)
    if value not in allowed:
        raise invalid_value(name, value, quoted(allowed))
    return value


def metadata(body: Body) -> dict[str, str]:
    """At most 16 pairs, keys to 64 and values to 512 characters."""
    pairs = mapping(body, "metadata")
    if len(pairs) > 16:
        raise ApiError(
            f"Invalid 'metadata': too many properties. Expected an object with at most 16 properties, but got an "
            f"object with {len(pairs)} properties instead.",
            param="metadata",
            code="object_above_max_properties",
        )
    for key, value in pairs.items():
        if not isinstance(value, str):
            raise invalid_type(f"metadata.{key}", "a string", value)
        for text, longest in ((key, 64), (value, 512)):
            if len(text) > longest:
                raise too_long(f"metadata.{key[:64]}", "string", longest, len(text), "metadata")
    return pairs


def quoted(names: Iterable[str]) -> str:
    """`'a', 'b', and 'c'`."""
    items = [f"'{name}'" for name in names]
    if len(items) < 3:
        return " and ".join(items)
    return f"{', '.join(items[:-1])}, and {items[-1]}"


def one_of(names: Iterable[str]) -> str:
    return f"one of {quoted(names).replace(' and ', ' or ')}"


def too_long(name: str, kind: str, longest: int, length: int, param: str = "") -> ApiError:
    """The error for a string or an array (its `kind`) that is longer than `longest`."""
    an = "an array" if kind == "array" else f"a {kind}"
    return ApiError(
        f"Invalid '{name}': {kind} too long. Expected {an} with maximum length {longest}, but got {an} with length "
        f"{length} instead.",
        param=param or name,
        code=f"{kind}_above_max_length",
    )


def _in_range(kind: str, name: str, value: float, low: float | None, high: float | None) -> None:
    if low is not None and value < low:
        raise ApiError(
            f"Invalid '{name}': {kind} below minimum value. Expected a value >= {low}, but got {value} instead.",
            param=name,
            code=f"{kind}_below_min_value",
        )
    if high is not None and value > high:
        raise ApiError(
            f"Invalid '{name}': {kind} above maximum value. Expected a value <= {high}, but got {value} instead.",
            param=name,
            code=f"{kind}_above_max_value",
        )
