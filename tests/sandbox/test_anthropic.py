"""Anthropic's API of the sandbox: through Anthropic's own SDK, and valid by Anthropic's own description."""

import json
from typing import Any

import anthropic
import httpx
import pytest
from anthropic import Anthropic

from sandbox.anthropic.message import REDACTED
from tests.support.dialect_cases import PNG
from tests.support.sandbox_process import KEY, SandboxProcess
from tests.support.vendor_specs import assert_anthropic

MODEL = "claude-sonnet-4-5"
WEATHER: dict[str, Any] = {
    "name": "get_weather",
    "description": "Get the current weather for a city.",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}
PDF = "JVBERi0xLjQKJcOkw7zDtsOfCg=="
LONG = "The history of the sea, at length. " * 200


def raw(sandbox: SandboxProcess, body: dict[str, Any], path: str = "/v1/messages", **headers: str) -> httpx.Response:
    sent = {"x-api-key": KEY, "anthropic-version": "2023-06-01", "authorization": ""} | headers
    body = {"model": MODEL, "max_tokens": 100, "messages": [{"role": "user", "content": "hi"}]} | body
    if path.endswith("count_tokens"):
        del body["max_tokens"]
    sent = {name: value for name, value in sent.items() if value}
    return httpx.post(sandbox.origin + path, json=body, headers=sent, trust_env=False)


def events(sandbox: SandboxProcess, body: dict[str, Any]) -> list[dict[str, Any]]:
    """The events of a stream, each valid and under its own name."""
    answer = raw(sandbox, {**body, "stream": True})
    assert answer.status_code == 200, answer.text
    found = []
    for event in answer.text.removesuffix("\n\n").split("\n\n"):
        name, data = event.split("\n")
        fields = json.loads(data.removeprefix("data: "))
        assert name == f"event: {fields['type']}"
        if fields["type"] != "ping":
            assert_anthropic("MessageStreamEvent", fields)
        found.append(fields)
    return found


def text_of(message: anthropic.types.Message) -> str:
    return "".join(block.text for block in message.content if block.type == "text")


def ask(claude: Anthropic, prompt: Any, **options: Any) -> anthropic.types.Message:
    options = {"model": MODEL, "max_tokens": 1000, "messages": [{"role": "user", "content": prompt}]} | options
    return claude.messages.create(**options)


def test_a_message(sandbox: SandboxProcess, claude: Anthropic) -> None:
    message = ask(claude, "Count from 1 to 5.", system="Be brief.")
    assert text_of(message) == "1 2 3 4 5"
    assert (message.stop_reason, message.usage.output_tokens) == ("end_turn", 5)
    assert message.usage.input_tokens > 5
    assert_anthropic("Message", raw(sandbox, {}).json())


def test_the_end_says_why(claude: Anthropic) -> None:
    assert ask(claude, "Count from 1 to 9.", max_tokens=3).stop_reason == "max_tokens"
    stopped = ask(claude, "Count from 1 to 9.", stop_sequences=["7", "4"])
    assert (stopped.stop_reason, stopped.stop_sequence, text_of(stopped)) == ("stop_sequence", "4", "1 2 3 ")
    refused = ask(claude, "x [[sandbox: refusal]]")
    assert (refused.stop_reason, refused.content) == ("refusal", [])
    assert refused.stop_details is not None
    assert refused.stop_details.explanation


def test_a_stream_has_anthropics_events_in_their_order(sandbox: SandboxProcess) -> None:
    found = events(sandbox, {"messages": [{"role": "user", "content": "Count from 1 to 3."}]})
    assert [event["type"] for event in found] == [
        *("message_start", "content_block_start", "ping", "content_block_delta", "content_block_delta"),
        *("content_block_delta", "content_block_stop", "message_delta", "message_stop"),
    ]
    assert found[0]["message"]["content"] == []
    assert [event["delta"]["text"] for event in found if event["type"] == "content_block_delta"] == ["1", " 2", " 3"]
    assert found[-2]["usage"]["output_tokens"] == 3
    assert found[-2]["delta"]["stop_reason"] == "end_turn"


