"""A request's fields, checked, and what the response repeats of them."""

from typing import Any

from sandbox.errors import ApiError, invalid_type, invalid_value, missing_parameter, unsupported_parameter
from sandbox.model import catalog, strict_schema
from sandbox.model.catalog import Model
from sandbox.model.generation import REASONING_TOKENS, Settings
from sandbox.model.prompt import Prompt
from sandbox.responses.items import Item
from sandbox.responses.output import Plan
from sandbox.responses.toolbox import Toolbox
from sandbox.state import State
from sandbox.store import params
from sandbox.store.params import Body

KNOWN = frozenset(
    {
        *("access_programs", "background", "background_options", "client_metadata", "context_management"),
        *("conversation", "image", "include", "input", "instructions"),
        *("max_output_tokens", "max_tool_calls", "metadata", "model", "moderation", "parallel_tool_calls"),
        *("previous_response_id", "prompt", "prompt_cache_key", "prompt_cache_options", "prompt_cache_retention"),
        *("reasoning", "safety_identifier", "service_tier", "store", "stream", "stream_options", "temperature"),
        *("text", "tool_choice", "tools", "top_logprobs", "top_p", "truncation", "user"),
    }
)
INCLUDABLE = (
    *("file_search_call.results", "web_search_call.results", "web_search_call.action.sources"),
    *("message.input_image.image_url", "computer_call_output.output.image_url", "code_interpreter_call.outputs"),
    *("reasoning.encrypted_content", "message.output_text.logprobs"),
)
SERVICE_TIERS = ("auto", "default", "flex", "scale", "priority", "fast")
MIN_OUTPUT_TOKENS = 16
DEFAULT_MODEL = "gpt-4o"  # of a prompt template that names none


def model(state: State, body: Body) -> Model:
    """The model's row; raises ApiError 400 as this API words it."""
    name = body.get("model")
    if name is None and body.get("prompt"):
        name = DEFAULT_MODEL
    if name is None or name == "":
        raise missing_parameter("model")
    name = params.string({"model": name}, "model")
    if catalog.find(state, name) is None:
        raise ApiError(f"The requested model '{name}' does not exist.", param="model", code="model_not_found")
    return catalog.require(state, name, catalog.RESPONSES_KINDS)


def include(names: Any) -> frozenset[str]:
    """What `include` asks for; raises ApiError 400 for names that do not exist."""
    if names is not None and not isinstance(names, list):
        raise invalid_type("include", "an array of strings", names)
    for index, name in enumerate(names or ()):
        if name not in INCLUDABLE:
            raise invalid_value(f"include[{index}]", name, params.quoted(INCLUDABLE))
    return frozenset(names or ())


def plan(body: Body, row: Model, toolbox: Toolbox, approved: list[Item]) -> Plan:
    """The settings of a request; raises ApiError 400 for what OpenAI would refuse."""
    params.number(body, "temperature", 0, 2, 1)
    params.number(body, "top_p", 0, 1, 1)
    reasoning = params.mapping(body, "reasoning")
    effort = params.choice(reasoning, "reasoning.effort", REASONING_TOKENS, "medium")
    summary = reasoning.get("summary") or reasoning.get("generate_summary")
    if row.reasons:
        _refuse_sampling(body)
    elif any(value is not None for value in reasoning.values()):
        name = next(name for name, value in reasoning.items() if value is not None)
        raise unsupported_parameter(f"reasoning.{name}")
    if summary is not None:
        params.choice({"reasoning.summary": summary}, "reasoning.summary", ("auto", "concise", "detailed"), "auto")
    schema, json_object = _format(params.mapping(body, "text"))
    top = params.integer(body, "top_logprobs", 0, 20)
    wants_logprobs = top or "message.output_text.logprobs" in include(body.get("include"))
    settings = Settings(
        tools=toolbox.functions,
        tool_choice=toolbox.choice,
        named_tool=toolbox.named,
        parallel=params.boolean(body, "parallel_tool_calls", True),
        schema=schema,
        json_object=json_object,
        max_tokens=params.integer(body, "max_output_tokens", MIN_OUTPUT_TOKENS),
        effort=effort if row.reasons else "",
    )
    return Plan(
        settings,
        toolbox,
        reasons=row.reasons and effort != "none",
        summary=summary or "",
        top_logprobs=(top or 0) if wants_logprobs else None,
        max_tool_calls=params.integer(body, "max_tool_calls", 1),
        approved=approved,
    )


def _refuse_sampling(body: Body) -> None:
    for name in ("temperature", "top_p"):
        if body.get(name) not in (None, 1):
            raise unsupported_parameter(name)
    if body.get("top_logprobs"):
        raise unsupported_parameter("top_logprobs")


def _format(text: Body) -> tuple[dict[str, Any] | None, bool]:
    """The schema to satisfy, and whether any JSON object will do."""
    form = params.mapping(text, "text.format")
    params.choice(text, "text.verbosity", ("low", "medium", "high"), "medium")
    kind = params.choice(form, "text.format.type", ("text", "json_object", "json_schema"), "text")
    if kind != "json_schema":
        return None, kind == "json_object"
    for name in ("name", "schema"):
        if not form.get(name):
            raise missing_parameter(f"text.format.{name}")
    if form.get("strict"):
        strict_schema.check(form["schema"], f"response_format '{form['name']}'", "text.format.schema")
    return form["schema"], False


def check_json_mode(settings: Settings, prompt: Prompt) -> None:
    if settings.json_object and "json" not in prompt.all_text.lower():
        raise ApiError(
            "Response input messages must contain the word 'json' in some form to use 'text.format' of type "
            "'json_object'.",
            param="input",
        )


def base(body: Body, row: Model, toolbox: Toolbox, store: bool) -> dict[str, Any]:
    """The fields of the response that repeat the request, defaults filled in."""
    reasoning, text = params.mapping(body, "reasoning"), params.mapping(body, "text")
    tier = params.choice(body, "service_tier", SERVICE_TIERS, "default")
    effort = reasoning.get("effort") or "medium"
    return {
        "instructions": body.get("instructions"),
        "max_output_tokens": body.get("max_output_tokens"),
        "max_tool_calls": body.get("max_tool_calls"),
        "model": row.shown,
        "parallel_tool_calls": params.boolean(body, "parallel_tool_calls", True),
        "previous_response_id": body.get("previous_response_id"),
        "prompt": body.get("prompt"),
        "reasoning": {"effort": effort if row.reasons else None, "summary": reasoning.get("summary")},
        "service_tier": "default" if tier == "auto" else tier,
        "store": store,
        "temperature": float(params.number(body, "temperature", 0, 2, 1)),
        "text": {"format": text.get("format") or {"type": "text"}, "verbosity": text.get("verbosity") or "medium"},
        "tool_choice": body.get("tool_choice") or "auto",
        "tools": toolbox.shown,
        "top_logprobs": body.get("top_logprobs") or 0,
        "top_p": float(params.number(body, "top_p", 0, 1, 1)),
        "truncation": params.choice(body, "truncation", ("auto", "disabled"), "disabled"),
        "metadata": params.metadata(body),
        "prompt_cache_key": body.get("prompt_cache_key"),
        "prompt_cache_retention": body.get("prompt_cache_retention"),
        "safety_identifier": body.get("safety_identifier"),
        "user": body.get("user"),
    }
