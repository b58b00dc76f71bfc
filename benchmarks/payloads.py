"""What is asked and what the upstreams answer: OpenAI's shapes, fixed bytes."""

import base64
import json
from typing import Any

CREATED = 1_760_000_000
PROMPT_TOKENS = 34
MEGABYTE = 2**20
# Is once in every content chunk and nowhere else, so chunks can be counted in a byte stream.
MARK = b"gatehouse-token"

# Becomes another text in each canned answer.
UNIQUE = "@unique@"

MESSAGES: list[dict[str, Any]] = [
    {"role": "system", "content": "You are a helpful assistant who answers briefly."},
    {"role": "user", "content": "Explain in two sentences why the sky is blue and sunsets are red."},
]
CHAT_TEXT = (
    "Air scatters short blue wavelengths of sunlight far more than long red ones, so the sky looks blue. "
    "At sunset the light crosses more air, the blue is scattered away, and red remains."
)
CHAT_ANSWER = json.dumps(
    {
        "id": "chatcmpl-benchmark",
        "object": "chat.completion",
        "created": CREATED,
        "model": "gpt-4o-mini-2024-07-18",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": CHAT_TEXT, "refusal": None, "annotations": []},
                "logprobs": None,
                "finish_reason": "stop",
            }
        ],
        "usage": {
            "prompt_tokens": PROMPT_TOKENS,
            "completion_tokens": 41,
            "total_tokens": PROMPT_TOKENS + 41,
            "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0},
        },
        "service_tier": "default",
        "system_fingerprint": "fp_benchmark",
    }
)


def chat_body(model: str, *, stream: bool = False, image_bytes: int = 0) -> bytes:
    """Return a chat request; with ``image_bytes``, one that carries a data URL of about that size."""
    messages = [dict(message) for message in MESSAGES]
    if image_bytes:
        data = base64.b64encode(bytes(range(256)) * (image_bytes * 3 // 4 // 256)).decode()
        messages[-1]["content"] = [
            {"type": "text", "text": "What is in this image?"},
            {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{data}"}},
        ]
    body: dict[str, Any] = {"model": model, "messages": messages, "temperature": 0.7, "max_tokens": 256}
    if stream:
        body["stream"] = True
    return json.dumps(body).encode()


def _event(delta: dict[str, Any] | None, finish: str | None = None, usage: dict[str, int] | None = None) -> bytes:
    choices = [] if delta is None else [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}]
    chunk: dict[str, Any] = {
        "id": "chatcmpl-benchmark",
        "object": "chat.completion.chunk",
        "created": CREATED,
        "model": "gpt-4o-mini-2024-07-18",
        "choices": choices,
    }
    if usage is not None:
        chunk["usage"] = usage
    return b"data: " + json.dumps(chunk, separators=(",", ":")).encode() + b"\n\n"


STREAM_START = _event({"role": "assistant", "content": "", "refusal": None})
# They differ, because LiteLLM ends a stream that repeats a chunk a hundred times.
STREAM_TOKENS = tuple(_event({"content": f" {MARK.decode()}-{number}"}) for number in range(10))
STREAM_END = _event({}, finish="stop")
STREAM_USAGE = _event(
    None, usage={"prompt_tokens": PROMPT_TOKENS, "completion_tokens": 100, "total_tokens": PROMPT_TOKENS + 100}
)
STREAM_DONE = b"data: [DONE]\n\n"
