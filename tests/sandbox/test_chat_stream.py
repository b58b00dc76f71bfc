"""Streamed chat completions: the events as they come over the wire, and through the SDK."""

import json
from typing import Any

from openai import OpenAI

from tests.sandbox.test_tools import WEATHER
from tests.support.openapi import assert_valid
from tests.support.sandbox_process import SandboxProcess

MODEL = "gpt-4o-mini"


def events(sandbox: SandboxProcess, text: str, **options: Any) -> list[dict[str, Any]]:
    """The chunks of a stream, each valid, after checking how the stream is made."""
    messages = [{"role": "user", "content": text}]
    answer = sandbox.post("/chat/completions", {"model": MODEL, "messages": messages, "stream": True, **options})
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
    *lines, last = answer.text.removesuffix("\n\n").split("\n\n")
    assert last == "data: [DONE]"
    chunks = [json.loads(line.removeprefix("data: ")) for line in lines]
    for chunk in chunks:
        assert_valid("CreateChatCompletionStreamResponse", chunk)
    return chunks


def test_a_token_for_each_chunk(sandbox: SandboxProcess) -> None:
    chunks = events(sandbox, "Count from 1 to 5.")

    deltas = [chunk["choices"][0]["delta"] for chunk in chunks]
    assert deltas[0] == {"role": "assistant", "content": "", "refusal": None}
    assert [delta["content"] for delta in deltas[1:-1]] == ["1", " 2", " 3", " 4", " 5"]
    assert deltas[-1] == {}
    assert [chunk["choices"][0]["finish_reason"] for chunk in chunks[-2:]] == [None, "stop"]
    assert len({chunk["id"] for chunk in chunks}) == 1
    assert all("usage" not in chunk and "obfuscation" not in chunk for chunk in chunks)


def test_usage_comes_last_and_is_null_before(sandbox: SandboxProcess) -> None:
    chunks = events(sandbox, "Count from 1 to 5.", stream_options={"include_usage": True})

    assert all(chunk["usage"] is None for chunk in chunks[:-1])
    assert chunks[-1]["choices"] == []
    assert chunks[-1]["usage"]["completion_tokens"] == 5


def test_usage_can_be_left_out(sandbox: SandboxProcess) -> None:
    chunks = events(sandbox, "Hi [[sandbox: no-usage]]", stream_options={"include_usage": True})
    assert all(not chunk.get("usage") for chunk in chunks)


def test_obfuscation_only_when_asked(sandbox: SandboxProcess) -> None:
    chunks = events(sandbox, "Hi", stream_options={"include_obfuscation": True, "include_usage": True})

    assert all(chunk["obfuscation"] for chunk in chunks[:-1])
    assert chunks[0]["usage"] is None


def test_choices_take_turns(sandbox: SandboxProcess) -> None:
    chunks = events(sandbox, "Count from 1 to 3.", n=2)

    indexes = [chunk["choices"][0]["index"] for chunk in chunks]
    assert indexes[:6] == [0, 1, 0, 1, 0, 1]
    texts = ["", ""]
    for chunk in chunks:
        choice = chunk["choices"][0]
        texts[choice["index"]] += choice["delta"].get("content") or ""
    assert texts == ["1 2 3", "1 2 3 (Choice 2.)"]


def test_tool_calls_stream_their_arguments(sandbox: SandboxProcess) -> None:
    chunks = events(sandbox, "What's the weather in Paris and Rome?", tools=[WEATHER])

    calls: dict[int, dict[str, Any]] = {}
    for chunk in chunks:
        for part in chunk["choices"][0]["delta"].get("tool_calls", []):
            call = calls.setdefault(part["index"], {"arguments": "", **part})
            call["arguments"] += part["function"]["arguments"]
    assert [json.loads(call["arguments"]) for call in calls.values()] == [{"city": "Paris"}, {"city": "Rome"}]
    assert all(call["id"].startswith("call_") and call["type"] == "function" for call in calls.values())
    assert chunks[-1]["choices"][0]["finish_reason"] == "tool_calls"


def test_a_refusal_streams(sandbox: SandboxProcess) -> None:
    chunks = events(sandbox, "x [[sandbox: refusal]]")

    text = "".join(chunk["choices"][0]["delta"].get("refusal") or "" for chunk in chunks)
    assert text.startswith("I'm sorry")
    assert all(not chunk["choices"][0]["delta"].get("content") for chunk in chunks)


def test_log_probabilities_stream(sandbox: SandboxProcess) -> None:
    chunks = events(sandbox, "Count from 1 to 2.", logprobs=True, top_logprobs=1)

    tokens = [
        item["token"]
        for chunk in chunks
        if (logprobs := chunk["choices"][0]["logprobs"])
        for item in logprobs["content"]
    ]
    assert tokens == ["1", " 2"]


def test_the_sdk_assembles_a_stream(client: OpenAI) -> None:
    with client.chat.completions.stream(
        model=MODEL, messages=[{"role": "user", "content": "Count from 1 to 5."}]
    ) as stream:
        final = stream.get_final_completion()
    assert final.choices[0].message.content == "1 2 3 4 5"
