"""Streams of each vendor in each front door's dialect: the same answer in pieces, every event valid."""

import json

import pytest

from providers.dialects import anthropic, chat, gemini, responses
from providers.dialects.events import Failed, Finish, TextDelta, ToolDelta, ToolStart, UsageUpdate
from tests.support.dialect_cases import (
    ANTHROPIC_STREAM,
    CHAT_STREAM,
    GEMINI_STREAM,
    ask,
    completion,
    datas,
    feed,
    written,
)
from tests.support.openapi import assert_valid
from tests.support.sse import types
from tests.support.vendor_specs import assert_anthropic, assert_gemini

FIELDS = {"model": "m", "store": False, "tools": [], "stream": True}


def from_responses():
    """A Responses stream of the same answer, as our own writer makes it from Anthropic's."""
    return datas(written(responses.StreamWriter(ask(), FIELDS), feed(anthropic.StreamReader(), ANTHROPIC_STREAM)))


SOURCES = {
    "anthropic": lambda: feed(anthropic.StreamReader(), ANTHROPIC_STREAM),
    "gemini": lambda: feed(gemini.StreamReader(), GEMINI_STREAM),
    "chat": lambda: feed(chat.StreamReader(), CHAT_STREAM),
    "responses": lambda: feed(responses.StreamReader(), from_responses()),
}


def test_a_stream_starts_with_the_first_chunk_that_names_its_model():
    start = feed(chat.StreamReader(), CHAT_STREAM)[0]
    assert (start.id, start.model, start.created) == ("chatcmpl-1", "gpt-4.1", 1764115200)


@pytest.mark.parametrize("source", SOURCES)
def test_as_chat_chunks(source):
    stream = written(chat.StreamWriter(ask(stream_options={"include_usage": True})), SOURCES[source]())
    assert stream.endswith(b"data: [DONE]\n\n")
    chunks = datas(stream)
    for chunk in chunks:
        assert_valid("CreateChatCompletionStreamResponse", chunk)
    assert len({chunk["id"] for chunk in chunks}) == 1
    whole = completion(chunks)
    assert (whole["content"], whole["reasoning_content"], whole["finish"]) == (
        "I'll look.",
        "Let me see.",
        "tool_calls",
    )
    assert [(call["name"], json.loads(call["arguments"] or "{}")) for call in whole["tool_calls"]] == [
        ("get_weather", {"city": "Rome"}),
        ("now", {}),
    ]
    usage = whole["usage"]
    assert (usage["prompt_tokens"], usage["completion_tokens"]) == (132, 89)
    assert usage["prompt_tokens_details"]["cached_tokens"] == 100
    assert chunks[0]["choices"][0]["delta"]["role"] == "assistant"
    assert chunks[-1]["choices"] == []


@pytest.mark.parametrize("source", SOURCES)
def test_as_a_message(source):
    events = datas(written(anthropic.StreamWriter(ask()), SOURCES[source]()))
    for event in events:
        assert_anthropic("MessageStreamEvent", event)
    kinds = [event["type"] for event in events]
    assert kinds[0] == "message_start"
    assert kinds[-2:] == ["message_delta", "message_stop"]
    blocks = [event["content_block"] for event in events if event["type"] == "content_block_start"]
    proofs = {"gemini": "thinking", "responses": "redacted_thinking"}  # another vendor's has a block of its own
    own = [block["type"] for block in reversed(blocks)]
    if source in proofs:
        own.remove(proofs[source])
    assert own == ["tool_use", "tool_use", "text", "thinking"]
    assert [event["index"] for event in events if event["type"] == "content_block_start"] == list(range(len(blocks)))
    assert kinds.count("content_block_stop") == len(blocks)
    pieces: dict[int, str] = {}
    for event in events:
        if event["type"] == "content_block_delta":
            delta = event["delta"]
            piece = delta.get("text") or delta.get("thinking") or delta.get("partial_json") or ""
            pieces[event["index"]] = pieces.get(event["index"], "") + piece
    assert [piece for piece in pieces.values() if piece][:2] == ["Let me see.", "I'll look."]
    assert {"city": "Rome"} in [json.loads(piece) for piece in pieces.values() if piece.startswith("{")]
    assert events[-2]["delta"]["stop_reason"] == "tool_use"
    assert events[-2]["usage"]["output_tokens"] == 89
    assert events[-2]["usage"]["cache_read_input_tokens"] == 100


