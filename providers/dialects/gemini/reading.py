"""Reads a generateContent request into the neutral form.

Google's API takes its fields with capitals or with underscores.
"""

from collections.abc import Mapping
from typing import Any

from accounts.numbers import whole_number
from providers.dialects import media as medias
from providers.dialects.chat.options import google_thinking, read_stop
from providers.dialects.gemini.parts import ORIGIN, either, read_part
from providers.dialects.neutral import (
    Format,
    Media,
    Message,
    Part,
    Request,
    Text,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
)
from providers.dialects.wire import Fields, encode, invalid, items, plain, take, typed

_SNAKES = {
    "system_instruction": "systemInstruction",
    "generation_config": "generationConfig",
    "tool_config": "toolConfig",
    "safety_settings": "safetySettings",
    "service_tier": "serviceTier",
    "cached_content": "cachedContent",
}
_NUMBERS: dict[str, tuple[str, type]] = {
    "maxOutputTokens": ("max_tokens", int),
    "temperature": ("temperature", float),
    "topP": ("top_p", float),
    "topK": ("top_k", int),
    "candidateCount": ("n", int),
    "seed": ("seed", int),
    "presencePenalty": ("presence_penalty", float),
    "frequencyPenalty": ("frequency_penalty", float),
    "responseLogprobs": ("logprobs", bool),
    "logprobs": ("top_logprobs", int),
}


def read_request(fields: Mapping[str, Any], model: str = "", *, stream: bool = False) -> Request:
    """Return a generateContent or countTokens request; model and stream are in its URL. Raises ``DialectError``."""
    body = _camel(plain(fields), _SNAKES)
    inner = body.pop("generateContentRequest", None)
    if isinstance(inner, dict):  # countTokens may wrap a whole request
        body = {**body, **_camel(inner, _SNAKES)}
    body.pop("model", None)
    request = Request(origin=ORIGIN, model=model, stream=stream, include_usage=True, extra={})
    system = take(body, "systemInstruction", dict)
    if system is not None:
        parts = _parts(system, "systemInstruction", {})
        request.system = [part for part in parts if isinstance(part, Text)]
    _contents(request, body.pop("contents", None))
    for index, tool in enumerate(items(body.pop("tools", []), "tools")):
        request.tools.extend(_tools(tool, f"tools[{index}]"))
    request.tool_choice = _choice(take(body, "toolConfig", dict))
    _config(request, take(body, "generationConfig", dict) or {})
    request.safety = items(body.pop("safetySettings", []), "safetySettings")
    tier = take(body, "serviceTier", str)
    request.service_tier = {"standard": "default", "flex": "flex", "priority": "priority"}.get(tier or "")
    request.extra.update(body)
    return request


def _camel(fields: Fields, names: Mapping[str, str]) -> Fields:
    return {names.get(name, name): value for name, value in fields.items()}


def _contents(request: Request, contents: Any) -> None:
    if isinstance(contents, dict):
        contents = [contents]
    if not isinstance(contents, list) or not contents:
        raise invalid("contents", contents, "It must be a non-empty array of contents.")
    ids: dict[str, list[str]] = {}
    for index, content in enumerate(items(contents, "contents")):
        where = f"contents[{index}]"
        role = content.get("role") or "user"
        if role not in ("user", "model", "function"):
            raise invalid(f"{where}.role", role, "Supported values are: 'user' and 'model'.")
        parts = _parts(content, where, ids)
        results = [part for part in parts if isinstance(part, ToolResult)]
        rest: list[Part] = [part for part in parts if not isinstance(part, ToolResult)]
        if results:
            request.messages.append(Message("tool", list(results)))
        if rest or not results:
            request.messages.append(Message("assistant" if role == "model" else "user", rest))


def _parts(content: Fields, where: str, ids: dict[str, list[str]]) -> list[Part]:
    """Return a content's parts.

    Calls without ids get some; a result without an id answers the oldest open call of its name.
    """
    found: list[Part] = []
    for index, part in enumerate(items(content.get("parts") or [], f"{where}.parts")):
        here = f"{where}.parts[{index}]"
        response = either(part, "functionResponse", "function_response")
        if isinstance(response, dict):
            found.append(_result(response, here, ids))
            continue
        linked = either(part, "fileData", "file_data")
        if isinstance(linked, dict):
            url = typed(either(linked, "fileUri", "file_uri"), str, f"{here}.fileData.fileUri")
            mime = str(either(linked, "mimeType", "mime_type") or "")
            found.append(medias.from_url(url, mime, medias.kind_of(mime), f"{here}.fileData.fileUri"))
            continue
        read = read_part(part, f"call_{where}_{index}".replace("[", "_").replace("]", ""))
        if isinstance(read, ToolCall):
            ids.setdefault(read.name, []).append(read.id)
        if read is not None:
            found.append(read)
    return found


