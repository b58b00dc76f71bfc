"""What a request asks for, and what Google would refuse in it."""

import re
from dataclasses import dataclass, field
from typing import Any

from sandbox.gemini import conversation
from sandbox.gemini.fields import Fields, closed, items, one_of, typed, within
from sandbox.gemini.models import Model
from sandbox.gemini.parts import Reader
from sandbox.gemini.schemas import json_schema
from sandbox.gemini.service import invalid
from sandbox.model import tokens
from sandbox.model.generation import Settings
from sandbox.model.prompt import Prompt
from sandbox.model.tools import Tool
from sandbox.wire.messages import encode

KNOWN = (
    *("model", "systemInstruction", "contents", "tools", "toolConfig", "safetySettings", "generationConfig"),
    *("cachedContent", "serviceTier", "store", "labels"),
)
CONFIG = (
    *("candidateCount", "stopSequences", "maxOutputTokens", "temperature", "topP", "topK", "seed"),
    *("responseMimeType", "responseSchema", "responseJsonSchema", "presencePenalty", "frequencyPenalty"),
    *("responseLogprobs", "logprobs", "responseModalities", "speechConfig", "thinkingConfig", "imageConfig"),
    *("mediaResolution", "responseFormat", "enableEnhancedCivicAnswers"),
)
OWN_TOOLS = (
    *("googleSearchRetrieval", "codeExecution", "googleSearch", "computerUse", "urlContext", "fileSearch"),
    *("mcpServers", "googleMaps"),
)
_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_.:-]{0,127}")
LEVELS = {"MINIMAL": "minimal", "LOW": "low", "MEDIUM": "medium", "HIGH": "high"}


@dataclass(slots=True)
class Asked:
    """A request. `thoughts` says whether thoughts are shown; `makes` is TEXT, IMAGE or AUDIO; `count` is that of
    candidates.
    """

    model: Model
    prompt: Prompt
    reader: Reader
    settings: Settings
    config: Fields = field(default_factory=dict)
    thoughts: bool = False
    makes: str = "TEXT"
    count: int = 1


def read(body: Any, model: Model) -> Asked:
    """The request of a body; raises ApiError 400."""
    fields = closed(body, KNOWN)
    config = closed(fields.get("generationConfig", {}), CONFIG, "generation_config")
    prompt, reader = conversation.read(fields, model)
    tools = _tools(fields, reader)
    prompt.tokens = sum(reader.counts.values())
    choice, allowed = _choice(fields)
    if allowed:
        tools = [tool for tool in tools if tool.name in allowed]
    schema, as_json = _format(config)
    if (schema is not None or as_json) and tools and not model.both:
        raise invalid("Function calling with a response mime type: 'application/json' is unsupported")
    effort, thoughts = _thinking(config, model)
    _check_sampling(config)
    return Asked(
        model,
        prompt,
        reader,
        Settings(
            tools=tools,
            tool_choice=choice,
            schema=schema,
            json_object=as_json and schema is None,
            stop=_stop(config),
            max_tokens=typed(config, "maxOutputTokens", int, "generation_config"),
            effort=effort,
        ),
        config,
        thoughts,
        _modality(config, model),
        typed(config, "candidateCount", int, "generation_config") or 1,
    )


def _tools(body: Fields, reader: Reader) -> list[Tool]:
    found = []
    for index, item in enumerate(items(body, "tools")):
        where = f"tools[{index}]"
        fields = closed(item, ("functionDeclarations", *OWN_TOOLS), where)
        for number, given in enumerate(items(fields, "functionDeclarations")):
            found.append(_tool(given, f"{where}.function_declarations[{number}]"))
            reader.counts["TEXT"] += tokens.count(encode(given).decode())
    names = [tool.name for tool in found]
    duplicate = next((name for name in names if names.count(name) > 1), None)
    if duplicate is not None:
        raise invalid(f"Duplicate function declaration found: {duplicate}")
    return found


def _tool(given: Any, where: str) -> Tool:
    known = ("name", "description", "parameters", "parametersJsonSchema", "response", "responseJsonSchema", "behavior")
    fields = closed(given, known, where)
    name = str(typed(fields, "name", str, where) or "")
    if not _NAME.fullmatch(name):
        raise invalid(
            f"* GenerateContentRequest.{where}.name: Invalid function name. Must start with a letter or an underscore. "
            "Must be alphanumeric (a-z, A-Z, 0-9), underscores (_), dots (.), colons (:), or dashes (-), with a "
            "maximum length of 128."
        )
    if "parameters" in fields and "parametersJsonSchema" in fields:
        raise invalid(
            f"* GenerateContentRequest.{where}: only one of parameters and parameters_json_schema may be set."
        )
    schema = typed(fields, "parametersJsonSchema", dict, where)
    if schema is None and "parameters" in fields:
        schema = json_schema(fields["parameters"], f"{where}.parameters")
        if schema.get("type") == "object" and schema.get("properties") == {}:
            raise invalid(
                f"* GenerateContentRequest.{where}.parameters.properties: should be non-empty for OBJECT type"
            )
    return Tool(name, typed(fields, "description", str, where) or "", schema)