@pytest.mark.parametrize("source", SOURCES)
def test_as_a_response(source):
    writer = responses.StreamWriter(ask(), FIELDS)
    events = datas(written(writer, SOURCES[source]()))
    for event in events:
        assert_valid("ResponseStreamEvent", event)
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    assert types(events)[:4] == ["created", "in_progress", "output_item.added", "reasoning_summary_part.added"]
    added = [event for event in events if event["type"] == "response.output_item.added"]
    done = [event for event in events if event["type"] == "response.output_item.done"]
    assert [event["output_index"] for event in added] == list(range(len(added)))
    assert [event["item"]["id"] for event in added] == [event["item"]["id"] for event in done]
    kinds = [event["item"]["type"] for event in reversed(done)]
    if source == "gemini":  # a call's proof of thinking has an item of its own
        kinds.remove("reasoning")
    assert kinds == ["function_call", "function_call", "message", "reasoning"]
    final = events[-1]
    assert final["type"] == "response.completed"
    assert final["response"]["output"] == [event["item"] for event in done]
    assert final["response"] == json.loads(json.dumps(writer.response))
    assert json.loads(done[-2]["item"]["arguments"]) == {"city": "Rome"}
    # An item is done before the next is added, as each call was whole.
    assert all(events.index(end) < events.index(begin) for end, begin in zip(done, added[1:], strict=False))


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("sse", [True, False])
def test_as_a_gemini_stream(source, sse):
    stream = written(gemini.StreamWriter(ask(), sse=sse), SOURCES[source]())
    answers = datas(stream) if sse else json.loads(stream)
    for answer in answers:
        assert_gemini("GenerateContentResponse", answer)
    parts = [part for answer in answers for part in answer["candidates"][0]["content"]["parts"]]
    assert "".join(part["text"] for part in parts if "text" in part and not part.get("thought")) == "I'll look."
    calls = [part["functionCall"] for part in parts if "functionCall" in part]
    assert [(call["name"], call["args"]) for call in calls] == [("get_weather", {"city": "Rome"}), ("now", {})]
    assert answers[-1]["candidates"][0]["finishReason"] == "STOP"
    assert answers[-1]["usageMetadata"]["cachedContentTokenCount"] == 100


def test_calls_that_grow_side_by_side_stay_whole():
    """Some chat servers begin all calls before they go on with the first; a message's blocks follow each other."""
    events = [
        ToolStart(0, 1, 0, "a", "f"),
        ToolStart(0, 2, 1, "b", "g"),
        ToolDelta(0, 1, 0, '{"x":'),
        ToolDelta(0, 2, 1, '{"y":2}'),
        ToolDelta(0, 1, 0, "1}"),
        Finish(0, "tool_calls"),
    ]
    found = datas(written(anthropic.StreamWriter(ask()), list(events)))
    pieces = {}
    for event in found:
        if event["type"] == "content_block_delta":
            pieces[event["index"]] = pieces.get(event["index"], "") + event["delta"]["partial_json"]
    assert pieces == {0: '{"x":1}', 1: '{"y":2}'}
    parts = [
        part
        for answer in datas(written(gemini.StreamWriter(ask()), list(events)))
        for part in answer["candidates"][0]["content"]["parts"]
    ]
    assert [part["functionCall"]["args"] for part in parts if "functionCall" in part] == [{"x": 1}, {"y": 2}]


def test_numbers_of_calls_count_calls_only():
    calls = [event for event in feed(anthropic.StreamReader(), ANTHROPIC_STREAM) if isinstance(event, ToolStart)]
    assert [call.call for call in calls] == [0, 1]
    same_index = [
        {
            "choices": [
                {
                    "index": 0,
                    "delta": {"tool_calls": [{"index": 0, "id": name, "function": {"name": name, "arguments": "{}"}}]},
                }
            ]
        }
        for name in ("a", "b")
    ]
    calls = [event for event in feed(chat.StreamReader(), same_index) if isinstance(event, ToolStart)]
    assert [(call.call, call.id) for call in calls] == [(0, "a"), (1, "b")]


