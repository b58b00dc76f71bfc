"""The answer: a whole message, and the events of a stream."""

import base64
from collections.abc import Callable, Iterator

from sandbox.anthropic.blocks import SIGNED, signature
from sandbox.anthropic.caching import Cached
from sandbox.anthropic.fields import Fields
from sandbox.anthropic.reading import Asked
from sandbox.misbehaviour.faults import Faults
from sandbox.model.generation import Output
from sandbox.model.replies import REFUSAL
from sandbox.model.tokens import split
from sandbox.wire.messages import encode, named_event

# Anthropic's own way to ask for thinking that may not be shown.
REDACTED = "ANTHROPIC_MAGIC_STRING_TRIGGER_REDACTED_THINKING"
_STOPS = {"length": "max_tokens", "tool_calls": "tool_use"}


def head(asked: Asked, message_id: str, usage: Fields) -> Fields:
    """A message without its end, as a stream begins with it."""
    return {
        "model": asked.model.id,
        "id": message_id,
        "type": "message",
        "role": "assistant",
        "content": [],
        "container": None,
        "stop_reason": None,
        "stop_sequence": None,
        "stop_details": None,
        "usage": usage,
    }


def ending(output: Output) -> Fields:
    """Why an answer ends."""
    reason = _STOPS.get(output.finish_reason, "end_turn")
    if output.calls and output.finish_reason != "length":
        reason = "tool_use"
    if output.stop_sequence and reason == "end_turn":
        reason = "stop_sequence"
    details = None
    if output.is_refusal:
        reason = "refusal"
        details = {"type": "refusal", "category": None, "explanation": REFUSAL}
    sequence = output.stop_sequence if reason == "stop_sequence" else None
    return {"stop_reason": reason, "stop_sequence": sequence, "stop_details": details}


def blocks(asked: Asked, output: Output, new_id: Callable[[str], str]) -> Iterator[Fields]:
    """The blocks of an answer: its thinking, then its text or its calls."""
    if asked.thinking and output.reasoning_tokens:
        text = f"The user wants an answer to this: {asked.prompt.user_text[:200]}"
        if REDACTED in asked.prompt.user_text:
            yield {"type": "redacted_thinking", "data": base64.b64encode(SIGNED + text.encode()).decode()}
        else:
            shown = text if asked.thinking == "summarized" else ""
            yield {"type": "thinking", "thinking": shown, "signature": signature(shown)}
    for call in output.calls:
        yield {
            "type": "tool_use",
            "id": new_id("toolu_"),
            "name": call.name,
            "input": call.values(),
            "caller": {"type": "direct"},
        }
    if output.pieces and not output.is_refusal:
        yield {"type": "text", "text": output.text, "citations": None}


def usage(asked: Asked, output: Output, cached: Cached, faults: Faults) -> Fields:
    """Usage in Anthropic's sense: `input_tokens` are those that neither came from the cache nor went into it."""
    given = faults.usage
    read = given.get("cached_tokens", cached.read)
    written = given.get("cache_write_tokens", cached.written)
    hour = min(cached.written_1h, written)
    fresh = given.get("input_tokens", given.get("prompt_tokens", asked.prompt.tokens - cached.read - cached.written))
    return {
        "input_tokens": fresh,
        "cache_creation_input_tokens": written,
        "cache_read_input_tokens": read,
        "cache_creation": {"ephemeral_5m_input_tokens": written - hour, "ephemeral_1h_input_tokens": hour},
        "output_tokens": given.get("output_tokens", given.get("completion_tokens", output.tokens)),
        "output_tokens_details": {"thinking_tokens": given.get("reasoning_tokens", output.reasoning_tokens)},
        "server_tool_use": None,
        "service_tier": "standard",
        "inference_geo": None,
    }


def whole(asked: Asked, output: Output, message_id: str, used: Fields, new_id: Callable[[str], str]) -> Fields:
    """The whole message."""
    content = list(blocks(asked, output, new_id))
    return {**head(asked, message_id, used), "content": content, **ending(output)}


# What `message_delta` repeats of the usage.
_FINAL = (
    *("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens", "output_tokens"),
    *("output_tokens_details", "server_tool_use"),
)


def events(
    asked: Asked, output: Output, message_id: str, used: Fields, new_id: Callable[[str], str]
) -> Iterator[bytes]:
    """The events of a stream, in Anthropic's order."""
    begun = {**used, "output_tokens": 1, "output_tokens_details": None} if used else {}
    yield named_event({"type": "message_start", "message": head(asked, message_id, begun)})
    pinged = False
    for index, block in enumerate(blocks(asked, output, new_id)):
        empty, deltas = _in_parts(block, output)
        yield named_event({"type": "content_block_start", "index": index, "content_block": empty})
        if not pinged:
            pinged = True
            yield named_event({"type": "ping"})
        for delta in deltas:
            yield named_event({"type": "content_block_delta", "index": index, "delta": delta})
        yield named_event({"type": "content_block_stop", "index": index})
    final = {name: used[name] for name in _FINAL} if used else {}
    yield named_event({"type": "message_delta", "delta": {**ending(output), "container": None}, "usage": final})
    yield named_event({"type": "message_stop"})


def _in_parts(block: Fields, output: Output) -> tuple[Fields, Iterator[Fields]]:
    """A block as it begins, and what is then added to it."""
    kind = block["type"]
    if kind == "text":
        return {**block, "text": ""}, ({"type": "text_delta", "text": piece} for piece in output.stream())
    if kind == "tool_use":
        text = encode(block["input"]).decode()
        return {**block, "input": {}}, _json_deltas(text)
    if kind == "thinking":
        return {**block, "thinking": "", "signature": ""}, _thinking_deltas(block)
    return block, iter(())


def _json_deltas(text: str) -> Iterator[Fields]:
    yield {"type": "input_json_delta", "partial_json": ""}
    for piece in split(text) if text != "{}" else []:
        yield {"type": "input_json_delta", "partial_json": piece}


def _thinking_deltas(block: Fields) -> Iterator[Fields]:
    for piece in split(block["thinking"]):
        yield {"type": "thinking_delta", "thinking": piece}
    yield {"type": "signature_delta", "signature": block["signature"]}
