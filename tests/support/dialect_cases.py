"""Requests, answers and streams of every dialect, for the tests of their translation."""

import json
from typing import Any

from providers.dialects import anthropic, chat, gemini, responses
from providers.dialects.events import Event
from providers.dialects.neutral import Request, Settings, Written

PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="
WEATHER: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather in a city.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}


def ask(**fields: Any) -> Request:
    """A chat request, with a question if `fields` has no messages."""
    return chat.read_request({"model": "m", "messages": [{"role": "user", "content": "hi"}], **fields})


def called(*calls: tuple[str, str, str]) -> dict[str, Any]:
    """An assistant's message with calls: id, name and arguments of each."""
    return {
        "role": "assistant",
        "content": None,
        "tool_calls": [
            {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}
            for call_id, name, arguments in calls
        ],
    }


def to_anthropic(request: Request, model: str = "claude-sonnet-4-5", **settings: Any) -> dict[str, Any]:
    """The body that Anthropic gets."""
    return json.loads(anthropic.write_request(request, Settings(model=model, **settings)).body)


def to_gemini(request: Request, model: str = "gemini-3.8-flash", **settings: Any) -> dict[str, Any]:
    """The body that Gemini gets."""
    return json.loads(gemini.write_request(request, Settings(model=model, **settings)).body)


def to_chat(request: Request, model: str = "gpt-4.1", **settings: Any) -> dict[str, Any]:
    """The body that a chat server gets."""
    return json.loads(chat.write_request(request, Settings(model=model, **settings)).body)


def to_responses(request: Request, model: str = "gpt-5.4", **settings: Any) -> dict[str, Any]:
    """The body that a Responses server gets."""
    return json.loads(responses.write_request(request, Settings(model=model, **settings)).body)


def answered(body: dict[str, Any], dialect: Any, written: Written | None = None) -> dict[str, Any]:
    """The chat completion that a vendor's answer becomes."""
    return json.loads(chat.write_answer(dialect.read_answer(json.dumps(body).encode(), written), ask()))


def message(content: list[dict[str, Any]], **fields: Any) -> dict[str, Any]:
    """An answer of Anthropic's."""
    usage = {"input_tokens": 10, "output_tokens": 5}
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-sonnet-4-5",
        "content": content,
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": usage,
        **fields,
    }


def generated(parts: list[dict[str, Any]], reason: str = "STOP", **fields: Any) -> dict[str, Any]:
    """An answer of Gemini's."""
    return {
        "candidates": [{"content": {"role": "model", "parts": parts}, "finishReason": reason, "index": 0}],
        "usageMetadata": {"promptTokenCount": 10, "candidatesTokenCount": 5, "totalTokenCount": 15},
        "modelVersion": "gemini-3.8-flash",
        "responseId": "r1",
        **fields,
    }


ANTHROPIC_STREAM: list[dict[str, Any]] = [
    {
        "type": "message_start",
        "message": message(
            [],
            stop_reason=None,
            usage={
                "input_tokens": 25,
                "output_tokens": 1,
                "cache_read_input_tokens": 100,
                "cache_creation_input_tokens": 7,
                "cache_creation": {"ephemeral_5m_input_tokens": 3, "ephemeral_1h_input_tokens": 4},
            },
        ),
    },
    {"type": "content_block_start", "index": 0, "content_block": {"type": "thinking", "thinking": "", "signature": ""}},
    {"type": "ping"},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": "Let me "}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": "see."}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "signature_delta", "signature": "SIG=="}},
    {"type": "content_block_stop", "index": 0},
    {"type": "content_block_start", "index": 1, "content_block": {"type": "text", "text": ""}},
    {"type": "content_block_delta", "index": 1, "delta": {"type": "text_delta", "text": "I'll "}},
    {"type": "content_block_delta", "index": 1, "delta": {"type": "text_delta", "text": "look."}},
    {"type": "content_block_stop", "index": 1},
    {
        "type": "content_block_start",
        "index": 2,
        "content_block": {"type": "tool_use", "id": "toolu_a", "name": "get_weather", "input": {}},
    },
    {"type": "content_block_delta", "index": 2, "delta": {"type": "input_json_delta", "partial_json": ""}},
    {"type": "content_block_delta", "index": 2, "delta": {"type": "input_json_delta", "partial_json": '{"city": '}},
    {"type": "content_block_delta", "index": 2, "delta": {"type": "input_json_delta", "partial_json": '"Rome"}'}},
    {"type": "content_block_stop", "index": 2},
    {
        "type": "content_block_start",
        "index": 3,
        "content_block": {"type": "tool_use", "id": "toolu_b", "name": "now", "input": {}},
    },
    {"type": "content_block_stop", "index": 3},
    {
        "type": "message_delta",
        "delta": {"stop_reason": "tool_use", "stop_sequence": None},
        "usage": {"output_tokens": 89},
    },
    {"type": "message_stop"},
]

