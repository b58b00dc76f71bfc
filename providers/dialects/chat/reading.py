"""Reads a chat completions request into the neutral form."""

from collections.abc import Mapping
from typing import Any

from providers.dialects.chat.options import (
    check_effort,
    google_thinking,
    read_choice,
    read_format,
    read_stop,
    read_thinking,
)
from providers.dialects.chat.parts import ORIGIN, cache_of, read_content, read_reasoning, signature_of, take_float
from providers.dialects.failures import unsupported
from providers.dialects.neutral import (
    Media,
    Message,
    Part,
    Refusal,
    Request,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolResult,
)
from providers.dialects.wire import Fields, arguments_text, encode, invalid, items, plain, take, typed


def read_request(fields: Mapping[str, Any]) -> Request:
    """Return a chat request in the neutral form; raise ``DialectError`` naming the field that is wrong.

    ``fields`` is the body's top level; values may still be JSON bytes.
    """
    body = plain(fields)
    request = Request(origin=ORIGIN, model=take(body, "model", str) or "")
    for name in ("functions", "function_call"):
        if name in body:
            raise unsupported(name, "is not supported with this model. Use 'tools' and 'tool_choice' instead.")
    _messages(request, body.pop("messages", None))
    _tools(request, body)
    _sampling(request, body)
    request.format = read_format(body.pop("response_format", None), "response_format")
    request.thinking = _thinking(body)
    request.stream = take(body, "stream", bool) or False
    options = take(body, "stream_options", dict) or {}
    request.include_usage = options.get("include_usage") is True
    request.user = take(body, "user", str) or take(body, "safety_identifier", str)
    request.metadata = take(body, "metadata", dict)
    request.service_tier = take(body, "service_tier", str)
    request.verbosity = take(body, "verbosity", str)
    request.modalities = typed(body.pop("modalities", []), list, "modalities")
    audio = take(body, "audio", dict) or {}
    request.voice = str(audio.get("voice") or "")
    _google(request, body)
    request.extra = body
    return request


def _messages(request: Request, messages: Any) -> None:
    if not isinstance(messages, list) or not messages:
        raise invalid("messages", messages, "It must be a non-empty array of messages.")
    leading = True
    for index, message in enumerate(items(messages, "messages")):
        where = f"messages[{index}]"
        role = message.get("role")
        if role in ("system", "developer"):
            texts = [
                part for part in read_content(message.get("content"), f"{where}.content") if isinstance(part, Text)
            ]
            if leading:
                request.system.extend(texts)
            else:
                request.messages.append(Message("system", list(texts)))
            continue
        leading = False
        if role == "user":
            request.messages.append(Message("user", read_content(message.get("content"), f"{where}.content")))
        elif role == "assistant":
            request.messages.append(Message("assistant", _assistant(dict(message), where)))
        elif role == "tool":
            _tool_result(request, message, where)
        else:
            valid = "Supported values are: 'system', 'developer', 'user', 'assistant' and 'tool'."
            raise invalid(f"{where}.role", role, valid)


def _assistant(message: Fields, where: str) -> list[Part]:
    parts = read_reasoning(message)
    content = read_content(message.get("content"), f"{where}.content")
    signature = signature_of(message)
    if signature and content and isinstance(content[-1], Text):
        content[-1].signature = signature
    parts.extend(content)
    if isinstance(message.get("refusal"), str) and message["refusal"]:
        parts.append(Refusal(message["refusal"]))
    for index, call in enumerate(items(message.get("tool_calls") or [], f"{where}.tool_calls")):
        parts.append(_call(call, f"{where}.tool_calls[{index}]"))
    return parts


def _call(call: Fields, where: str) -> ToolCall:
    call_id = typed(call.get("id"), str, f"{where}.id")
    if call.get("type") == "custom":
        custom = typed(call.get("custom"), dict, f"{where}.custom")
        text = encode({"input": typed(custom.get("input") or "", str, f"{where}.custom.input")}).decode()
        return ToolCall(call_id, typed(custom.get("name"), str, f"{where}.custom.name"), text, cache=cache_of(call))
    function = typed(call.get("function"), dict, f"{where}.function")
    name = typed(function.get("name"), str, f"{where}.function.name")
    return ToolCall(call_id, name, arguments_text(function.get("arguments")), signature_of(call), cache_of(call))


