"""Reads and writes whole messages, and counts of tokens."""

import time
from typing import Any

from providers.dialects import media as medias
from providers.dialects import tokens
from providers.dialects.anthropic.blocks import ORIGIN
from providers.dialects.failures import unreadable
from providers.dialects.neutral import (
    Answer,
    Choice,
    FinishReason,
    Media,
    Part,
    Reasoning,
    Refusal,
    Request,
    Text,
    ToolCall,
    Usage,
    Written,
)
from providers.dialects.signatures import seal
from providers.dialects.wire import (
    Fields,
    answer_fields,
    arguments_object,
    arguments_text,
    encode,
    listed,
    new_id,
    text_of,
)

FINISH: dict[str, FinishReason] = {
    "end_turn": "stop",
    "stop_sequence": "stop_sequence",
    "max_tokens": "length",
    "model_context_window_exceeded": "context_length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
    "pause_turn": "pause",
}
SAID = {reason: said for said, reason in FINISH.items()} | {"malformed": "end_turn"}


def read_answer(body: bytes, written: Written | None = None) -> Answer:
    """Return a message in the neutral form; the forced tool of a structured answer becomes its text."""
    fields = answer_fields(body)
    if not isinstance(fields.get("content"), list):
        raise unreadable("it has no content")
    parts: list[Part] = []
    finish = FINISH.get(text_of(fields.get("stop_reason")), "stop")
    for block in listed(fields, "content"):
        part = read_block(block, written)
        if part is not None:
            parts.append(part)
    if finish == "tool_calls" and not any(isinstance(part, ToolCall) for part in parts):
        finish = "stop"
    detail, refusal = refused(fields.get("stop_details"))
    if finish == "content_filter" and refusal:
        parts.append(Refusal(refusal))
    choice = Choice(parts, finish, detail, text_of(fields.get("stop_sequence")))
    answer_id, model = text_of(fields.get("id")) or new_id("msg_"), text_of(fields.get("model"))
    return Answer(answer_id, model, int(time.time()), [choice], tokens.read_anthropic(fields.get("usage")))


def refused(details: Any) -> tuple[str, str]:
    """Return the category and explanation of a refusal."""
    if not isinstance(details, dict):
        return "", ""
    return text_of(details.get("category")), text_of(details.get("explanation"))


def read_block(block: Fields, written: Written | None) -> Part | None:
    """Return a block of an answer; ``None`` for what the vendor's own tools left, which means nothing elsewhere."""
    kind = block.get("type")
    if kind == "text":
        text = text_of(block.get("text"))
        return Text(text, annotations=citations(listed(block, "citations"), text)) if text else None
    if kind == "tool_use":
        arguments = arguments_text(block.get("input"))
        name = text_of(block.get("name"))
        if written is not None and written.json_tool and name == written.json_tool:
            return Text(arguments)
        name = written.names.get(name, name) if written is not None else name
        return ToolCall(text_of(block.get("id")) or new_id("toolu_"), name, arguments)
    if kind == "thinking":
        return Reasoning(text_of(block.get("thinking")), text_of(block.get("signature")), origin=ORIGIN)
    if kind == "redacted_thinking":
        return Reasoning(redacted=text_of(block.get("data")), origin=ORIGIN)
    return None


def citations(found: list[Fields], text: str) -> list[Fields]:
    """Return a web citation of each as OpenAI has it; others point into documents that only the caller knows."""
    return [
        {
            "type": "url_citation",
            "url_citation": {
                "start_index": 0,
                "end_index": len(text),
                "url": text_of(each.get("url")),
                "title": text_of(each.get("title")),
            },
        }
        for each in found
        if each.get("url")
    ]


def write_answer(answer: Answer, request: Request) -> bytes:
    """Return a message. Only the first choice has a place in it."""
    choice = answer.choices[0] if answer.choices else Choice([])
    content: list[Fields] = []
    for part in choice.parts:
        content.extend(write_blocks(part))
    finish = SAID[choice.finish]
    if choice.sequence == "" and finish == "stop_sequence":
        finish = "end_turn"
    return encode(
        {
            "id": answer.id if answer.id.startswith("msg_") else f"msg_{answer.id}",
            "type": "message",
            "role": "assistant",
            "model": answer.model,
            "content": content,
            "stop_reason": finish,
            "stop_sequence": choice.sequence or None,
            "stop_details": stop_details(choice.finish, choice.detail, refusal_of(choice)),
            "container": None,
            "usage": tokens.write_anthropic(answer.usage or Usage()),
        }
    )


def refusal_of(choice: Choice) -> str:
    """Return the words of a refusal."""
    return "".join(part.text for part in choice.parts if isinstance(part, Refusal))


def stop_details(finish: FinishReason, category: str, explanation: str) -> Fields | None:
    """Return what Anthropic says beside the stop reason ``refusal``."""
    if finish != "content_filter":
        return None
    known = category if category in ("cyber", "bio") else None
    return {"type": "refusal", "category": known, "explanation": explanation or None}


def write_blocks(part: Part) -> list[Fields]:
    """Return the blocks of a part of an answer. A call's proof of thinking goes into a thinking block before it."""
    if isinstance(part, (Text, Refusal)):
        return [{"type": "text", "text": part.text, "citations": None}] if part.text else []
    if isinstance(part, ToolCall):
        call: Fields = {
            "type": "tool_use",
            "id": part.id,
            "name": part.name,
            "input": arguments_object(part.arguments),
            "caller": {"type": "direct"},
        }
        if not part.signature:
            return [call]
        return [{"type": "thinking", "thinking": "", "signature": seal("gemini", part.signature, ORIGIN)}, call]
    if isinstance(part, Reasoning):
        if part.redacted:
            return [{"type": "redacted_thinking", "data": seal(part.origin, part.redacted, ORIGIN)}]
        return [{"type": "thinking", "thinking": part.text, "signature": seal(part.origin, part.signature, ORIGIN)}]
    if isinstance(part, Media):
        return [{"type": "text", "text": f"![{part.kind}]({medias.data_uri(part)})", "citations": None}]
    return []


def read_count(body: bytes) -> int:
    """Return what a ``count_tokens`` answer says."""
    counted = answer_fields(body).get("input_tokens")
    if not isinstance(counted, int):
        raise unreadable("it has no input_tokens")
    return counted


def write_count(tokens: int) -> bytes:
    """Return a ``count_tokens`` answer."""
    return encode({"input_tokens": tokens})
