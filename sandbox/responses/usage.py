"""Token usage as responses report it."""

from typing import Any

from sandbox.misbehaviour.faults import Faults
from sandbox.model.usage import CACHE_MIN_TOKENS, cached_tokens
from sandbox.responses.items import Item
from sandbox.responses.output import Made
from sandbox.state import State
from sandbox.wire.messages import encode

# directive: (part of usage, name there)
_OVERRIDES = {
    "prompt_tokens": ("", "input_tokens"),
    "input_tokens": ("", "input_tokens"),
    "completion_tokens": ("", "output_tokens"),
    "output_tokens": ("", "output_tokens"),
    "total_tokens": ("", "total_tokens"),
    "cached_tokens": ("input_tokens_details", "cached_tokens"),
    "cache_write_tokens": ("input_tokens_details", "cache_write_tokens"),
    "audio_input_tokens": ("input_tokens_details", "audio_tokens"),
    "image_tokens": ("input_tokens_details", "image_tokens"),
    "text_tokens": ("input_tokens_details", "text_tokens"),
    "reasoning_tokens": ("output_tokens_details", "reasoning_tokens"),
    "audio_output_tokens": ("output_tokens_details", "audio_tokens"),
}


def tokens_of_tools(tools: list[dict[str, Any]]) -> int:
    return len(encode(tools)) // 4 if tools else 0


def cached(state: State, model: str, key: str, sent: list[Any], input_tokens: int) -> int:
    """How many tokens of the prompt were sent before; `sent` is all that the prompt is made of."""
    if not key and input_tokens < CACHE_MIN_TOKENS:
        return 0
    return cached_tokens(state, model, key, encode([_without_id(part) for part in sent]), input_tokens)


def _without_id(part: Any) -> Any:
    if isinstance(part, dict) and "id" in part:
        return {name: value for name, value in part.items() if name != "id"}
    return part


def usage(input_tokens: int, made: Made, cached_input: int, faults: Faults) -> dict[str, Any]:
    """The `usage` of a response, with the overrides of `faults`."""
    report: dict[str, Any] = {
        "input_tokens": input_tokens,
        "input_tokens_details": {"cached_tokens": cached_input, "cache_write_tokens": 0},
        "output_tokens": made.tokens,
        "output_tokens_details": {"reasoning_tokens": made.reasoning_tokens},
        "total_tokens": input_tokens + made.tokens,
    }
    for name, value in faults.usage.items():
        part, shown = _OVERRIDES[name]
        (report[part] if part else report)[shown] = value
    if faults.usage and "total_tokens" not in faults.usage:
        report["total_tokens"] = report["input_tokens"] + report["output_tokens"]
    return report


def compaction_usage(input_tokens: int, items: list[Item]) -> dict[str, Any]:
    """The `usage` of a compaction that left `items`."""
    output_tokens = len(encode(items)) // 4
    return {
        "input_tokens": input_tokens,
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens": output_tokens,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": input_tokens + output_tokens,
    }