def _choice(body: Fields) -> tuple[str, list[str]]:
    """The mode as `Settings` has it, and the functions that may be called, if not all."""
    known = ("functionCallingConfig", "retrievalConfig", "includeServerSideToolInvocations")
    outer = closed(body.get("toolConfig", {}), known, "tool_config")
    where = "tool_config.function_calling_config"
    config = closed(outer.get("functionCallingConfig", {}), ("mode", "allowedFunctionNames"), where)
    mode = one_of(config, "mode", ("MODE_UNSPECIFIED", "AUTO", "ANY", "NONE", "VALIDATED"), where)
    names = items(config, "allowedFunctionNames")
    if names and mode not in ("ANY", "VALIDATED"):
        raise invalid("Allowed function names should be set only when function calling mode is ANY.")
    return {"ANY": "required", "NONE": "none"}.get(mode, "auto"), names


def _format(config: Fields) -> tuple[dict[str, Any] | None, bool]:
    """The schema of the answer, and whether it is JSON at all."""
    where = "generation_config"
    mime = typed(config, "responseMimeType", str, where) or "text/plain"
    given, own = config.get("responseJsonSchema"), config.get("responseSchema")
    form = closed(config.get("responseFormat", {}), ("text", "audio", "image"), f"{where}.response_format")
    text = closed(form.get("text", {}), ("mimeType", "schema"), f"{where}.response_format.text")
    if text.get("mimeType") == "APPLICATION_JSON":
        mime, given = "application/json", text.get("schema", given)
    if mime not in ("text/plain", "application/json", "text/x.enum"):
        raise invalid(
            "* GenerateContentRequest.generation_config.response_mime_type: allowed mimetypes are `text/plain`, "
            "`application/json`, `application/xml`, `application/yaml` and `text/x.enum`."
        )
    if given is not None and own is not None:
        raise invalid("Only one of response_schema and response_json_schema may be set.")
    if mime == "text/plain" and (given is not None or own is not None):
        raise invalid(
            "* GenerateContentRequest.generation_config.response_mime_type: a response schema needs the mime type "
            "application/json."
        )
    if own is not None:
        given = json_schema(own, f"{where}.response_schema")
    return given, mime == "application/json"


def _thinking(config: Fields, model: Model) -> tuple[str, bool]:
    """The effort as `Settings` has it, and whether thoughts are shown."""
    where = "generation_config.thinking_config"
    given = closed(config.get("thinkingConfig", {}), ("includeThoughts", "thinkingBudget", "thinkingLevel"), where)
    level = one_of(given, "thinkingLevel", ("THINKING_LEVEL_UNSPECIFIED", *LEVELS), where)
    budget = typed(given, "thinkingBudget", int, where)
    if not model.thinks:
        if level or budget or given.get("includeThoughts"):
            raise invalid("Thinking is not enabled for this model.")
        return "", False
    if level and budget is not None:
        raise invalid("You can only set only one of thinking budget and thinking level.")
    if level and level not in (*model.levels, "THINKING_LEVEL_UNSPECIFIED"):
        raise invalid(f"Thinking level {level} is not supported for this model.")
    if budget is not None:
        return _budget(budget, model), bool(given.get("includeThoughts"))
    return LEVELS.get(level, "medium"), bool(given.get("includeThoughts"))


def _budget(budget: int, model: Model) -> str:
    low, high = model.budget or (0, 32_768)
    if budget == 0 and not model.off and model.budget:
        raise invalid("Budget 0 is invalid. This model only works in thinking mode.")
    if budget > 0 and not low <= budget <= high:
        raise invalid(f"The thinking budget {budget} is invalid. Please choose a value between {low} and {high}.")
    if budget in (0, -1):
        return "none" if budget == 0 else "medium"
    return "low" if budget <= 1024 else "medium" if budget <= 8192 else "high"


def _check_sampling(config: Fields) -> None:
    for name, kind, low, high in (
        ("temperature", float, 0, 2),
        ("topP", float, 0, 1),
        ("topK", int, 1, 1000),
        ("candidateCount", int, 1, 8),
        ("maxOutputTokens", int, 1, 1_000_000),
        ("presencePenalty", float, -2, 2),
        ("frequencyPenalty", float, -2, 2),
        ("logprobs", int, 0, 20),
    ):
        within(typed(config, name, kind, "generation_config"), low, high, name)
    typed(config, "seed", int, "generation_config")
    if config.get("logprobs") is not None and not config.get("responseLogprobs"):
        raise invalid("logprobs should only be set when response_logprobs is True.")


def _stop(config: Fields) -> list[str]:
    found = items(config, "stopSequences")
    if len(found) > 5:
        raise invalid("The number of stop sequences must be at most 5.")
    return [str(each) for each in found]


def _modality(config: Fields, model: Model) -> str:
    """TEXT, IMAGE or AUDIO: what the answer is; raises ApiError 400 for what the model cannot make."""
    wanted = [str(each).upper() for each in items(config, "responseModalities")]
    for each in wanted:
        if each not in ("TEXT", "IMAGE", "AUDIO"):
            raise invalid(f"Invalid value at 'generation_config.response_modalities' (TYPE_ENUM), {each!r}")
        if each not in ("TEXT", model.makes):
            raise invalid(
                "The requested combination of response modalities is not supported by the model. models/"
                f"{model.id} accepts the following combination of response modalities:\n* TEXT\n"
            )
    if model.makes == "AUDIO" and wanted != ["AUDIO"]:
        raise invalid(f"The requested combination of response modalities ({', '.join(wanted) or 'TEXT'}) is not "
                      f"supported by the model. models/{model.id} accepts the following combination of response "
                      "modalities:\n* AUDIO\n")  # fmt: skip
    return model.makes if model.makes in wanted or (model.makes == "IMAGE" and not wanted) else "TEXT"