GEMINI_STREAM: list[dict[str, Any]] = [
    {
        "candidates": [{"content": {"role": "model", "parts": [{"text": "Let me see.", "thought": True}]}, "index": 0}],
        "usageMetadata": {"promptTokenCount": 132, "totalTokenCount": 140, "thoughtsTokenCount": 8},
        "modelVersion": "gemini-3.8-flash",
        "responseId": "r1",
    },
    {"candidates": [{"content": {"role": "model", "parts": [{"text": "I'll "}]}, "index": 0}]},
    {"candidates": [{"content": {"role": "model", "parts": [{"text": "look."}]}, "index": 0}]},
    {
        "candidates": [
            {
                "content": {
                    "role": "model",
                    "parts": [
                        {
                            "functionCall": {"name": "get_weather", "args": {"city": "Rome"}, "id": "toolu_a"},
                            "thoughtSignature": "U0lH",
                        },
                        {"functionCall": {"name": "now", "args": {}, "id": "toolu_b"}},
                    ],
                },
                "index": 0,
            }
        ]
    },
    {
        "candidates": [{"content": {"role": "model", "parts": [{"text": ""}]}, "finishReason": "STOP", "index": 0}],
        "usageMetadata": {
            "promptTokenCount": 132,
            "candidatesTokenCount": 81,
            "thoughtsTokenCount": 8,
            "cachedContentTokenCount": 100,
            "totalTokenCount": 221,
        },
        "modelVersion": "gemini-3.8-flash",
        "responseId": "r1",
    },
]


def _chunk(delta: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
    head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1764115200, "model": "gpt-4.1"}
    return {**head, "choices": [choice]}


CHAT_STREAM: list[dict[str, Any]] = [
    {"id": "", "object": "", "created": 0, "model": "", "choices": [], "prompt_filter_results": []},  # Azure's first
    _chunk({"role": "assistant", "content": ""}),
    _chunk({"reasoning_content": "Let me see."}),
    _chunk({"content": "I'll "}),
    _chunk({"content": "look."}),
    _chunk(
        {
            "tool_calls": [
                {"index": 0, "id": "toolu_a", "type": "function", "function": {"name": "get_weather", "arguments": ""}}
            ]
        }
    ),
    _chunk({"tool_calls": [{"index": 0, "function": {"arguments": '{"city": '}}]}),
    _chunk({"tool_calls": [{"index": 0, "function": {"arguments": '"Rome"}'}}]}),
    _chunk(
        {
            "tool_calls": [
                {"index": 1, "id": "toolu_b", "type": "function", "function": {"name": "now", "arguments": ""}}
            ]
        }
    ),
    _chunk({}, "tool_calls"),
    {
        **_chunk({}),
        "choices": [],
        "usage": {
            "prompt_tokens": 132,
            "completion_tokens": 89,
            "total_tokens": 221,
            "prompt_tokens_details": {"cached_tokens": 100},
            "completion_tokens_details": {"reasoning_tokens": 8},
        },
    },
]


def feed(reader: Any, events: list[dict[str, Any]]) -> list[Event]:
    """All that a reader makes of a stream, its end included."""
    found = [event for each in events for event in reader.feed(json.dumps(each).encode())]
    return found + reader.end()


def written(writer: Any, events: list[Event]) -> bytes:
    """All that a writer makes of events, its end included."""
    return b"".join(writer.write(event) for event in events) + writer.end()


def datas(stream: bytes) -> list[dict[str, Any]]:
    """The JSON of a stream's events; the end mark is left out."""
    found = []
    for block in stream.replace(b"\r\n", b"\n").split(b"\n\n"):
        lines = [line.removeprefix(b"data: ") for line in block.split(b"\n") if line.startswith(b"data: ")]
        if lines and lines[0] != b"[DONE]":
            found.append(json.loads(lines[0]))
    return found


def completion(chunks: list[dict[str, Any]]) -> dict[str, Any]:
    """The message that a client puts together from chunks: its fields, the finish reason and the usage."""
    found: dict[str, Any] = {"content": "", "reasoning_content": "", "tool_calls": [], "finish": None, "usage": None}
    for chunk in chunks:
        found["usage"] = chunk.get("usage") or found["usage"]
        for choice in chunk["choices"]:
            delta = choice["delta"]
            found["content"] += delta.get("content") or ""
            found["reasoning_content"] += delta.get("reasoning_content") or ""
            found["finish"] = choice["finish_reason"] or found["finish"]
            for call in delta.get("tool_calls", []):
                if call["index"] == len(found["tool_calls"]):
                    found["tool_calls"].append({"id": call["id"], "name": call["function"]["name"], "arguments": ""})
                found["tool_calls"][call["index"]]["arguments"] += call["function"].get("arguments") or ""
    return found


TALK_FIELDS: dict[str, Any] = {
    "model": "m",
    "messages": [{"role": "user", "content": "hi"}],
    "tools": [WEATHER],
    "tool_choice": "auto",
    "parallel_tool_calls": True,
    "max_completion_tokens": 50,
    "temperature": 0.5,
    "top_p": 0.9,
    "n": 1,
    "seed": 3,
    "stop": ["x"],
    "presence_penalty": 0.1,
    "frequency_penalty": 0.1,
    "logit_bias": {"1": 2},
    "logprobs": True,
    "top_logprobs": 2,
    "user": "u",
    "metadata": {"a": "b"},
    "store": False,
    "service_tier": "auto",
    "verbosity": "low",
    "prediction": {"type": "content", "content": "x"},
    "stream": True,
}
