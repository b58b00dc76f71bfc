"""Tools: when the sandbox calls them, with what, and how it goes on afterwards."""

import json
from typing import Any

import pytest
from openai import BadRequestError, OpenAI

from tests.support.openapi import assert_valid

MODEL = "gpt-4o-mini"
WEATHER: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Get the current weather for a city.",
        "parameters": {
            "type": "object",
            "properties": {
                "city": {"type": "string"},
                "unit": {"type": "string", "enum": ["celsius", "fahrenheit"]},
            },
            "required": ["city"],
        },
    },
}
STOCKS: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": "lookupStockPrice",
        "parameters": {
            "type": "object",
            "properties": {"ticker": {"type": "string", "pattern": "^[A-Z]{4}$"}},
            "required": ["ticker"],
            "additionalProperties": False,
        },
        "strict": True,
    },
}


def ask(client: OpenAI, text: str, **options: Any) -> Any:
    raw = client.chat.completions.with_raw_response.create(
        **{"model": MODEL, "messages": [{"role": "user", "content": text}], **options}
    )
    assert_valid("CreateChatCompletionResponse", raw.http_response.json())
    return raw.parse().choices[0]


def called(choice: Any) -> list[tuple[str, Any]]:
    return [(call.function.name, json.loads(call.function.arguments)) for call in choice.message.tool_calls or []]


def test_auto_calls_when_the_words_ask_for_it(client: OpenAI) -> None:
    choice = ask(client, "What's the weather in Bengaluru right now?", tools=[WEATHER, STOCKS])

    assert called(choice) == [("get_weather", {"city": "Bengaluru"})]
    assert choice.finish_reason == "tool_calls"
    assert choice.message.content is None


def test_auto_answers_in_words_otherwise(client: OpenAI) -> None:
    choice = ask(client, "Tell me a joke", tools=[WEATHER, STOCKS])

    assert called(choice) == []
    assert "Tell me a joke" in choice.message.content


def test_an_option_that_is_mentioned_is_used(client: OpenAI) -> None:
    choice = ask(client, "Weather in New York, NY, in Fahrenheit please", tools=[WEATHER])
    assert called(choice) == [("get_weather", {"city": "New York, NY", "unit": "fahrenheit"})]


def test_required_calls_something(client: OpenAI) -> None:
    choice = ask(client, "Tell me a joke", tools=[STOCKS, WEATHER], tool_choice="required")

    [(name, arguments)] = called(choice)
    assert name == "lookupStockPrice"
    assert len(arguments["ticker"]) == 4


def test_none_calls_nothing(client: OpenAI) -> None:
    assert called(ask(client, "Weather in Rome?", tools=[WEATHER], tool_choice="none")) == []


def test_a_named_function_is_called_whatever_was_said(client: OpenAI) -> None:
    named = {"type": "function", "function": {"name": "get_weather"}}
    choice = ask(client, "What stock price?", tools=[STOCKS, WEATHER], tool_choice=named)

    assert [name for name, _ in called(choice)] == ["get_weather"]
    assert choice.finish_reason == "stop"  # as OpenAI ends a call that was forced by name


def test_allowed_tools_narrow_the_choice(client: OpenAI) -> None:
    allowed = {
        "type": "allowed_tools",
        "allowed_tools": {"mode": "required", "tools": [{"type": "function", "function": {"name": "get_weather"}}]},
    }
    choice = ask(client, "stock price", tools=[STOCKS, WEATHER], tool_choice=allowed)
    assert [name for name, _ in called(choice)] == ["get_weather"]


@pytest.mark.parametrize(("parallel", "count"), [(True, 3), (False, 1)])
def test_parallel_calls(client: OpenAI, parallel: bool, count: int) -> None:
    choice = ask(
        client,
        "The weather in Paris and Oslo, and the stock price?",
        tools=[WEATHER, STOCKS],
        parallel_tool_calls=parallel,
    )
    assert len(called(choice)) == count
    assert len({call.id for call in choice.message.tool_calls}) == count


