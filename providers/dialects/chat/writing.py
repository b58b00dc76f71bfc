"""Writes a neutral request for a server that speaks chat completions."""

from collections.abc import Sequence

from providers.dialects.chat.parts import ORIGIN, cache_fields, reasoning_details, signature_fields, write_part
from providers.dialects.failures import unsupported
from providers.dialects.families import effort_of
from providers.dialects.media import fetched
from providers.dialects.naming import legal
from providers.dialects.neutral import (
    Format,
    Media,
    Message,
    Part,
    Reasoning,
    Request,
    Settings,
    Text,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
    Written,
)
from providers.dialects.params import adapt
from providers.dialects.wire import Fields, encode
from providers.vendors import VENDORS

LONGEST_NAME = 64
_FREE_TEXT = {
    "type": "object",
    "properties": {"input": {"type": "string"}},
    "required": ["input"],
    "additionalProperties": False,
}
_PLAIN = (
    "temperature",
    "top_p",
    "n",
    "seed",
    "presence_penalty",
    "frequency_penalty",
    "logprobs",
    "top_logprobs",
    "verbosity",
    "user",
    "metadata",
    "service_tier",
)


def write_request(request: Request, settings: Settings) -> Written:
    """Return the request's JSON for a chat server, with what had to be dropped."""
    vendor = VENDORS.get(settings.vendor)
    dropped: list[str] = []
    names = {tool.name: legal(tool.name, LONGEST_NAME) for tool in request.tools}
    body: Fields = {
        "model": settings.model,
        "messages": _messages(request, settings, vendor is not None and vendor.cache_marks),
    }
    _tools(request, body, dropped, settings)
    if request.format is not None:
        body["response_format"] = write_format(request.format)
    for name in _PLAIN:
        value = getattr(request, name)
        if value is not None:
            body[name] = value
    if request.top_k is not None:
        _other(request, body, dropped, settings, "top_k", request.top_k, vendor is not None and vendor.top_k)
    if request.max_tokens is not None:
        body["max_completion_tokens"] = request.max_tokens
    if request.stop:
        body["stop"] = request.stop
    effort = _effort(request)
    if effort is not None:
        body["reasoning_effort"] = effort
    if request.modalities:
        body["modalities"] = request.modalities
    _extra(request, body, dropped, settings)
    adapted, lost = adapt(
        body,
        vendor=settings.vendor,
        model=settings.rules_name,
        strict=settings.strict,
        sampled=effort in (None, "none"),
    )
    if request.stream:
        adapted["stream"] = True
        asks = settings.stream_usage
        if asks or (asks is None and (vendor is None or vendor.stream_usage)):
            adapted["stream_options"] = {"include_usage": True}
    back = {sent: name for name, sent in names.items() if sent != name}
    return Written(encode(adapted), dropped + lost, back)


def _effort(request: Request) -> str | None:
    thinking = request.thinking
    if thinking is None:
        return None
    if thinking.effort is None and thinking.budget is not None:
        return effort_of(thinking.budget)
    return "xhigh" if thinking.effort == "max" else thinking.effort


def _other(
    request: Request, body: Fields, dropped: list[str], settings: Settings, name: str, value: object, taken: bool
) -> None:
    if taken:
        body[name] = value
    elif settings.strict:
        raise unsupported(name, f"is not supported by the model '{settings.model}'.")
    else:
        dropped.append(name)


def _extra(request: Request, body: Fields, dropped: list[str], settings: Settings) -> None:
    """Send on a chat caller's unknown fields; those of another dialect have no meaning here."""
    for name, value in request.extra.items():
        _other(request, body, dropped, settings, name, value, request.origin == ORIGIN and name not in body)
    if request.safety:
        _other(request, body, dropped, settings, "safety_settings", request.safety, False)


def _messages(request: Request, settings: Settings, marks: bool) -> list[Fields]:
    found: list[Fields] = []
    if request.system:
        found.append({"role": "system", "content": _content(request.system, settings, marks)})
    for message in request.messages:
        if message.role == "tool":
            found.extend(_results(message, settings, marks))
        elif message.role == "assistant":
            found.append(_assistant(message, settings, marks))
        else:
            found.append({"role": message.role, "content": _content(message.parts, settings, marks)})
    return found