def test_the_sdk_assembles_a_stream(claude: Anthropic) -> None:
    messages: Any = [{"role": "user", "content": "What's the weather in Paris and Rome?"}]
    tools: Any = [WEATHER]
    with claude.messages.stream(model=MODEL, max_tokens=500, messages=messages, tools=tools) as stream:
        message = stream.get_final_message()
    calls = [block for block in message.content if block.type == "tool_use"]
    assert [call.input for call in calls] == [{"city": "Paris"}, {"city": "Rome"}]
    assert message.stop_reason == "tool_use"
    assert len({call.id for call in calls}) == 2


def test_calls_are_answered_and_parallel_ones_can_be_forbidden(claude: Anthropic) -> None:
    question = "What's the weather in Paris and Rome?"
    first = ask(claude, question, tools=[WEATHER])
    results = [
        {"type": "tool_result", "tool_use_id": block.id, "content": [{"type": "text", "text": '{"sky": "clear"}'}]}
        for block in first.content
    ]
    turns = [{"role": "user", "content": question}, {"role": "assistant", "content": first.content}]
    second = ask(claude, "", tools=[WEATHER], messages=[*turns, {"role": "user", "content": results}])
    assert text_of(second) == "get_weather says: sky: clear. get_weather says: sky: clear."
    one = ask(claude, question, tools=[WEATHER], tool_choice={"type": "auto", "disable_parallel_tool_use": True})
    assert len(one.content) == 1
    forced = ask(claude, "Hello", tools=[WEATHER], tool_choice={"type": "tool", "name": "get_weather"})
    assert forced.stop_reason == "tool_use"
    assert ask(claude, question, tools=[WEATHER], tool_choice={"type": "none"}).stop_reason == "end_turn"


@pytest.mark.parametrize(
    ("model", "thinking"),
    [
        (MODEL, {"type": "enabled", "budget_tokens": 1024}),
        ("claude-opus-4-8", {"type": "adaptive", "display": "summarized"}),
    ],
)
def test_thinking_comes_with_a_signature_that_must_come_back(
    sandbox: SandboxProcess, claude: Anthropic, model: str, thinking: dict[str, Any]
) -> None:
    question = "What's the weather in Paris?"
    options: dict[str, Any] = {"model": model, "max_tokens": 4000, "thinking": thinking, "tools": [WEATHER]}
    with claude.messages.stream(messages=[{"role": "user", "content": question}], **options) as stream:
        first = stream.get_final_message()
    assert [block.type for block in first.content] == ["thinking", "tool_use"]
    assert first.usage.output_tokens_details is not None
    assert first.usage.output_tokens_details.thinking_tokens > 0
    plain = [block.model_dump(exclude={"caller"}) for block in first.content]
    result = {"type": "tool_result", "tool_use_id": plain[1]["id"], "content": "rain"}

    def go_on(turn: list[dict[str, Any]]) -> httpx.Response:
        messages = [
            {"role": "user", "content": question},
            {"role": "assistant", "content": turn},
            {"role": "user", "content": [result]},
        ]
        return raw(sandbox, {**options, "messages": messages})

    assert go_on(plain).status_code == 200
    assert "Invalid `signature`" in go_on([{**plain[0], "signature": "forged"}, plain[1]]).text
    without = go_on(plain[1:])
    assert (without.status_code == 400) == (thinking["type"] == "enabled")


def test_thinking_can_be_hidden(claude: Anthropic) -> None:
    hidden = ask(claude, "Hello", model="claude-opus-5")
    assert [(block.type, getattr(block, "thinking", "")) for block in hidden.content] == [
        ("thinking", ""),
        ("text", ""),
    ]
    redacted = ask(claude, f"{REDACTED} hi", model="claude-opus-5")
    assert [block.type for block in redacted.content] == ["redacted_thinking", "text"]
    assert ask(claude, "Hello", model="claude-opus-5", thinking={"type": "disabled"}).content[0].type == "text"


