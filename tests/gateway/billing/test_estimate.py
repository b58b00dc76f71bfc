"""What a call must have used, by the rules in the document: text by its family's encoding, media by constants."""

import base64
from typing import Any

import pytest
import toktok

from gateway.billing.estimate import answer_of, request_of
from gateway.billing.tokens import COUNTED_CHARACTERS, FAMILIES, OTHER, count_tokens, family_of

HELLO = "hello wonderful world"
GPT = family_of("gpt-4o-mini")
TOKENS = toktok.batch_count([HELLO], "o200k_base")[0]


@pytest.mark.parametrize(
    ("model", "encoding"),
    [
        ("gpt-4o-mini-2024-07-18", "o200k_base"),
        ("gpt-5.1", "o200k_base"),
        ("GPT-4.1-nano", "o200k_base"),
        ("o3-mini", "o200k_base"),
        ("openai/o1", "o200k_base"),
        ("gpt-oss-120b", "o200k_harmony"),
        ("accounts/fireworks/models/gpt-oss-20b", "o200k_harmony"),
        ("gpt-4", "cl100k_base"),
        ("gpt-4-turbo", "cl100k_base"),
        ("gpt-35-turbo", "cl100k_base"),
        ("text-embedding-3-small", "cl100k_base"),
        ("Qwen/Qwen3-235B-A22B", "qwen3.5"),
        ("us.anthropic.claude-sonnet-4-5-v1:0", "o200k_base"),
        ("gemini-2.5-flash", "o200k_base"),
        ("meta-llama/Llama-3.3-70B-Instruct", "cl100k_base"),
        ("mixtral-8x7b", "cl100k_base"),
        ("of-no-known-family", "o200k_base"),
    ],
)
def test_the_encoding_of_a_family(model: str, encoding: str) -> None:
    assert family_of(model).encoding == encoding


def test_every_encoding_is_there() -> None:
    for family in (*FAMILIES, OTHER):
        assert count_tokens([HELLO], family) >= 3


def test_counts_are_the_tokenizers() -> None:
    assert count_tokens([HELLO, "", HELLO], GPT) == 2 * TOKENS
    assert count_tokens([], GPT) == count_tokens([""], GPT) == 0
    claude = family_of("claude-3-opus")
    assert count_tokens([HELLO * 100], claude) == pytest.approx(1.2 * count_tokens([HELLO * 100], GPT), abs=1)


