"""The CPU time of translation alone: ``python -m benchmarks.dialects``. No server, no network; microseconds of CPU.

A plain call is the caller's request read and written for the vendor, and the vendor's answer read and written for the
caller. An event is one delta of text of a stream, read and written. Each figure is the best of several rounds.
"""

import time
from collections.abc import Callable
from typing import Any

import msgspec

from providers.dialects import anthropic, chat, gemini, responses
from providers.dialects.events import Event
from providers.dialects.neutral import Settings

encode = msgspec.json.encode
WORDS = "The quick brown fox jumps over the lazy dog. "
TOOL = {
    "type": "object",
    "properties": {"city": {"type": "string", "description": "A city."}, "unit": {"enum": ["c", "f"]}},
    "required": ["city"],
}
CHAT = {
    "model": "m",
    "messages": [
        {"role": "system", "content": WORDS * 4},
        {"role": "user", "content": WORDS * 4},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [
                {
                    "id": "call_1",
                    "type": "function",
                    "function": {"name": "get_weather", "arguments": '{"city":"Rome"}'},
                }
            ],
        },
        {"role": "tool", "tool_call_id": "call_1", "content": "sunny"},
        {"role": "user", "content": WORDS},
    ],
    "tools": [{"type": "function", "function": {"name": "get_weather", "description": "Weather.", "parameters": TOOL}}],
    "temperature": 0.5,
    "max_tokens": 500,
}
MESSAGES = {
    "model": "m",
    "max_tokens": 500,
    "system": WORDS * 4,
    "messages": [
        {"role": "user", "content": WORDS * 4},
        {
            "role": "assistant",
            "content": [{"type": "tool_use", "id": "t1", "name": "get_weather", "input": {"city": "Rome"}}],
        },
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "t1", "content": "sunny"},
                {"type": "text", "text": WORDS},
            ],
        },
    ],
    "tools": [{"name": "get_weather", "description": "Weather.", "input_schema": TOOL}],
}
RESPONSES = {"model": "m", "instructions": WORDS, "input": [{"role": "user", "content": WORDS * 4}], "store": False}
FROM_ANTHROPIC = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "claude",
    "content": [{"type": "text", "text": WORDS * 4}],
    "stop_reason": "end_turn",
    "usage": {"input_tokens": 100, "output_tokens": 50, "cache_read_input_tokens": 10},
}
FROM_GEMINI = {
    "candidates": [{"content": {"role": "model", "parts": [{"text": WORDS * 4}]}, "finishReason": "STOP", "index": 0}],
    "usageMetadata": {"promptTokenCount": 100, "candidatesTokenCount": 50, "totalTokenCount": 150},
    "modelVersion": "gemini",
    "responseId": "r1",
}
FROM_CHAT = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1,
    "model": "gpt",
    "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": WORDS * 4}}],
    "usage": {"prompt_tokens": 100, "completion_tokens": 50, "total_tokens": 150},
}
DELTAS = {
    "anthropic": (
        anthropic.StreamReader,
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "quick "}},
    ),
    "gemini": (
        gemini.StreamReader,
        {
            "candidates": [{"content": {"role": "model", "parts": [{"text": "quick "}]}, "index": 0}],
            "usageMetadata": {"promptTokenCount": 100, "totalTokenCount": 100},
            "modelVersion": "gemini",
            "responseId": "r1",
        },
    ),
    "chat": (
        chat.StreamReader,
        {
            "id": "chatcmpl-1",
            "object": "chat.completion.chunk",
            "created": 1,
            "model": "gpt",
            "choices": [{"index": 0, "delta": {"content": "quick "}, "logprobs": None, "finish_reason": None}],
        },
    ),
}
READERS: dict[str, tuple[Any, dict[str, Any]]] = {
    "chat": (chat, CHAT),
    "anthropic": (anthropic, MESSAGES),
    "responses": (responses, RESPONSES),
}
VENDORS: dict[str, tuple[Any, dict[str, Any], str]] = {
    "anthropic": (anthropic, FROM_ANTHROPIC, "claude-opus-5"),
    "gemini": (gemini, FROM_GEMINI, "gemini-3.8-flash"),
    "chat": (chat, FROM_CHAT, "gpt-4.1"),
}


def best(work: Callable[[], object], count: int, rounds: int = 7) -> float:
    """Return the microseconds of CPU of one call of ``work``, the best of several rounds."""
    found = []
    for _ in range(rounds):
        start = time.process_time_ns()
        for _ in range(count):
            work()
        found.append((time.process_time_ns() - start) / count / 1000)
    return min(found)


def plain_call(front: str, vendor: str) -> Callable[[], object]:
    """Return the translation of a whole call."""
    door, fields = READERS[front]
    dialect, answer, model = VENDORS[vendor]
    body, answered, settings = encode(fields), encode(answer), Settings(model=model)

    def work() -> object:
        given = msgspec.json.decode(body)
        request = door.read_request(given)
        written = dialect.write_request(request, settings)
        found = dialect.read_answer(answered, written)
        return door.write_answer(found, request, given) if front == "responses" else door.write_answer(found, request)

    return work


def event(front: str, vendor: str) -> Callable[[], object]:
    """Return the translation of one delta of text in the middle of a stream."""
    door, fields = READERS[front]
    reader_class, delta = DELTAS[vendor]
    request, data, reader = door.read_request(fields), encode(delta), reader_class()
    writer = door.StreamWriter(request, fields) if front == "responses" else door.StreamWriter(request)
    events: list[Event] = reader.feed(data)
    for each in events:
        writer.write(each)

    def work() -> object:
        return [writer.write(each) for each in reader.feed(data)]

    return work


def main() -> None:
    """Print a line per front door and vendor."""
    print(f"{'front door':12}{'vendor':12}{'us a plain call':>18}{'us an event':>14}")
    for front in READERS:
        for vendor in VENDORS:
            if front != vendor:
                call, delta = best(plain_call(front, vendor), 300), best(event(front, vendor), 3000)
                print(f"{front:12}{vendor:12}{call:18.1f}{delta:14.2f}")


if __name__ == "__main__":
    main()
