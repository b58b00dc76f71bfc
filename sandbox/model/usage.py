"""Token usage as answers report it, and the memory of prompts behind `cached_tokens`."""

import hashlib
from typing import Any

from sandbox.misbehaviour.faults import Faults
from sandbox.model.generation import Output
from sandbox.model.prompt import Prompt
from sandbox.state import State

CACHE_MIN_TOKENS = 1024
_BLOCK = 128  # tokens that are cached together
_KEYED_BLOCK = 16  # the same when the client gave a prompt_cache_key
_MAX_BLOCKS = 2048
_BYTES_PER_TOKEN = 4
_MEMORY = 100_000


def cached_tokens(state: State, model: str, key: str, prompt: bytes, prompt_tokens: int) -> int:
    """How many tokens at the prompt's beginning were sent before, for this model and `prompt_cache_key`.

    As OpenAI does, prompts below 1,024 tokens are not cached, and a prefix counts in steps of 128 tokens. With a
    key short prompts are cached too, in steps of 16, so that examples can show it.
    """
    if not key and prompt_tokens < CACHE_MIN_TOKENS:
        return 0
    block = _KEYED_BLOCK if key else _BLOCK
    seen = state.store("prompt-cache", _MEMORY)
    running = hashlib.blake2b(f"{model}\0{key}\0".encode(), digest_size=16)
    step = block * _BYTES_PER_TOKEN
    hits, unbroken = 0, True
    for start in range(0, min(len(prompt), step * _MAX_BLOCKS) - step + 1, step):
        running.update(prompt[start : start + step])
        digest = running.hexdigest()
        unbroken = unbroken and digest in seen
        hits += unbroken
        if not unbroken:
            seen.put(digest, True)
    return min(hits * block, prompt_tokens // block * block)


def chat_usage(prompt: Prompt, outputs: list[Output], cached: int, faults: Faults) -> dict[str, Any]:
    """Usage as chat completions report it, with the overrides of `faults`."""
    output_tokens = sum(output.tokens for output in outputs)
    usage: dict[str, Any] = {
        "prompt_tokens": prompt.tokens,
        "completion_tokens": output_tokens,
        "total_tokens": prompt.tokens + output_tokens,
        "prompt_tokens_details": {"cached_tokens": cached, "audio_tokens": prompt.audio_tokens},
        "completion_tokens_details": {
            "reasoning_tokens": sum(output.reasoning_tokens for output in outputs),
            "audio_tokens": sum(output.audio_tokens for output in outputs),
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }
    if faults.usage:
        _override(usage, faults.usage)
    return usage


# directive: the part of usage that it belongs to
_DETAILS = {
    "cached_tokens": "prompt_tokens_details",
    "cache_write_tokens": "prompt_tokens_details",
    "audio_input_tokens": "prompt_tokens_details",
    "image_tokens": "prompt_tokens_details",
    "text_tokens": "prompt_tokens_details",
    "reasoning_tokens": "completion_tokens_details",
    "audio_output_tokens": "completion_tokens_details",
}
_RENAMED = {
    "audio_input_tokens": "audio_tokens",
    "audio_output_tokens": "audio_tokens",
    "input_tokens": "prompt_tokens",
    "output_tokens": "completion_tokens",
}


def _override(usage: dict[str, Any], wanted: dict[str, int]) -> None:
    for name, value in wanted.items():
        part = usage[_DETAILS[name]] if name in _DETAILS else usage
        part[_RENAMED.get(name, name)] = value
    if "total_tokens" not in wanted:
        usage["total_tokens"] = usage["prompt_tokens"] + usage["completion_tokens"]
