"""JSON Schemas as Gemini and Anthropic take them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers.dialects.failures import DialectError
from providers.dialects.schema import for_anthropic, for_gemini, for_openapi
from tests.support.vendor_specs import assert_gemini

ORDER = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "Order",
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "kind": {"const": "order"},
        "size": {"type": ["integer", "null"], "exclusiveMinimum": 0},
        "lines": {"type": "array", "items": {"$ref": "#/$defs/Line"}, "uniqueItems": True},
        "additionalProperties": {"type": "string", "pattern": "x"},
        "$defs": {"oneOf": [{"type": "string"}, {"type": "null"}]},
        "const": {
            "allOf": [
                {"$ref": "#/$defs/Line"},
                {"type": "object", "properties": {"b": {"type": "string"}}, "required": ["b"]},
            ]
        },
        "when": {"type": "string", "format": "date-time", "default": "now"},
    },
    "required": ["kind"],
    "$defs": {
        "Line": {"type": "object", "properties": {"a": {"$ref": "#/$defs/Word"}}, "required": ["a"]},
        "Word": {"type": "string"},
    },
}
LINE = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}


def test_for_gemini():
    found = for_gemini(ORDER)
    assert "$defs" not in found
    assert "$schema" not in found
    properties = found["properties"]
    assert properties["kind"] == {"enum": ["order"]}
    assert properties["size"] == {"type": ["integer", "null"], "minimum": 0}
    assert properties["lines"] == {"type": "array", "items": LINE}
    assert properties["additionalProperties"] == {"type": "string"}  # a property's name, not a keyword
    assert properties["$defs"] == {"anyOf": [{"type": "string"}, {"type": "null"}]}
    assert properties["const"]["required"] == ["a", "b"]
    assert list(properties["const"]["properties"]) == ["b", "a"]
    assert properties["when"] == {"type": "string", "format": "date-time"}
    assert ORDER["properties"]["lines"]["items"] == {"$ref": "#/$defs/Line"}  # the caller's schema stays as it is


def test_for_older_gemini():
    found = for_openapi(ORDER)
    assert_gemini("Schema", found)
    assert found["properties"]["size"] == {"type": "INTEGER", "nullable": True, "minimum": 0}
    assert found["properties"]["kind"] == {"type": "STRING", "format": "enum", "enum": ["order"]}
    assert found["properties"]["$defs"] == {"nullable": True, "type": "STRING"}


def test_for_anthropic():
    found = for_anthropic(ORDER)
    assert found["additionalProperties"] is False
    assert found["$defs"]["Line"]["additionalProperties"] is False
    assert "exclusiveMinimum" not in found["properties"]["size"]
    assert found["properties"]["lines"]["items"] == {"$ref": "#/$defs/Line"}


def test_a_schema_within_itself_ends():
    tree = {
        "type": "object",
        "properties": {"child": {"$ref": "#"}, "other": {"$ref": "#/$defs/N"}},
        "$defs": {"N": {"type": "array", "items": {"$ref": "#/$defs/N"}}},
    }
    found = for_gemini(tree)
    assert found["properties"]["child"]["properties"]["child"] == {"type": "object"}
    assert found["properties"]["other"]["items"] == {"type": "object"}


def test_references_may_not_multiply_without_end():
    defs = {
        f"d{n}": {
            "type": "object",
            "properties": {"a": {"$ref": f"#/$defs/d{n + 1}"}, "b": {"$ref": f"#/$defs/d{n + 1}"}},
        }
        for n in range(40)
    }
    deep: dict = {"type": "object"}
    for _ in range(500):
        deep = {"type": "array", "items": deep}
    for schema in ({"$ref": "#/$defs/d0", "$defs": defs}, deep):
        for change in (for_gemini, for_openapi):
            with pytest.raises(DialectError):
                change(schema)
    with pytest.raises(DialectError):
        for_anthropic(deep)


keys = st.sampled_from(
    [
        "type",
        "properties",
        "items",
        "anyOf",
        "oneOf",
        "allOf",
        "$ref",
        "$defs",
        "enum",
        "const",
        "nullable",
        "required",
        "default",
        "minItems",
        "exclusiveMinimum",
        "x",
    ]
)
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from(["string", "object", "#", "#/$defs/x", "null", "#/properties"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=4),
    max_leaves=20,
)


@given(st.dictionaries(keys, values, max_size=5))
def test_any_object_is_a_schema_or_an_error(schema):
    for change in (for_gemini, for_openapi, for_anthropic):
        try:
            change(schema)
        except DialectError:
            pass