def test_images_and_documents_are_seen(claude: Anthropic) -> None:
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}}
    linked = {"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}}
    document = {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": PDF}}
    text = {"type": "document", "title": "Notes", "source": {"type": "text", "media_type": "text/plain", "data": "abc"}}
    said = text_of(ask(claude, [image, linked, document, text, {"type": "text", "text": "What is this?"}]))
    for part in ("image/png, 70 bytes", "https://example.com/a.png", "application/pdf", "Notes, text/plain, 3 bytes"):
        assert part in said


def test_json_by_a_schema(claude: Anthropic) -> None:
    schema = {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
        "additionalProperties": False,
    }
    form = {"format": {"type": "json_schema", "schema": schema}}
    assert json.loads(text_of(ask(claude, "I live in Rome.", output_config=form))) == {"city": "Rome"}


def test_the_prompt_cache_is_written_then_read_then_forgotten(sandbox: SandboxProcess, claude: Anthropic) -> None:
    def use(ttl: str, question: str = "Why?") -> anthropic.types.Usage:
        system = [{"type": "text", "text": f"{ttl} {LONG}", "cache_control": {"type": "ephemeral", "ttl": ttl}}]
        return ask(claude, question, system=system).usage

    for ttl, seconds in (("5m", 301), ("1h", 3601)):
        first, second = use(ttl), use(ttl, "Why not?")
        assert first.cache_creation_input_tokens
        assert first.cache_creation_input_tokens > 1024
        assert first.cache_read_input_tokens == 0
        assert first.cache_creation is not None
        assert first.cache_creation.model_dump()[f"ephemeral_{ttl}_input_tokens"] == first.cache_creation_input_tokens
        assert second.cache_read_input_tokens == first.cache_creation_input_tokens
        assert second.cache_creation_input_tokens == 0
        assert second.input_tokens < 20  # what was cached is not counted again
        sandbox.advance(seconds)
        assert use(ttl).cache_read_input_tokens == 0


def test_short_prompts_are_not_cached(claude: Anthropic) -> None:
    text = [{"type": "text", "text": "short", "cache_control": {"type": "ephemeral"}}]
    assert ask(claude, text).usage.cache_creation_input_tokens == 0


def test_tokens_are_counted_as_they_are_charged(sandbox: SandboxProcess, claude: Anthropic) -> None:
    asked: dict[str, Any] = {
        "system": "Be kind.",
        "messages": [{"role": "user", "content": "How are you?"}],
        "tools": [WEATHER],
    }
    counted = claude.messages.count_tokens(model=MODEL, **asked)
    assert counted.input_tokens == claude.messages.create(model=MODEL, max_tokens=9, **asked).usage.input_tokens
    assert_anthropic("CountMessageTokensResponse", raw(sandbox, {}, "/v1/messages/count_tokens").json())


def test_models_are_listed_by_page(sandbox: SandboxProcess, claude: Anthropic) -> None:
    listed = list(claude.models.list(limit=7))
    assert len(listed) == len({model.id for model in listed}) > 14
    page = claude.models.list(limit=3)
    assert page.has_more
    assert claude.models.list(limit=3, before_id=listed[4].id).data[-1].id == listed[3].id
    assert claude.models.retrieve(MODEL).display_name == "Claude Sonnet 4.5"
    with pytest.raises(anthropic.NotFoundError):
        claude.models.retrieve("gpt-4o")
    assert len(sandbox.get("/models").json()["data"]) > len(listed)  # without the header the list is OpenAI's


TURN = {"role": "user", "content": "hi"}
BAD: dict[str, tuple[dict[str, Any], str]] = {
    "no model": ({"model": None}, "model: Field required"),
    "an unknown field": ({"n": 2}, "n: Extra inputs are not permitted"),
    "too many tokens": ({"max_tokens": 64_001}, "maximum allowed number of output tokens"),
    "no messages": ({"messages": []}, "at least one message"),
    "a bad role": ({"messages": [{"role": "tool", "content": "x"}]}, "messages.0.role"),
    "empty text": ({"messages": [{"role": "user", "content": ""}]}, "must be non-empty"),
    "the assistant first": ({"messages": [{"role": "assistant", "content": "x"}, TURN]}, "first message"),
    "white space at the end": ({"messages": [TURN, {"role": "assistant", "content": "x "}]}, "trailing whitespace"),
    "a prefill": ({"model": "claude-opus-4-6", "messages": [TURN, {"role": "assistant", "content": "x"}]}, "prefill"),
    "a call without result": (
        {
            "messages": [
                TURN,
                {"role": "assistant", "content": [{"type": "tool_use", "id": "t", "name": "f", "input": {}}]},
                TURN,
            ]
        },
        "without `tool_result`",
    ),
    "a result without call": (
        {"messages": [{"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t"}]}]},
        "unexpected `tool_use_id`",
    ),
    "both sampling parameters": ({"temperature": 0.5, "top_p": 0.5}, "cannot both"),
    "sampling of the newest": ({"model": "claude-opus-5", "temperature": 0.5}, "not supported"),
    "a temperature beside thinking": (
        {"thinking": {"type": "enabled", "budget_tokens": 1024}, "max_tokens": 2000, "temperature": 0.5},
        "when thinking is enabled",
    ),
    "a budget above the limit": ({"thinking": {"type": "enabled", "budget_tokens": 1024}}, "greater than"),
    "a small budget": ({"thinking": {"type": "enabled", "budget_tokens": 5}}, "greater than or equal to 1024"),
    "a budget for the newest": (
        {"model": "claude-opus-4-8", "thinking": {"type": "enabled", "budget_tokens": 1024}, "max_tokens": 2000},
        "Use 'adaptive'",
    ),
    "thinking and a forced tool": (
        {
            "thinking": {"type": "enabled", "budget_tokens": 1024},
            "max_tokens": 2000,
            "tools": [WEATHER],
            "tool_choice": {"type": "any"},
        },
        "forces tool use",
    ),
    "none and parallel": (
        {"tools": [WEATHER], "tool_choice": {"type": "none", "disable_parallel_tool_use": True}},
        "Extra inputs",
    ),
    "a tool without type": ({"tools": [{"name": "f", "input_schema": {}}]}, "input_schema.type: Field required"),
    "a bad name": ({"tools": [{"name": "a b", "input_schema": {"type": "object"}}]}, "should match pattern"),
    "an open schema": (
        {"output_config": {"format": {"type": "json_schema", "schema": {"type": "object"}}}},
        "additionalProperties",
    ),
    "five marks": (
        {"system": [{"type": "text", "text": "x", "cache_control": {"type": "ephemeral"}}] * 5},
        "A maximum of 4 blocks",
    ),
    "an hour after five minutes": (
        {
            "system": [
                {"type": "text", "text": "x", "cache_control": {"type": "ephemeral", "ttl": ttl}}
                for ttl in ("5m", "1h")
            ]
        },
        "must not come after",
    ),
    "an image that is another": (
        {
            "messages": [
                {
                    "role": "user",
                    "content": [
                        {"type": "image", "source": {"type": "base64", "media_type": "image/jpeg", "data": PNG}}
                    ],
                }
            ]
        },
        "appears to be a image/png image",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_what_anthropic_refuses(sandbox: SandboxProcess, case: str) -> None:
    body, message = BAD[case]
    answer = raw(sandbox, body)
    assert answer.status_code == 400, answer.text
    assert_anthropic("ErrorResponse", answer.json())
    assert answer.json()["error"]["type"] == "invalid_request_error"
    assert message in answer.json()["error"]["message"]


def test_keys_and_versions(sandbox: SandboxProcess) -> None:
    assert raw(sandbox, {}, **{"x-api-key": "", "authorization": f"Bearer {KEY}"}).status_code == 200
    for headers in ({"x-api-key": "no"}, {"x-api-key": ""}, {"x-api-key": "", "authorization": "Bearer no"}):
        refused = raw(sandbox, {}, **headers)
        assert refused.status_code == 401
        assert refused.json()["error"]["type"] == "authentication_error"
    assert "anthropic-version" in raw(sandbox, {}, **{"anthropic-version": ""}).text


def test_errors_on_demand(sandbox: SandboxProcess, claude: Anthropic) -> None:
    with pytest.raises(anthropic.NotFoundError, match="claude-9"):
        ask(claude, "hi", model="claude-9")
    with pytest.raises(anthropic.RateLimitError) as limited:
        ask(claude, "hi [[sandbox: status=429 retry-after=7]]")
    assert limited.value.response.headers["retry-after"] == "7"
    assert limited.value.request_id
    overloaded = raw(sandbox, {}, **{"x-sandbox": "status=529"})
    assert overloaded.json()["error"] == {"type": "overloaded_error", "message": "Overloaded"}
    assert_anthropic("ErrorResponse", overloaded.json())
    assert httpx.get(f"{sandbox.origin}/v1/messages/x", headers={"x-api-key": KEY}).json()["type"] == "error"


def test_an_error_amid_a_stream(claude: Anthropic) -> None:
    with pytest.raises(anthropic.APIStatusError, match="Overloaded"), claude.messages.stream(
        model=MODEL, max_tokens=9, messages=[{"role": "user", "content": "hi [[sandbox: error-after=4]]"}]
    ) as stream:  # fmt: skip
        stream.get_final_message()