def _content(parts: Sequence[Part], settings: Settings, marks: bool) -> str | list[Fields]:
    """Return content as a string where it is one plain text, as servers know that form best."""
    if len(parts) == 1 and isinstance(parts[0], Text) and not (marks and parts[0].cache):
        return parts[0].text
    written = [
        write_part(fetched(part, settings.media) if isinstance(part, Media) else part, marks=marks) for part in parts
    ]
    kept = [part for part in written if part is not None and part.get("text") != ""]
    return kept or ""


def _assistant(message: Message, settings: Settings, marks: bool) -> Fields:
    calls = [part for part in message.parts if isinstance(part, ToolCall)]
    thoughts = [part for part in message.parts if isinstance(part, Reasoning)]
    others = [part for part in message.parts if not isinstance(part, (ToolCall, Reasoning))]
    content = _content(others, settings, marks)
    written: Fields = {"role": "assistant", "content": content or (None if calls else "")}
    vendor = VENDORS.get(settings.vendor)
    if thoughts and vendor is not None and vendor.replays_reasoning:
        text = "".join(part.text for part in thoughts)
        if text:
            written["reasoning_content"] = text
        details = reasoning_details(thoughts)
        if details:
            written["reasoning_details"] = details
    if calls:
        written["tool_calls"] = [_call(call, settings) for call in calls]
    return written


def _call(call: ToolCall, settings: Settings) -> Fields:
    vendor = VENDORS.get(settings.vendor)
    signed = signature_fields(call.signature) if vendor is not None and vendor.signed_calls else {}
    function = {"name": legal(call.name, LONGEST_NAME), "arguments": call.arguments or "{}"}
    return {"id": call.id, "type": "function", "function": function, **signed}


def _results(message: Message, settings: Settings, marks: bool) -> list[Fields]:
    """Return a message per result. Images in a result follow in a user message: ``tool`` messages only take text."""
    found: list[Fields] = []
    shown: list[Part] = []
    for result in message.parts:
        if not isinstance(result, ToolResult):
            continue
        texts = [part.text for part in result.parts if isinstance(part, Text) and part.text]
        media = [part for part in result.parts if isinstance(part, Media)]
        text = "\n".join(texts)
        if result.is_error:
            text = f"Error: {text}" if text else "Error"
        if media:
            shown.extend([Text(f"Media of the tool result {result.call_id}:"), *media])
            text = text or "The result is in the next message."
        mark = cache_fields(result.cache) if marks else {}
        found.append({"role": "tool", "tool_call_id": result.call_id, "content": text, **mark})
    if shown:
        found.append({"role": "user", "content": _content(shown, settings, marks)})
    return found


def _tools(request: Request, body: Fields, dropped: list[str], settings: Settings) -> None:
    tools = []
    for index, tool in enumerate(request.tools):
        if tool.kind == "search":
            _other(request, body, dropped, settings, f"tools[{index}]", None, False)
        else:
            tools.append(_tool(tool))
    if not tools:
        return
    body["tools"] = tools
    if request.tool_choice is not None:
        body["tool_choice"] = _choice(request.tool_choice)
    if request.parallel is not None and not (request.tool_choice and request.tool_choice.mode == "none"):
        body["parallel_tool_calls"] = request.parallel


def _tool(tool: Tool) -> Fields:
    function: Fields = {"name": legal(tool.name, LONGEST_NAME)}
    if tool.description:
        function["description"] = tool.description
    if tool.kind == "custom":
        function["parameters"] = _FREE_TEXT
    elif tool.schema is not None:
        function["parameters"] = tool.schema
    if tool.strict is not None and tool.kind == "function":
        function["strict"] = tool.strict
    return {"type": "function", "function": function}


def _choice(choice: ToolChoice) -> str | Fields:
    names = [legal(name, LONGEST_NAME) for name in choice.names]
    if len(names) == 1 and choice.mode == "required":
        return {"type": "function", "function": {"name": names[0]}}
    if names:
        tools = [{"type": "function", "function": {"name": name}} for name in names]
        return {"type": "allowed_tools", "allowed_tools": {"mode": choice.mode, "tools": tools}}
    return choice.mode


def write_format(form: Format) -> Fields:
    """Return a response format in chat's nested form."""
    if form.kind == "json_object":
        return {"type": "json_object"}
    nested: Fields = {"name": legal(form.name or "response", LONGEST_NAME), "schema": form.schema or {}}
    if form.strict is not None:
        nested["strict"] = form.strict
    if form.description:
        nested["description"] = form.description
    return {"type": "json_schema", "json_schema": nested}
