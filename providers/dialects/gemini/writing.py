"""Writes a neutral request for Gemini."""

from collections.abc import Sequence

from providers.dialects.failures import unsupported
from providers.dialects.families import BUDGETS, Gemini, effort_of, gemini, nearest
from providers.dialects.gemini.parts import ORIGIN, SKIP, signed, takes_uri, write_call, write_media, write_result
from providers.dialects.media import every_media, fetched, with_media
from providers.dialects.naming import Names
from providers.dialects.neutral import (
    Format,
    Media,
    Message,
    Part,
    Reasoning,
    Refusal,
    Request,
    Settings,
    Text,
    Tool,
    ToolCall,
    ToolResult,
    Written,
)
from providers.dialects.schema import for_gemini, for_openapi
from providers.dialects.wire import Fields, encode

LONGEST_NAME = 64
_SPEECH = "audio"
# Neutral parameters that Gemini has no counterpart of, as chat names them.
NOT_TAKEN = ("verbosity", "user", "metadata")
_TIERS = {"default": "standard", "flex": "flex", "priority": "priority"}
_RESOLUTION = {"low": "MEDIA_RESOLUTION_LOW", "high": "MEDIA_RESOLUTION_HIGH"}
_FREE_TEXT = {"type": "object", "properties": {"input": {"type": "string"}}, "required": ["input"]}


def media_needed(request: Request, settings: Settings) -> list[str]:
    """Return the URLs that have to be fetched before the request can be written: those that Gemini does not fetch
    itself.
    """
    wanted = (media for media in every_media(request.messages) if media.url and not media.data)
    return list(dict.fromkeys(media.url for media in wanted if not takes_uri(media, settings.hand_over_urls)))


def write_request(request: Request, settings: Settings) -> Written:
    """Return the request's JSON for Gemini (whose model is in the URL), with what had to be dropped."""
    family = gemini(settings.rules_name)
    names = Names(request, LONGEST_NAME, first_letter=True)
    dropped: list[str] = []
    body: Fields = {"contents": _contents(request, settings, family, names)}
    if request.system and family.system:
        parts = [{"text": part.text} for part in request.system if part.text]
        if parts:
            body["systemInstruction"] = {"parts": parts}
    _tools(request, family, names, body, dropped)
    config = _config(request, family, dropped)
    if request.format is not None:
        _format(request, request.format, family, config, settings)
    if config:
        body["generationConfig"] = config
    if request.safety:
        body["safetySettings"] = request.safety
    if request.service_tier in _TIERS:
        body["serviceTier"] = _TIERS[request.service_tier]
    dropped += [name for name in NOT_TAKEN if getattr(request, name) is not None]
    dropped += request.extra
    if dropped and settings.strict:
        raise unsupported(dropped[0], f"is not supported by the model '{settings.model}'.")
    return Written(encode(body), dropped, names.back())


def _contents(request: Request, settings: Settings, family: Gemini, names: Names) -> list[Fields]:
    """Return turns that alternate. Results of tools share a turn, in the order of the calls."""
    found: list[Fields] = []
    called: dict[str, str] = {}
    order: dict[str, int] = {}
    messages = request.messages
    if request.system and not family.system:
        messages = [Message("user", list(request.system)), *messages]
    for message in messages:
        role = "model" if message.role == "assistant" else "user"
        parts: Sequence[Part] = message.parts
        if message.role == "assistant":
            calls = [part for part in parts if isinstance(part, ToolCall)]
            called.update({call.id: call.name for call in calls})
            order = {call.id: index for index, call in enumerate(calls)}
            written = _model_parts(message, family, names, settings)
        else:
            if message.role == "tool":
                parts = sorted(parts, key=lambda part: order.get(getattr(part, "call_id", ""), len(order)))
            written = _user_parts(parts, family, names, settings, called)
        if not written:
            continue
        if found and found[-1]["role"] == role:
            found[-1]["parts"].extend(written)
        else:
            found.append({"role": role, "parts": written})
    return found or [{"role": "user", "parts": [{"text": " "}]}]


def _model_parts(message: Message, family: Gemini, names: Names, settings: Settings) -> list[Fields]:
    """Return a model's turn. A signature in a thought before a part belongs to that part.

    Of calls made together only the first is signed; where its signature is lost, Google's word for that replaces it.
    """
    found: list[Fields] = []
    pending, first = "", True
    for part in message.parts:
        if isinstance(part, Reasoning):
            pending = part.signature if part.origin == ORIGIN and part.signature else pending
        elif isinstance(part, ToolCall):
            signature = part.signature or pending
            if first and family.signed and not signature:
                signature = SKIP
            first, pending = False, ""
            written = write_call(part, names.sent(part.name), with_id=family.signed)
            found.append({**written, **signed(signature)})
        elif isinstance(part, (Text, Refusal)) and part.text:
            signature = (part.signature if isinstance(part, Text) else "") or pending
            found.append({"text": part.text, **signed(signature)})
            pending = ""
        elif isinstance(part, Media):
            found.append({**write_media(fetched(part, settings.media)), **signed(part.signature or pending)})
            pending = ""
    return found


