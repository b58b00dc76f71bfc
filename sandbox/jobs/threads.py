"""Threads and their messages, which clients and runs add."""

from sandbox.store.collection import Collection
from sandbox.store.objects import Shape

THREADS = Collection("/v1/threads", "thread_", "thread", fields={"metadata": {}, "tool_resources": {}})
MESSAGES = Collection(
    "messages",
    "msg_",
    "thread.message",
    parent=THREADS,
    fields={"metadata": {}},
    fixed={
        **dict.fromkeys(("assistant_id", "run_id", "incomplete_details", "incomplete_at")),
        "status": "completed",
        "attachments": [],
    },
    times=("created_at", "completed_at"),
    filters=("run_id",),
)


def text_part(text: str) -> Shape:
    return {"type": "text", "text": {"value": text, "annotations": []}}
