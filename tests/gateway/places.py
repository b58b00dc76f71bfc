"""Every place where the id of somebody's object can stand in a call: paths, and fields of bodies."""

from dataclasses import dataclass
from typing import Any

PAD = "x" * 5000


@dataclass(frozen=True)
class Place:
    """A place for the id of an object of ``kind``.

    ``ID`` and ``MODEL`` stand for the id and the model, ``MINE`` for a conversation of the caller's own, ``ITS`` for an item of the
    owner's. ``spoils`` means that the call ends the object.
    """

    name: str
    kind: str
    method: str
    path: str
    body: Any = None
    spoils: bool = False


def _ask(*content: dict[str, Any], **more: Any) -> dict[str, Any]:
    said = [{"type": "input_text", "text": "hi"}, *content]
    return {"model": "MODEL", "input": [{"role": "user", "content": said}], **more}


def _items(*items: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"model": "MODEL", "input": [*items, {"role": "user", "content": "hi"}], **more}


REFERENCE = {"type": "item_reference", "id": "ID"}
FILE = {"type": "input_file", "file_id": "ID"}
INTERPRETER = {"type": "code_interpreter", "container": {"type": "auto", "file_ids": ["ID"]}}

PLACES = (
    Place("retrieve", "response", "GET", "responses/ID"),
    Place("stream-again", "response", "GET", "responses/ID?stream=true&starting_after=1"),
    Place("input-items", "response", "GET", "responses/ID/input_items"),
    Place("cancel", "response", "POST", "responses/ID/cancel", spoils=True),
    Place("delete", "response", "DELETE", "responses/ID", spoils=True),
    Place("previous", "response", "POST", "responses", _ask(previous_response_id="ID")),
    Place("previous-streamed", "response", "POST", "responses", _ask(previous_response_id="ID", stream=True)),
    Place("previous-counted", "response", "POST", "responses/input_tokens", _ask(previous_response_id="ID")),
    Place("previous-compacted", "response", "POST", "responses/compact", _ask(previous_response_id="ID")),
    Place("previous-long", "response", "POST", "responses", _ask(previous_response_id="ID", instructions=PAD)),
    Place("conversation", "conversation", "GET", "conversations/ID"),
    Place("conversation-update", "conversation", "POST", "conversations/ID", {"metadata": {}}),
    Place("conversation-items", "conversation", "GET", "conversations/ID/items"),
    Place(
        "conversation-add",
        "conversation",
        "POST",
        "conversations/ID/items",
        {"items": [{"role": "user", "content": "hi"}]},
    ),
    Place("conversation-item", "conversation", "GET", "conversations/ID/items/ITS"),
    Place("conversation-item-delete", "conversation", "DELETE", "conversations/ID/items/ITS", spoils=True),
    Place("conversation-delete", "conversation", "DELETE", "conversations/ID", spoils=True),
    Place("in-conversation", "conversation", "POST", "responses", _ask(conversation="ID")),
    Place("in-conversation-object", "conversation", "POST", "responses", _ask(conversation={"id": "ID"})),
    Place("in-conversation-counted", "conversation", "POST", "responses/input_tokens", _ask(conversation="ID")),
    Place("item-reference", "item", "POST", "responses", _items(REFERENCE)),
    Place("item-bare", "item", "POST", "responses", _items({"id": "ID"})),
    Place("item-streamed", "item", "POST", "responses", _items(REFERENCE, stream=True)),
    Place("item-long", "item", "POST", "responses", _items({**REFERENCE}, instructions=PAD)),
    Place("item-counted", "item", "POST", "responses/input_tokens", _items(REFERENCE)),
    Place("item-compacted", "item", "POST", "responses/compact", _items(REFERENCE)),
    Place("reasoning", "item", "POST", "responses", _items({"type": "reasoning", "id": "ID", "summary": []})),
    Place("image-call", "item", "POST", "responses", _items({"type": "image_generation_call", "id": "ID"})),
    Place("item-into-conversation", "item", "POST", "conversations", {"items": [REFERENCE]}),
    Place("item-added", "item", "POST", "conversations/MINE/items", {"items": [REFERENCE]}),
    Place("item-retrieved", "item", "GET", "conversations/MINE/items/ID"),
    Place("item-deleted", "item", "DELETE", "conversations/MINE/items/ID", spoils=True),
    Place("input-file", "file", "POST", "responses", _ask(FILE)),
    Place("input-image", "file", "POST", "responses", _ask({"type": "input_image", "file_id": "ID", "detail": "auto"})),
    Place("file-long", "file", "POST", "responses", _ask(FILE, instructions=PAD)),
    Place(
        "file-in-conversation",
        "file",
        "POST",
        "conversations/MINE/items",
        {"items": [{"role": "user", "content": [FILE]}]},
    ),
    Place("file-in-tool", "file", "POST", "responses", _ask(tools=[INTERPRETER])),
    Place(
        "mask",
        "file",
        "POST",
        "responses",
        _ask(tools=[{"type": "image_generation", "input_image_mask": {"file_id": "ID"}}]),
    ),
    Place(
        "file-of-a-prompt",
        "file",
        "POST",
        "responses",
        _ask(prompt={"id": "pmpt_1", "variables": {"paper": FILE}}),
    ),
    Place(
        "file-from-a-tool",
        "file",
        "POST",
        "responses",
        _items({"type": "function_call_output", "call_id": "call_1", "output": [FILE]}),
    ),
    Place(
        "file-in-chat",
        "file",
        "POST",
        "chat/completions",
        {"model": "MODEL", "messages": [{"role": "user", "content": [{"type": "file", "file": {"file_id": "ID"}}]}]},
    ),
    Place(
        "file-search",
        "vector_store",
        "POST",
        "responses",
        _ask(tools=[{"type": "file_search", "vector_store_ids": ["ID"]}]),
    ),
    Place("container", "container", "POST", "responses", _ask(tools=[{"type": "code_interpreter", "container": "ID"}])),
    Place(
        "shell",
        "container",
        "POST",
        "responses",
        _ask(tools=[{"type": "shell", "environment": {"type": "container_reference", "container_id": "ID"}}]),
    ),
)
