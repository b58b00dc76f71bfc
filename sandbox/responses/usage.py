"""Token usage as responses report it."""

from typing import Any

from sandbox.misbehaviour.faults import Faults
from sandbox.model.usage import CACHE_MIN_TOKENS, cached_tokens, report
from sandbox.responses.items import Item
from sandbox.responses.output import Made
from sandbox.state import State
from sandbox.wire.messages import encode


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
    read = {"cached_tokens": cached_input, "cache_write_tokens": 0}
    return report(input_tokens, made.tokens, faults.usage, read, {"reasoning_tokens": made.reasoning_tokens})


def compaction_usage(input_tokens: int, items: list[Item]) -> dict[str, Any]:
    """The `usage` of a compaction that left `items`."""
    read = {"cached_tokens": 0, "cache_write_tokens": 0}
    return report(input_tokens, len(encode(items)) // 4, {}, read, {"reasoning_tokens": 0})
