"""Anthropic's and Gemini's shapes: a request to the former, and whole and streamed answers of both, as fixed bytes.

They say what the chats of ``payloads`` say, with the same tokens, so that only the dialect is another.
"""

import json
from typing import Any

from benchmarks.endpoint import CLAUDE, GEMINI
from benchmarks.payloads import CHAT_TEXT, MARK, MESSAGES, PROMPT_TOKENS

ANSWER_TOKENS = 41
# Is once in a stream that is written in Anthropic's dialect, however a server spaces the JSON: behind the last delta.
MESSAGE_END = b"event: message_stop"
# What the upstreams send besides the deltas.
ANTHROPIC_OTHERS, GEMINI_OTHERS = 6, 1


def message_body(model: str, *, stream: bool = False) -> bytes:
    """Return a request for a message with the same content as the chat request's."""
    system, user = MESSAGES
    request: dict[str, Any] = {
        "model": model,
        "max_tokens": 256,
        "system": system["content"],
        "messages": [user],
        "temperature": 0.7,
    }
    if stream:
        request["stream"] = True
    return json.dumps(request).encode()


def _message(content: list[dict[str, Any]], stop: str | None, tokens: int) -> dict[str, Any]:
    return {
        "id": "msg_benchmark",
        "type": "message",
        "role": "assistant",
        "model": f"{CLAUDE}-20250929",
        "content": content,
        "stop_reason": stop,
        "stop_sequence": None,
        "stop_details": None,
        "container": None,
        "usage": {
            "input_tokens": PROMPT_TOKENS,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 0,
            "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0},
            "output_tokens": tokens,
            "output_tokens_details": None,
            "server_tool_use": None,
            "inference_geo": None,
            "service_tier": "standard",
        },
    }


MESSAGE_ANSWER = json.dumps(
    _message([{"type": "text", "text": CHAT_TEXT, "citations": None}], "end_turn", ANSWER_TOKENS)
)


def _content(text: str, tokens: int, finish: str = "") -> dict[str, Any]:
    candidate: dict[str, Any] = {"content": {"parts": [{"text": text}], "role": "model"}, "index": 0}
    if finish:
        candidate["finishReason"] = finish
    return {
        "candidates": [candidate],
        "usageMetadata": {
            "promptTokenCount": PROMPT_TOKENS,
            "candidatesTokenCount": tokens,
            "totalTokenCount": PROMPT_TOKENS + tokens,
            "promptTokensDetails": [{"modality": "TEXT", "tokenCount": PROMPT_TOKENS}],
        },
        "modelVersion": GEMINI,
        "responseId": "response-benchmark",
    }


CONTENT_ANSWER = json.dumps(_content(CHAT_TEXT, ANSWER_TOKENS, "STOP"))


def _named(kind: str, **fields: Any) -> bytes:
    data = {"type": kind, **fields}
    return f"event: {kind}\ndata: {json.dumps(data, separators=(',', ':'))}\n\n".encode()


def _unnamed(content: dict[str, Any]) -> bytes:
    return f"data: {json.dumps(content, separators=(',', ':'))}\r\n\r\n".encode()


def _texts() -> list[str]:
    return [f" {MARK.decode()}-{number}" for number in range(10)]


class CannedEvents:
    """The events of a stream that are the same in each: what comes first, the deltas in turn, and what comes last."""

    def __init__(self, start: bytes, chunks: tuple[bytes, ...], end: bytes) -> None:
        self._start, self._chunks, self._end = start, chunks, end

    def start(self) -> bytes:
        """Return what comes before the first delta."""
        return self._start

    def chunk(self, number: int) -> bytes:
        """Return the delta of a number."""
        return self._chunks[number % len(self._chunks)]

    def end(self) -> bytes:
        """Return what comes behind the last delta."""
        return self._end


MESSAGE_EVENTS = CannedEvents(
    _named("message_start", message=_message([], None, 1))
    + _named("content_block_start", index=0, content_block={"type": "text", "text": ""})
    + _named("ping"),
    tuple(_named("content_block_delta", index=0, delta={"type": "text_delta", "text": text}) for text in _texts()),
    _named("content_block_stop", index=0)
    + _named("message_delta", delta={"stop_reason": "end_turn", "stop_sequence": None}, usage={"output_tokens": 100})
    + _named("message_stop"),
)
CONTENT_EVENTS = CannedEvents(
    b"",
    tuple(_unnamed(_content(text, 10 * number + 1)) for number, text in enumerate(_texts())),
    _unnamed(_content("", 100, "STOP")),
)
