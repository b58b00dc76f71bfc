"""Options that several dialects have in common, or that compatible servers took over from each other."""

from typing import Any

from providers.dialects.families import EFFORTS
from providers.dialects.neutral import Format, Thinking, ToolChoice
from providers.dialects.wire import Fields, invalid, items, typed


def read_choice(choice: Any, where: str) -> ToolChoice:
    """Return a tool choice of chat or of the Responses API."""
    if choice in ("auto", "none", "required"):
        return ToolChoice(choice)
    kind = choice.get("type") if isinstance(choice, dict) else None
    if kind in ("function", "custom"):
        named = choice.get(kind, choice)
        return ToolChoice("required", [typed(typed(named, dict, where).get("name"), str, f"{where}.{kind}.name")])
    if kind == "allowed_tools":
        allowed = typed(choice.get("allowed_tools", choice), dict, f"{where}.allowed_tools")
        tools = items(allowed.get("tools") or [], f"{where}.allowed_tools.tools")
        names = [str(tool.get("name") or (tool.get("function") or {}).get("name") or "") for tool in tools]
        return ToolChoice("required" if allowed.get("mode") == "required" else "auto", names)
    raise invalid(where, choice, "Supported values are: 'none', 'auto', 'required' or a named function.")


def read_format(form: Any, where: str) -> Format | None:
    """Return a response format of chat (nested) or of the Responses API (flat); plain text is ``None``."""
    if form is None:
        return None
    kind = typed(form, dict, where).get("type")
    if kind == "text":
        return None
    if kind == "json_object":
        return Format("json_object")
    if kind != "json_schema":
        raise invalid(f"{where}.type", kind, "Supported values are: 'text', 'json_object' and 'json_schema'.")
    nested = typed(form.get("json_schema", form), dict, f"{where}.json_schema")
    schema = nested.get("schema")
    strict = nested.get("strict")
    return Format(
        "json_schema",
        str(nested.get("name") or "response"),
        typed(schema if schema is not None else {}, dict, f"{where}.json_schema.schema"),
        strict if isinstance(strict, bool) else None,
        str(nested.get("description") or ""),
    )


def read_stop(stop: Any, where: str) -> list[str]:
    """Return stop sequences, given as one string or several."""
    if stop is None:
        return []
    if isinstance(stop, str):
        return [stop]
    return [typed(each, str, f"{where}[{index}]") for index, each in enumerate(typed(stop, list, where))]


def check_effort(effort: Any, where: str) -> str | None:
    """Return an effort that is one of the known ones."""
    if effort is None or effort in EFFORTS:
        return effort  # type: ignore[no-any-return]
    valid = ", ".join(f"'{each}'" for each in EFFORTS)
    raise invalid(where, effort, f"Supported values are: {valid}.")


def read_thinking(thinking: Fields, effort: Any, where: str) -> Thinking:
    """Return Anthropic's ``thinking`` object: enabled with a budget, adaptive or disabled."""
    kind = thinking.get("type")
    if kind == "disabled":
        return Thinking("none")
    if kind not in ("enabled", "adaptive", "auto"):
        raise invalid(f"{where}.type", kind, "Supported values are: 'enabled', 'adaptive' and 'disabled'.")
    budget = thinking.get("budget_tokens")
    number = None if budget is None else typed(budget, int, f"{where}.budget_tokens")
    shown = thinking.get("display") != "omitted"
    return Thinking(check_effort(effort, "reasoning_effort"), number, shown)  # type: ignore[arg-type]


def google_thinking(config: Fields) -> Thinking:
    """Return Gemini's thinking config, in its own spelling or with underscores."""
    level = str(config.get("thinkingLevel") or config.get("thinking_level") or "").lower()
    budget = config.get("thinkingBudget", config.get("thinking_budget"))
    shown = config.get("includeThoughts", config.get("include_thoughts"))
    return Thinking(
        level if level in EFFORTS else None,  # type: ignore[arg-type]
        budget if isinstance(budget, int) else None,
        shown if isinstance(shown, bool) else None,
    )
