"""Writes a neutral request for a server that speaks the Responses API."""

from providers.dialects import media as medias
from providers.dialects.chat.writing import write_format
from providers.dialects.failures import unsupported
from providers.dialects.families import effort_of
from providers.dialects.media import fetched
from providers.dialects.naming import legal
from providers.dialects.neutral import (
    Media,
    Message,
    Part,
    Reasoning,
    Refusal,
    Request,
    Settings,
    Text,
    ToolCall,
    ToolResult,
    Written,
)
from providers.dialects.params import family
from providers.dialects.responses.items import ORIGIN
from providers.dialects.responses.tools import free_text
from providers.dialects.wire import Fields, encode

LONGEST_NAME = 64
_NOT_TAKEN = ("n", "seed", "presence_penalty", "frequency_penalty", "top_k")


def write_request(request: Request, settings: Settings) -> Written:
    """Return the request's JSON for the Responses API. Nothing is stored there; reasoning comes back encrypted."""
    items: list[Fields] = []
    kinds: dict[str, str] = {tool.name: tool.kind for tool in request.tools}
    for message in request.messages:
        items.extend(_items(message, settings, kinds))
    body: Fields = {"model": settings.model, "input": items, "store": False}
    if request.system:
        body["instructions"] = "\n\n".join(part.text for part in request.system if part.text)
    _tools(request, body)
    text: Fields = {}
    if request.format is not None:
        form = write_format(request.format)
        text["format"] = {"type": form["type"], **form.get("json_schema", {})}
    if request.verbosity is not None:
        text["verbosity"] = request.verbosity
    if text:
        body["text"] = text
    dropped = _settings(request, settings, body)
    if dropped and settings.strict:
        raise unsupported(dropped[0], f"is not supported by the model '{settings.model}'.")
    back = {sent: tool.name for tool in request.tools if (sent := legal(tool.name, LONGEST_NAME)) != tool.name}
    return Written(encode(body), dropped, back)


def _settings(request: Request, settings: Settings, body: Fields) -> list[str]:
    given = {
        "max_output_tokens": request.max_tokens if request.max_tokens is None else max(request.max_tokens, 16),
        "temperature": request.temperature,
        "top_p": request.top_p,
        "top_logprobs": request.top_logprobs,
        "user": request.user,
        "metadata": request.metadata,
        "service_tier": request.service_tier,
    }
    rules = family(settings.rules_name)
    effort = _effort(request)
    drops = rules.drops if not (rules.unless_idle and effort == "none") else frozenset()
    dropped = [name for name, value in given.items() if value is not None and name in drops]
    body.update({name: value for name, value in given.items() if value is not None and name not in drops})
    if effort is not None:
        body["reasoning"] = {"effort": effort, "summary": "auto"} if effort != "none" else {"effort": effort}
    if request.thinking is not None and effort != "none":
        body["include"] = ["reasoning.encrypted_content"]
    if request.stream:
        body["stream"] = True
    dropped += [name for name in _NOT_TAKEN if getattr(request, name) is not None and (name != "n" or request.n != 1)]
    if request.stop:
        dropped.append("stop")
    return dropped + list(request.extra) + (["safety_settings"] if request.safety else [])


def _effort(request: Request) -> str | None:
    thinking = request.thinking
    if thinking is None:
        return None
    if thinking.effort is None and thinking.budget is not None:
        return effort_of(thinking.budget)
    return "xhigh" if thinking.effort == "max" else thinking.effort


def _items(message: Message, settings: Settings, kinds: dict[str, str]) -> list[Fields]:
    if message.role == "tool":
        return [_output(part, settings, kinds) for part in message.parts if isinstance(part, ToolResult)]
    if message.role != "assistant":
        role = "developer" if message.role == "system" else "user"
        content = [block for each in message.parts if (block := _part(each, settings)) is not None]
        return [{"role": role, "content": content}] if content else []
    found: list[Fields] = []
    for part in message.parts:
        if isinstance(part, ToolCall):
            found.append(_call(part, kinds))
        elif isinstance(part, Reasoning) and part.origin == ORIGIN and part.redacted:
            item: Fields = {"type": "reasoning", "summary": [], "encrypted_content": part.redacted}
            found.append({**item, "id": part.id} if part.id else item)
        elif isinstance(part, (Text, Refusal)) and part.text:
            found.append({"type": "message", "role": "assistant", "content": part.text})
    return found


def _call(call: ToolCall, kinds: dict[str, str]) -> Fields:
    name = legal(call.name, LONGEST_NAME)
    if kinds.get(call.name) == "custom":
        return {"type": "custom_tool_call", "call_id": call.id[:64], "name": name, "input": free_text(call.arguments)}
    return {"type": "function_call", "call_id": call.id[:64], "name": name, "arguments": call.arguments or "{}"}


def _output(result: ToolResult, settings: Settings, kinds: dict[str, str]) -> Fields:
    content = [part for each in result.parts if (part := _part(each, settings)) is not None]
    output = content[0]["text"] if len(content) == 1 and "text" in content[0] else content or ""
    if result.is_error and isinstance(output, str):
        output = f"Error: {output}"
    return {"type": "function_call_output", "call_id": result.call_id[:64], "output": output}


def _part(part: Part, settings: Settings) -> Fields | None:
    if isinstance(part, (Text, Refusal)):
        return {"type": "input_text", "text": part.text} if part.text else None
    if not isinstance(part, Media):
        return None
    part = fetched(part, settings.media)
    if part.kind == "image":
        where = {"file_id": part.file_id} if part.file_id else {"image_url": medias.data_uri(part)}
        return {"type": "input_image", "detail": part.detail or "auto", **where}
    if part.kind != "file":
        raise unsupported("messages", f"has {part.kind} content, which the model '{settings.model}' does not take.")
    if part.file_id:
        return {"type": "input_file", "file_id": part.file_id}
    if part.data:
        return {"type": "input_file", "filename": part.name or "document.pdf", "file_data": medias.data_uri(part)}
    return {"type": "input_file", "file_url": part.url}


def _tools(request: Request, body: Fields) -> None:
    tools: list[Fields] = []
    for tool in request.tools:
        name = legal(tool.name, LONGEST_NAME)
        if tool.kind == "search":
            tools.append({"type": "web_search"})
        elif tool.kind == "custom":
            tools.append({"type": "custom", "name": name, "description": tool.description})
        else:
            schema = tool.schema or {"type": "object", "properties": {}}
            strict = tool.strict if tool.strict is not None else False
            tools.append(
                {
                    "type": "function",
                    "name": name,
                    "description": tool.description,
                    "parameters": schema,
                    "strict": strict,
                }
            )
    if not tools:
        return
    body["tools"] = tools
    choice = request.tool_choice
    if choice is not None:
        names = [legal(name, LONGEST_NAME) for name in choice.names]
        if len(names) == 1 and choice.mode == "required":
            body["tool_choice"] = {"type": "function", "name": names[0]}
        elif names:
            allowed = [{"type": "function", "name": name} for name in names]
            body["tool_choice"] = {"type": "allowed_tools", "mode": choice.mode, "tools": allowed}
        else:
            body["tool_choice"] = choice.mode
    if request.parallel is not None:
        body["parallel_tool_calls"] = request.parallel