def _user_parts(
    parts: Sequence[Part], family: Gemini, names: Names, settings: Settings, called: dict[str, str]
) -> list[Fields]:
    found: list[Fields] = []
    for part in parts:
        if isinstance(part, ToolResult):
            part = with_media(part, settings.media)
            name = names.sent(called.get(part.call_id) or part.name or part.call_id)
            found.extend(write_result(part, name, with_id=family.signed))
        elif isinstance(part, Media):
            found.append(write_media(fetched(part, settings.media)))
        elif isinstance(part, (Text, Refusal)) and part.text:
            found.append({"text": part.text})
    # Calls' results come first and together: media of a result would come between them.
    return sorted(found, key=lambda each: "functionResponse" not in each) if len(found) > 1 else found


def _tools(request: Request, family: Gemini, names: Names, body: Fields, dropped: list[str]) -> None:
    functions = [_declaration(tool, family, names) for tool in request.tools if tool.kind != "search"]
    tools: list[Fields] = [{"functionDeclarations": functions}] if functions else []
    if any(tool.kind == "search" for tool in request.tools):
        tools.append({"googleSearch": {}})
    if not tools:
        return
    body["tools"] = tools
    if request.parallel is False:
        dropped.append("parallel_tool_calls")
    choice = request.tool_choice
    if choice is None or not functions:
        return
    config: Fields = {"mode": {"none": "NONE", "auto": "AUTO", "required": "ANY"}[choice.mode]}
    if choice.names and choice.mode != "none":
        config = {"mode": "ANY" if choice.mode == "required" else "AUTO"}
        if choice.mode == "required":
            config["allowedFunctionNames"] = [names.sent(name) for name in choice.names]
        else:
            allowed = {names.sent(name) for name in choice.names}
            tools[0]["functionDeclarations"] = [each for each in functions if each["name"] in allowed] or functions
    body["toolConfig"] = {"functionCallingConfig": config}


def _declaration(tool: Tool, family: Gemini, names: Names) -> Fields:
    found: Fields = {"name": names.sent(tool.name), "description": tool.description or tool.name}
    schema = _FREE_TEXT if tool.kind == "custom" else tool.schema
    if schema and schema.get("properties"):
        if family.json_schema:
            found["parametersJsonSchema"] = {"type": "object", **for_gemini(schema)}
        else:
            found["parameters"] = {"type": "OBJECT", **for_openapi(schema)}
    return found


def _config(request: Request, family: Gemini, dropped: list[str]) -> Fields:
    given = {
        "maxOutputTokens": request.max_tokens,
        "temperature": request.temperature,
        "topP": request.top_p,
        "topK": request.top_k,
        "seed": request.seed,
        "candidateCount": request.n if request.n != 1 else None,
        "presencePenalty": request.presence_penalty,
        "frequencyPenalty": request.frequency_penalty,
        "stopSequences": request.stop or None,
        "responseLogprobs": request.logprobs or None,
        "logprobs": request.top_logprobs if request.logprobs else None,
    }
    config: Fields = {name: value for name, value in given.items() if value is not None}
    if request.modalities and request.modalities != ["text"]:
        config["responseModalities"] = [
            modality.upper() for modality in request.modalities if isinstance(modality, str)
        ]
    if request.voice and _SPEECH in request.modalities:
        config["speechConfig"] = {"voiceConfig": {"prebuiltVoiceConfig": {"voiceName": request.voice}}}
    details = {media.detail for media in every_media(request.messages) if media.kind == "image"} & {"low", "high"}
    if details:
        config["mediaResolution"] = _RESOLUTION["high" if "high" in details else "low"]
    _thinking(request, family, config, dropped)
    return config


def _thinking(request: Request, family: Gemini, config: Fields, dropped: list[str]) -> None:
    wanted = request.thinking
    if wanted is None:
        return
    thinking: Fields = {}
    effort = wanted.effort or (effort_of(wanted.budget) if wanted.budget is not None else None)
    if family.levels:
        known = nearest(effort, family.levels) if effort else None
        if known:
            thinking["thinkingLevel"] = known.upper()
        if effort == "none" and known != "minimal":
            dropped.append("reasoning_effort")
    elif family.budget:
        low, high = family.budget
        budget = wanted.budget if wanted.budget is not None else BUDGETS[effort] if effort else None
        if budget is not None:
            off = family.off and budget == 0
            thinking["thinkingBudget"] = budget if off or budget < 0 else min(max(budget, low), high)
            if budget == 0 and not off:
                dropped.append("reasoning_effort")
    else:
        if effort not in (None, "none"):
            dropped.append("reasoning_effort")
        return
    thinking["includeThoughts"] = effort != "none" if wanted.summary is None else wanted.summary
    config["thinkingConfig"] = thinking


def _format(request: Request, form: Format, family: Gemini, config: Fields, settings: Settings) -> None:
    if request.tools and not family.schema_with_tools:
        raise unsupported("response_format", f"cannot be combined with tools for the model '{settings.model}'.")
    config["responseMimeType"] = "application/json"
    if form.kind == "json_schema" and form.schema:
        if family.json_schema:
            config["responseJsonSchema"] = for_gemini(form.schema)
        else:
            config["responseSchema"] = for_openapi(form.schema)
