"""What callers get: whole answers of each vendor in each front door's dialect, valid by its description."""

import json

import pytest

from providers.dialects import anthropic, chat, gemini, responses
from providers.dialects.failures import DialectError
from providers.dialects.neutral import Settings
from providers.dialects.tokens import read_anthropic, read_gemini, read_openai
from tests.support.dialect_cases import PNG, answered, ask, generated, message
from tests.support.openapi import assert_valid
from tests.support.vendor_specs import assert_anthropic, assert_gemini

CALL = {"type": "tool_use", "id": "toolu_1", "name": "get_weather", "input": {"city": "Rome"}}
GOOGLE_CALL = {"functionCall": {"name": "get_weather", "args": {"city": "Rome"}}, "thoughtSignature": "U0lH"}


@pytest.mark.parametrize(
    ("reason", "finish"),
    [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"),
        ("pause_turn", "stop"),
        ("refusal", "content_filter"),
        ("something_new", "stop"),
    ],
)
def test_anthropics_stop_reasons(reason, finish):
    body = answered(message([{"type": "text", "text": "hi"}], stop_reason=reason), anthropic)
    assert body["choices"][0]["finish_reason"] == finish
    assert_valid("CreateChatCompletionResponse", body)


@pytest.mark.parametrize(
    ("reason", "parts", "finish"),
    [
        ("STOP", [{"text": "hi"}], "stop"),
        ("STOP", [GOOGLE_CALL], "tool_calls"),
        ("MAX_TOKENS", [GOOGLE_CALL], "length"),
        ("SAFETY", [], "content_filter"),
        ("RECITATION", [{"text": "hi"}], "content_filter"),
        ("BLOCKLIST", [], "content_filter"),
        ("SPII", [], "content_filter"),
        ("MALFORMED_FUNCTION_CALL", [], "stop"),
        ("LANGUAGE", [{"text": "hi"}], "stop"),
    ],
)
def test_geminis_finish_reasons(reason, parts, finish):
    body = answered(generated(parts, reason), gemini)
    assert body["choices"][0]["finish_reason"] == finish
    assert_valid("CreateChatCompletionResponse", body)


