"""Thinking and sampling as each Claude family takes them."""

from providers.dialects.failures import unsupported
from providers.dialects.families import BUDGETS, Claude, effort_of, nearest
from providers.dialects.neutral import Reasoning, Request, Settings, ToolCall
from providers.dialects.wire import Fields

SMALLEST_BUDGET = 1024
ANSWER_ROOM = 1024
"""Tokens that a raised ``max_tokens`` leaves for the answer beside the thinking."""


def write_thinking(
    request: Request, settings: Settings, family: Claude, body: Fields, dropped: list[str], into: Fields | None = None
) -> None:
    """Set ``thinking`` and the effort. Where a tool is forced, thinking goes: Anthropic refuses both together.

    ``into`` takes the fields instead of ``body``, from which the limit and the tool choice are read.
    """
    target = body if into is None else into
    wanted = request.thinking
    forced = body.get("tool_choice", {}).get("type") in ("any", "tool")
    if forced and family.thinks and not family.always:
        target["thinking"] = {"type": "disabled"}
    if wanted is None:
        return
    if wanted.effort == "none" or wanted.budget == 0:
        _stop(settings, family, target, dropped)
    elif not (family.manual or family.adaptive):
        _refuse(settings, dropped, "is not supported by the model '{model}'.")
    elif forced:
        _refuse(settings, dropped, "cannot be combined with a forced tool for the model '{model}'.")
    elif family.adaptive:
        _adapt(request, family, target)
    else:
        _budget(request, settings, family, body, target, dropped)


def _refuse(settings: Settings, dropped: list[str], why: str) -> None:
    if settings.strict:
        raise unsupported("reasoning_effort", why.format(model=settings.model))
    dropped.append("reasoning_effort")


def _stop(settings: Settings, family: Claude, target: Fields, dropped: list[str]) -> None:
    if not family.thinks:
        return
    if not family.always:
        target["thinking"] = {"type": "disabled"}
        return
    _refuse(settings, dropped, "'none' is not supported by the model '{model}', which always thinks.")
    target.setdefault("output_config", {})["effort"] = "low"


def _adapt(request: Request, family: Claude, target: Fields) -> None:
    """Newer families decide how long to think; an effort says how thorough to be.

    A budget is the effort nearest to it.
    """
    wanted = request.thinking
    assert wanted is not None
    effort = wanted.effort or (effort_of(wanted.budget) if wanted.budget is not None else None)
    shown = wanted.summary is not False
    target["thinking"] = {"type": "adaptive", "display": "summarized" if shown else "omitted"}
    known = nearest(effort, family.efforts) if effort else None
    if known:
        target.setdefault("output_config", {})["effort"] = known


def _budget(
    request: Request, settings: Settings, family: Claude, body: Fields, target: Fields, dropped: list[str]
) -> None:
    """Older families take a budget, which must leave room in ``max_tokens``; the limit is raised, then the budget
    cut.
    """
    wanted = request.thinking
    assert wanted is not None
    if _unproven(request):
        _refuse(settings, dropped, "needs the thinking of the last turn back, with its signature.")
        return
    budget = wanted.budget if wanted.budget and wanted.budget > 0 else BUDGETS[wanted.effort or "medium"]
    budget = max(budget, SMALLEST_BUDGET)
    most = max(settings.max_output or family.output, body["max_tokens"])
    if budget >= body["max_tokens"]:
        body["max_tokens"] = min(budget + max(body["max_tokens"], ANSWER_ROOM), most)
        budget = min(budget, body["max_tokens"] - ANSWER_ROOM)
    if budget < SMALLEST_BUDGET:
        _refuse(settings, dropped, "leaves no room for an answer within 'max_tokens'.")
        return
    target["thinking"] = {"type": "enabled", "budget_tokens": budget}


def _unproven(request: Request) -> bool:
    """Whether the last turn called tools without the thinking that Anthropic wants to see before the calls."""
    for message in reversed(request.messages):
        if message.role == "assistant":
            calls = any(isinstance(part, ToolCall) for part in message.parts)
            proven = any(
                isinstance(part, Reasoning) and part.origin == "anthropic" and (part.signature or part.redacted)
                for part in message.parts
            )
            return calls and not proven
        if message.role == "user":
            return False
    return False


def write_sampling(request: Request, settings: Settings, family: Claude, body: Fields, dropped: list[str]) -> None:
    """Set temperature, top_p and top_k as far as the family takes them, beside thinking or not.

    Anthropic's temperatures end at 1: a higher one becomes 1, and is reported.
    """
    thinks = body.get("thinking", {}).get("type") in ("enabled", "adaptive")
    given = {name: getattr(request, name) for name in ("temperature", "top_p", "top_k")}
    lost = []
    if family.sampling == 1 and given["temperature"] is not None and given["top_p"] is not None:
        lost.append("top_p")
    for name, value in given.items():
        if value is None or name in lost:
            continue
        if family.sampling == 0 or (thinks and not (name == "top_p" and value >= 0.95)):
            if not (name != "top_k" and value == 1):  # the default, which changes nothing
                lost.append(name)
            continue
        if name == "temperature" and value > 1:
            lost.append(name)
            value = 1.0
        body[name] = value
    if lost and settings.strict:
        raise unsupported(lost[0], f"is not supported by the model '{settings.model}'.")
    dropped.extend(lost)
