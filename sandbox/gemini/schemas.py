"""Google's own form of a schema, a part of OpenAPI's, as JSON Schema."""

from typing import Any

from sandbox.gemini.fields import closed
from sandbox.gemini.service import violation

KNOWN = (
    *("type", "format", "title", "description", "nullable", "enum", "items", "maxItems", "minItems", "properties"),
    *("required", "minProperties", "maxProperties", "minimum", "maximum", "minLength", "maxLength", "pattern"),
    *("example", "anyOf", "propertyOrdering", "default"),
)
TYPES = ("STRING", "NUMBER", "INTEGER", "BOOLEAN", "ARRAY", "OBJECT", "NULL")


def json_schema(schema: Any, where: str) -> dict[str, Any]:
    """The JSON Schema of `schema`; raises ApiError 400 for what Google's form does not have."""
    fields = closed(schema, KNOWN, where)
    found: dict[str, Any] = {
        name: value for name, value in fields.items() if name not in ("nullable", "propertyOrdering", "example")
    }
    kind = fields.get("type")
    if kind is not None:
        if not isinstance(kind, str) or kind.upper() not in TYPES:
            raise violation(f"{where}.type", f"Invalid value at '{where}.type' (type.googleapis.com/Type), {kind!r}")
        found["type"] = kind.lower()
    for name in ("maxItems", "minItems", "minProperties", "maxProperties", "minLength", "maxLength"):
        if name in found:
            found[name] = int(found[name])
    if "items" in found:
        found["items"] = json_schema(found["items"], f"{where}.items")
    if "anyOf" in found:
        found["anyOf"] = [json_schema(each, f"{where}.any_of[{index}]") for index, each in enumerate(found["anyOf"])]
    if "properties" in found:
        found["properties"] = {
            name: json_schema(each, f"{where}.properties[{name}]") for name, each in found["properties"].items()
        }
    if fields.get("nullable") is True and "type" in found:
        found["type"] = [found["type"], "null"]
    return found
