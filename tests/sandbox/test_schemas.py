"""JSON answers: they satisfy the schema that was asked for, whatever it uses."""

import json
import re
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from openai import BadRequestError, OpenAI
from pydantic import BaseModel

from sandbox.model.patterns import example_of
from sandbox.model.schema_values import Filler, asked_keys, numbers, places
from tests.support.openapi import assert_valid

MODEL = "gpt-4o-mini"
NAME, TITLE = "Ada Lovelace", "A short title"
PERSON = {
    "type": "object",
    "properties": {
        "name": {"type": "string"},
        "age": {"type": "integer"},
        "hobbies": {"type": "array", "items": {"type": "string"}},
    },
    "required": ["name", "age", "hobbies"],
    "additionalProperties": False,
}
TREE = {
    "type": "object",
    "properties": {"root": {"$ref": "#/$defs/node"}},
    "required": ["root"],
    "$defs": {
        "node": {
            "type": "object",
            "properties": {
                "label": {"type": "string"},
                "left": {"anyOf": [{"$ref": "#/$defs/node"}, {"type": "null"}]},
                "children": {"type": "array", "items": {"$ref": "#/$defs/node"}},
            },
            "required": ["label", "left", "children"],
            "additionalProperties": False,
        }
    },
}
SCHEMAS: dict[str, Any] = {
    "person": PERSON,
    "recursive": TREE,
    "root recursion": {
        "type": "object",
        "properties": {"next": {"anyOf": [{"$ref": "#"}, {"type": "null"}]}},
        "required": ["next"],
    },
    "enums": {
        "type": "object",
        "properties": {"c": {"enum": ["red", "blue"]}, "k": {"const": 7}},
        "required": ["c", "k"],
    },
    "numbers": {
        "type": "object",
        "properties": {
            "low": {"type": "integer", "minimum": 100},
            "high": {"type": "integer", "maximum": -5},
            "open": {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1},
            "step": {"type": "integer", "multipleOf": 7, "minimum": 50},
        },
        "required": ["low", "high", "open", "step"],
    },
    "strings": {
        "type": "object",
        "properties": {
            "short": {"type": "string", "maxLength": 3},
            "long": {"type": "string", "minLength": 40},
            "zip": {"type": "string", "pattern": r"^\d{5}(-\d{4})?$"},
            "mail": {"type": "string", "format": "email"},
            "when": {"type": "string", "format": "date-time"},
        },
        "required": ["short", "long", "zip", "mail", "when"],
    },
    "arrays": {
        "type": "object",
        "properties": {
            "three": {"type": "array", "minItems": 3, "items": {"type": "boolean"}},
            "none": {"type": "array", "maxItems": 0},
            "pair": {"type": "array", "prefixItems": [{"type": "string"}, {"type": "integer"}], "minItems": 2},
            "unique": {"type": "array", "uniqueItems": True, "minItems": 1, "items": {"enum": ["a", "b"]}},
        },
        "required": ["three", "none", "pair", "unique"],
    },
    "nullable": {"type": "object", "properties": {"x": {"type": ["string", "null"]}}, "required": ["x"]},
    "all of": {
        "allOf": [
            {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]},
            {"properties": {"b": {"type": "integer"}}, "required": ["b"]},
        ]
    },
}


@pytest.mark.parametrize("name", SCHEMAS)
@pytest.mark.parametrize("hint", ["", "Give me 3 blue ones in Paris, -2.5 or 1000000 of them"])
def test_every_schema_is_satisfied(name: str, hint: str) -> None:
    schema = SCHEMAS[name]
    value = Filler(schema, hint).value(schema)
    Draft202012Validator(schema, format_checker=Draft202012Validator.FORMAT_CHECKER).validate(value)


@pytest.mark.parametrize(
    "pattern",
    [r"^[A-Z]{2}-\d+$", r"(foo|bar)[^a]x?", r"^\w{3,5}@\S+\.com$", r"[^\d\s]+", r"^#[0-9a-f]{6}$", r"\D\W.+?"],
)
def test_examples_of_patterns_match(pattern: str) -> None:
    assert re.search(pattern, example_of(pattern))


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Extract name and age as JSON", ["name", "age"]),
        ("extract a name, an age, and the city from this letter as JSON", ["name", "age", "city"]),
        ("Give me JSON with title and year", ["title", "year"]),
        ("Return a list of colors as JSON", []),
        ("JSON with the answer", []),
        ("Write a JSON object.", []),
    ],
)
def test_keys_that_are_named_without_the_word(text: str, found: list[str]) -> None:
    assert asked_keys(text) == found


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("multiply six and seven", ["6", "7"]),
        ("Twenty minus 7, one of 3", ["20", "7", "3"]),
        ("one and two", ["1", "2"]),
        ("which one of them?", []),
        ("someone, often, two-fold, ten", ["10"]),
        ("gpt-4 and -2.5", ["4", "-2.5"]),
    ],
)
def test_numbers_in_words(text: str, found: list[str]) -> None:
    assert numbers(text) == found


def test_places_are_found() -> None:
    assert places("the weather in Paris and New York, NY, or Rome?") == ["Paris", "New York, NY"]
    assert places("what is it for?") == []


