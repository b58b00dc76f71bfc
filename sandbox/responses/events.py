"""The events of a response's stream, in the order that OpenAI documents."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

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
    elif kind in _MIDDLE:
        yield from _MIDDLE[kind](item, where)
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


def _function_call(item: Item, where: Event) -> Iterator[Event]:
    for piece in pieces(item["arguments"]):
        yield {"type": "response.function_call_arguments.delta", **where, "delta": piece}
    done = {"arguments": item["arguments"], "name": item["name"]}
    yield {"type": "response.function_call_arguments.done", **where, **done}


def _custom_tool_call(item: Item, where: Event) -> Iterator[Event]:
    for piece in pieces(item["input"]):
        yield {"type": "response.custom_tool_call_input.delta", **where, "delta": piece}
    yield {"type": "response.custom_tool_call_input.done", **where, "input": item["input"]}


def _web_search(item: Item, where: Event) -> Iterator[Event]:
    return _steps("web_search_call", where, "in_progress", "searching", "completed")


def _file_search(item: Item, where: Event) -> Iterator[Event]:
    return _steps("file_search_call", where, "in_progress", "searching", "completed")


def _code_interpreter(item: Item, where: Event) -> Iterator[Event]:
    yield from _steps("code_interpreter_call", where, "in_progress")
    for piece in pieces(item["code"]):
        yield {"type": "response.code_interpreter_call_code.delta", **where, "delta": piece}
    yield {"type": "response.code_interpreter_call_code.done", **where, "code": item["code"]}
    yield from _steps("code_interpreter_call", where, "interpreting", "completed")


def _image(item: Item, where: Event, sketches: Sequence[str]) -> Iterator[Event]:
    yield from _steps("image_generation_call", where, "in_progress", "generating")
    shown = {name: item[name] for name in ("size", "quality", "background", "output_format")}
    for index, sketch in enumerate(sketches):
        partial = {"partial_image_index": index, "partial_image_b64": sketch}
        yield {"type": "response.image_generation_call.partial_image", **where, **partial, **shown}
    yield from _steps("image_generation_call", where, "completed")


def _mcp_list_tools(item: Item, where: Event) -> Iterator[Event]:
    return _steps("mcp_list_tools", where, "in_progress", "completed")


def _mcp_call(item: Item, where: Event) -> Iterator[Event]:
    yield from _steps("mcp_call", where, "in_progress")
    for piece in pieces(item["arguments"]):
        yield {"type": "response.mcp_call_arguments.delta", **where, "delta": piece}
    yield {"type": "response.mcp_call_arguments.done", **where, "arguments": item["arguments"]}
    yield from _steps("mcp_call", where, "completed")


def _steps(name: str, where: Event, *steps: str) -> Iterator[Event]:
    for step in steps:
        yield {"type": f"response.{name}.{step}", **where}


_MIDDLE: dict[str, Callable[[Item, Event], Iterator[Event]]] = {
    "reasoning": _reasoning,
    "function_call": _function_call,
    "custom_tool_call": _custom_tool_call,
    "web_search_call": _web_search,
    "file_search_call": _file_search,
    "code_interpreter_call": _code_interpreter,
    "mcp_list_tools": _mcp_list_tools,
    "mcp_call": _mcp_call,
}