def test_sums_in_a_stream_replace_each_other():
    updates = [
        event.usage for event in feed(anthropic.StreamReader(), ANTHROPIC_STREAM) if isinstance(event, UsageUpdate)
    ]
    assert [(usage.input, usage.output) for usage in updates] == [(132, 1), (132, 89)]
    assert (updates[-1].cached, updates[-1].cache_write_5m, updates[-1].cache_write_1h) == (100, 3, 4)


@pytest.mark.parametrize(
    ("reader", "event", "status", "code"),
    [
        (
            anthropic.StreamReader,
            {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}},
            503,
            "overloaded",
        ),
        (
            anthropic.StreamReader,
            {"type": "error", "error": {"type": "rate_limit_error", "message": "Slow down"}},
            429,
            "rate_limit_exceeded",
        ),
        (
            gemini.StreamReader,
            {"error": {"code": 503, "message": "overloaded", "status": "UNAVAILABLE"}},
            503,
            "overloaded",
        ),
        (chat.StreamReader, {"error": {"message": "busy", "code": 429}}, 429, "rate_limit_exceeded"),
        (chat.StreamReader, {"error": {"message": "what?", "type": "server_error"}}, 500, "server_error"),
        (
            responses.StreamReader,
            {"type": "response.failed", "response": {"error": {"code": "rate_limit_exceeded", "message": "Slow"}}},
            429,
            "rate_limit_exceeded",
        ),
    ],
)
def test_an_error_in_a_stream_has_its_status(reader, event, status, code):
    [failed] = feed(reader(), [event])
    assert isinstance(failed, Failed)
    assert (failed.failure.status, failed.failure.code) == (status, code)


@pytest.mark.parametrize("source", ["anthropic", "gemini", "chat"])
def test_a_stream_that_is_cut_off_ends_with_an_error(source):
    reader, events = {
        "anthropic": (anthropic.StreamReader(), ANTHROPIC_STREAM[:8]),
        "gemini": (gemini.StreamReader(), GEMINI_STREAM[:3]),
        "chat": (chat.StreamReader(), CHAT_STREAM[:5]),
    }[source]
    found = feed(reader, events)
    assert isinstance(found[-1], Failed)
    for writer in (
        chat.StreamWriter(ask()),
        anthropic.StreamWriter(ask()),
        gemini.StreamWriter(ask()),
        responses.StreamWriter(ask(), FIELDS),
    ):
        stream = written(writer, list(found))
        assert b"ended before the answer was complete" in stream
        assert b"[DONE]" not in stream
        assert b"message_stop" not in stream
        assert b"response.completed" not in stream


def test_a_custom_tools_text_is_free_again():
    fields = {**FIELDS, "input": "hi", "tools": [{"type": "custom", "name": "apply_patch"}]}
    events = [
        ToolStart(0, 1, 0, "call_1", "apply_patch"),
        ToolDelta(0, 1, 0, '{"input":"*** Be'),
        ToolDelta(0, 1, 0, 'gin"}'),
        Finish(0, "tool_calls"),
    ]
    writer = responses.StreamWriter(responses.read_request(fields), fields)
    found = datas(written(writer, [*SOURCES["chat"]()[:1], *events]))
    for event in found:
        assert_valid("ResponseStreamEvent", event)
    [item] = [event["item"] for event in found if event["type"] == "response.output_item.done"]
    assert (item["type"], item["input"]) == ("custom_tool_call", "*** Begin")


def test_a_blocked_prompt_in_a_stream():
    events = feed(
        gemini.StreamReader(), [{"promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": {"promptTokenCount": 4}}]
    )
    chunks = datas(written(chat.StreamWriter(ask()), events))
    assert chunks[-1]["choices"][0]["finish_reason"] == "content_filter"
    assert_valid("CreateChatCompletionStreamResponse", chunks[-1])


def test_logprobs_go_with_their_text():
    likely = [{"token": "hi", "logprob": -0.1, "bytes": [104, 105], "top_logprobs": []}]
    [chunk] = datas(written(chat.StreamWriter(ask()), [*SOURCES["chat"]()[:1], TextDelta(0, 0, "hi", logprobs=likely)]))
    assert chunk["choices"][0]["logprobs"]["content"] == likely