def test_what_is_long_is_taken_to_go_on_alike() -> None:
    text = f"{HELLO} " * (3 * COUNTED_CHARACTERS // len(HELLO))
    exact = sum(toktok.batch_count([text], "o200k_base"))
    assert count_tokens([text], GPT) == pytest.approx(exact, rel=0.01)
    assert count_tokens(["x", text], GPT) == pytest.approx(exact, rel=0.01)


@pytest.mark.timeout(30)
@pytest.mark.parametrize("text", ["a", " ", "\n", "é", "\U0001f600", "1", "=", "\ud800"])
def test_no_text_takes_long(text: str) -> None:
    assert count_tokens([text * 1_000_000], GPT) > 0


def user(*parts: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": list(parts)}]}


SECOND = base64.b64encode(bytes(48_000)).decode()
PICTURE = {"url": f"data:image/png;base64,{SECOND}"}
REQUESTS: dict[str, tuple[dict[str, Any], int]] = {
    "a message": ({"messages": [{"role": "user", "content": HELLO}]}, TOKENS + 7),
    "two messages": ({"messages": [{"role": "user", "content": HELLO}] * 2}, 2 * TOKENS + 11),
    "parts": (user({"type": "text", "text": HELLO}, {"type": "text", "text": HELLO}), 2 * TOKENS + 7),
    "an image": (user({"type": "image_url", "image_url": PICTURE}), 765 + 7),
    "a small image": (user({"type": "image_url", "image_url": {**PICTURE, "detail": "low"}}), 85 + 7),
    "an image of responses": ({"input": [{"type": "input_image", "image_url": "data:x", "detail": "low"}]}, 85),
    "an image of messages": (user({"type": "image", "source": {"type": "base64", "data": SECOND}}), 765 + 7),
    "an image of Gemini's": (
        {"contents": [{"parts": [{"inlineData": {"mimeType": "image/png", "data": SECOND}}]}]},
        765,
    ),
    "a second of sound": (user({"type": "input_audio", "input_audio": {"data": SECOND, "format": "wav"}}), 10 + 7),
    "three seconds": (user({"type": "input_audio", "input_audio": {"data": SECOND, "format": "mp3"}}), 30 + 7),
    "a file": (user({"type": "file", "file": {"file_id": "file-1", "file_data": SECOND}}), 7),
    "an id": ({"input": [{"type": "item_reference", "id": HELLO}], "previous_response_id": HELLO}, 0),
    "a text": ({"input": HELLO, "instructions": HELLO}, 2 * TOKENS),
    "tokens": ({"input": [1, 2, 3]}, 3),
    "lists of tokens": ({"prompt": [[1, 2, 3], [4]]}, 4),
    "what is not read": ({"metadata": {"a": HELLO}, "user": HELLO, "model": "m"}, 0),
    "nonsense": ({"messages": {"a": [None, 1.5, True, {"b": HELLO}]}}, TOKENS),
}


@pytest.mark.parametrize("case", REQUESTS)
def test_a_request(case: str) -> None:
    fields, tokens = REQUESTS[case]
    assert request_of(fields).total(GPT) == tokens


def test_tools_count_as_their_json() -> None:
    tools = [{"type": "function", "function": {"name": "look"}}]
    written = '[{"type":"function","function":{"name":"look"}}]'
    assert request_of({"tools": tools}).texts == [written]


def test_deep_values_end() -> None:
    deep: Any = HELLO
    for _ in range(1000):
        deep = [deep]
    assert request_of({"messages": deep}).total(GPT) == 0
    assert answer_of([{"choices": deep}]).total(GPT) == 0


EVENTS: dict[str, list[dict[str, Any]]] = {
    "chat": [
        {"choices": [{"delta": {"role": "assistant", "content": HELLO[:7]}}]},
        {"choices": [{"delta": {"content": HELLO[7:]}}]},
    ],
    "reasoning": [{"choices": [{"delta": {"reasoning": HELLO, "reasoning_details": [{"text": HELLO}]}}]}],
    "a refusal": [{"choices": [{"delta": {"refusal": HELLO}}]}],
    "a tool": [{"choices": [{"delta": {"tool_calls": [{"id": "x", "function": {"arguments": HELLO}}]}}]}],
    "completions": [{"choices": [{"text": HELLO}]}],
    "responses": [
        {"type": "response.created", "response": {"instructions": HELLO}},
        {"type": "response.output_text.delta", "delta": HELLO, "item_id": "x", "obfuscation": HELLO},
        {"type": "response.output_text.done", "text": HELLO},
    ],
    "messages": [{"type": "content_block_delta", "delta": {"type": "text_delta", "text": HELLO}}],
    "thinking": [{"type": "content_block_delta", "delta": {"type": "thinking_delta", "thinking": HELLO}}],
    "gemini": [{"candidates": [{"content": {"role": "model", "parts": [{"text": HELLO}]}}]}],
}


@pytest.mark.parametrize("case", EVENTS)
def test_an_answer(case: str) -> None:
    assert answer_of(EVENTS[case]).total(GPT) == TOKENS


def test_spoken_answers_count_by_their_length() -> None:
    spoken = answer_of([{"choices": [{"delta": {"audio": {"data": SECOND, "transcript": ""}}}]}])
    assert (spoken.total(GPT), spoken.audio_tokens(GPT)) == (20, 20)
    assert answer_of([{"type": "response.output_audio.delta", "delta": SECOND}]).total(GPT) == 0
