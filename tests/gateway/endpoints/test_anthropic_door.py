"""Anthropic's SDK works through Gatehouse: with its own vendor byte for byte, with any other model by conversion."""

import json
from collections.abc import Iterator
from typing import Any

import anthropic
import pytest
from anthropic import Anthropic

from tests.gateway.pipeline.test_usage_records import dollars, record_of
from tests.support.fixtures import ACCOUNT, CHAT, InstallationMaker
from tests.support.installation import Gateway
from tests.support.sandbox_process import SandboxProcess
from tests.support.vendor_accounts import CLAUDE_PATH, GEMINI_PATH, model_of
from tests.support.vendor_specs import assert_gemini
from tests.support.vendor_upstream import (
    CLAUDE,
    CONTENT,
    GEMINI,
    MESSAGE,
    OVERLOADED,
    VendorUpstream,
    message_events,
    sse,
)

ASKED: Any = [{"role": "user", "content": "Count from 1 to 3."}]
WEATHER: Any = {
    "name": "get_weather",
    "description": "Tell the weather of a city.",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}
HEADERS = {"anthropic-version": "2023-06-01", "anthropic-beta": "context-1m-2025-08-07"}


@pytest.fixture
def claude(gateway: Gateway, token: str) -> Iterator[Anthropic]:
    """Anthropic's SDK in front of the shared gateway; it sends its key as ``x-api-key``."""
    with Anthropic(base_url=gateway.origin, api_key=token, max_retries=0) as client:
        yield client


# --- with a model of OpenAI's dialect -----------------------------------------------------------------------


def test_a_message(claude: Anthropic, gateway: Gateway, upstream: SandboxProcess) -> None:
    raw = claude.messages.with_raw_response.create(model=CHAT, max_tokens=50, messages=ASKED, system="Be brief.")
    message = raw.parse()
    block: Any = message.content[0]
    assert block.text
    assert (message.role, message.stop_reason, message.type) == ("assistant", "end_turn", "message")
    assert message.usage.input_tokens > 0
    assert "provider" not in message.to_dict()
    sent = json.loads(upstream.requests()[-1]["body"])
    assert sent["messages"][0] == {"role": "system", "content": "Be brief."}
    (record,) = gateway.installation.records(1, request_id=raw.headers["x-request-id"])
    assert (record["operation"], record["endpoint"], record["model_served"]) == ("messages", "messages", "gpt-4o-mini")
    assert record["input_tokens"] == message.usage.input_tokens
    assert record["cost_pico"] > 0


def test_a_stream(claude: Anthropic) -> None:
    with claude.messages.stream(model=CHAT, max_tokens=50, messages=ASKED) as stream:
        kinds = [event.type for event in stream]
        message = stream.get_final_message()
    assert kinds[0] == "message_start"
    assert kinds[-1] == "message_stop"
    block: Any = message.content[0]
    assert block.text
    assert message.stop_reason == "end_turn"
    assert message.usage.output_tokens > 0


