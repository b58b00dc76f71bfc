"""What a request asks for, and what Anthropic would refuse in it."""

import re
from dataclasses import dataclass
from typing import Any

from sandbox.anthropic import conversation, models
from sandbox.anthropic.blocks import Block, block_of, ttl_of
from sandbox.anthropic.fields import Fields, closed, get, tag, within
from sandbox.anthropic.models import Model
from sandbox.anthropic.service import invalid
from sandbox.model import tokens
from sandbox.model.generation import Settings
from sandbox.model.prompt import Prompt
from sandbox.model.tools import Tool
from sandbox.wire.messages import encode

KNOWN = frozenset(
    {
        *("model", "messages", "max_tokens", "system", "metadata", "stop_sequences", "stream", "temperature"),
        *("top_p", "top_k", "tools", "tool_choice", "thinking", "output_config", "cache_control", "service_tier"),
        *("container", "inference_geo", "context_management", "mcp_servers", "speed"),
    }
)
EFFORTS = ("low", "medium", "high", "xhigh", "max")
SMALLEST_BUDGET = 1024
MOST_MARKS = 4
_NAME = re.compile(r"[a-zA-Z0-9_-]{1,128}")


@dataclass(slots=True)
class Asked:
    """A request. `thinking` says how thinking is shown, summarized or omitted; empty where there is none.

    `blocks` are what the prompt cache counts.
    """

    model: Model
    prompt: Prompt
    settings: Settings
    thinking: str
    blocks: list[Block]


def read(body: Fields, *, counting: bool = False) -> Asked:
    """The request of a body, without what only an answer needs when `counting`; raises ApiError 400."""
    closed(body, KNOWN)
    model = models.find(get(body, "model", str, needed=True))
    limit = get(body, "max_tokens", int, needed=not counting)
    _check_limit(limit, model)
    prompt = Prompt()
    tools, offered = _tools(body)
    choice, named, parallel = _tool_choice(body, tools, model)
    thinking, effort = _thinking(body, model, limit, forced=choice == "required")
    blocks = offered + conversation.read(body, prompt, model, thinks=bool(thinking))
    prompt.tokens += sum(block.tokens for block in offered)
    _check_marks(body, blocks)
    _check_sampling(body, model, thinks=bool(thinking))
    effort = _output(body, "effort", model) or effort
    settings = Settings(
        tools=[tool for tool in tools if tool.parameters is not None],
        tool_choice=choice,
        named_tool=named,
        parallel=parallel,
        schema=_output(body, "format", model),
        stop=_stop(body),
        max_tokens=limit,
        effort=effort if thinking else "",
    )
    return Asked(model, prompt, settings, thinking, blocks)


def _check_limit(limit: int | None, model: Model) -> None:
    within(limit, 1, float("inf"), "max_tokens")
    if limit is not None and limit > model.output:
        raise invalid(
            "max_tokens",
            f"{limit} > {model.output}, which is the maximum allowed number of output tokens for {model.id}",
        )


def _tools(body: Fields) -> tuple[list[Tool], list[Block]]:
    """The tools and what they cost. Those that Anthropic runs itself have no parameters, and are not called."""
    found, blocks = [], []
    for index, item in enumerate(get(body, "tools", list) or []):
        where = f"tools.{index}"
        if not isinstance(item, dict):
            raise invalid(where, "Input should be a valid dictionary or object to extract fields from")
        name = get(item, "name", str, where, needed=True)
        own = item.get("type") in (None, "custom")
        if own and not _NAME.fullmatch(name):
            raise invalid(f"{where}.custom.name", "String should match pattern '^[a-zA-Z0-9_-]{1,128}$'")
        schema = _input_schema(item, f"{where}.custom") if own else None
        found.append(Tool(name, get(item, "description", str, where) or "", schema))
        cost = tokens.count(encode({**item, "cache_control": None}).decode())
        blocks.append(block_of(item, cost, where))
    if len({tool.name for tool in found}) < len(found):
        raise invalid("tools", "Tool names must be unique.")
    return found, blocks


def _input_schema(item: Fields, where: str) -> dict[str, Any]:
    schema: dict[str, Any] = get(item, "input_schema", dict, where, needed=True)
    if schema.get("type") != "object":
        why = "Field required" if "type" not in schema else "Input should be 'object'"
        raise invalid(f"{where}.input_schema.type", why)
    return schema


def _tool_choice(body: Fields, tools: list[Tool], model: Model) -> tuple[str, str, bool]:
    """The mode as `Settings` has it, the tool that must be called, and whether several may be."""
    choice = get(body, "tool_choice", dict)
    if choice is None:
        return "auto", "", True
    kind = tag(choice, ("auto", "any", "tool", "none"), "tool_choice")
    if not tools:
        raise invalid("tool_choice", "tool_choice may only be specified while providing tools.")
    known = ("type", "name") if kind == "tool" else ("type",)
    closed(choice, known if kind == "none" else (*known, "disable_parallel_tool_use"), f"tool_choice.{kind}")
    if kind in ("any", "tool") and not model.forced:
        raise invalid("tool_choice", f"type '{kind}' is not supported by {model.id}")
    name = get(choice, "name", str, "tool_choice.tool", needed=True) if kind == "tool" else ""
    if name and name not in {tool.name for tool in tools}:
        raise invalid("tool_choice", f"Tool '{name}' not found in provided tools")
    parallel = not get(choice, "disable_parallel_tool_use", bool, f"tool_choice.{kind}")
    return {"auto": "auto", "none": "none"}.get(kind, "required"), name, parallel


