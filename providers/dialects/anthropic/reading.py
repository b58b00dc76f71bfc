"""Reads a messages request into the neutral form."""

from collections.abc import Mapping
from typing import Any

from providers.dialects.anthropic.blocks import ORIGIN, read_blocks
from providers.dialects.chat.options import check_effort, read_stop, read_thinking
from providers.dialects.chat.parts import cache_of
from providers.dialects.neutral import Format, Message, Request, Text, Thinking, Tool, ToolChoice, ToolResult
from providers.dialects.wire import Fields, invalid, items, plain, take, typed


def read_request(fields: Mapping[str, Any]) -> Request:
    """Return a messages or count_tokens request in the neutral form; raise ``DialectError`` naming the field that is
    wrong.
    """
    body = plain(fields)
    request = Request(origin=ORIGIN, model=take(body, "model", str) or "", include_usage=True)
    system = body.pop("system", None)
    if system is not None:
        request.system = [part for part in read_blocks(system, "system") if isinstance(part, Text)]
    messages = body.pop("messages", None)
    if not isinstance(messages, list) or not messages:
        raise invalid("messages", messages, "It must be a non-empty array of messages.")
    for index, message in enumerate(items(messages, "messages")):
        _message(request, message, f"messages[{index}]")
    for index, tool in enumerate(items(body.pop("tools", []), "tools")):
        request.tools.append(_tool(tool, f"tools[{index}]"))
    _choice(request, body)
    request.max_tokens = take(body, "max_tokens", int)
    request.temperature = take(body, "temperature", float)
    request.top_p = take(body, "top_p", float)
    request.top_k = take(body, "top_k", int)
    request.stop = read_stop(body.pop("stop_sequences", None), "stop_sequences")
    request.stream = take(body, "stream", bool) or False
    request.service_tier = {"standard_only": "default"}.get(take(body, "service_tier", str) or "")
    metadata = take(body, "metadata", dict) or {}
    request.user = metadata.get("user_id") if isinstance(metadata.get("user_id"), str) else None
    _output(request, body)
    request.extra = body
    return request


def _message(request: Request, message: Fields, where: str) -> None:
    role = message.get("role")
    if role not in ("user", "assistant", "system"):
        raise invalid(f"{where}.role", role, "Supported values are: 'user' and 'assistant'.")
    parts = read_blocks(message.get("content"), f"{where}.content")
    results = [part for part in parts if isinstance(part, ToolResult)]
    if results:
        request.messages.append(Message("tool", list(results)))
        parts = [part for part in parts if not isinstance(part, ToolResult)]
    if parts or not results:
        request.messages.append(Message(role, parts))


def _tool(tool: Fields, where: str) -> Tool:
    kind = tool.get("type")
    name = typed(tool.get("name"), str, f"{where}.name")
    if isinstance(kind, str) and kind.startswith("web_search_"):
        return Tool(name, kind="search")
    if kind not in (None, "custom"):
        raise invalid(f"{where}.type", kind, "Only tools with an 'input_schema' and web search work with this model.")
    strict = tool.get("strict")
    return Tool(
        name,
        typed(tool.get("description") or "", str, f"{where}.description"),
        typed(tool.get("input_schema") or {}, dict, f"{where}.input_schema"),
        strict if isinstance(strict, bool) else None,
        cache_of(tool),
    )


def _choice(request: Request, body: Fields) -> None:
    choice = take(body, "tool_choice", dict)
    if choice is None:
        return
    kind = choice.get("type")
    if kind == "tool":
        request.tool_choice = ToolChoice("required", [typed(choice.get("name"), str, "tool_choice.name")])
    elif kind in ("auto", "any", "none"):
        request.tool_choice = ToolChoice("required" if kind == "any" else kind)
    else:
        raise invalid("tool_choice.type", kind, "Supported values are: 'auto', 'any', 'tool' and 'none'.")
    if isinstance(choice.get("disable_parallel_tool_use"), bool):
        request.parallel = not choice["disable_parallel_tool_use"]


def _output(request: Request, body: Fields) -> None:
    config = take(body, "output_config", dict) or {}
    form = config.get("format") or body.pop("output_format", None)
    if form is not None:
        kind = typed(form, dict, "output_config.format").get("type")
        if kind != "json_schema":
            raise invalid("output_config.format.type", kind, "The supported value is: 'json_schema'.")
        schema = typed(form.get("schema"), dict, "output_config.format.schema")
        request.format = Format("json_schema", "response", schema, strict=True)
    effort = config.get("effort")
    thinking = take(body, "thinking", dict)
    if thinking is not None:
        request.thinking = read_thinking(thinking, effort, "thinking")
    elif effort is not None:
        request.thinking = Thinking(check_effort(effort, "output_config.effort"))  # type: ignore[arg-type]