@pytest.mark.parametrize("stream", [False, True])
def test_tools_and_their_results(claude: Anthropic, stream: bool) -> None:
    asked: dict[str, Any] = {
        "model": CHAT,
        "max_tokens": 200,
        "tools": [WEATHER],
        "tool_choice": {"type": "tool", "name": "get_weather"},
        "messages": [{"role": "user", "content": "What is the weather in Rome?"}],
    }
    if stream:
        with claude.messages.stream(**asked) as opened:
            message = opened.get_final_message()
    else:
        message = claude.messages.create(**asked)
    assert message.stop_reason == "tool_use"
    call: Any = message.content[-1]
    assert (call.type, call.name) == ("tool_use", "get_weather")
    assert isinstance(call.input["city"], str)
    answered: Any = [
        *asked["messages"],
        {"role": "assistant", "content": [block.to_dict() for block in message.content]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": call.id, "content": "sunny"}]},
    ]
    last: Any = claude.messages.create(model=CHAT, max_tokens=200, tools=[WEATHER], messages=answered)
    assert last.content[0].text


def test_what_coding_agents_send(claude: Anthropic, upstream: SandboxProcess) -> None:
    system: Any = [{"type": "text", "text": "You are an agent.", "cache_control": {"type": "ephemeral"}}]
    with claude.messages.stream(
        model=CHAT,
        max_tokens=2048,
        system=system,
        messages=ASKED,
        tools=[{**WEATHER, "cache_control": {"type": "ephemeral"}}],
        thinking={"type": "enabled", "budget_tokens": 1024},
        metadata={"user_id": "user_1"},
        extra_headers={"anthropic-beta": "interleaved-thinking-2025-05-14"},
        extra_query={"beta": "true"},
    ) as stream:
        assert stream.get_final_message().content
    request = upstream.requests()[-1]
    assert "anthropic-beta" not in request["headers"]
    assert b"cache_control" not in request["body"]
    assert b"reasoning_effort" not in request["body"]


AGENT: dict[str, Any] = {
    "model": f"{ACCOUNT}/o4-mini",
    "betas": ["claude-code-20250219", "interleaved-thinking-2025-05-14", "context-management-2025-06-27"],
    "system": [
        {"type": "text", "text": "You are an agent.", "cache_control": {"type": "ephemeral"}},
        {
            "type": "text",
            "text": " ".join(f"Rule {number}: keep it short." for number in range(600)),
            "cache_control": {"type": "ephemeral", "ttl": "1h"},
        },
    ],
    "tools": [{**WEATHER, "cache_control": {"type": "ephemeral"}}],
    "thinking": {"type": "enabled", "budget_tokens": 10_000},
}
ENDLESS = {"context_management": {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]}}


def test_a_coding_agents_turn_on_a_model_that_reasons(
    claude: Anthropic, gateway: Gateway, upstream: SandboxProcess
) -> None:
    asked = {**AGENT, "max_tokens": 20_000, "metadata": {"user_id": "user_1_session_2"}}
    reminder = {"type": "text", "text": "<system-reminder>Be quick.</system-reminder>"}
    question = {"type": "text", "text": "Use get_weather for Rome.", "cache_control": {"type": "ephemeral"}}
    messages: list[Any] = [{"role": "user", "content": [reminder, question]}]
    with claude.beta.messages.stream(messages=messages, extra_body=ENDLESS, **asked) as stream:
        kinds = [event.type for event in stream]
        first = stream.get_final_message()
    assert (kinds[0], kinds[-1], first.stop_reason) == ("message_start", "message_stop", "tool_use")
    call: Any = first.content[-1]
    assert (call.type, call.name) == ("tool_use", "get_weather")
    sent = json.loads(upstream.requests()[-1]["body"])
    assert (sent["reasoning_effort"], sent["user"]) == ("high", "user_1_session_2")
    assert (sent["max_completion_tokens"], sent["stream_options"]) == (20_000, {"include_usage": True})
    assert not {"thinking", "context_management", "metadata", "betas"} & sent.keys()
    result = {"type": "tool_result", "tool_use_id": call.id, "content": [{"type": "text", "text": "no such city"}]}
    messages += [
        {"role": "assistant", "content": [block.to_dict() for block in first.content]},
        {"role": "user", "content": [{**result, "is_error": True, "cache_control": {"type": "ephemeral"}}, reminder]},
    ]
    raw = claude.beta.messages.with_raw_response.create(messages=messages, extra_body=ENDLESS, **asked)
    last: Any = raw.parse()
    assert (last.stop_reason, last.content[-1].type) == ("end_turn", "text")
    assert "context_management" in raw.headers["x-gatehouse-dropped"]
    sent = json.loads(upstream.requests()[-1]["body"])
    assert [message["role"] for message in sent["messages"]] == ["system", "user", "assistant", "tool", "user"]
    assert sent["messages"][3]["content"] == "Error: no such city"
    for request in upstream.requests():
        assert "anthropic-beta" not in dict(request["headers"])
        assert b"cache_control" not in request["body"]
    (record,) = gateway.installation.records(1, request_id=raw.headers["x-request-id"])
    assert record["cached_tokens"] == last.usage.cache_read_input_tokens > 1000
    assert record["input_tokens"] == last.usage.input_tokens + record["cached_tokens"]
    assert record["reasoning_tokens"] > 0
    assert record["cost_pico"] > 0
    counted = claude.beta.messages.count_tokens(messages=messages, **AGENT)
    assert 0.5 < counted.input_tokens / record["input_tokens"] < 2