def _result(response: Fields, where: str, ids: dict[str, list[str]]) -> ToolResult:
    name = typed(response.get("name"), str, f"{where}.functionResponse.name")
    value = typed(response.get("response") or {}, dict, f"{where}.functionResponse.response")
    open_calls = ids.get(name, [])
    call_id = response.get("id") if isinstance(response.get("id"), str) else None
    if call_id is None:
        call_id = open_calls[0] if open_calls else name
    if call_id in open_calls:
        open_calls.remove(call_id)
    only = next(iter(value)) if len(value) == 1 else ""
    text = value[only] if only in ("output", "result", "error", "content") else value
    shown = text if isinstance(text, str) else encode(text).decode()
    parts: list[Text | Media] = [Text(shown)]
    for inner in items(response.get("parts") or [], f"{where}.functionResponse.parts"):
        media = read_part(inner)
        if isinstance(media, Media):
            parts.append(media)
    return ToolResult(call_id, parts, name, is_error=only == "error")


def _tools(tool: Fields, where: str) -> list[Tool]:
    found = []
    for name, value in tool.items():
        if name in ("functionDeclarations", "function_declarations"):
            for index, each in enumerate(items(value, f"{where}.{name}")):
                found.append(_declared(each, f"{where}.{name}[{index}]"))
        elif name in ("googleSearch", "google_search", "googleSearchRetrieval"):
            found.append(Tool("web_search", kind="search"))
        elif value is not None:
            raise invalid(f"{where}.{name}", name, "Only function declarations and Google search work with this model.")
    return found


def _declared(each: Fields, where: str) -> Tool:
    name = typed(each.get("name"), str, f"{where}.name")
    description = typed(each.get("description") or "", str, f"{where}.description")
    schema = either(each, "parametersJsonSchema", "parameters_json_schema")
    if schema is None and each.get("parameters") is not None:
        schema = from_openapi(typed(each["parameters"], dict, f"{where}.parameters"))
    return Tool(name, description, None if schema is None else typed(schema, dict, f"{where}.parametersJsonSchema"))


def from_openapi(schema: Any, depth: int = 0) -> Any:
    """Return Gemini's own schema form, types in capitals, as JSON Schema."""
    if depth > 60 or not isinstance(schema, dict):
        return schema
    found: Fields = {}
    for key, value in schema.items():
        if key == "type" and isinstance(value, str):
            found[key] = value.lower()
        elif key == "properties" and isinstance(value, dict):
            found[key] = {name: from_openapi(each, depth + 1) for name, each in value.items()}
        elif key == "items":
            found[key] = from_openapi(value, depth + 1)
        elif key in ("anyOf", "any_of") and isinstance(value, list):
            found["anyOf"] = [from_openapi(each, depth + 1) for each in value]
        elif key in ("maxItems", "minItems", "minLength", "maxLength", "minProperties", "maxProperties"):
            number = whole_number(value) if isinstance(value, str) else None
            found[key] = value if number is None else number
        elif key not in ("propertyOrdering", "property_ordering", "nullable"):
            found[key] = value
    if schema.get("nullable") is True and isinstance(found.get("type"), str):
        found["type"] = [found["type"], "null"]
    return found


def _choice(config: Fields | None) -> ToolChoice | None:
    calling = either(config, "functionCallingConfig", "function_calling_config") if config else None
    if not isinstance(calling, dict):
        return None
    mode = str(calling.get("mode") or "AUTO").upper()
    names = either(calling, "allowedFunctionNames", "allowed_function_names") or []
    listed = [str(name) for name in typed(names, list, "toolConfig.functionCallingConfig.allowedFunctionNames")]
    if mode == "NONE":
        return ToolChoice("none")
    return ToolChoice("required" if mode == "ANY" else "auto", listed)


def _config(request: Request, config: Fields) -> None:
    config = {_camel_name(name): value for name, value in config.items() if value is not None}
    for name, (field, kind) in _NUMBERS.items():
        setattr(request, field, take(config, name, kind, "generationConfig"))
    request.stop = read_stop(config.pop("stopSequences", None), "generationConfig.stopSequences")
    thinking = take(config, "thinkingConfig", dict, "generationConfig")
    request.thinking = google_thinking(thinking) if thinking else None
    request.modalities = [
        str(each).lower()
        for each in typed(config.pop("responseModalities", []), list, "generationConfig.responseModalities")
    ]
    schema = config.pop("responseJsonSchema", None) or config.pop("_responseJsonSchema", None)
    own = config.pop("responseSchema", None)
    mime = config.pop("responseMimeType", None)
    if schema is None and own is not None:
        schema = from_openapi(own)
    if schema is not None:
        request.format = Format("json_schema", "response", typed(schema, dict, "generationConfig.responseSchema"))
    elif mime == "application/json":
        request.format = Format("json_object")
    request.extra.update({f"generationConfig.{name}": value for name, value in config.items()})


def _camel_name(name: str) -> str:
    head, *rest = name.split("_") if not name.startswith("_") else [name]
    return head + "".join(each.capitalize() for each in rest)
