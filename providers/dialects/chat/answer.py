"""Reads and writes whole chat completions."""

import time
from typing import Any

from providers.dialects import media as medias
from providers.dialects import tokens
from providers.dialects.chat.parts import read_reasoning, reasoning_details, signature_fields, signature_of
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
    Written,
)
from providers.dialects.wire import Fields, answer_fields, arguments_text, encode, listed, new_id, text_of

# What chat servers say, and what OpenAI's do.
FINISH: dict[str, FinishReason] = {
    "stop": "stop",
    "eos": "stop",
    "eos_token": "stop",
    "end_turn": "stop",
    "stop_sequence": "stop_sequence",
    "length": "length",
    "max_tokens": "length",
    "model_length": "length",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
    "tool_use": "tool_calls",
    "content_filter": "content_filter",
    "sensitive": "content_filter",
    "refusal": "content_filter",
    "error": "malformed",
}
SAID: dict[str, str] = {
    "stop": "stop",
    "stop_sequence": "stop",
    "length": "length",
    "context_length": "length",
    "tool_calls": "tool_calls",
    "content_filter": "content_filter",
    "pause": "stop",
    "malformed": "stop",
}


def read_answer(body: bytes, written: Written | None = None, semantics: str = "openai") -> Answer:
    """Return a chat completion in the neutral form. ``semantics`` says how the vendor counts."""
    fields = answer_fields(body)
    if "choices" not in fields:
        raise unreadable("it has no choices")
    names = written.names if written else {}
    created = fields.get("created")
    return Answer(
        text_of(fields.get("id")) or new_id("chatcmpl-"),
        text_of(fields.get("model")),
        created if isinstance(created, int) else int(time.time()),
        [_read_choice(choice, names) for choice in listed(fields, "choices")],
        tokens.read_openai(fields.get("usage"), semantics),
    )


def _read_choice(choice: Fields, names: dict[str, str]) -> Choice:
    message = choice.get("message")
    message = dict(message) if isinstance(message, dict) else {}
    parts: list[Part] = read_reasoning(message)
    parts.extend(_read_content(message.get("content")))
    notes = listed(message, "annotations")
    if notes and parts and isinstance(parts[-1], Text):
        parts[-1].annotations = notes
    parts.extend(medias.from_url(url) for image in listed(message, "images") if (url := image_url(image)))
    if text_of(message.get("refusal")):
        parts.append(Refusal(message["refusal"]))
    signature = signature_of(message)
    if signature and parts and isinstance(parts[-1], Text):
        parts[-1].signature = signature
    calls = [_read_call(call, names) for call in listed(message, "tool_calls")]
    parts.extend(calls)
    finish = FINISH.get(text_of(choice.get("finish_reason")), "tool_calls" if calls else "stop")
    if calls and finish == "stop":
        finish = "tool_calls"
    logprobs = choice.get("logprobs")
    return Choice(parts, finish, logprobs=listed(logprobs, "content") if isinstance(logprobs, dict) else None)


def _read_content(content: Any) -> list[Part]:
    if isinstance(content, str):
        return [Text(content)] if content else []
    found: list[Part] = []
    for part in content if isinstance(content, list) else []:
        if isinstance(part, dict) and part.get("type") == "thinking":  # Mistral nests the text, gateways do not
            thinking = part.get("thinking")
            text = "".join(text_of(each.get("text")) for each in listed(part, "thinking")) or text_of(thinking)
            found.append(
                Reasoning(text, text_of(part.get("signature")), origin="anthropic" if part.get("signature") else "")
            )
        elif isinstance(part, dict) and text_of(part.get("text")):
            found.append(Text(part["text"]))
    return found


def image_url(image: Fields) -> str:
    """Return the URL of an image that a chat server generated, which must be inline."""
    link = image.get("image_url")
    url = text_of(link.get("url")) if isinstance(link, dict) else ""
    return url if url.startswith("data:") and "," in url else ""


def _read_call(call: Fields, names: dict[str, str]) -> ToolCall:
    function = call.get("function")
    function = function if isinstance(function, dict) else {}
    name = text_of(function.get("name"))
    arguments = arguments_text(function.get("arguments"))
    return ToolCall(text_of(call.get("id")) or new_id("call_"), names.get(name, name), arguments, signature_of(call))


def write_answer(answer: Answer, request: Request, *, thinking_in_content: bool = False) -> bytes:
    """Return a chat completion.

    ``thinking_in_content`` shows thinking blocks in ``content`` (``x-tfy-strict-openai: false``).
    """
    body: Fields = {
        "id": answer.id if answer.id.startswith("chatcmpl-") else f"chatcmpl-{answer.id}",
        "object": "chat.completion",
        "created": answer.created,
        "model": answer.model,
        "choices": [_write_choice(choice, index, thinking_in_content) for index, choice in enumerate(answer.choices)],
    }
    if answer.usage is not None:
        body["usage"] = tokens.write_chat(answer.usage)
    return encode(body)


def _write_choice(choice: Choice, index: int, thinking_in_content: bool) -> Fields:
    texts = [part for part in choice.parts if isinstance(part, Text)]
    thoughts = [part for part in choice.parts if isinstance(part, Reasoning)]
    refusals = [part.text for part in choice.parts if isinstance(part, Refusal)]
    calls = [part for part in choice.parts if isinstance(part, ToolCall)]
    media = [part for part in choice.parts if isinstance(part, Media)]
    text = "".join(part.text for part in texts)
    message: Fields = {"role": "assistant", "content": text or None, "refusal": "".join(refusals) or None}
    if not text and not calls and not refusals and choice.finish != "content_filter":
        message["content"] = ""
    if calls:
        message["tool_calls"] = [write_call(call) for call in calls]
    if thoughts:
        shown = "".join(part.text for part in thoughts)
        if shown:
            message["reasoning_content"] = shown
        details = reasoning_details(thoughts)
        if details:
            message["reasoning_details"] = details
        if thinking_in_content:
            message["content"] = [_thinking(part) for part in thoughts] + (
                [{"type": "text", "text": text}] if text else []
            )
    notes = [note for part in texts for note in part.annotations]
    if notes:
        message["annotations"] = notes
    _write_media(message, media)
    message.update(signature_fields(next((part.signature for part in reversed(texts) if part.signature), "")))
    logprobs = None if choice.logprobs is None else {"content": choice.logprobs, "refusal": None}
    return {"index": index, "message": message, "logprobs": logprobs, "finish_reason": SAID[choice.finish]}


def _write_media(message: Fields, media: list[Media]) -> None:
    images = [
        {"type": "image_url", "image_url": {"url": medias.data_uri(part)}} for part in media if part.kind == "image"
    ]
    if images:
        message["images"] = images
    sounds = [part.data for part in media if part.kind == "audio"]
    if sounds:
        transcript = message.get("content") or ""
        message["audio"] = {"id": new_id("audio_"), "expires_at": 0, "data": "".join(sounds), "transcript": transcript}


def write_call(call: ToolCall) -> Fields:
    """Return a tool call in chat's form, with its thought signature where Google's own layer has it."""
    function = {"name": call.name, "arguments": call.arguments or "{}"}
    return {"id": call.id, "type": "function", "function": function, **signature_fields(call.signature)}


def _thinking(part: Reasoning) -> Fields:
    if part.redacted:
        return {"type": "redacted_thinking", "data": part.redacted}
    return {"type": "thinking", "thinking": part.text, "signature": part.signature}
