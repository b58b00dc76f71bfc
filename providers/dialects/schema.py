"""JSON Schemas as vendors take them: references inlined, what a vendor refuses left out, properties of any name
kept.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Any

from providers.dialects.failures import DialectError
from providers.dialects.wire import decode, encode

Schema = dict[str, Any]
DEEPEST = 60
"""Levels of nesting; deeper schemas are refused, vendors stop far earlier."""

LARGEST = 5000
"""Schemas within a schema, its references replaced."""

LARGEST_KEPT = 8192
"""Bytes of a schema whose translation is remembered."""

# What Gemini's JSON Schema takes, by its API's description. ``$``-fields go, as references are inlined.
_GEMINI = frozenset(
    {
        "type",
        "format",
        "title",
        "description",
        "enum",
        "items",
        "prefixItems",
        "minItems",
        "maxItems",
        "minimum",
        "maximum",
        "anyOf",
        "properties",
        "additionalProperties",
        "required",
        "propertyOrdering",
        "minLength",
        "maxLength",
        "pattern",
        "default",
        "nullable",
        "minProperties",
        "maxProperties",
    }
)
_NOT_IN_JSON_SCHEMA = frozenset(
    {"nullable", "default", "pattern", "minLength", "maxLength", "minProperties", "maxProperties"}
)
_NOT_IN_OPENAPI = frozenset({"additionalProperties", "prefixItems", "title"})
_FORMATS = ("enum", "date-time", "float", "double", "int32", "int64")
# Keywords that Anthropic's structured output refuses.
_NOT_AT_ANTHROPIC = frozenset(
    {
        "minimum",
        "maximum",
        "exclusiveMinimum",
        "exclusiveMaximum",
        "multipleOf",
        "minLength",
        "maxLength",
        "maxItems",
        "uniqueItems",
        "minProperties",
        "maxProperties",
        "patternProperties",
        "propertyNames",
        "contains",
        "if",
        "then",
        "else",
        "not",
        "dependentRequired",
        "dependentSchemas",
        "unevaluatedProperties",
        "prefixItems",
    }
)
_TYPES = {"string", "number", "integer", "boolean", "array", "object", "null"}


def for_gemini(schema: Schema) -> Schema:
    """Return a schema as Gemini's ``parametersJsonSchema`` and ``responseJsonSchema`` take it.

    Not to be changed, as it is shared.
    """
    return _kept("gemini", schema)


def for_openapi(schema: Schema) -> Schema:
    """Return a schema in the subset of OpenAPI that older Gemini models take, their types in capitals.

    Not to be changed.
    """
    return _kept("openapi", schema)


def for_anthropic(schema: Schema) -> Schema:
    """Return a schema as Anthropic's structured output takes it: objects closed, constraints left out.

    Not to be changed.
    """
    return _kept("anthropic", schema)


def _kept(form: str, schema: Schema) -> Schema:
    """Return a schema in a vendor's form; small ones are remembered, as agents send the same tools with every call."""
    text = encode(schema)
    if len(text) > LARGEST_KEPT:
        return _translated(form, schema)
    return _remembered(form, text)


@lru_cache(256)
def _remembered(form: str, text: bytes) -> Schema:
    return _translated(form, decode(text))


def _translated(form: str, schema: Schema) -> Schema:
    if form == "anthropic":
        return _walk(schema, _anthropic_node, 0)  # type: ignore[no-any-return]
    change = _gemini_node if form == "gemini" else _openapi_node
    return _walk(_inlined(schema, schema, (), [LARGEST]), change, 0)  # type: ignore[no-any-return]


def _inlined(schema: Any, root: Schema, path: tuple[str, ...], room: list[int]) -> Any:
    """Return a schema with its references replaced; one that refers to itself becomes an open object.

    ``path`` are the references that led here, ``room[0]`` how many more schemas fit: references may multiply without
    end.
    """
    if not isinstance(schema, dict):
        return schema
    room[0] -= 1
    if room[0] < 0 or len(path) > DEEPEST:
        raise DialectError("A JSON schema is too large or nested too deeply.", code="invalid_json_schema")
    reference = schema.get("$ref")
    if isinstance(reference, str):
        if reference in path:
            return {"type": "object"}
        target = _resolved(reference, root)
        beside = {key: value for key, value in schema.items() if key != "$ref"}
        return _inlined({**(target if isinstance(target, dict) else {}), **beside}, root, (*path, reference), room)
    found = {key: value for key, value in schema.items() if key not in ("$defs", "definitions")}
    inner = (*path, "")

    def each(value: Any) -> Any:
        return _inlined(value, root, inner, room)

    return _over(found, each)


