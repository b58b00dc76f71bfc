"""`/v1/threads` and their messages; `thread_runs.py` has what answers them."""

from typing import Any

from sandbox.errors import invalid_type, invalid_value, missing_parameter
from sandbox.jobs.thread_messages import MESSAGES, new_message, text_part
from sandbox.state import State
from sandbox.store import params
from sandbox.store.objects import Item, find, items, page, remove
from sandbox.store.params import Body
from sandbox.wire.messages import Answer, Request, json_response
from sandbox.wire.routing import Route

STORE = "threads"


async def create(request: Request) -> Answer:
    body = request.json() if request.body else {}
    return json_response(new_thread(request, body).shape)


def new_thread(request: Request, body: Body) -> Item:
    """A thread of the caller with the messages that `body` names."""
    state = request.app.state
    thread = Item(
        {
            "id": state.new_id("thread_"),
            "object": "thread",
            "created_at": state.created(),
            "metadata": params.metadata(body),
            "tool_resources": params.mapping(body, "tool_resources"),
        }
    )
    for message in body.get("messages") or []:
        add_message(state, thread, message)
    return items(request, STORE).put(thread.id, thread)


async def retrieve(request: Request) -> Answer:
    return json_response(find_thread(request).shape)


async def update(request: Request) -> Answer:
    thread, body = find_thread(request), request.json()
    if body.get("metadata") is not None:
        thread.shape["metadata"] = params.metadata(body)
    if body.get("tool_resources") is not None:
        thread.shape["tool_resources"] = params.mapping(body, "tool_resources")
    return json_response(thread.shape)


async def delete(request: Request) -> Answer:
    return remove(items(request, STORE), find_thread(request), "thread.deleted")


async def create_message(request: Request) -> Answer:
    return json_response(add_message(request.app.state, find_thread(request), request.json()).shape)


def add_message(state: State, thread: Item, body: Any) -> Item:
    """Adds what a client wrote; raises ApiError 400 for what is no message."""
    if not isinstance(body, dict):
        raise invalid_type("messages", "an array of objects", body)
    role = params.choice(body, "role", ("user", "assistant"), "")
    if not role:
        raise missing_parameter("role")
    message = new_message(state, thread, role, _content(params.required(body, "content")))
    message.shape["attachments"] = body.get("attachments") or []
    message.shape["metadata"] = params.metadata(body)
    return message


def _content(given: Any) -> list[dict[str, Any]]:
    """A message's content as OpenAI shows it."""
    if isinstance(given, str):
        return [text_part(given)]
    if not isinstance(given, list) or not given:
        raise invalid_type("content", "one of a string or an array of objects", given)
    parts = []
    for index, part in enumerate(given):
        kind = part.get("type") if isinstance(part, dict) else None
        if kind == "text":
            parts.append(text_part(params.string(part, "text")))
        elif kind in ("image_url", "image_file"):
            parts.append({"type": kind, kind: {"detail": "auto", **params.mapping(part, kind)}})
        else:
            raise invalid_value(f"content[{index}].type", kind, "'text', 'image_url', and 'image_file'")
    return parts


async def list_messages(request: Request) -> Answer:
    wanted = request.query().get("run_id")
    found = [item for item in find_thread(request).within(MESSAGES) if wanted in (None, item.shape["run_id"])]
    return page(request, found)


async def retrieve_message(request: Request) -> Answer:
    return json_response(_message(request).shape)


async def update_message(request: Request) -> Answer:
    message = _message(request)
    message.shape["metadata"] = params.metadata(request.json())
    return json_response(message.shape)


async def delete_message(request: Request) -> Answer:
    return remove(find_thread(request).within(MESSAGES), _message(request), "thread.message.deleted")


def find_thread(request: Request) -> Item:
    """The caller's thread that the path names; raises ApiError 404 when there is none."""
    return find(items(request, STORE), request.params["thread_id"], "thread")


def _message(request: Request) -> Item:
    return find(find_thread(request).within(MESSAGES), request.params["message_id"], "message")


_MESSAGES = "/v1/threads/{thread_id}/messages"
ROUTES = (
    Route("POST", "/v1/threads", create),
    Route("GET", "/v1/threads/{thread_id}", retrieve),
    Route("POST", "/v1/threads/{thread_id}", update),
    Route("DELETE", "/v1/threads/{thread_id}", delete),
    Route("POST", _MESSAGES, create_message),
    Route("GET", _MESSAGES, list_messages),
    Route("GET", _MESSAGES + "/{message_id}", retrieve_message),
    Route("POST", _MESSAGES + "/{message_id}", update_message),
    Route("DELETE", _MESSAGES + "/{message_id}", delete_message),
)
