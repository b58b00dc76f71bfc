"""OpenAI's SDK reaches Anthropic's and Google's models: requests, answers, streams, errors and usage are converted."""

import json
from typing import Any

import pytest
from openai import APIError, BadRequestError, OpenAI, RateLimitError

from tests.gateway.pipeline.test_usage_records import dollars, record_of
from tests.support.calls import CHAT_PATH, assert_ours
from tests.support.installation import Gateway
from tests.support.vendor_accounts import CLAUDE_PATH, GEMINI_PATH, GEMINI_STREAM, model_of
from tests.support.vendor_specs import assert_anthropic, assert_gemini
from tests.support.vendor_upstream import (
    CLAUDE,
    CONTENT,
    EXHAUSTED,
    KEY,
    MESSAGE,
    OVERLOADED,
    VendorUpstream,
    content_events,
    message_events,
)

ASKED: Any = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}]


# --- whole answers ------------------------------------------------------------------------------------------


def test_anthropic(gateway: Gateway, token: str, vendor: VendorUpstream) -> None:
    vendor.answer(CLAUDE_PATH, MESSAGE)
    body = {"model": model_of("anthropic"), "messages": ASKED, "temperature": 0.5, "max_tokens": 50}
    response = gateway.post(token, CHAT_PATH, body)

    assert response.status_code == 200, response.text
    answer = response.json()
    assert answer["choices"][0]["message"]["content"] == "Hello from Claude."
    assert answer["choices"][0]["finish_reason"] == "stop"
    assert answer["provider"] == "anthropic"
    assert answer["usage"]["prompt_tokens"] == 1400
    assert response.headers["x-tfy-resolved-model"] == model_of("anthropic")
    assert response.headers["x-upstream-request-id"] == "req_of_the_vendor"
    method, path, headers, sent = vendor.asked[-1]
    assert (method, path) == ("POST", CLAUDE_PATH)
    assert (headers["x-api-key"], headers["anthropic-version"]) == (KEY, "2023-06-01")
    assert "authorization" not in headers
    assert_anthropic("CreateMessageParams", sent)
    assert (sent["model"], sent["max_tokens"], sent["system"][0]["text"]) == (CLAUDE, 50, "Be brief.")

    record = record_of(gateway, response)
    assert (record["operation"], record["provider"], record["model_served"]) == ("chat", "anthropic", CLAUDE)
    counted = ("input_tokens", "cached_tokens", "cache_write_tokens", "output_tokens")
    assert [record[name] for name in counted] == [1400, 1000, 300, 20]
    # 100 at 3, 1000 read at 0.30, 200 written at 3.75 and 100 for an hour at 6, 20 at 15 a million
    assert record["cost_pico"] == dollars("0.00225")
    assert record["price_gaps"] == ""


def test_gemini(gateway: Gateway, token: str, vendor: VendorUpstream) -> None:
    vendor.answer(GEMINI_PATH, CONTENT)
    response = gateway.post(token, CHAT_PATH, {"model": model_of("google-gemini"), "messages": ASKED})

    assert response.status_code == 200, response.text
    answer = response.json()
    assert answer["choices"][0]["message"]["content"] == "Hello from Gemini."
    assert answer["provider"] == "google-gemini"
    assert answer["usage"]["completion_tokens"] == 50
    _, path, headers, sent = vendor.asked[-1]
    assert path == GEMINI_PATH
    assert headers["x-goog-api-key"] == KEY
    assert_gemini("GenerateContentRequest", sent)

    record = record_of(gateway, response)
    counted = ("input_tokens", "cached_tokens", "output_tokens", "reasoning_tokens")
    assert [record[name] for name in counted] == [100, 40, 50, 30]
    # 60 at 0.30, 40 cached at 0.03, 50 at 2.50 a million
    assert record["cost_pico"] == dollars("0.0001442")


def test_tools_come_back_with_the_names_that_were_given(sdk: OpenAI, vendor: VendorUpstream) -> None:
    name = "look up.weather"
    called = {
        "type": "tool_use",
        "id": "toolu_1",
        "name": "",
        "input": {"city": "Rome"},
    }
    tools: Any = [{"type": "function", "function": {"name": name, "parameters": {"type": "object"}}}]
    vendor.answer(CLAUDE_PATH, MESSAGE)
    sdk.chat.completions.create(model=model_of("anthropic"), messages=ASKED, tools=tools)
    called["name"] = vendor.body["tools"][0]["name"]
    vendor.answer(CLAUDE_PATH, {**MESSAGE, "content": [called], "stop_reason": "tool_use"})
    choice = sdk.chat.completions.create(model=model_of("anthropic"), messages=ASKED, tools=tools).choices[0]
    assert called["name"] != name
    assert choice.finish_reason == "tool_calls"
    assert choice.message.tool_calls is not None
    call: Any = choice.message.tool_calls[0]
    assert (call.id, call.function.name, json.loads(call.function.arguments)) == ("toolu_1", name, {"city": "Rome"})