def test_a_custom_tool_gets_text(client: OpenAI) -> None:
    tool = {"type": "custom", "custom": {"name": "run_shell", "description": "Runs a shell command."}}
    choice = ask(client, "list files with the shell", tools=[tool])

    [call] = choice.message.tool_calls
    assert (call.type, call.custom.name, call.custom.input) == ("custom", "run_shell", "list files with the shell")


def test_a_directive_names_the_calls(client: OpenAI) -> None:
    asked = 'The ticker is "ABCD" in Rome. [[sandbox: call=get_weather+lookupStockPrice]]'
    messages: list[Any] = [{"role": "user", "content": asked}]
    tools: Any = [STOCKS, WEATHER, {**WEATHER, "function": {**WEATHER["function"], "name": "rome"}}]
    said = client.chat.completions.create(model=MODEL, tools=tools, messages=messages).choices[0].message
    calls: Any = said.tool_calls
    assert [call.function.name for call in calls] == ["lookupStockPrice", "get_weather"]
    messages += [said, *({"role": "tool", "tool_call_id": call.id, "content": "fine"} for call in calls)]
    assert client.chat.completions.create(model=MODEL, tools=tools, messages=messages).choices[0].message.content


def test_the_old_functions_still_work(client: OpenAI) -> None:
    choice = ask(client, "Weather in Rome?", functions=[WEATHER["function"]])

    assert choice.finish_reason == "function_call"
    assert json.loads(choice.message.function_call.arguments) == {"city": "Rome"}


def test_an_answer_from_the_tools_results(client: OpenAI) -> None:
    messages: list[Any] = [{"role": "user", "content": "What's the weather in Bengaluru right now?"}]
    first = ask(client, "", messages=messages, tools=[WEATHER]).message
    result = {"city": "Bengaluru", "temp_c": 28, "summary": "partly cloudy"}
    messages += [first, {"role": "tool", "tool_call_id": first.tool_calls[0].id, "content": json.dumps(result)}]

    second = ask(client, "", messages=messages, tools=[WEATHER])

    assert second.message.content == "get_weather says: city: Bengaluru, temp_c: 28, summary: partly cloudy."
    assert second.finish_reason == "stop"


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        ([{"role": "tool", "tool_call_id": "call_1", "content": "x"}], "must be a response to a preceeding message"),
        (
            [
                {
                    "role": "assistant",
                    "tool_calls": [
                        {"id": "call_9", "type": "function", "function": {"name": "get_weather", "arguments": "{}"}}
                    ],
                },
                {"role": "user", "content": "never mind"},
            ],
            "did not have response messages: call_9",
        ),
    ],
)
def test_calls_and_results_must_match(client: OpenAI, extra: list[Any], message: str) -> None:
    with pytest.raises(BadRequestError, match=message):
        ask(client, "", messages=[{"role": "user", "content": "hi"}, *extra])


@pytest.mark.parametrize(
    ("options", "param"),
    [
        ({"tool_choice": "auto"}, "tool_choice"),
        ({"tools": [WEATHER], "tool_choice": "sometimes"}, "tool_choice"),
        ({"tools": [WEATHER], "tool_choice": {"type": "function", "function": {"name": "nope"}}}, "tool_choice"),
        ({"tools": [{"type": "function", "function": {}}]}, "tools[0].function.name"),
        ({"tools": [{"function": {"name": "x"}}]}, "tools[0].type"),
    ],
)
def test_bad_tools_are_refused(client: OpenAI, options: dict[str, Any], param: str) -> None:
    with pytest.raises(BadRequestError) as caught:
        ask(client, "hi", **options)
    assert caught.value.param == param


def test_a_strict_function_needs_a_closed_schema(client: OpenAI) -> None:
    loose = {"type": "function", "function": {**WEATHER["function"], "strict": True}}
    with pytest.raises(BadRequestError, match=r"Invalid schema for function 'get_weather'.*additionalProperties"):
        ask(client, "hi", tools=[loose])