def test_a_schema_over_the_api(client: OpenAI) -> None:
    form: Any = {"type": "json_schema", "json_schema": {"name": "person", "schema": PERSON, "strict": True}}
    raw = client.chat.completions.with_raw_response.create(
        model=MODEL, messages=[{"role": "user", "content": "Invent a fictional person."}], response_format=form
    )
    assert_valid("CreateChatCompletionResponse", raw.http_response.json())
    content = raw.parse().choices[0].message.content
    Draft202012Validator(PERSON).validate(json.loads(content or ""))


class Step(BaseModel):
    explanation: str
    output: str


class Maths(BaseModel):
    steps: list[Step]
    final_answer: str


def test_the_sdk_parses_into_a_model(client: OpenAI) -> None:
    answer = client.chat.completions.parse(
        model=MODEL, messages=[{"role": "user", "content": "Solve 8x + 7 = -23"}], response_format=Maths
    )
    parsed = answer.choices[0].message.parsed
    assert parsed is not None
    assert len(parsed.steps) == 2


def test_json_mode_gives_an_object(client: OpenAI) -> None:
    answer = client.chat.completions.create(
        model=MODEL,
        messages=[
            {"role": "system", "content": "You respond in JSON."},
            {"role": "user", "content": "List three languages with year of creation."},
        ],
        response_format={"type": "json_object"},
    )
    assert "List three languages" in json.loads(answer.choices[0].message.content or "")["answer"]


def test_json_mode_needs_the_word(client: OpenAI) -> None:
    with pytest.raises(BadRequestError, match="must contain the word 'json'"):
        client.chat.completions.create(
            model=MODEL, messages=[{"role": "user", "content": "hi"}], response_format={"type": "json_object"}
        )


@pytest.mark.parametrize(
    ("schema", "message"),
    [
        ({**PERSON, "additionalProperties": True}, r"In context=\(\), 'additionalProperties' is required"),
        ({**PERSON, "required": ["name", "age"]}, "Missing 'hobbies'"),
        ({"type": "array", "items": {"type": "string"}}, "got 'type: \"array\"'"),
        (
            {**PERSON, "properties": {**PERSON["properties"], "age": {"type": "object"}}},  # type: ignore[dict-item]
            r"In context=\('properties', 'age'\)",
        ),
    ],
)
def test_strict_schemas_are_checked(client: OpenAI, schema: Any, message: str) -> None:
    form: Any = {"type": "json_schema", "json_schema": {"name": "person", "schema": schema, "strict": True}}
    with pytest.raises(BadRequestError, match=message):
        client.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": "hi"}], response_format=form)


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        ("Return JSON with keys a and b.", ["a", "b"]),
        ('Return JSON with the keys "a" and "b".', ["a", "b"]),
        ("Reply with a JSON object containing title and year.", ["title", "year"]),
        ("Extract the name and age as JSON: Bob is 30.", ["name", "age"]),
        ("Answer in JSON with the fields `title`, `tags`, and `score`.", ["title", "tags", "score"]),
        ('Answer in JSON like this: {"city": "...", "country": "..."}', ["city", "country"]),
        ("Say something in JSON. The key is to be brief.", ["answer"]),
    ],
)
def test_a_json_object_has_the_keys_that_the_prompt_wants(client: OpenAI, text: str, keys: list[str]) -> None:
    form: Any = {"type": "json_object"}
    chat = client.chat.completions.create(
        model=MODEL, messages=[{"role": "user", "content": text}], response_format=form
    )
    assert list(json.loads(chat.choices[0].message.content or "")) == keys
    response = client.responses.create(model=MODEL, input=text, text={"format": form})
    assert list(json.loads(response.output_text)) == keys


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ('Return JSON with the keys "a" and "b".', {"a": "sample a", "b": "sample b"}),
        ("JSON with the keys 'a', 'b', and 'c'", {"a": "sample a", "b": "sample b", "c": "sample c"}),
        ("JSON with the keys `a` and `b`", {"a": "sample a", "b": "sample b"}),
        ('JSON like {"city": "...", "size": "<size>", "name": "string"}', {"city": "Paris", "size": 42, "name": NAME}),
        ('JSON like {"city": "Rome"}', {"city": "Rome"}),
        ('JSON with the keys "name" and "age" of Ada', {"name": NAME, "age": 36}),
        ("JSON with the keys name and age: name is Bob, age 30", {"name": "Bob", "age": 30}),
        ("JSON with the keys title, birth_year and totalPrice", {"title": TITLE, "birth_year": 2025, "totalPrice": 42}),
        ("JSON with the keys x and zip: x = 1.5, zip: 01234", {"x": 1.5, "zip": "01234"}),
    ],
)
def test_the_values_of_a_json_object(client: OpenAI, text: str, values: dict[str, Any]) -> None:
    chat = client.chat.completions.create(
        model=MODEL, messages=[{"role": "user", "content": text}], response_format={"type": "json_object"}
    )
    assert json.loads(chat.choices[0].message.content or "") == values


def test_an_answer_by_a_schema_that_requires_nothing() -> None:
    schema = {
        "type": "object",
        "properties": {"steps": {"type": "array", "items": {"type": "object", "properties": {"age": {}, "text": {}}}}},
    }
    assert Filler(schema).value(schema) == {"steps": [{"age": 36, "text": "sample text"}] * 2}