def _thinking(body: Fields, model: Model, limit: int | None, *, forced: bool) -> tuple[str, str]:
    """How thinking is shown (empty for none), and its effort."""
    config = get(body, "thinking", dict)
    kind = tag(config, ("enabled", "disabled", "adaptive"), "thinking") if config is not None else ""
    if kind == "disabled" and model.always:
        raise invalid("thinking", f"thinking cannot be disabled for {model.id}")
    if kind == "enabled":
        _check_budget(config, model, limit)
    if kind == "adaptive" and not model.adaptive:
        raise invalid("thinking", f"adaptive thinking is not supported by {model.id}")
    if forced and (kind in ("enabled", "adaptive") or (not kind and model.thinks)):
        raise invalid("thinking", "Thinking may not be enabled when tool_choice forces tool use.")
    if kind == "disabled" or (not kind and not model.thinks):
        return "", ""
    shown = get(config or {}, "display", str, "thinking") or model.display
    if shown not in ("summarized", "omitted"):
        raise invalid("thinking.display", "Input should be 'summarized' or 'omitted'")
    return shown, "medium" if kind == "enabled" else "high"


def _check_budget(config: Fields, model: Model, limit: int | None) -> None:
    if not model.budgets:
        raise invalid("thinking", f"thinking.type 'enabled' is not supported by {model.id}. Use 'adaptive' instead.")
    budget = get(config, "budget_tokens", int, "thinking.enabled", needed=True)
    within(budget, SMALLEST_BUDGET, float("inf"), "thinking.enabled.budget_tokens")
    if limit is not None and budget >= limit:
        raise invalid("max_tokens", "`max_tokens` must be greater than `thinking.budget_tokens`.")


def _check_sampling(body: Fields, model: Model, *, thinks: bool) -> None:
    warmth, share = get(body, "temperature", float), get(body, "top_p", float)
    most = get(body, "top_k", int)
    within(warmth, 0, 1, "temperature")
    within(share, 0, 1, "top_p")
    within(most, 0, float("inf"), "top_k")
    if model.sampling == 0:
        for name, value, default in (("temperature", warmth, 1), ("top_p", share, 1), ("top_k", most, None)):
            if value is not None and value != default:
                raise invalid(name, f"`{name}` is not supported by {model.id}")
    if model.sampling == 1 and warmth is not None and share is not None:
        raise invalid("temperature", "`temperature` and `top_p` cannot both be specified for this model.")
    if thinks and warmth not in (None, 1):
        raise invalid("temperature", "`temperature` may only be set to 1 when thinking is enabled.")
    if thinks and most is not None:
        raise invalid("top_k", "`top_k` must be unset when thinking is enabled.")
    if thinks and share is not None and share < 0.95:
        raise invalid("top_p", "`top_p` must be greater than or equal to 0.95 or unset when thinking is enabled.")


def _output(body: Fields, name: str, model: Model) -> Any:
    """The effort, or the schema of the answer; None when it is not asked for."""
    config = get(body, "output_config", dict) or {}
    closed(config, ("effort", "format"), "output_config")
    if name == "effort":
        effort = get(config, "effort", str, "output_config")
        if effort is not None and (effort not in EFFORTS or not model.adaptive):
            raise invalid("output_config.effort", f"'{effort}' is not supported by {model.id}")
        return effort
    form = get(config, "format", dict, "output_config")
    if form is None:
        return None
    tag(form, ("json_schema",), "output_config.format")
    if not model.schemas:
        raise invalid("output_config.format", f"structured outputs are not supported by {model.id}")
    schema = get(form, "schema", dict, "output_config.format", needed=True)
    check_schema(schema)
    return schema


def check_schema(schema: Any) -> None:
    """Raises ApiError 400 for a schema with an object that is open."""
    if isinstance(schema, list):
        for item in schema:
            check_schema(item)
    if not isinstance(schema, dict):
        return
    if schema.get("type") == "object" and schema.get("additionalProperties") is not False:
        raise invalid(
            "output_config.format.schema",
            "For 'object' type, 'additionalProperties' must be explicitly set to false",
        )
    for name, value in schema.items():
        if name in ("properties", "$defs", "definitions"):
            check_schema(list(value.values()))
        elif name in ("items", "anyOf", "allOf"):
            check_schema(value)


def _stop(body: Fields) -> list[str]:
    found = get(body, "stop_sequences", list) or []
    for index, sequence in enumerate(found):
        if not isinstance(sequence, str):
            raise invalid(f"stop_sequences.{index}", "Input should be a valid string")
        if not sequence.strip():
            raise invalid("stop_sequences", "each stop sequence must contain non-whitespace")
    return found


def _check_marks(body: Fields, blocks: list[Block]) -> None:
    """At most four marks, the ones that last longer first. A mark of the request itself is behind its last block."""
    mark = get(body, "cache_control", dict)
    if mark is not None and blocks and not blocks[-1].ttl:
        blocks[-1] = blocks[-1]._replace(ttl=ttl_of(mark, "cache_control"))
    marks = [block.ttl for block in blocks if block.ttl]
    if len(marks) > MOST_MARKS:
        raise invalid(
            "messages", f"A maximum of {MOST_MARKS} blocks with cache_control may be provided. Found {len(marks)}."
        )
    if "1h" in marks[marks.index("5m") :] if "5m" in marks else False:
        raise invalid("messages", "a ttl='1h' cache_control block must not come after a ttl='5m' cache_control block.")