# --- streams ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "path", "events", "tokens"),
    [
        ("anthropic", CLAUDE_PATH, message_events("Hello ", "there."), (100, 20)),
        ("google-gemini", GEMINI_STREAM, content_events("Hello ", "there."), (100, 50)),
    ],
)
def test_streams(
    sdk: OpenAI, gateway: Gateway, vendor: VendorUpstream, kind: str, path: str, events: Any, tokens: tuple[int, int]
) -> None:
    vendor.answer(path, events)
    usage: Any = {"include_usage": True}
    raw = sdk.chat.completions.with_raw_response.create(
        model=model_of(kind), messages=ASKED, stream=True, stream_options=usage
    )
    chunks = list(raw.parse())
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == "Hello there."
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1] == "stop"
    last = chunks[-1].usage
    assert last is not None
    assert (last.prompt_tokens, last.completion_tokens) == tokens
    (record,) = gateway.installation.records(1, request_id=raw.headers["x-request-id"])
    assert (record["input_tokens"], record["output_tokens"]) == tokens
    assert record["stream"] is True
    assert record["error_class"] == ""
    assert 0 < record["ttft_us"] <= record["latency_us"]
    assert record["cost_pico"] > 0


def test_a_stream_without_usage_asked_for_is_metered_all_the_same(
    gateway: Gateway, token: str, vendor: VendorUpstream
) -> None:
    vendor.answer(CLAUDE_PATH, message_events("Hi."))
    response = gateway.post(token, CHAT_PATH, {"model": model_of("anthropic"), "messages": ASKED, "stream": True})
    assert b'"usage"' not in response.content
    assert response.content.endswith(b"data: [DONE]\n\n")
    assert response.headers["content-type"].startswith("text/event-stream")
    assert record_of(gateway, response)["output_tokens"] == 20


def test_a_stream_that_is_cut_off_ends_with_an_error_of_ours(
    gateway: Gateway, token: str, vendor: VendorUpstream
) -> None:
    vendor.answer(CLAUDE_PATH, message_events("Hello ", "there.")[:4])
    response = gateway.post(token, CHAT_PATH, {"model": model_of("anthropic"), "messages": ASKED, "stream": True})
    assert b"Hello " in response.content
    assert b"[DONE]" not in response.content
    assert b'"code":"upstream_stream_truncated"' in response.content
    assert record_of(gateway, response)["error_class"] == "upstream_stream_truncated"


# --- errors -------------------------------------------------------------------------------------------------


def test_an_error_has_openais_form_and_the_vendors_words(sdk: OpenAI, vendor: VendorUpstream) -> None:
    vendor.answer(GEMINI_PATH, EXHAUSTED, status=429)
    with pytest.raises(RateLimitError) as limited:
        sdk.chat.completions.create(model=model_of("google-gemini"), messages=ASKED)
    assert limited.value.code == "rate_limit_exceeded"
    assert "exhausted" in str(limited.value)
    assert limited.value.response.headers["x-gatehouse-error-origin"] == "upstream"
    assert limited.value.response.headers["retry-after"] == "7"


@pytest.mark.parametrize("before", [[], message_events()[:1]])
def test_an_error_at_the_beginning_of_a_stream_has_its_own_status(
    gateway: Gateway, token: str, vendor: VendorUpstream, before: list[dict[str, Any]]
) -> None:
    vendor.answer(CLAUDE_PATH, [*before, OVERLOADED])
    response = gateway.post(token, CHAT_PATH, {"model": model_of("anthropic"), "messages": ASKED, "stream": True})
    assert response.status_code == 503, response.text
    assert response.json()["error"]["type"] == "overloaded_error"
    record = record_of(gateway, response)
    assert (record["status"], record["upstream_status"], record["error_class"]) == (503, 200, "upstream_error")


def test_an_error_at_the_beginning_of_a_stream_is_tried_again(
    gateway: Gateway, token: str, vendor: VendorUpstream
) -> None:
    vendor.answer(CLAUDE_PATH, [OVERLOADED], message_events("Hi."))
    body = {"model": model_of("anthropic"), "messages": ASKED, "stream": True}
    response = gateway.post(token, CHAT_PATH, body, headers={"x-tfy-retry-config": '{"attempts": 1}'})
    assert response.status_code == 200
    assert b"Hi." in response.content
    assert len(vendor.asked) == 2


