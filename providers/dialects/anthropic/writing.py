"""Writes a neutral request for Anthropic."""

from collections.abc import Sequence

from providers.dialects.anthropic import vertex
from providers.dialects.anthropic.blocks import EMPTY, write_part
from providers.dialects.anthropic.thinking import write_sampling, write_thinking
from providers.dialects.failures import unsupported
from providers.dialects.families import Claude, claude
from providers.dialects.media import fetched, with_media
from providers.dialects.naming import Names
from providers.dialects.neutral import (
    Cache,
    Media,
    Message,
    Part,
    Reasoning,
    Request,
    Settings,
    Tool,
    ToolCall,
    ToolResult,
    Written,
)
from providers.dialects.schema import for_anthropic
from providers.dialects.wire import Fields, encode

LONGEST_NAME = 128
MOST_MARKS = 4
JSON_TOOL = "json_response"
"""The tool that is forced where a model has no structured output of its own."""
_ANY_JSON = "Answer with one JSON object and nothing else: no prose, no code fence."
_FREE_TEXT = {"type": "object", "properties": {"input": {"type": "string"}}, "required": ["input"]}
# Neutral parameters that Anthropic has no counterpart of, as chat names them.
NOT_TAKEN = (
    "n",
    "seed",
    "presence_penalty",
    "frequency_penalty",
    "logprobs",
    "top_logprobs",
    "verbosity",
    "service_tier",
)


def write_request(request: Request, settings: Settings) -> Written:
    """Return the request's JSON for Anthropic, with what had to be dropped."""
    family = claude(settings.rules_name)
    body, dropped, names, json_tool = _common(request, settings, family)
    output = request.max_tokens or settings.max_output or family.output
    if settings.max_output and request.max_tokens is None:
        output = min(output, settings.max_output)
    body["max_tokens"] = output
    write_thinking(request, settings, family, body, dropped)
    write_sampling(request, settings, family, body, dropped)
    if request.stop:
        body["stop_sequences"] = [stop for stop in request.stop if stop.strip()]
    if request.user:
        body["metadata"] = {"user_id": request.user[:512]}
    if request.stream:
        body["stream"] = True
    _drop(request, settings, dropped)
    return Written(_encoded(body, vertex.MESSAGES, settings), dropped, names.back(), json_tool)


def write_count_request(request: Request, settings: Settings) -> Written:
    """Return the JSON for ``count_tokens``: the same conversation without what only an answer needs."""
    family = claude(settings.rules_name)
    body, dropped, names, json_tool = _common(request, settings, family)
    write_thinking(request, settings, family, {"max_tokens": family.output, **body}, [], into=body)
    return Written(_encoded(body, vertex.COUNT, settings), dropped, names.back(), json_tool)


def _encoded(body: Fields, path: str, settings: Settings) -> bytes:
    return encode(vertex.body_fields(body, path, settings.model) if settings.vertex else body)


def _common(request: Request, settings: Settings, family: Claude) -> tuple[Fields, list[str], Names, str]:
    names = Names(request, LONGEST_NAME)
    body: Fields = {"model": settings.model}
    system = [{"type": "text", "text": part.text, "_cache": part.cache} for part in request.system if part.text.strip()]
    dropped: list[str] = []
    json_tool = _format(request, settings, family, body, system)
    body["messages"] = _messages(request, settings, names)
    if system:
        body["system"] = system
    _tools(request, settings, family, names, body, dropped, json_tool)
    _marks(body, settings.cache)
    return body, dropped, names, json_tool


def _format(request: Request, settings: Settings, family: Claude, body: Fields, system: list[Fields]) -> str:
    """Ask for structured output: natively, by a forced tool, or in words. Return the tool's name."""
    form = request.format
    if form is None:
        return ""
    if form.kind == "json_object":
        system.append({"type": "text", "text": _ANY_JSON, "_cache": None})
        return ""
    if family.schemas:
        body["output_config"] = {"format": {"type": "json_schema", "schema": for_anthropic(form.schema or {})}}
        return ""
    if request.tools:
        raise unsupported("response_format", f"cannot be combined with tools for the model '{settings.model}'.")
    return JSON_TOOL


def _messages(request: Request, settings: Settings, names: Names) -> list[Fields]:
    """Return turns that alternate, the user's first.

    Results of tools come first in their turn, in the order of the calls.
    """
    found: list[Fields] = []
    order: dict[str, int] = {}
    for message in request.messages:
        role = "assistant" if message.role == "assistant" else "user"
        parts: Sequence[Part] = message.parts
        if role == "assistant":
            calls = [part for part in parts if isinstance(part, ToolCall)]
            order = {call.id: index for index, call in enumerate(calls)}
            parts = _ordered(message)
        elif message.role == "tool":
            parts = sorted(parts, key=lambda part: order.get(getattr(part, "call_id", ""), len(order)))
        blocks = _blocks(parts, settings, names)
        if not blocks:
            continue
        if found and found[-1]["role"] == role:
            found[-1]["content"].extend(blocks)
        else:
            found.append({"role": role, "content": blocks})
    if not found or found[0]["role"] == "assistant":
        found.insert(0, {"role": "user", "content": [{"type": "text", "text": EMPTY, "_cache": None}]})
    _trim(found[-1])
    for turn in found:
        content = turn["content"]
        if turn["role"] == "user" and any(block["type"] == "tool_result" for block in content):
            content.sort(key=lambda block: block["type"] != "tool_result")
    return found