def test_a_count_is_estimated_where_the_vendor_does_not_count(claude: Anthropic, gateway: Gateway) -> None:
    counted = claude.messages.with_raw_response.count_tokens(model=CHAT, messages=ASKED, tools=[WEATHER])
    assert 10 < counted.parse().input_tokens < 100
    assert counted.headers["x-gatehouse-estimated"] == "true"
    (record,) = gateway.installation.records(1, request_id=counted.headers["x-request-id"])
    assert (record["operation"], record["status"], record["cost_pico"]) == ("messages.count_tokens", 200, 0)


# --- errors -------------------------------------------------------------------------------------------------


def test_errors_are_anthropics(claude: Anthropic, gateway: Gateway) -> None:
    stranger = Anthropic(base_url=gateway.origin, api_key="gh-wrong", max_retries=0)
    with pytest.raises(anthropic.AuthenticationError) as refused:
        stranger.messages.create(model=CHAT, max_tokens=5, messages=ASKED)
    assert refused.value.body["error"]["type"] == "authentication_error"  # type: ignore[index]
    with pytest.raises(anthropic.NotFoundError):
        claude.messages.create(model="nobody/nothing", max_tokens=5, messages=ASKED)
    with pytest.raises(anthropic.BadRequestError, match="messages"):
        claude.messages.create(model=CHAT, max_tokens=5, messages=[])
    prompt: Any = [{"role": "user", "content": "hi [[sandbox: status=429 retry-after=7]]"}]
    with pytest.raises(anthropic.RateLimitError) as limited:
        claude.messages.create(model=CHAT, max_tokens=5, messages=prompt)
    assert limited.value.body["error"]["type"] == "rate_limit_error"  # type: ignore[index]
    assert limited.value.response.headers["retry-after"] == "7"
    for error in (refused.value, limited.value):
        assert error.body["request_id"] == error.response.headers["x-request-id"]  # type: ignore[index]


def test_a_broken_stream_ends_with_anthropics_error(gateway: Gateway, token: str) -> None:
    body = {
        "model": CHAT,
        "max_tokens": 50,
        "stream": True,
        "messages": [{"role": "user", "content": "Count from 1 to 9. [[sandbox: cut_after=2]]"}],
    }
    answered = gateway.post(token, "/v1/messages", body)
    content = answered.content
    last = content.rstrip().rsplit(b"\n\n", 1)[-1]
    assert last.startswith(b"event: error\ndata: ")
    error = json.loads(last.partition(b"data: ")[2])
    assert (error["error"]["type"], error["request_id"]) == ("api_error", answered.headers["x-request-id"])
    assert b"message_stop" not in content


# --- with Anthropic's own models ----------------------------------------------------------------------------


def test_its_own_vendor_gets_and_gives_the_same_bytes(gateway: Gateway, token: str, vendor: VendorUpstream) -> None:
    vendor.answer(CLAUDE_PATH, MESSAGE)
    body = {"model": model_of("anthropic"), "max_tokens": 5, "messages": ASKED, "anything": {"new": [1.0]}}
    response = gateway.post(token, "/v1/messages", body, headers={**HEADERS, "anthropic-version": "2024-01-01"})
    assert response.content == json.dumps(MESSAGE).encode()
    _, _, headers, sent = vendor.asked[-1]
    assert sent == {**body, "model": CLAUDE}
    assert headers["anthropic-version"] == "2024-01-01"
    assert headers["anthropic-beta"] == HEADERS["anthropic-beta"]
    record = record_of(gateway, response)
    counted = ("input_tokens", "cached_tokens", "cache_write_tokens", "output_tokens")
    assert [record[name] for name in counted] == [1400, 1000, 300, 20]
    assert record["cost_pico"] == dollars("0.00225")


def test_its_own_streams_pass_byte_for_byte(gateway: Gateway, token: str, vendor: VendorUpstream) -> None:
    events = message_events("Hello ", "there.")
    vendor.answer(CLAUDE_PATH, events)
    body = {"model": model_of("anthropic"), "max_tokens": 5, "messages": ASKED, "stream": True}
    response = gateway.post(token, "/v1/messages", body)
    assert response.content == sse(events)
    record = record_of(gateway, response)
    assert (record["input_tokens"], record["output_tokens"], record["error_class"]) == (100, 20, "")
    assert record["ttft_us"] > 0


