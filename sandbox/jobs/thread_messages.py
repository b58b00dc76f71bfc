"""The messages of a thread, which clients and runs add."""

from typing import Any

from sandbox.state import State
from sandbox.store.objects import Item, add

MESSAGES = "messages"


def new_message(state: State, thread: Item, role: str, content: list[dict[str, Any]]) -> Item:
    """Adds a complete message."""
    now = state.created()
    shape = {
        "id": state.new_id("msg_"),
        "object": "thread.message",
        "created_at": now,
        "assistant_id": None,
        "thread_id": thread.id,
        "run_id": None,
        "status": "completed",
        "incomplete_details": None,
        "completed_at": now,
        "incomplete_at": None,
        "role": role,
        "content": content,
        "attachments": [],
        "metadata": {},
    }
    return add(thread.within(MESSAGES), shape)


def text_part(text: str) -> dict[str, Any]:
    return {"type": "text", "text": {"value": text, "annotations": []}}
