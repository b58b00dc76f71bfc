"""`/v1/threads` and their messages; `thread_runs.py` has what answers them."""

from typing import Any

from sandbox.errors import invalid_type, missing_parameter
from sandbox.jobs.threads import MESSAGES, THREADS, text_part
from sandbox.store import params
from sandbox.store.objects import Item, Shape
from sandbox.store.params import Body
from sandbox.wire.messages import Answer, Request


async def create(request: Request) -> Answer:
    return THREADS.answer(request, new_thread(request, request.json() if request.body else {}))


def new_thread(request: Request, body: Body) -> Item:
    """A thread of the caller with the messages that `body` names."""
    thread = THREADS.new(request, body)
    for message in body.get("messages") or []:
        add_message(request, thread, message)
    return thread


async def create_message(request: Request) -> Answer:
    return MESSAGES.answer(request, add_message(request, THREADS.find(request), request.json()))


def add_message(request: Request, thread: Item, body: Any) -> Item:
    """Adds what a client wrote; raises ApiError 400 for anything but a message."""
    if not isinstance(body, dict):
        raise invalid_type("messages", "an array of objects", body)
    role = params.choice(body, "role", ("user", "assistant"), "")
    if not role:
        raise missing_parameter("role")
    content, attachments = _content(params.required(body, "content")), body.get("attachments") or []
    more = {"role": role, "content": content, "attachments": attachments, "metadata": params.metadata(body)}
    return MESSAGES.add(request.app.state, thread, **more)


def _content(given: Any) -> list[Shape]:
    """A message's content as OpenAI shows it."""
    if isinstance(given, str):
        return [text_part(given)]
    if not isinstance(given, list) or not given:
        raise invalid_type("content", "one of a string or an array of objects", given)
    parts = []
    for index, part in enumerate(given):
        kind = params.kind(part, f"content[{index}]", ("text", "image_url", "image_file"))
        image = {"type": kind, kind: {"detail": "auto", **params.mapping(part, kind)}} if kind != "text" else {}
        parts.append(image or text_part(params.string(part, "text")))
    return parts


ROUTES = (
    *THREADS.routes("retrieve update delete", create=create),
    *MESSAGES.routes("list retrieve update delete", create=create_message),
)