def _over(schema: Schema, change: Callable[[Any], Any]) -> Schema:
    """Return a schema whose inner schemas are changed; names of properties and values are not schemas."""
    for key in ("properties", "$defs", "definitions"):
        inner = schema.get(key)
        if isinstance(inner, dict):
            schema[key] = {name: change(each) for name, each in inner.items()}
    for key in ("anyOf", "allOf", "oneOf", "prefixItems"):
        inner = schema.get(key)
        if isinstance(inner, list):
            schema[key] = [change(each) for each in inner]
    for key in ("items", "additionalProperties"):
        if isinstance(schema.get(key), dict):
            schema[key] = change(schema[key])
    return schema


def _resolved(reference: str, root: Schema) -> Any:
    """Return what a local reference names; ``None`` for any other, as nothing is fetched."""
    if reference == "#":
        return root
    node: Any = root
    for step in reference.removeprefix("#/").split("/"):
        name = step.replace("~1", "/").replace("~0", "~")
        node = node.get(name) if isinstance(node, dict) else None
    return node if reference.startswith("#/") else None


def _walk(schema: Any, change: Callable[[Schema], Schema], depth: int) -> Any:
    """Return a schema with ``change`` done to every schema in it."""
    if depth > DEEPEST:
        raise DialectError("A JSON schema is nested too deeply.", code="invalid_json_schema")
    if not isinstance(schema, dict):
        return schema
    return _over(change(schema), lambda inner: _walk(inner, change, depth + 1))


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _common(schema: Schema) -> Schema:
    """Return a node with ``const`` as an enumeration, ``oneOf`` as ``anyOf``, ``allOf`` merged and sharp limits as
    blunt ones.
    """
    found = dict(schema)
    if "const" in found:
        found.setdefault("enum", [found.pop("const")])
    for each in _list(found.pop("allOf", None)):
        if isinstance(each, dict):
            found = _merged(found, _common(each))
    if isinstance(found.get("oneOf"), list):
        found["anyOf"] = [*_list(found.get("anyOf")), *found.pop("oneOf")]
    for sharp, blunt in (("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")):
        if isinstance(found.get(sharp), (int, float)) and not isinstance(found[sharp], bool):
            found.setdefault(blunt, found[sharp])
    return found


def _merged(one: Schema, other: Schema) -> Schema:
    found = {**other, **one}
    if isinstance(one.get("properties"), dict) and isinstance(other.get("properties"), dict):
        found["properties"] = {**other["properties"], **one["properties"]}
    if isinstance(one.get("required"), list) and isinstance(other.get("required"), list):
        found["required"] = one["required"] + [name for name in other["required"] if name not in one["required"]]
    return found


def _gemini_node(schema: Schema) -> Schema:
    found = _common(schema)
    if found.pop("nullable", None) is True and isinstance(found.get("type"), str):
        found["type"] = [found["type"], "null"]
    return {key: value for key, value in found.items() if key in _GEMINI and key not in _NOT_IN_JSON_SCHEMA}


def _openapi_node(schema: Schema) -> Schema:
    found = _common(schema)
    kind = found.get("type")
    if isinstance(kind, list):
        kinds = [each for each in kind if each != "null"]
        if "null" in kind:
            found["nullable"] = True
        found.pop("type")
        if len(kinds) == 1:
            kind = found["type"] = kinds[0]
        elif kinds:
            found["anyOf"] = [{"type": each} for each in kinds]
    options = found.get("anyOf")
    if isinstance(options, list) and {"type": "null"} in options:
        rest = [each for each in options if each != {"type": "null"}]
        found["nullable"] = True
        found["anyOf"] = rest
        if len(rest) == 1 and isinstance(rest[0], dict):
            found.pop("anyOf")
            found = {**_openapi_node(rest[0]), **found}
    if isinstance(found.get("type"), str):
        if found["type"].lower() not in _TYPES:
            found.pop("type")
        else:
            found["type"] = found["type"].upper()
    if isinstance(found.get("enum"), list):
        found["enum"] = [each if isinstance(each, str) else str(each) for each in found["enum"] if each is not None]
        found["type"], found["format"] = "STRING", "enum"
    if found.get("format") not in _FORMATS:
        found.pop("format", None)
    return {key: value for key, value in found.items() if key in _GEMINI and key not in _NOT_IN_OPENAPI}


def _anthropic_node(schema: Schema) -> Schema:
    found = {key: value for key, value in schema.items() if key not in _NOT_AT_ANTHROPIC}
    if isinstance(found.get("oneOf"), list):
        found["anyOf"] = [*_list(found.get("anyOf")), *found.pop("oneOf")]
    if isinstance(found.get("minItems"), int) and found["minItems"] > 1:
        found.pop("minItems")
    if found.get("type") == "object" or isinstance(found.get("properties"), dict):
        found["additionalProperties"] = False
    return found
