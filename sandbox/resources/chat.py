"""`/v1/chat/completions`: making an answer. `stored_chat.py` keeps it when `store` is true."""

from typing import Any

from sandbox.errors import ApiError, invalid_type, invalid_value, missing_parameter, unsupported_parameter
from sandbox.misbehaviour.faults import NO_FAULTS
from sandbox.model import catalog, chat_audio, prompt, strict_schema
from sandbox.model.catalog import Model
from sandbox.model.chat_audio import AUDIO_TOKENS_PER_TOKEN
from sandbox.model.chat_format import Chat, completion, stream
from sandbox.model.generation import REASONING_TOKENS, Settings, generate
from sandbox.model.tools import Tool, read_tool
from sandbox.model.usage import CACHE_MIN_TOKENS, cached_tokens, chat_usage
from sandbox.resources import stored_chat
from sandbox.store import params
from sandbox.store.params import Body
from sandbox.wire.messages import Answer, Request, Response, Stream, encode, endless_body
from sandbox.wire.routing import Route

# How every answer begins. Benchmarks repeat small bodies, so the rest of such answers is kept.
_HEAD = b'{"id":"%s","object":"chat.completion","created":%d,'
RENDERED_BODY = 2048  # bytes

SERVICE_TIERS = ("auto", "default", "flex", "scale", "priority")


async def create(request: Request) -> Answer:
    state = request.app.state
    ready = state.rendered.get(request.body) if request.faults is NO_FAULTS else None
    if ready is not None:
        return Response(_HEAD % (state.new_id("chatcmpl-", 29).encode(), state.created()) + ready)
    body = request.json()
    model = catalog.require(state, params.model_name(body), catalog.CHAT_KINDS)
    settings = read_settings(body, model)
    chat = _chat(request, body, model, settings)
    if params.boolean(body, "stream"):
        return Stream(stream(chat, params.mapping(body, "stream_options")))
    if request.faults.endless:
        return endless_body()
    answer = completion(chat)
    encoded = encode(answer)
    if params.boolean(body, "store"):
        stored_chat.keep(request, answer, body["messages"])
    elif request.faults is NO_FAULTS and _repeats(request.body, body, model, chat):
        state.rendered.put(request.body, encoded[len(_HEAD % (chat.id.encode(), chat.created)) :])
    return Response(encoded)


def _repeats(raw: bytes, body: Body, model: Model, chat: Chat) -> bool:
    """Whether the same small body will get the same answer, but for its id and time."""
    has_ids = bool(chat.audio_format) or any(output.calls for output in chat.outputs)
    may_be_cached = "prompt_cache_key" in body or chat.prompt_tokens >= CACHE_MIN_TOKENS
    return len(raw) <= RENDERED_BODY and not has_ids and not may_be_cached and model.id in catalog.MODELS


def _chat(request: Request, body: Body, model: Model, settings: Settings) -> Chat:
    state, faults = request.app.state, request.faults
    if "messages" not in body:
        raise missing_parameter("messages")
    asked = prompt.from_messages(body["messages"])
    _check_json_mode(settings, asked)
    definitions = body.get("tools") or body.get("functions")
    if definitions:
        asked.tokens += len(encode(definitions)) // 4
    count = params.integer(body, "n", 1, 128, 1) or 1
    spoken = chat_audio.wanted_format(body, model)
    outputs = [generate(asked, settings, faults, index) for index in range(count)]
    key = params.string(body, "prompt_cache_key")
    if spoken:
        for output in outputs:
            output.audio_tokens = AUDIO_TOKENS_PER_TOKEN * len(output.pieces)
    cached = 0
    if key or asked.tokens >= CACHE_MIN_TOKENS:
        cached = cached_tokens(state, model.id, key, encode([definitions, body["messages"]]), asked.tokens)
    tier = params.choice(body, "service_tier", SERVICE_TIERS, "default")
    return Chat(
        id=state.new_id("chatcmpl-", 29),
        created=state.created(),
        model=model,
        outputs=outputs,
        prompt_tokens=asked.tokens,
        usage=None if faults.no_usage else chat_usage(asked, outputs, cached, faults),
        service_tier="default" if tier == "auto" else tier,
        top_logprobs=_top_logprobs(body),
        as_functions="functions" in body,
        metadata=params.metadata(body) if "metadata" in body else None,
        new_id=state.new_id,
        audio_format=spoken,
    )


def read_settings(body: Body, model: Model) -> Settings:
    """The settings of a chat request; raises ApiError 400 for what OpenAI would refuse."""
    params.number(body, "temperature", 0, 2, 1)
    params.number(body, "top_p", 0, 1, 1)
    params.number(body, "presence_penalty", -2, 2, 0)
    params.number(body, "frequency_penalty", -2, 2, 0)
    if model.reasons:
        _refuse_sampling(body)
    tools = _tools(body)
    choice, named, tools = _tool_choice(body, tools)
    schema, json_object = _response_format(params.mapping(body, "response_format"))
    limit = params.integer(body, "max_completion_tokens", 1)
    effort = params.choice(body, "reasoning_effort", REASONING_TOKENS, "medium")
    return Settings(
        tools=tools,
        tool_choice=choice,
        named_tool=named,
        parallel=params.boolean(body, "parallel_tool_calls", True),
        schema=schema,
        json_object=json_object,
        stop=read_stop(body.get("stop")),
        max_tokens=limit if limit is not None else params.integer(body, "max_tokens", 1),
        effort=effort if model.reasons else "",
    )


