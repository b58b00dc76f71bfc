"""Token usage as answers report it, and the memory of prompts behind `cached_tokens`."""

import hashlib
from collections.abc import Mapping
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


# directive: its name in the details of the input, or of the output
_OF_INPUT = {
    **{name: name for name in ("cached_tokens", "cache_write_tokens", "image_tokens", "text_tokens")},
    "audio_input_tokens": "audio_tokens",
}
_OF_OUTPUT = {"reasoning_tokens": "reasoning_tokens", "audio_output_tokens": "audio_tokens"}
Details = dict[str, int]


def report(
    sent: int | None,
    made: int,
    given: Mapping[str, int],
    sent_details: Details | None = None,
    made_details: Details | None = None,
    *,
    names: tuple[str, str] = ("input_tokens", "output_tokens"),
    details: tuple[str, str] = ("input_tokens_details", "output_tokens_details"),
) -> dict[str, Any]:
    """Usage as an endpoint reports it; `given` are what the directives of a request override.

    Without `sent` the input is the sum of its details. `names` are those of both counts, `details` those of their
    parts.
    """
    parts = (_overridden(sent_details, given, _OF_INPUT), _overridden(made_details, given, _OF_OUTPUT))
    if sent is None:
        sent = sum((parts[0] or {}).values())
    sent = given.get("input_tokens", given.get("prompt_tokens", sent))
    made = given.get("output_tokens", given.get("completion_tokens", made))
    made_up: dict[str, Any] = {names[0]: sent, names[1]: made, "total_tokens": given.get("total_tokens", sent + made)}
    return made_up | {name: part for name, part in zip(details, parts, strict=True) if part is not None}


def _overridden(details: Details | None, given: Mapping[str, int], names: Mapping[str, str]) -> Details | None:
    if details is None:
        return None
    return details | {names[name]: value for name, value in given.items() if name in names}


def plain_report(sent: int = 0, made: int = 0) -> dict[str, Any]:
    """Usage without anything special."""
    return report(sent, made, {}, {"cached_tokens": 0}, {"reasoning_tokens": 0})


def chat_usage(prompt: Prompt, outputs: list[Output], cached: int, faults: Faults) -> dict[str, Any]:
    """Usage as chat completions report it, with the overrides of `faults`."""
    made = {
        "reasoning_tokens": sum(output.reasoning_tokens for output in outputs),
        "audio_tokens": sum(output.audio_tokens for output in outputs),
        "accepted_prediction_tokens": 0,
        "rejected_prediction_tokens": 0,
    }
    return report(
        prompt.tokens,
        sum(output.tokens for output in outputs),
        faults.usage,
        {"cached_tokens": cached, "audio_tokens": prompt.audio_tokens},
        made,
        names=("prompt_tokens", "completion_tokens"),
        details=("prompt_tokens_details", "completion_tokens_details"),
    )