def test_a_blocked_prompt_is_a_choice_without_content():
    body = answered(
        {"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}, "usageMetadata": {"promptTokenCount": 4}}, gemini
    )
    assert body["choices"][0]["finish_reason"] == "content_filter"
    assert body["choices"][0]["message"]["content"] is None
    assert body["usage"]["prompt_tokens"] == 4
    assert_valid("CreateChatCompletionResponse", body)


def test_anthropics_thinking_calls_and_usage():
    usage = {
        "input_tokens": 21,
        "output_tokens": 30,
        "cache_read_input_tokens": 100,
        "cache_creation_input_tokens": 30,
        "cache_creation": {"ephemeral_5m_input_tokens": 10, "ephemeral_1h_input_tokens": 20},
    }
    blocks = [
        {"type": "thinking", "thinking": "Hm.", "signature": "S=="},
        {"type": "redacted_thinking", "data": "R=="},
        {"type": "text", "text": "I'll look."},
        {"type": "server_tool_use", "id": "srv", "name": "web_search", "input": {}},
        CALL,
        {**CALL, "id": "toolu_2", "input": {}},
    ]
    body = answered(message(blocks, stop_reason="tool_use", usage=usage), anthropic)
    assert_valid("CreateChatCompletionResponse", body)
    said = body["choices"][0]["message"]
    assert (said["content"], said["reasoning_content"]) == ("I'll look.", "Hm.")
    assert [call["function"]["arguments"] for call in said["tool_calls"]] == ['{"city":"Rome"}', "{}"]
    assert [detail["type"] for detail in said["reasoning_details"]] == ["reasoning.text", "reasoning.encrypted"]
    assert body["usage"]["prompt_tokens"] == 151  # read and written tokens are not in Anthropic's input
    assert body["usage"]["prompt_tokens_details"]["cached_tokens"] == 100
    assert body["usage"]["prompt_tokens_details"]["cache_write_tokens"] == 30
    neutral = read_anthropic(usage)
    assert (neutral.cache_write_5m, neutral.cache_write_1h) == (10, 20)
    # The whole answer goes back as it came.
    again = chat.read_request({"messages": [{"role": "user", "content": "x"}, said], "reasoning_effort": "low"})
    sent = json.loads(anthropic.write_request(again, Settings(model="claude-sonnet-4-5")).body)
    kept = [block for block in blocks if block["type"] != "server_tool_use"]
    assert sent["messages"][1]["content"] == kept


def test_geminis_thoughts_signatures_and_usage():
    usage = {
        "promptTokenCount": 100,
        "cachedContentTokenCount": 60,
        "candidatesTokenCount": 20,
        "thoughtsTokenCount": 15,
        "toolUsePromptTokenCount": 5,
        "totalTokenCount": 140,
        "promptTokensDetails": [{"modality": "AUDIO", "tokenCount": 30}, {"modality": "TEXT", "tokenCount": 70}],
    }
    parts = [{"text": "Hm.", "thought": True}, GOOGLE_CALL, {"functionCall": {"name": "now", "args": {}}}]
    body = answered(generated(parts, usageMetadata=usage), gemini)
    assert_valid("CreateChatCompletionResponse", body)
    said = body["choices"][0]["message"]
    assert (said["content"], said["reasoning_content"]) == (None, "Hm.")
    assert said["tool_calls"][0]["extra_content"] == {"google": {"thought_signature": "U0lH"}}
    assert "extra_content" not in said["tool_calls"][1]
    assert len({call["id"] for call in said["tool_calls"]}) == 2  # Gemini gave none
    assert body["usage"]["prompt_tokens"] == 105
    assert body["usage"]["completion_tokens"] == 35
    assert body["usage"]["total_tokens"] == usage["totalTokenCount"]
    assert body["usage"]["completion_tokens_details"]["reasoning_tokens"] == 15
    assert body["usage"]["prompt_tokens_details"]["audio_tokens"] == 30
    again = chat.read_request({"messages": [{"role": "user", "content": "x"}, said]})
    sent = json.loads(gemini.write_request(again, Settings(model="gemini-3.8-flash")).body)
    assert [part.get("thoughtSignature") for part in sent["contents"][1]["parts"]] == ["U0lH", None]


def test_how_other_vendors_count():
    xai = {
        "prompt_tokens": 32,
        "completion_tokens": 9,
        "total_tokens": 135,
        "completion_tokens_details": {"reasoning_tokens": 94},
    }
    assert (read_openai(xai, "xai").output, read_openai(xai, "xai").reasoning) == (103, 94)
    assert read_openai({**xai, "completion_tokens": 103}, "xai").output == 103
    deepseek = {
        "prompt_tokens": 50,
        "completion_tokens": 5,
        "total_tokens": 55,
        "prompt_cache_hit_tokens": 40,
        "prompt_cache_miss_tokens": 10,
    }
    assert (read_openai(deepseek, "deepseek").cached, read_openai(deepseek, "deepseek").input) == (40, 50)
    assert read_openai(None) is read_anthropic(None) is read_gemini([]) is None
    assert read_openai({"prompt_tokens": -5, "completion_tokens": "7"}).input == 0


def test_a_structured_answer_by_a_forced_tool_is_text():
    form = {"type": "json_schema", "json_schema": {"name": "out", "schema": {"type": "object"}}}
    written = anthropic.write_request(ask(response_format=form), Settings(model="claude-3-haiku"))
    block = {"type": "tool_use", "id": "t", "name": written.json_tool, "input": {"n": 1}}
    body = answered(message([block], stop_reason="tool_use"), anthropic, written)
    assert body["choices"][0]["message"]["content"] == '{"n":1}'
    assert body["choices"][0]["finish_reason"] == "stop"


def test_names_of_tools_are_the_callers_again():
    tools = [{"type": "function", "function": {"name": "a.b"}}]
    written = anthropic.write_request(ask(tools=tools), Settings(model="claude-opus-5"))
    [sent] = written.names
    body = answered(message([{**CALL, "name": sent}], stop_reason="tool_use"), anthropic, written)
    assert body["choices"][0]["message"]["tool_calls"][0]["function"]["name"] == "a.b"
    google = gemini.write_request(ask(tools=tools), Settings(model="gemini-3.8-flash"))
    [sent] = google.names
    body = answered(generated([{"functionCall": {"name": sent, "args": {}}}]), gemini, google)
    assert body["choices"][0]["message"]["tool_calls"][0]["function"]["name"] == "a.b"


ANSWERS = [
    (
        anthropic,
        message(
            [{"type": "thinking", "thinking": "Hm.", "signature": "S=="}, {"type": "text", "text": "hi"}, CALL],
            stop_reason="tool_use",
        ),
    ),
    (
        anthropic,
        message([], stop_reason="refusal", stop_details={"type": "refusal", "category": "bio", "explanation": "No."}),
    ),
    (gemini, generated([{"text": "Hm.", "thought": True}, {"text": "hi"}, GOOGLE_CALL])),
    (gemini, generated([{"inlineData": {"mimeType": "image/png", "data": PNG}}])),
    (
        chat,
        {
            "id": "chatcmpl-1",
            "object": "chat.completion",
            "created": 1,
            "model": "m",
            "choices": [
                {
                    "index": 0,
                    "finish_reason": "stop",
                    "message": {
                        "role": "assistant",
                        "content": None,
                        "reasoning_content": "Hm.",
                        "tool_calls": [
                            {"id": "c", "type": "function", "function": {"name": "get_weather", "arguments": ""}}
                        ],
                    },
                }
            ],
        },
    ),
    (
        responses,
        {
            "id": "resp_1",
            "object": "response",
            "created_at": 1,
            "status": "completed",
            "model": "m",
            "output": [
                {
                    "type": "reasoning",
                    "id": "rs",
                    "summary": [{"type": "summary_text", "text": "Hm."}],
                    "encrypted_content": "E==",
                },
                {
                    "type": "message",
                    "id": "m",
                    "role": "assistant",
                    "status": "completed",
                    "content": [{"type": "output_text", "text": "hi", "annotations": []}],
                },
                {"type": "function_call", "id": "f", "call_id": "c", "name": "get_weather", "arguments": "{}"},
            ],
            "usage": {"input_tokens": 3, "output_tokens": 4, "total_tokens": 7},
        },
    ),
]


@pytest.mark.parametrize(("dialect", "body"), ANSWERS)
def test_every_answer_in_every_front_door(dialect, body):
    answer = dialect.read_answer(json.dumps(body).encode())
    assert_valid("CreateChatCompletionResponse", json.loads(chat.write_answer(answer, ask())))
    assert_anthropic("Message", json.loads(anthropic.write_answer(answer, ask())))
    assert_gemini("GenerateContentResponse", json.loads(gemini.write_answer(answer, ask())))
    fields = {
        "model": "m",
        "store": False,
        "instructions": "Be kind.",
        "tools": [{"type": "function", "name": "get_weather", "parameters": {}, "strict": False}],
        "metadata": {"a": "b"},
    }
    written = json.loads(responses.write_answer(answer, ask(), fields))
    assert_valid("Response", written)
    assert (written["instructions"], written["metadata"]) == ("Be kind.", {"a": "b"})


def test_a_refusal_keeps_its_words():
    body = answered(ANSWERS[1][1], anthropic)
    assert body["choices"][0]["message"]["refusal"] == "No."
    assert body["choices"][0]["finish_reason"] == "content_filter"


def test_thinking_blocks_in_content_where_the_caller_wants_them():
    answer = anthropic.read_answer(json.dumps(ANSWERS[0][1]).encode())
    said = json.loads(chat.write_answer(answer, ask(), thinking_in_content=True))["choices"][0]["message"]
    assert said["content"] == [
        {"type": "thinking", "thinking": "Hm.", "signature": "S=="},
        {"type": "text", "text": "hi"},
    ]


def test_proofs_of_thinking_travel_through_other_front_doors():
    """A Gemini call's signature comes back through an Anthropic client and a Responses client that keeps its own
    history.
    """
    answer = gemini.read_answer(json.dumps(ANSWERS[2][1]).encode())
    turn = json.loads(anthropic.write_answer(answer, ask()))["content"]
    again = anthropic.read_request(
        {"messages": [{"role": "user", "content": "x"}, {"role": "assistant", "content": turn}]}
    )
    sent = json.loads(gemini.write_request(again, Settings(model="gemini-3.8-flash")).body)["contents"][1]["parts"]
    assert [part.get("thoughtSignature") for part in sent] == [None, "U0lH"]
    items = json.loads(responses.write_answer(answer, ask(), {"store": False}))["output"]
    again = responses.read_request({"input": [{"role": "user", "content": "x"}, *items]})
    sent = json.loads(gemini.write_request(again, Settings(model="gemini-3.8-flash")).body)["contents"][1]["parts"]
    assert [part.get("thoughtSignature") for part in sent] == [None, "U0lH"]
    claude = anthropic.read_answer(json.dumps(ANSWERS[0][1]).encode())
    items = json.loads(responses.write_answer(claude, ask(), {"store": False}))["output"]
    again = responses.read_request({"input": [{"role": "user", "content": "x"}, *items]})
    sent = json.loads(anthropic.write_request(again, Settings(model="claude-sonnet-4-5")).body)["messages"][1][
        "content"
    ]
    assert sent[0] == {"type": "thinking", "thinking": "Hm.", "signature": "S=="}
    # Stored responses keep proofs inside; callers without a wish for them do not see any.
    shown = json.loads(responses.write_answer(claude, ask(), {"store": True}))["output"]
    assert "encrypted_content" not in json.dumps(shown)


@pytest.mark.parametrize("dialect", [chat, anthropic, gemini, responses])
@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"{}", b'"x"', b"\xff\xfe", b"[" * 5000, b"null"])
def test_an_unreadable_answer_is_a_bad_gateway(dialect, body):
    with pytest.raises(DialectError) as refused:
        dialect.read_answer(body)
    assert refused.value.status == 502


def test_counts():
    assert anthropic.read_count(b'{"input_tokens": 7}') == 7
    assert gemini.read_count(b'{"totalTokens": 7}') == 7
    assert_anthropic("CountMessageTokensResponse", json.loads(anthropic.write_count(7)))
    assert_gemini("CountTokensResponse", json.loads(gemini.write_count(7)))
