"""Reads a Responses request into the neutral form."""

from collections.abc import Mapping, Sequence
from typing import Any

from providers.dialects.chat.options import check_effort, read_choice, read_format
from providers.dialects.failures import unsupported
from providers.dialects.neutral import Request, Text, Thinking
from providers.dialects.responses.items import ORIGIN, read_items
from providers.dialects.responses.tools import add_tools
from providers.dialects.wire import Fields, invalid, items, plain, take, typed

# Handled where responses are kept, or without a meaning for the answer.
_ELSEWHERE = ("previous_response_id", "conversation", "store", "background", "truncation", "stream_options", "include")
_REFUSED = ("prompt", "context_management")


def read_request(fields: Mapping[str, Any], history: Sequence[Fields] = ()) -> Request:
    """Return a Responses request in the neutral form; raise ``DialectError`` naming the field that is wrong.

    ``history`` are the items of earlier responses that the request goes on from, the oldest first.
    """
    body = plain(fields)
    request = Request(origin=ORIGIN, model=take(body, "model", str) or "", include_usage=True)
    for name in _REFUSED:
        if body.get(name):
            raise unsupported(name, "is not supported with this model.")
    for name in _ELSEWHERE:
        body.pop(name, None)
    instructions = take(body, "instructions", str)
    if instructions:
        request.system.append(Text(instructions))
    given = body.pop("input", None)
    if isinstance(given, str):
        given = [{"role": "user", "content": given}]
    if not isinstance(given, list) or not (given or history):
        raise invalid("input", given, "It must be a string or a non-empty array of items.")
    add_tools(request, items(body.pop("tools", []), "tools"), "tools")
    read_items(request, list(history), "history")
    read_items(request, items(given, "input"), "input")
    choice = body.pop("tool_choice", None)
    if choice is not None:
        request.tool_choice = read_choice(choice, "tool_choice")
    _settings(request, body)
    body.pop("max_tool_calls", None)
    request.extra = body
    return request


def _settings(request: Request, body: Fields) -> None:
    text = take(body, "text", dict) or {}
    request.format = read_format(text.get("format"), "text.format")
    verbosity = text.get("verbosity")
    request.verbosity = None if verbosity is None else typed(verbosity, str, "text.verbosity")
    reasoning = take(body, "reasoning", dict)
    if reasoning:
        effort = check_effort(reasoning.get("effort"), "reasoning.effort")
        summary = reasoning.get("summary") or reasoning.get("generate_summary")
        if effort or summary:
            request.thinking = Thinking(effort, summary=True if summary else None)  # type: ignore[arg-type]
    request.parallel = take(body, "parallel_tool_calls", bool)
    request.stream = take(body, "stream", bool) or False
    request.max_tokens = take(body, "max_output_tokens", int)
    request.temperature = take(body, "temperature", float)
    request.top_p = take(body, "top_p", float)
    request.top_logprobs = take(body, "top_logprobs", int)
    request.logprobs = True if request.top_logprobs else None
    request.user = take(body, "user", str) or take(body, "safety_identifier", str)
    request.metadata = take(body, "metadata", dict)
    request.service_tier = take(body, "service_tier", str)