def _refuse_sampling(body: Body) -> None:
    if body.get("max_tokens") is not None:
        raise unsupported_parameter("max_tokens", "max_completion_tokens")
    for name, default in (("temperature", 1), ("top_p", 1), ("presence_penalty", 0), ("frequency_penalty", 0)):
        value = body.get(name)
        if value is not None and value != default:
            raise ApiError(
                f"Unsupported value: '{name}' does not support {value} with this model. Only the default "
                f"({default}) value is supported.",
                param=name,
                code="unsupported_value",
            )
    for name in ("logprobs", "top_logprobs", "logit_bias", "stop"):
        if body.get(name):
            raise unsupported_parameter(name)


def read_stop(stop: Any) -> list[str]:
    """The stop sequences, at most four."""
    if stop is None:
        return []
    sequences = [stop] if isinstance(stop, str) else stop
    if not isinstance(sequences, list) or not all(isinstance(item, str) for item in sequences):
        raise invalid_type("stop", "one of an array of strings or a string", stop)
    if len(sequences) > 4:
        raise params.too_long("stop", "array", 4, len(sequences))
    return sequences


def _top_logprobs(body: Body) -> int | None:
    """How many alternatives beside each token's log probability; None for no log probabilities."""
    top = params.integer(body, "top_logprobs", 0, 20)
    if params.boolean(body, "logprobs"):
        return top or 0
    if top is not None:
        raise ApiError("The 'top_logprobs' parameter is only allowed when 'logprobs' is enabled.", param="top_logprobs")
    return None


def _tools(body: Body) -> list[Tool]:
    if "functions" in body:
        return [read_tool(item, f"functions[{index}]") for index, item in enumerate(body["functions"])]
    tools = []
    for index, item in enumerate(params.objects(body, "tools")):
        kind = params.kind(item, f"tools[{index}]", ("function", "custom"))
        tools.append(read_tool(item.get(kind), f"tools[{index}].{kind}", kind))
    return tools


def _tool_choice(body: Body, tools: list[Tool]) -> tuple[str, str, list[Tool]]:
    """The mode, the tool that must be called if any, and the tools that may be."""
    choice = body.get("tool_choice", body.get("function_call"))
    if choice is None:
        return "auto", "", tools
    if not tools:
        raise ApiError(
            "Invalid value for 'tool_choice': 'tool_choice' is only allowed when 'tools' are specified.",
            param="tool_choice",
        )
    if isinstance(choice, str):
        allowed = ("none", "auto", "required")
        if choice not in allowed:
            raise invalid_value("tool_choice", choice, params.quoted(allowed))
        return choice, "", tools
    if not isinstance(choice, dict):
        raise invalid_type("tool_choice", "one of a string or an object", choice)
    if choice.get("type") == "allowed_tools":
        listed = params.mapping(choice, "allowed_tools")
        names = {_named(item) for item in listed.get("tools", [])}
        return str(listed.get("mode", "auto")), "", [tool for tool in tools if tool.name in names]
    name = _named(choice)
    if name not in {tool.name for tool in tools}:
        raise ApiError(
            f"Tool choice '{name}' not found in 'tools' parameter.",
            param="tool_choice",
        )
    return "required", name, tools


def _named(choice: Body) -> str:
    """The name in `{"type": "function", "function": {"name"}}`, or in a bare `{"name"}`."""
    inner = choice.get(choice.get("type", ""), choice)
    name = inner.get("name") if isinstance(inner, dict) else None
    if not isinstance(name, str):
        raise missing_parameter("tool_choice.function.name")
    return name


def _response_format(form: Body) -> tuple[dict[str, Any] | None, bool]:
    """The schema to satisfy, and whether any JSON object will do."""
    kind = params.choice(form, "response_format.type", ("text", "json_object", "json_schema"), "text")
    if kind != "json_schema":
        return None, kind == "json_object"
    params.required(form, "response_format.json_schema")
    described = params.mapping(form, "response_format.json_schema")
    name = params.required(described, "response_format.json_schema.name")
    schema = described.get("schema", {})
    if described.get("strict"):
        strict_schema.check(schema, f"response_format '{name}'", "response_format")
    return schema, False


def _check_json_mode(settings: Settings, asked: prompt.Prompt) -> None:
    if settings.json_object and "json" not in asked.all_text.lower():
        raise ApiError(
            "'messages' must contain the word 'json' in some form, to use 'response_format' of type 'json_object'.",
            param="messages",
        )


ROUTES = (Route("POST", "/v1/chat/completions", create), *stored_chat.ROUTES)
