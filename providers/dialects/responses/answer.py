"""Reads and writes whole responses."""

import time
from collections.abc import Mapping
from typing import Any

from providers.dialects import tokens
from providers.dialects.chat.errors import from_fields
from providers.dialects.failures import DialectError, unreadable
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
    Written,
)
from providers.dialects.responses.items import ORIGIN, reasoning_item, text_part
from providers.dialects.responses.tools import PREFIXES, call_item, call_type
from providers.dialects.wire import Fields, answer_fields, arguments_text, encode, listed, new_id, text_of

# What a response repeats of its request, and what it says where the request left it out.
ECHOED: dict[str, Any] = {
    "background": False,
    "instructions": None,
    "max_output_tokens": None,
    "max_tool_calls": None,
    "metadata": {},
    "parallel_tool_calls": True,
    "previous_response_id": None,
    "reasoning": {"effort": None, "summary": None},
    "store": True,
    "temperature": 1.0,
    "text": {"format": {"type": "text"}},
    "tool_choice": "auto",
    "tools": [],
    "top_logprobs": 0,
    "top_p": 1.0,
    "truncation": "disabled",
}


def read_answer(body: bytes, written: Written | None = None) -> Answer:
    """Return a response in the neutral form. A failed one raises its failure as a ``DialectError``."""
    fields = answer_fields(body)
    if not isinstance(fields.get("output"), list):
        raise unreadable("it has no output")
    if fields.get("status") == "failed" and isinstance(fields.get("error"), dict):
        failure = from_fields(200, fields)
        raise DialectError(failure.message, code=failure.code, status=failure.status)
    parts: list[Part] = []
    for item in listed(fields, "output"):
        parts.extend(read_output(item, written))
    created = fields.get("created_at")
    return Answer(
        text_of(fields.get("id")) or new_id("resp_"),
        text_of(fields.get("model")),
        int(created) if isinstance(created, (int, float)) else int(time.time()),
        [Choice(parts, finish_of(fields, any(isinstance(part, ToolCall) for part in parts)))],
        tokens.read_openai(fields.get("usage")),
    )


def finish_of(fields: Fields, called: bool) -> FinishReason:
    """Return why a response ended."""
    details = fields.get("incomplete_details")
    reason = text_of(details.get("reason")) if isinstance(details, dict) else ""
    if fields.get("status") == "incomplete" or reason:
        return "content_filter" if reason == "content_filter" else "length"
    return "tool_calls" if called else "stop"


def read_output(item: Fields, written: Written | None) -> list[Part]:
    """Return the parts of an output item; what the vendor's own tools did is not among them."""
    kind = item.get("type")
    if kind == "message":
        found: list[Part] = []
        for part in listed(item, "content"):
            if part.get("type") == "refusal":
                found.append(Refusal(text_of(part.get("refusal"))))
            elif text_of(part.get("text")):
                notes = [nested(note) for note in listed(part, "annotations") if note.get("type") == "url_citation"]
                found.append(Text(part["text"], annotations=notes))
        return found
    if kind == "reasoning":
        texts = [text_of(each.get("text")) for name in ("content", "summary") for each in listed(item, name)]
        proof = text_of(item.get("encrypted_content"))
        return [
            Reasoning("\n\n".join(texts), redacted=proof, origin=ORIGIN if proof else "", id=text_of(item.get("id")))
        ]
    if kind in ("function_call", "custom_tool_call"):
        name = text_of(item.get("name"))
        name = written.names.get(name, name) if written is not None else name
        if kind == "custom_tool_call":
            arguments = encode({"input": text_of(item.get("input"))}).decode()
        else:
            arguments = arguments_text(item.get("arguments"))
        return [ToolCall(text_of(item.get("call_id")) or new_id("call_"), name, arguments)]
    if kind == "image_generation_call" and text_of(item.get("result")):
        return [Media("image", data=item["result"], mime=f"image/{text_of(item.get('output_format')) or 'png'}")]
    return []