def _tool_result(request: Request, message: Fields, where: str) -> None:
    """Add a tool's result; results that follow each other share a message, as the calls shared one."""
    call_id = typed(message.get("tool_call_id"), str, f"{where}.tool_call_id")
    content = read_content(message.get("content"), f"{where}.content")
    parts: list[Text | Media] = [part for part in content if isinstance(part, (Text, Media))]
    result = ToolResult(call_id, parts, str(message.get("name") or ""), cache=cache_of(message))
    if request.messages and request.messages[-1].role == "tool":
        request.messages[-1].parts.append(result)
    else:
        request.messages.append(Message("tool", [result]))


def _tools(request: Request, body: Fields) -> None:
    for index, tool in enumerate(items(body.pop("tools", []), "tools")):
        request.tools.append(_tool(tool, f"tools[{index}]"))
    request.parallel = take(body, "parallel_tool_calls", bool)
    choice = body.pop("tool_choice", None)
    if choice is not None:
        request.tool_choice = read_choice(choice, "tool_choice")


def _tool(tool: Fields, where: str) -> Tool:
    kind = tool.get("type")
    if kind == "custom":
        custom = typed(tool.get("custom"), dict, f"{where}.custom")
        name = typed(custom.get("name"), str, f"{where}.custom.name")
        return Tool(name, str(custom.get("description") or ""), kind="custom", cache=cache_of(tool))
    if kind != "function":
        raise invalid(f"{where}.type", kind, "Supported values are: 'function' and 'custom'.")
    function = typed(tool.get("function"), dict, f"{where}.function")
    schema = function.get("parameters")
    return Tool(
        typed(function.get("name"), str, f"{where}.function.name"),
        typed(function.get("description") or "", str, f"{where}.function.description"),
        None if schema is None else typed(schema, dict, f"{where}.function.parameters"),
        function.get("strict") if isinstance(function.get("strict"), bool) else None,
        cache_of(tool) or cache_of(function),
    )


def _sampling(request: Request, body: Fields) -> None:
    limit = take(body, "max_tokens", int)
    request.max_tokens = take(body, "max_completion_tokens", int) or limit
    for name in ("temperature", "top_p", "presence_penalty", "frequency_penalty"):
        setattr(request, name, take_float(body, name))
    for name in ("top_k", "n", "seed", "top_logprobs"):
        setattr(request, name, take(body, name, int))
    request.logprobs = take(body, "logprobs", bool)
    request.stop = read_stop(body.pop("stop", None), "stop")


def _thinking(body: Fields) -> Thinking | None:
    """Take what the caller says about reasoning: OpenAI's effort, OpenRouter's ``reasoning`` or Anthropic's
    ``thinking``.
    """
    effort = take(body, "reasoning_effort", str)
    budget, summary = None, None
    reasoning = take(body, "reasoning", dict)
    if reasoning:
        effort = effort or reasoning.get("effort") or ("none" if reasoning.get("enabled") is False else None)
        budget = typed(reasoning["max_tokens"], int, "reasoning.max_tokens") if reasoning.get("max_tokens") else None
        summary = False if reasoning.get("exclude") is True else None
    thinking = take(body, "thinking", dict)
    if thinking:
        return read_thinking(thinking, effort, "thinking")
    if effort is None and budget is None and summary is None:
        return None
    return Thinking(check_effort(effort, "reasoning_effort"), budget, summary)  # type: ignore[arg-type]


def _google(request: Request, body: Fields) -> None:
    """Take what Google's own compatibility layer takes beside OpenAI's fields: thinking and safety settings."""
    outer = take(body, "extra_body", dict) or {}
    google = body.pop("google", None) or outer.pop("google", None)
    if outer:
        body["extra_body"] = outer
    settings = body.pop("safety_settings", None)
    if isinstance(google, dict):
        config = google.get("thinking_config") or google.get("thinkingConfig")
        if isinstance(config, dict) and request.thinking is None:
            request.thinking = google_thinking(config)
        settings = settings or google.get("safety_settings")
    if settings is not None:
        request.safety = items(settings, "safety_settings")