def test_its_own_errors_pass(gateway: Gateway, token: str, vendor: VendorUpstream) -> None:
    vendor.answer(CLAUDE_PATH, OVERLOADED, status=529)
    body = {"model": model_of("anthropic"), "max_tokens": 5, "messages": ASKED}
    response = gateway.post(token, "/v1/messages", body)
    assert (response.status_code, response.json()) == (529, OVERLOADED)
    assert record_of(gateway, response)["error_message"] == "Overloaded"


def test_its_own_count(claude: Anthropic, vendor: VendorUpstream) -> None:
    vendor.answer("/messages/count_tokens", {"input_tokens": 14})
    counted = claude.messages.count_tokens(model=model_of("anthropic"), messages=ASKED)
    assert counted.input_tokens == 14
    assert vendor.body["model"] == CLAUDE


def test_files_of_others_are_unknown(gateway: Gateway, token: str, vendor: VendorUpstream) -> None:
    source = {"type": "document", "source": {"type": "file", "file_id": "file_of_a_stranger"}}
    called = {"type": "tool_use", "id": "t", "name": "x", "input": {"file_id": "mine"}}
    for content in ([source], [{"type": "tool_result", "tool_use_id": "t", "content": [source]}]):
        body = {
            "model": model_of("anthropic"),
            "max_tokens": 5,
            "messages": [{"role": "assistant", "content": [called]}, {"role": "user", "content": content}],
        }
        for path in ("/v1/messages", "/v1/messages/count_tokens"):
            for text in (json.dumps(body), json.dumps(body).replace("file_id", "file\\u005fid")):
                refused = gateway.post(token, path, content=text)
                assert refused.status_code == 404, refused.text
        assert refused.json()["error"]["type"] == "not_found_error"
        assert "file_of_a_stranger" in refused.text
    assert vendor.asked == []


# --- with Gemini, and lists ---------------------------------------------------------------------------------


def test_with_gemini(claude: Anthropic, vendor: VendorUpstream) -> None:
    vendor.answer(GEMINI_PATH, CONTENT)
    message: Any = claude.messages.create(model=model_of("google-gemini"), max_tokens=50, messages=ASKED)
    assert message.content[0].text == "Hello from Gemini."
    assert_gemini("GenerateContentRequest", vendor.body)
    vendor.answer(f"/models/{GEMINI}:countTokens", {"totalTokens": 9})
    assert claude.messages.count_tokens(model=model_of("google-gemini"), messages=ASKED).input_tokens == 9


def test_models_in_anthropics_words(claude: Anthropic, gateway: Gateway, token: str) -> None:
    page = claude.models.list(limit=2)
    assert len(page.data) == 2
    assert page.has_more
    everything = [model.id for model in claude.models.list(limit=3)]
    assert everything == sorted(everything)
    assert {CHAT, f"{ACCOUNT}/gpt-4o"} <= set(everything)
    assert claude.models.retrieve(CHAT).type == "model"
    before = claude.models.list(limit=1, before_id=everything[2]).data
    assert [model.id for model in before] == [everything[1]]
    refused = gateway.http.get(
        f"{gateway.origin}/v1/models?after_id=x", headers={"x-api-key": token, "anthropic-version": "2023-06-01"}
    )
    assert refused.status_code == 400


def test_a_limited_token_is_limited_here_too(make_installation: InstallationMaker) -> None:
    gateway = make_installation().gateway()
    token = gateway.token("narrow", [f"{ACCOUNT}/gpt-4o"], user="ada@example.com")
    with Anthropic(base_url=f"{gateway.origin}/api/llm", api_key=token, max_retries=0) as claude:
        assert claude.messages.create(model=f"{ACCOUNT}/gpt-4o", max_tokens=5, messages=ASKED).content
        with pytest.raises(anthropic.NotFoundError):
            claude.messages.create(model=CHAT, max_tokens=5, messages=ASKED)
