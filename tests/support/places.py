"""Every place where the id of someone's object can be in a call: paths, and fields of bodies."""

from dataclasses import dataclass
from typing import Any

PAD = "x" * 5000


@dataclass(frozen=True)
class Place:
    """A place for the id of an object of ``kind``.

    ``ID`` and ``MODEL`` are the id and the model, ``PUBLIC`` for the id behind the account's name, ``BASE`` for
    the vendor's name of a model. ``MINE`` is a conversation of the caller's own, ``MY_INPUT`` and ``MY_TRAINING`` are
    files of the caller's, ``ITS`` is an item of the owner's. ``spoils`` means that the call ends the object.
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


def _batch(**fields: str) -> dict[str, Any]:
    return {"input_file_id": "MY_INPUT", "endpoint": "/v1/chat/completions", "completion_window": "24h", **fields}


def _tuning(**fields: str) -> dict[str, Any]:
    return {"model": "BASE", "training_file": "MY_TRAINING", **fields}


def _chat(model: str) -> dict[str, Any]:
    return {"model": model, "messages": [{"role": "user", "content": "hi"}]}


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
        "file-in-chat-flat",
        "file",
        "POST",
        "chat/completions",
        {"model": "MODEL", "messages": [{"role": "user", "content": [{"type": "file", "file_id": "ID"}]}]},
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
    *(
        place
        for kind in ("input_file", "output_file", "error_file", "training_file")
        for place in (
            Place(f"{kind}-retrieved", kind, "GET", "files/ID"),
            Place(f"{kind}-content", kind, "GET", "files/ID/content"),
            Place(f"{kind}-deleted", kind, "DELETE", "files/ID", spoils=True),
        )
    ),
    Place("input-of-a-batch", "input_file", "POST", "batches", _batch(input_file_id="ID")),
    Place("output-in-a-response", "output_file", "POST", "responses", _ask(FILE)),
    Place("training", "training_file", "POST", "fine_tuning/jobs", _tuning(training_file="ID")),
    Place("validation", "training_file", "POST", "fine_tuning/jobs", _tuning(validation_file="ID")),
    Place("training-on-output", "output_file", "POST", "fine_tuning/jobs", _tuning(training_file="ID")),
    Place("batch", "batch", "GET", "batches/ID"),
    Place("batch-cancelled", "batch", "POST", "batches/ID/cancel"),
    Place("job", "job", "GET", "fine_tuning/jobs/ID"),
    Place("job-events", "job", "GET", "fine_tuning/jobs/ID/events"),
    Place("job-checkpoints", "job", "GET", "fine_tuning/jobs/ID/checkpoints"),
    *(Place(f"job-{verb}", "job", "POST", f"fine_tuning/jobs/ID/{verb}") for verb in ("cancel", "pause", "resume")),
    Place("checkpoint", "checkpoint", "GET", "fine_tuning/checkpoints/ID/permissions"),
    Place(
        "checkpoint-shared", "checkpoint", "POST", "fine_tuning/checkpoints/ID/permissions", {"project_ids": ["proj_1"]}
    ),
    Place("tuned", "model", "GET", "models/PUBLIC"),
    Place("tuned-in-chat", "model", "POST", "chat/completions", _chat("PUBLIC")),
    Place("tuned-bare", "model", "POST", "chat/completions", _chat("ID")),
    Place("tuned-in-a-response", "model", "POST", "responses", {"model": "PUBLIC", "input": "hi"}),
    Place("tuned-on", "model", "POST", "fine_tuning/jobs", _tuning(model="ID")),
    Place("tuned-deleted", "model", "DELETE", "models/ID", spoils=True),
)