def nested(note: Fields) -> Fields:
    """Return a citation in chat's nested form."""
    return {"type": "url_citation", "url_citation": {key: value for key, value in note.items() if key != "type"}}


def sealed_wanted(fields: Mapping[str, Any]) -> bool:
    """Whether the caller keeps the conversation itself, and so needs the proofs of thinking."""
    include = fields.get("include")
    return fields.get("store") is False or (isinstance(include, list) and "reasoning.encrypted_content" in include)


def skeleton(response_id: str, model: str, created: int, fields: Mapping[str, Any]) -> Fields:
    """Return a response in progress, with what it repeats of its request (``fields``, plain values)."""
    echoed = {name: usual if fields.get(name) is None else fields[name] for name, usual in ECHOED.items()}
    for name in ("user", "safety_identifier", "prompt_cache_key", "service_tier"):
        if fields.get(name) is not None:
            echoed[name] = fields[name]
    return {
        "id": response_id,
        "object": "response",
        "created_at": created,
        "status": "in_progress",
        "completed_at": None,
        "error": None,
        "incomplete_details": None,
        "model": model,
        "output": [],
        "usage": None,
        **echoed,
    }


def finished(response: Fields, finish: FinishReason, output: list[Fields], usage: Fields | None, now: int) -> Fields:
    """Return a response at its end."""
    incomplete = {
        "length": "max_output_tokens",
        "context_length": "max_output_tokens",
        "content_filter": "content_filter",
    }
    reason = incomplete.get(finish)
    return {
        **response,
        "status": "incomplete" if reason else "completed",
        "completed_at": None if reason else now,
        "incomplete_details": {"reason": reason} if reason else None,
        "output": output,
        "usage": usage,
    }


def write_answer(answer: Answer, request: Request, fields: Mapping[str, Any]) -> bytes:
    """Return a response. ``fields`` are the request's own, as plain values, which a response repeats."""
    choice = answer.choices[0] if answer.choices else Choice([])
    output = write_output(choice.parts, request, fields)
    response_id = answer.id if answer.id.startswith("resp_") else new_id("resp_")
    response = skeleton(response_id, answer.model, answer.created, fields)
    usage = None if answer.usage is None else tokens.write_responses(answer.usage)
    return encode(finished(response, choice.finish, output, usage, int(time.time())))


def write_output(parts: list[Part], request: Request, fields: Mapping[str, Any]) -> list[Fields]:
    """Return the output items of an answer. What proves thinking of a call is a reasoning item before it."""
    tools, sealed = {tool.name: tool for tool in request.tools}, sealed_wanted(fields)
    output: list[Fields] = []
    for part in parts:
        if isinstance(part, (Text, Refusal)):
            block = (
                text_part(part.text, part.annotations)
                if isinstance(part, Text)
                else {"type": "refusal", "refusal": part.text}
            )
            if output and output[-1]["type"] == "message":
                output[-1]["content"].append(block)
            elif part.text:
                output.append(message_item(new_id("msg_"), [block]))
        elif isinstance(part, Reasoning):
            output.append(reasoning_item(part, part.id or new_id("rs_"), sealed=sealed))
        elif isinstance(part, ToolCall):
            if part.signature and sealed:
                output.append(reasoning_item(Reasoning("", part.signature, origin="gemini"), new_id("rs_")))
            tool = tools.get(part.name)
            output.append(call_item(part, new_id(PREFIXES[call_type(tool)]), tool))
        elif isinstance(part, Media) and part.kind == "image":
            output.append(image_item(part, new_id("ig_")))
    return output


def message_item(item_id: str, content: list[Fields], status: str = "completed") -> Fields:
    """Return an output message."""
    return {"id": item_id, "type": "message", "status": status, "role": "assistant", "content": content}


def image_item(part: Media, item_id: str) -> Fields:
    """Return a generated image's item."""
    return {"id": item_id, "type": "image_generation_call", "status": "completed", "result": part.data}
