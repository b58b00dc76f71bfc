"""Reads and writes whole answers of Gemini."""

import time
from typing import Any

from providers.dialects import tokens
from providers.dialects.failures import unreadable
from providers.dialects.gemini.parts import citations, read_part, write_part
from providers.dialects.neutral import Answer, Choice, FinishReason, Part, Request, Text, ToolCall, Written
from providers.dialects.wire import Fields, answer_fields, encode, listed, new_id, text_of

FINISH: dict[str, FinishReason] = {
    "STOP": "stop",
    "MAX_TOKENS": "length",
    "SAFETY": "content_filter",
    "RECITATION": "content_filter",
    "BLOCKLIST": "content_filter",
    "PROHIBITED_CONTENT": "content_filter",
    "SPII": "content_filter",
    "IMAGE_SAFETY": "content_filter",
    "IMAGE_PROHIBITED_CONTENT": "content_filter",
    "IMAGE_RECITATION": "content_filter",
    "ESCALATION": "content_filter",
    "LANGUAGE": "stop",
    "OTHER": "stop",
    "MALFORMED_FUNCTION_CALL": "malformed",
    "UNEXPECTED_TOOL_CALL": "malformed",
    "TOO_MANY_TOOL_CALLS": "malformed",
    "MISSING_THOUGHT_SIGNATURE": "malformed",
    "MALFORMED_RESPONSE": "malformed",
}
SAID: dict[FinishReason, str] = {
    "stop": "STOP",
    "stop_sequence": "STOP",
    "length": "MAX_TOKENS",
    "context_length": "MAX_TOKENS",
    "tool_calls": "STOP",
    "content_filter": "SAFETY",
    "pause": "STOP",
    "malformed": "MALFORMED_FUNCTION_CALL",
}


def finish_of(reason: str, called: bool) -> FinishReason:
    """Return the reason of a finish: Gemini stops for a call as for an end, but a call cut short is not a call."""
    finish = FINISH.get(reason, "stop")
    return "tool_calls" if called and finish == "stop" else finish


def read_answer(body: bytes, written: Written | None = None) -> Answer:
    """Return a Gemini answer in the neutral form.

    A blocked prompt, which has no candidates, is a choice without content.
    """
    fields = answer_fields(body)
    candidates = listed(fields, "candidates")
    blocked = blocked_reason(fields)
    if not candidates and not blocked and "usageMetadata" not in fields:
        raise unreadable("it has no candidates")
    choices = [_choice(candidate, written) for candidate in candidates]
    if not choices:
        choices = [Choice([], "content_filter", blocked)]
    return Answer(
        text_of(fields.get("responseId")) or new_id("gen-"),
        text_of(fields.get("modelVersion")),
        int(time.time()),
        choices,
        tokens.read_gemini(fields.get("usageMetadata")),
    )


def blocked_reason(fields: Fields) -> str:
    """Return why the prompt was blocked; empty if it was not."""
    feedback = fields.get("promptFeedback")
    return text_of(feedback.get("blockReason")) if isinstance(feedback, dict) else ""


def content_parts(candidate: Fields) -> list[Fields]:
    """Return the parts of a candidate's content."""
    content = candidate.get("content")
    return listed(content, "parts")


def _choice(candidate: Fields, written: Written | None) -> Choice:
    parts: list[Part] = []
    names = written.names if written is not None else {}
    for each in content_parts(candidate):
        part = read_part(each)
        if part is None:
            continue
        if isinstance(part, ToolCall):
            part.id = part.id or new_id("call_")
            part.name = names.get(part.name, part.name)
        parts.append(part)
    notes = citations(candidate)
    last = next((part for part in reversed(parts) if isinstance(part, Text)), None)
    if notes and last is not None:
        last.annotations = notes
    reason = text_of(candidate.get("finishReason"))
    called = any(isinstance(part, ToolCall) for part in parts)
    logprobs = likely(candidate.get("logprobsResult"))
    return Choice(
        parts, finish_of(reason, called), text_of(candidate.get("finishMessage")) or reason, logprobs=logprobs
    )


def likely(result: Any) -> list[Fields] | None:
    """Return log probabilities in OpenAI's form."""
    if not isinstance(result, dict):
        return None
    others = listed(result, "topCandidates")
    found = []
    for index, chosen in enumerate(listed(result, "chosenCandidates")):
        top = listed(others[index], "candidates") if index < len(others) else []
        found.append({**_token(chosen), "top_logprobs": [_token(each) for each in top]})
    return found


def _token(candidate: Fields) -> Fields:
    token, value = text_of(candidate.get("token")), candidate.get("logProbability")
    number = float(value) if isinstance(value, (int, float)) else -9999.0
    return {"token": token, "logprob": number, "bytes": list(token.encode("utf-8", "replace"))}


def write_answer(answer: Answer, request: Request) -> bytes:
    """Return an answer in Gemini's dialect."""
    body: Fields = {"candidates": [_candidate(choice, index) for index, choice in enumerate(answer.choices)]}
    if answer.usage is not None:
        body["usageMetadata"] = tokens.write_gemini(answer.usage)
    return encode({**body, "modelVersion": answer.model, "responseId": answer.id})


def _candidate(choice: Choice, index: int) -> Fields:
    parts = [written for part in choice.parts if (written := write_part(part)) is not None]
    return {"content": {"role": "model", "parts": parts}, "finishReason": SAID[choice.finish], "index": index}