ARITHMETIC: dict[str, Any] = {
    "type": "object",
    "properties": {"x": {"type": "number"}, "y": {"type": "number"}},
    "required": ["x", "y"],
}


@pytest.mark.parametrize(
    ("name", "text", "arguments"),
    [
        ("multiply", "Multiply 6 and 7.", {"x": 6, "y": 7}),
        ("multiply", "multiply six and seven", {"x": 6, "y": 7}),
        ("multiply", "What is 12 times 5?", {"x": 12, "y": 5}),
        ("add", "add y=3 and x=-4", {"x": -4, "y": 3}),
        ("subtract", "7 minus 2", {"x": 7, "y": 2}),
        ("multiply", "multiply 1,000 by -2.5", {"x": 1000, "y": -2.5}),
        ("multiply", "Multiply 1,234,567.5 by \u22123, with gpt-4.", {"x": 1234567.5, "y": -3}),
        ("add", "add y: 2,000 and x -0.5", {"x": -0.5, "y": 2000}),
        ("add", "add 1,2 and so on", {"x": 1, "y": 2}),
        ("subtract", "subtract: 10-20", {"x": 10, "y": 20}),
    ],
)
def test_numbers_of_the_question_are_arguments(
    client: OpenAI, name: str, text: str, arguments: dict[str, float]
) -> None:
    tool = {"type": "function", "function": {"name": name, "parameters": ARITHMETIC}}
    assert called(ask(client, text, tools=[tool])) == [(name, arguments)]


@pytest.mark.parametrize(
    ("text", "arguments"),
    [
        ("Register a user named Bob, age 30, email: bob@example.org", ("Bob", 30, "bob@example.org")),
        ("Register the user name 'Bob Ross' whose age is 52", ("Bob Ross", 52, "ada@example.com")),
        ("Register a user. What age is it?", ("Ada Lovelace", 36, "ada@example.com")),
    ],
)
def test_what_the_question_says_of_an_argument_is_taken(client: OpenAI, text: str, arguments: tuple[Any, ...]) -> None:
    kinds = {"name": "string", "age": "integer", "email": "string"}
    schema = {
        "type": "object",
        "properties": {key: {"type": kind} for key, kind in kinds.items()},
        "required": [*kinds],
    }
    tool = {"type": "function", "function": {"name": "register_user", "parameters": schema}}
    assert called(ask(client, text, tools=[tool])) == [("register_user", dict(zip(kinds, arguments, strict=True)))]


@pytest.mark.parametrize("required", [{}, {"required": []}])
@pytest.mark.parametrize(
    ("name", "properties", "text", "arguments"),
    [
        ("add", {"a": "integer", "b": "integer"}, "add 2 and 3", {"a": 2, "b": 3}),
        ("roll_dice", {"sides": "integer"}, "roll the dice", {"sides": 42}),
        ("set_alarm", {"label": "string", "on": "boolean"}, "set an alarm", {"label": "sample label", "on": True}),
        ("search", {"query": "string"}, "search for cats", {"query": "search for cats"}),
    ],
)
def test_a_schema_that_requires_nothing_is_filled_all_the_same(
    client: OpenAI, name: str, properties: dict[str, str], text: str, arguments: dict[str, Any], required: Any
) -> None:
    schema = {"type": "object", "properties": {key: {"type": kind} for key, kind in properties.items()}, **required}
    tool = {"type": "function", "function": {"name": name, "parameters": schema}}
    assert called(ask(client, text, tools=[tool])) == [(name, arguments)]


def test_a_default_is_left_to_the_tool_until_the_question_says_otherwise(client: OpenAI) -> None:
    days = {"days": {"type": "integer", "default": 1}, "city": {"type": "string"}}
    tool = {"type": "function", "function": {"name": "get_forecast", "parameters": {"properties": days}}}
    assert called(ask(client, "forecast for Rome", tools=[tool])) == [("get_forecast", {"city": "Rome"})]
    arguments = {"city": "Rome", "days": 3}
    assert called(ask(client, "forecast for Rome, days: 3", tools=[tool])) == [("get_forecast", arguments)]
