"""A conversation that goes through another dialect and back keeps its messages, calls, results and tools."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from providers.dialects import anthropic, chat, gemini, responses
from providers.dialects.neutral import Settings
from tests.support.dialect_cases import PNG
from tests.support.openapi import assert_valid
from tests.support.vendor_specs import assert_anthropic, assert_gemini

words = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20).filter(
    lambda text: text == text.strip()
)
names = st.from_regex(r"[a-z][a-z0-9_]{0,12}", fullmatch=True)
objects = st.dictionaries(
    names, st.integers(0, 99) | words | st.booleans() | st.lists(st.integers(0, 9), max_size=2), max_size=3
)
image = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}}


@st.composite
def conversations(draw):
    tools = draw(st.lists(names, min_size=1, max_size=3, unique=True))
    messages = [{"role": "system", "content": draw(words)}] if draw(st.booleans()) else []
    number = 0
    for _ in range(draw(st.integers(1, 3))):
        shown = [{"type": "text", "text": draw(words)}, image]
        messages.append({"role": "user", "content": draw(st.sampled_from([shown, draw(words)]))})
        if draw(st.booleans()):
            calls = []
            for _ in range(draw(st.integers(1, 3))):
                number += 1
                function = {"name": draw(st.sampled_from(tools)), "arguments": json.dumps(draw(objects))}
                calls.append({"id": f"call_{number}", "type": "function", "function": function})
            messages.append({"role": "assistant", "content": draw(st.none() | words), "tool_calls": calls})
            for call in calls:
                messages.append({"role": "tool", "tool_call_id": call["id"], "content": draw(words)})
        messages.append({"role": "assistant", "content": draw(words)})
    messages.append({"role": "user", "content": draw(words)})
    declared = [
        {"type": "function", "function": {"name": name, "description": f"Does {name}.", "parameters": {
            "type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}}}
        for name in tools
    ]  # fmt: skip
    return {"model": "m", "messages": messages, "tools": declared}


def meaning(messages):
    """What a conversation says: role by role, with adjacent texts of a role as one, and calls' arguments as values."""
    found = []
    for message in messages:
        content = message.get("content")
        parts = [{"type": "text", "text": content}] if isinstance(content, str) and content else content or []
        for part in parts:
            said = part.get("text") if part["type"] == "text" else part["image_url"]["url"]
            if (
                found
                and found[-1][0] == message["role"] != "tool"
                and part["type"] == "text"
                and isinstance(found[-1][1], list)
            ):
                found[-1][1].append(said)
            else:
                found.append([message["role"], [said], message.get("tool_call_id")])
        for call in message.get("tool_calls") or []:
            function = call["function"]
            found.append(["call", call["id"], function["name"], json.loads(function["arguments"])])
    return found


ROADS = {
    "anthropic": (anthropic, "claude-sonnet-4-5", lambda body: assert_anthropic("CreateMessageParams", body)),
    "gemini": (gemini, "gemini-3.8-flash", lambda body: assert_gemini("GenerateContentRequest", body)),
    "responses": (responses, "gpt-5.4", lambda body: assert_valid("CreateResponse", body)),
    "chat": (chat, "gpt-4.1", lambda body: assert_valid("CreateChatCompletionRequest", body)),
}


@pytest.mark.parametrize("road", ROADS)
@given(fields=conversations())
@settings(max_examples=40)
def test_there_and_back(road, fields):
    dialect, model, check = ROADS[road]
    body = json.loads(dialect.write_request(chat.read_request(fields), Settings(model=model)).body)
    check(body)
    back = json.loads(chat.write_request(dialect.read_request(body), Settings(model="m")).body)
    assert meaning(back["messages"]) == meaning(fields["messages"])
    assert [tool["function"] for tool in back["tools"]] == [
        {**tool["function"], **({"strict": False} if road == "responses" else {})} for tool in fields["tools"]
    ]
