"""Tools that OpenAI's models know by themselves and that the client of the Responses API runs, on other vendors."""

import json
from typing import Any

import pytest

from providers.dialects import responses
from providers.dialects.events import Finish, Start, ToolDelta, ToolStart
from providers.dialects.neutral import Answer, Choice, ToolCall
from tests.support.dialect_cases import to_anthropic, to_chat, to_gemini
from tests.support.openapi import assert_valid
from tests.support.vendor_specs import assert_anthropic, assert_gemini

LOOK = {"type": "function", "name": "look", "parameters": {"type": "object"}, "strict": False}
EDIT = {"type": "custom", "name": "edit", "format": {"type": "text"}}
SPACE = {"type": "namespace", "name": "desk", "description": "d", "tools": [LOOK, EDIT]}
SEARCH = {
    "type": "tool_search",
    "execution": "client",
    "description": "Finds tools.",
    "parameters": {"type": "object", "properties": {"query": {"type": "string"}}, "required": ["query"]},
}
ASKED: dict[str, Any] = {
    "model": "m",
    "store": False,
    "tools": [SEARCH, {"type": "local_shell"}],
    "input": [
        {"type": "additional_tools", "id": "at_1", "role": "developer", "tools": [SPACE]},
        {"role": "user", "content": "go"},
        {"type": "tool_search_call", "call_id": "c1", "execution": "client", "arguments": {"query": "weather"}},
        {
            "type": "local_shell_call",
            "id": "lsh_1",
            "call_id": "c2",
            "status": "completed",
            "action": {"type": "exec", "command": ["ls"], "env": {}},
        },
        {"type": "custom_tool_call", "call_id": "c3", "namespace": "desk", "name": "edit", "input": "x"},
        {
            "type": "tool_search_output",
            "call_id": "c1",
            "execution": "client",
            "tools": [{**LOOK, "name": "forecast"}],
        },
        {"type": "local_shell_call_output", "id": "lsh_1", "output": '{"output":"a.txt"}'},
        {"type": "custom_tool_call_output", "call_id": "c3", "output": "one"},
        {"type": "custom_tool_call_output", "call_id": "c3", "output": "two"},
    ],
}
CALLS = {
    "tool_search": ('{"query":"cats"}', "tool_search_call", "arguments", {"query": "cats"}),
    "local_shell": (
        '{"command":["ls","-l"],"timeout_ms":5}',
        "local_shell_call",
        "action",
        {"type": "exec", "command": ["ls", "-l"], "env": {}, "timeout_ms": 5},
    ),
    "desk__edit": ('{"input":"y"}', "custom_tool_call", "input", "y"),
    "desk__look": ("{}", "function_call", "arguments", "{}"),
    "forecast": ("{}", "function_call", "arguments", "{}"),
}
every_call = pytest.mark.parametrize(
    ("name", "arguments", "kind", "field", "value"), [(k, *v) for k, v in CALLS.items()]
)


def test_they_are_functions_for_others() -> None:
    request = responses.read_request(ASKED)
    body = to_anthropic(request)
    assert_anthropic("CreateMessageParams", body)
    assert {tool["name"] for tool in body["tools"]} == set(CALLS)
    called, answered = body["messages"][1]["content"], body["messages"][2]["content"]
    assert [(block["name"], block["input"]) for block in called] == [
        ("tool_search", {"query": "weather"}),
        ("local_shell", {"command": ["ls"], "env": {}}),
        ("desk__edit", {"input": "x"}),
    ]
    assert [block["tool_use_id"] for block in answered] == ["c1", "c2", "c3"]
    assert answered[0]["content"] == "These tools can be called now: forecast."
    assert answered[1]["content"] == '{"output":"a.txt"}'
    assert [part["text"] for part in answered[2]["content"]] == ["one", "two"]
    assert_gemini("GenerateContentRequest", to_gemini(request))
    assert_valid("CreateChatCompletionRequest", to_chat(request))


def checked(item: dict[str, Any], name: str, kind: str, field: str, value: Any) -> None:
    assert (item["type"], item["call_id"], item[field]) == (kind, "c9", value)
    assert item.get("namespace") == ("desk" if name.startswith("desk") else None)
    if "name" in item:
        assert item["name"] == name.removeprefix("desk__")


@every_call
def test_their_calls_are_items_of_their_own(name: str, arguments: str, kind: str, field: str, value: Any) -> None:
    answer = Answer("a", "m", 1, [Choice([ToolCall("c9", name, arguments)], "tool_calls")])
    written = json.loads(responses.write_answer(answer, responses.read_request(ASKED), ASKED))
    assert_valid("Response", written)
    checked(written["output"][0], name, kind, field, value)


@every_call
def test_their_calls_in_a_stream(name: str, arguments: str, kind: str, field: str, value: Any) -> None:
    writer = responses.StreamWriter(responses.read_request(ASKED), ASKED)
    half = len(arguments) // 2
    events = [
        Start("a", "m", 1),
        ToolStart(0, 1, 0, "c9", name),
        ToolDelta(0, 1, 0, arguments[:half]),
        ToolDelta(0, 1, 0, arguments[half:]),
        Finish(0, "tool_calls"),
    ]
    stream = b"".join(writer.write(event) for event in events) + writer.end()
    found = [json.loads(line[6:]) for line in stream.splitlines() if line.startswith(b"data: ")]
    for event in found:
        assert_valid("ResponseStreamEvent", event)
    (done,) = [event["item"] for event in found if event["type"] == "response.output_item.done"]
    checked(done, name, kind, field, value)
    assert found[-1]["response"]["output"] == [done]


def test_what_the_vendor_searches_is_all_offered() -> None:
    asked = {"input": "hi", "tools": [{"type": "tool_search"}, {**LOOK, "defer_loading": True}]}
    assert [tool.name for tool in responses.read_request(asked).tools] == ["look"]


def test_a_shells_words_may_come_as_one() -> None:
    answer = Answer("a", "m", 1, [Choice([ToolCall("c9", "local_shell", '{"command":"ls | wc"}')], "tool_calls")])
    written = json.loads(responses.write_answer(answer, responses.read_request(ASKED), ASKED))
    assert written["output"][0]["action"]["command"] == ["sh", "-c", "ls | wc"]