def _ordered(message: Message) -> list[Part]:
    """Return an assistant's parts with its thinking first and its calls last."""

    def place(part: Part) -> int:
        return 0 if isinstance(part, Reasoning) else 2 if isinstance(part, ToolCall) else 1

    return message.parts if _interleaved(message) else sorted(message.parts, key=place)


def _interleaved(message: Message) -> bool:
    """Whether thinking comes between calls, as Anthropic itself sends it: then the order must stay."""
    return any(isinstance(part, Reasoning) and part.origin == "anthropic" for part in message.parts[1:])


def _blocks(parts: Sequence[Part], settings: Settings, names: Names) -> list[Fields]:
    found = []
    for part in parts:
        if isinstance(part, Media):
            part = fetched(part, settings.media)
        elif isinstance(part, ToolResult):
            part = with_media(part, settings.media)
        elif isinstance(part, ToolCall):
            names.sent(part.name)
        block = write_part(part, names.table)
        if block is not None:
            found.append({**block, "_cache": getattr(part, "cache", None)})
    return found


def _trim(turn: Fields) -> None:
    """A last turn of the assistant is the beginning of its answer, and may not end in white space."""
    if turn["role"] == "assistant" and turn["content"][-1]["type"] == "text":
        turn["content"][-1]["text"] = turn["content"][-1]["text"].rstrip()


def _tools(
    request: Request, settings: Settings, family: Claude, names: Names, body: Fields, dropped: list[str], json_tool: str
) -> None:
    tools = [_tool(tool, names, family) for tool in request.tools]
    if json_tool and request.format is not None:
        schema = {"type": "object", **(request.format.schema or {})}
        description = request.format.description or "Gives the answer in the form that was asked for."
        tools.append({"name": json_tool, "description": description, "input_schema": schema, "_cache": None})
        body["tools"], body["tool_choice"] = tools, {"type": "tool", "name": json_tool}
        return
    if not tools:
        return
    body["tools"] = tools
    choice = _choice(request, names)
    if choice and choice["type"] in ("any", "tool") and not family.forced:
        if settings.strict:
            raise unsupported("tool_choice", f"cannot force a tool for the model '{settings.model}'.")
        dropped.append("tool_choice")
        choice = {key: value for key, value in choice.items() if key != "name"} | {"type": "auto"}
    if choice:
        body["tool_choice"] = choice


def _tool(tool: Tool, names: Names, family: Claude) -> Fields:
    if tool.kind == "search":
        return {"type": "web_search_20250305", "name": "web_search", "_cache": tool.cache}
    schema = _FREE_TEXT if tool.kind == "custom" else tool.schema or {}
    if schema.get("type") != "object":
        schema = {**schema, "type": "object"}
    found: Fields = {"name": names.sent(tool.name), "input_schema": schema, "_cache": tool.cache}
    if tool.description:
        found["description"] = tool.description
    if tool.strict and family.schemas:
        found["strict"], found["input_schema"] = True, for_anthropic(schema)
    return found


def _choice(request: Request, names: Names) -> Fields | None:
    choice = request.tool_choice
    if choice is not None and choice.mode == "none":
        return {"type": "none"}
    if choice is None and request.parallel is None:
        return None
    found: Fields = {"type": "auto"}
    if choice is not None and choice.mode == "required":
        found = {"type": "tool", "name": names.sent(choice.names[0])} if len(choice.names) == 1 else {"type": "any"}
    if request.parallel is not None:
        found["disable_parallel_tool_use"] = not request.parallel
    return found


def _marks(body: Fields, automatic: Cache | None) -> None:
    """Turn marks into ``cache_control``: the caller's own, at most four; else, if asked for, on tools, system and last
    turn.

    A longer time to live has to come before a shorter one, so all marks take the longest where they differ out of
    order.
    """
    blocks = [*body.get("tools", []), *body.get("system", [])]
    for turn in body["messages"]:
        blocks.extend(turn["content"])
    marked = [block for block in blocks if block.get("_cache") is not None]
    if not marked and automatic is not None:
        for group in (body.get("tools"), body.get("system"), body["messages"][-1]["content"]):
            if group and group[-1]["type" if "type" in group[-1] else "name"] not in ("thinking", "redacted_thinking"):
                group[-1]["_cache"] = automatic
                marked.append(group[-1])
    for block in marked[:-MOST_MARKS]:
        block["_cache"] = None
    kept = marked[-MOST_MARKS:]
    hours = [index for index, block in enumerate(kept) if block["_cache"].ttl == "1h"]
    for block in kept[: hours[-1]] if hours else ():
        block["_cache"] = Cache("1h")
    for block in blocks:
        cache = block.pop("_cache", None)
        if cache is not None and block.get("type") not in ("thinking", "redacted_thinking"):
            block["cache_control"] = {"type": "ephemeral", "ttl": cache.ttl} if cache.ttl else {"type": "ephemeral"}


def _drop(request: Request, settings: Settings, dropped: list[str]) -> None:
    lost = [name for name in NOT_TAKEN if getattr(request, name) is not None and (name != "n" or request.n != 1)]
    lost += [name for name in ("metadata",) if request.metadata]
    if [each for each in request.modalities if each != "text"]:
        lost.append("modalities")
    if request.safety:
        lost.append("safety_settings")
    lost.extend(request.extra)
    if lost and settings.strict:
        raise unsupported(lost[0], f"is not supported by the model '{settings.model}'.")
    dropped.extend(lost)
