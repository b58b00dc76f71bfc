"""The events of a response's stream, in the order that OpenAI documents."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from sandbox.responses.items import Item
from sandbox.responses.output import pieces

Event = dict[str, Any]

# item type: the fields that are still empty when `response.output_item.added` shows it
_BLANK: dict[str, dict[str, Any]] = {
    "message": {"status": "in_progress", "content": []},
    "reasoning": {"summary": []},
    "function_call": {"status": "in_progress", "arguments": ""},
    "custom_tool_call": {"status": "in_progress", "input": ""},
    "web_search_call": {"status": "in_progress"},
    "file_search_call": {"status": "in_progress", "results": None},
    "code_interpreter_call": {"status": "in_progress", "code": "", "outputs": None},
    "image_generation_call": {"status": "in_progress", "result": None},
    "mcp_list_tools": {"tools": []},
    "mcp_call": {"status": "in_progress", "arguments": "", "output": None},
    "computer_call": {"status": "in_progress"},
}


def of_item(item: Item, index: int, *, sketches: Sequence[str] = (), endless: bool = False) -> Iterator[Event]:
    """The events of one output item, without sequence numbers. `sketches` are partial images in base64."""
    kind = item["type"]
    yield {"type": "response.output_item.added", "output_index": index, "item": {**item, **_BLANK.get(kind, {})}}
    where = {"output_index": index, "item_id": item["id"]}
    if kind == "message":
        yield from _message(item, where, endless)
    elif kind == "image_generation_call":
        yield from _image(item, where, sketches)
    elif kind == "reasoning":
        yield from _reasoning(item, where)
    else:
        yield from _call(item, where)
    yield {"type": "response.output_item.done", "output_index": index, "item": item}


def _message(item: Item, where: Event, endless: bool) -> Iterator[Event]:
    for index, part in enumerate(item["content"]):
        here = {**where, "content_index": index}
        if part["type"] == "refusal":
            yield {"type": "response.content_part.added", **here, "part": {**part, "refusal": ""}}
            for piece in pieces(part["refusal"], endless):
                yield {"type": "response.refusal.delta", **here, "delta": piece}
            yield {"type": "response.refusal.done", **here, "refusal": part["refusal"]}
        else:
            yield from _text(part, here, endless)
        yield {"type": "response.content_part.done", **here, "part": part}


def _text(part: Item, here: Event, endless: bool) -> Iterator[Event]:
    empty = {**part, "text": "", "annotations": [], "logprobs": []}
    yield {"type": "response.content_part.added", **here, "part": empty}
    logprobs = part["logprobs"]
    for index, piece in enumerate(pieces(part["text"], endless)):
        likely = logprobs[index : index + 1]
        yield {"type": "response.output_text.delta", **here, "delta": piece, "logprobs": likely}
    for index, annotation in enumerate(part["annotations"]):
        added = {"annotation_index": index, "annotation": annotation}
        yield {"type": "response.output_text.annotation.added", **here, **added}
    yield {"type": "response.output_text.done", **here, "text": part["text"], "logprobs": logprobs}


def _reasoning(item: Item, where: Event) -> Iterator[Event]:
    for index, part in enumerate(item["summary"]):
        here = {**where, "summary_index": index}
        yield {"type": "response.reasoning_summary_part.added", **here, "part": {**part, "text": ""}}
        for piece in pieces(part["text"]):
            yield {"type": "response.reasoning_summary_text.delta", **here, "delta": piece}
        yield {"type": "response.reasoning_summary_text.done", **here, "text": part["text"]}
        yield {"type": "response.reasoning_summary_part.done", **here, "part": part}


class Call(NamedTuple):
    """How a call's events go: steps, the deltas of one field under a name, and steps again."""

    before: tuple[str, ...] = ()
    field: str = ""
    streamed: str = ""  # what the field's events are called
    after: tuple[str, ...] = ()
    repeats: tuple[str, ...] = ()  # further fields that the field's last event shows


_SEARCH = Call(("in_progress", "searching", "completed"))
_CALLS = {
    "function_call": Call((), "arguments", "function_call_arguments", (), ("name",)),
    "custom_tool_call": Call((), "input", "custom_tool_call_input"),
    "web_search_call": _SEARCH,
    "file_search_call": _SEARCH,
    "code_interpreter_call": Call(
        ("in_progress",), "code", "code_interpreter_call_code", ("interpreting", "completed")
    ),
    "mcp_list_tools": Call(("in_progress", "completed")),
    "mcp_call": Call(("in_progress",), "arguments", "mcp_call_arguments", ("completed",)),
}


def _call(item: Item, where: Event) -> Iterator[Event]:
    row = _CALLS.get(item["type"], Call())
    yield from _steps(item["type"], where, *row.before)
    if row.field:
        for piece in pieces(item[row.field]):
            yield {"type": f"response.{row.streamed}.delta", **where, "delta": piece}
        done = {name: item[name] for name in (row.field, *row.repeats)}
        yield {"type": f"response.{row.streamed}.done", **where, **done}
    yield from _steps(item["type"], where, *row.after)


def _image(item: Item, where: Event, sketches: Sequence[str]) -> Iterator[Event]:
    yield from _steps("image_generation_call", where, "in_progress", "generating")
    shown = {name: item[name] for name in ("size", "quality", "background", "output_format")}
    for index, sketch in enumerate(sketches):
        partial = {"partial_image_index": index, "partial_image_b64": sketch}
        yield {"type": "response.image_generation_call.partial_image", **where, **partial, **shown}
    yield from _steps("image_generation_call", where, "completed")


def _steps(name: str, where: Event, *steps: str) -> Iterator[Event]:
    for step in steps:
        yield {"type": f"response.{name}.{step}", **where}
