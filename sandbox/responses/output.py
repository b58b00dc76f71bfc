"""From a prompt to the items of a response's `output`."""

import itertools
from collections.abc import Iterable
from dataclasses import dataclass, field

from sandbox.misbehaviour.faults import Faults
from sandbox.model import tokens
from sandbox.model.chat_format import token_logprob
from sandbox.model.generation import BIG_PIECE, Output, Settings, generate, limit
from sandbox.model.prompt import Prompt
from sandbox.model.tools import Call
from sandbox.responses import built_in
from sandbox.responses.context import Context, remember, sealed
from sandbox.responses.items import Item
from sandbox.responses.toolbox import Offered, Toolbox, family
from sandbox.state import State

_THOUGHTS = (
    "**Reading the request**\n\nThe user says: {text}",
    "**Choosing an answer**\n\nA short and plain answer will do.",
)
# Longer strings are streamed in larger pieces.
_SMALL = 65_536
# What a call of a built-in tool costs, in tokens.
BUILT_IN_TOKENS = 16


@dataclass(slots=True)
class Plan:
    """What a request asks of its answer, beyond `settings`.

    `reasons` says whether there is a reasoning item, `summary` how its summary reads (auto, concise, detailed or
    empty), `top_logprobs` is None without log probabilities, `approved` are the MCP calls that the user let pass.
    """

    settings: Settings
    toolbox: Toolbox
    reasons: bool = False
    summary: str = ""
    top_logprobs: int | None = None
    max_tool_calls: int | None = None
    approved: list[Item] = field(default_factory=list)


@dataclass(slots=True)
class Made:
    """The output, its length in tokens, whether it was cut off, and the sketches of its images by item id."""

    items: list[Item]
    tokens: int
    reasoning_tokens: int
    cut_off: bool
    sketches: dict[str, list[str]]


def make(context: Context, plan: Plan, faults: Faults, state: State) -> Made:
    """The output for a conversation; the same for the same arguments, but for the ids."""
    prompt, settings = context.prompt, plan.settings
    output = _generated(context, plan, faults)
    uses, sketches = _uses(plan, prompt, state)
    items = [item for one in uses for item in one.items]
    cut_off = output.finish_reason == "length"
    if plan.reasons:
        items.insert(0, _reasoning(prompt, plan.summary, state))
    stops = items and items[-1]["type"] in ("mcp_approval_request", "computer_call")
    if output.calls:
        items += [_call(call, cut_off, state) for call in output.calls]
    elif not stops and (output.pieces or not cut_off):
        cited = [] if settings.schema is not None or settings.json_object or output.is_refusal else uses
        items.append(_message(output, cited, plan.top_logprobs, state))
    total = output.tokens + BUILT_IN_TOKENS * len(uses)
    return Made(items, total, output.reasoning_tokens, cut_off, sketches)


def _generated(context: Context, plan: Plan, faults: Faults) -> Output:
    settings = plan.settings
    most, settings.max_tokens = settings.max_tokens, None
    output = generate(context.prompt, settings, faults)
    asked_for = faults.refusal or faults.big or faults.tokens >= 0
    if output.pieces and not (asked_for or settings.schema is not None or settings.json_object):
        output.pieces = tokens.split(remember(output.text, context))
    if not faults.big:
        limit(output, most)
    return output


def _uses(plan: Plan, prompt: Prompt, state: State) -> tuple[list[built_in.Use], dict[str, list[str]]]:
    def new_id(prefix: str) -> str:
        return state.new_id(prefix, 24 if prefix == "call_" else 48)

    sketches = {}
    uses = [built_in.Use([_approved(item, state)]) for item in plan.approved]
    for tool in plan.toolbox.built_in[: plan.max_tool_calls]:
        used = built_in.use(tool, prompt.user_text, new_id)
        uses.append(used)
        if family(tool) == "image_generation" and tool.get("partial_images"):
            sketches[used.items[0]["id"]] = _sketches(tool, prompt)
    return uses, sketches


def _sketches(tool: Offered, prompt: Prompt) -> list[str]:
    return built_in.partial_images(tool, prompt.user_text)


def _approved(request: Item, state: State) -> Item:
    return {
        "id": state.new_id("mcp_", 48),
        "type": "mcp_call",
        "status": "completed",
        "approval_request_id": request["id"],
        "server_label": request["server_label"],
        "name": request["name"],
        "arguments": request["arguments"],
        "error": None,
        "output": f"{request['server_label']} answers: {request['arguments']}",
    }


def _reasoning(prompt: Prompt, summary: str, state: State) -> Item:
    parts = _THOUGHTS if summary == "detailed" else _THOUGHTS[:1] if summary else ()
    text = prompt.user_text[:200]
    return {
        "id": state.new_id("rs_", 48),
        "type": "reasoning",
        "encrypted_content": sealed([text]),
        "summary": [{"type": "summary_text", "text": part.format(text=text)} for part in parts],
    }


def _call(call: Call, cut_off: bool, state: State) -> Item:
    status = "incomplete" if cut_off else "completed"
    if call.kind == "custom":
        return {
            "id": state.new_id("ctc_", 48),
            "type": "custom_tool_call",
            "status": status,
            "call_id": state.new_id("call_"),
            "input": call.arguments,
            "name": call.name,
        }
    return {
        "id": state.new_id("fc_", 48),
        "type": "function_call",
        "status": status,
        "arguments": call.arguments,
        "call_id": state.new_id("call_"),
        "name": call.name,
    }


def _message(output: Output, uses: list[built_in.Use], top: int | None, state: State) -> Item:
    text = output.text
    content: Item
    if output.is_refusal:
        content = {"type": "refusal", "refusal": text}
    else:
        text, annotations = _cited(text, uses)
        logprobs = [] if top is None else [token_logprob(piece, top) for piece in tokens.split(text)]
        content = {"type": "output_text", "annotations": annotations, "logprobs": logprobs, "text": text}
    return {
        "id": state.new_id("msg_", 48),
        "type": "message",
        "status": "incomplete" if output.finish_reason == "length" else "completed",
        "content": [content],
        "role": "assistant",
    }


def _cited(text: str, uses: list[built_in.Use]) -> tuple[str, list[Item]]:
    """The text with its sources, and the annotations that point to them."""
    annotations = []
    for used in uses:
        if used.annotation is None:
            continue
        if used.cited:
            start = len(text) + 1
            text = f"{text} {used.cited}"
            annotations.append({**used.annotation, "start_index": start, "end_index": len(text)})
        else:
            annotations.append({**used.annotation, "index": len(text)})
    return text, annotations


def pieces(text: str, endless: bool = False) -> Iterable[str]:
    """The pieces in which a stream sends `text`."""
    if len(text) > _SMALL:
        found = [text[start : start + BIG_PIECE] for start in range(0, len(text), BIG_PIECE)]
    else:
        found = tokens.split(text)
    return itertools.cycle(found or [" "]) if endless else found