def test_an_error_behind_output_ends_the_stream(gateway: Gateway, token: str, vendor: VendorUpstream) -> None:
    vendor.answer(CLAUDE_PATH, [*message_events("Hello ")[:4], OVERLOADED])
    response = gateway.post(token, CHAT_PATH, {"model": model_of("anthropic"), "messages": ASKED, "stream": True})
    assert response.status_code == 200
    assert b"Overloaded" in response.content
    assert b"[DONE]" not in response.content
    assert record_of(gateway, response)["error_class"] == "upstream_error"


@pytest.mark.parametrize("answer", [b"[]", b"{}", b'{"content": 1}'])
def test_an_answer_of_another_dialect_is_a_502(
    gateway: Gateway, token: str, vendor: VendorUpstream, answer: bytes
) -> None:
    vendor.answers[CLAUDE_PATH] = [(200, "application/json", answer)]
    response = gateway.post(token, CHAT_PATH, {"model": model_of("anthropic"), "messages": ASKED})
    assert_ours(response, 502, "upstream_broken_answer")


def test_the_key_is_in_no_answer(gateway: Gateway, token: str, vendor: VendorUpstream) -> None:
    error = {"type": "error", "error": {"type": "authentication_error", "message": f"invalid x-api-key {KEY}"}}
    vendor.answer(CLAUDE_PATH, error, status=401)
    response = gateway.post(token, CHAT_PATH, {"model": model_of("anthropic"), "messages": ASKED})
    assert response.status_code == 401
    assert KEY not in response.text
    assert KEY not in record_of(gateway, response)["error_message"]


# --- what can't be asked for --------------------------------------------------------------------------------


def test_what_is_dropped_is_named(gateway: Gateway, token: str, vendor: VendorUpstream) -> None:
    vendor.answer(CLAUDE_PATH, MESSAGE)
    body = {"model": model_of("anthropic"), "messages": ASKED, "seed": 1, "logit_bias": {}}
    response = gateway.post(token, CHAT_PATH, body)
    assert response.status_code == 200
    assert response.headers["x-gatehouse-dropped"] == "seed, logit_bias"
    vendor.clear()
    refused = gateway.post(token, CHAT_PATH, body, headers={"x-gatehouse-strict": "true"})
    assert_ours(refused, 400, "unsupported_parameter", "seed")
    assert vendor.asked == []
    record = record_of(gateway, refused)
    assert (record["status"], record["cost_pico"], record["error_class"]) == (400, 0, "unsupported_parameter")


def test_a_field_that_is_wrong_is_named(sdk: OpenAI, vendor: VendorUpstream) -> None:
    messages: Any = [{"role": "user", "content": [{"type": "hologram"}]}]
    with pytest.raises(BadRequestError) as refused:
        sdk.chat.completions.create(model=model_of("anthropic"), messages=messages)
    assert refused.value.param == "messages[0].content[0].type"
    assert vendor.asked == []


@pytest.mark.parametrize("path", ["/v1/moderations", "/v1/completions"])
def test_what_a_provider_does_not_have_is_refused(
    gateway: Gateway, token: str, vendor: VendorUpstream, path: str
) -> None:
    body = {"model": model_of("anthropic"), "input": "x", "prompt": "x"}
    assert_ours(gateway.post(token, path, body), 400, "unsupported_by_provider", "model")
    assert vendor.asked == []


def test_options_in_headers(gateway: Gateway, token: str, vendor: VendorUpstream) -> None:
    vendor.answer(CLAUDE_PATH, MESSAGE)
    body = {"model": model_of("anthropic"), "messages": ASKED}
    gateway.post(token, CHAT_PATH, body, headers={"x-tfy-cache-control": "1h"})
    assert vendor.body["system"][-1]["cache_control"] == {"type": "ephemeral", "ttl": "1h"}
    for name, value in (("x-tfy-cache-control", "2h"), ("x-gatehouse-strict", "maybe")):
        refused = gateway.post(token, CHAT_PATH, body, headers={name: value})
        assert_ours(refused, 400, "invalid_request", name)
    thinking = {"type": "thinking", "thinking": "Hm.", "signature": "sig"}
    vendor.answer(CLAUDE_PATH, {**MESSAGE, "content": [thinking, *MESSAGE["content"]]})
    shown = gateway.post(token, CHAT_PATH, body, headers={"x-tfy-strict-openai": "false"}).json()
    assert shown["choices"][0]["message"]["content"][0]["type"] == "thinking"


def test_sdk_errors_are_openais(sdk: OpenAI, vendor: VendorUpstream) -> None:
    vendor.answer(CLAUDE_PATH, [*message_events("Hello ")[:4], OVERLOADED])
    stream = sdk.chat.completions.create(model=model_of("anthropic"), messages=ASKED, stream=True)
    with pytest.raises(APIError, match="Overloaded"):
        list(stream)
