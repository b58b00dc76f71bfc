"""Stored chat completions: what `store=true` keeps."""

from typing import Any

from sandbox.errors import ApiError
from sandbox.store import paging, params
from sandbox.store.collection import Collection
from sandbox.store.objects import Item, Shape, page
from sandbox.store.params import Body
from sandbox.wire.messages import Answer, Request, json_response
from sandbox.wire.routing import Route


def _missing(completion_id: str) -> ApiError:
    message = f"No stored completion with id '{completion_id}' found."
    return ApiError(message, status=404, param="completion_id")


def _needs_metadata(request: Request, shape: Shape, body: Body) -> None:
    params.required(body, "metadata")


COMPLETIONS = Collection(
    "/v1/chat/completions",
    "chatcmpl-",
    "chat.completion",
    missing=_missing,
    fields={"metadata": {}},
    complete=_needs_metadata,
)


def keep(request: Request, completion: dict[str, Any], messages: list[dict[str, Any]]) -> None:
    """Remembers an answer with the messages that it answered, for the key that asked."""
    item = Item({**completion, "metadata": completion.get("metadata") or {}}, messages)
    COMPLETIONS.store(request).put(item.id, item, len(request.body) + 1024)


async def list_completions(request: Request) -> Answer:
    """Filtered by `model` and `metadata[key]=value`; oldest first unless asked otherwise."""
    query = request.query()
    shapes = paging.with_metadata([item.shape for item in COMPLETIONS.store(request)], query)
    return page(request, [shape for shape in shapes if query.get("model") in (None, shape["model"])], order="asc")


async def list_messages(request: Request) -> Answer:
    item = COMPLETIONS.find(request)
    shapes = [_message(message, f"{item.id}-{index}") for index, message in enumerate(item.inner)]
    return json_response(paging.page(shapes, request.query(), order="asc"))


def _message(message: dict[str, Any], message_id: str) -> dict[str, Any]:
    content = message.get("content")
    parts = content if isinstance(content, list) else None
    shown = {"content": None if parts else content, "content_parts": parts, "refusal": message.get("refusal")}
    return {**message, "id": message_id, **shown}


ROUTES: tuple[Route, ...] = COMPLETIONS.routes(
    "retrieve update delete", list=list_completions, get_messages=list_messages
)
