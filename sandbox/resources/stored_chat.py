"""Stored chat completions: what `store=true` keeps."""

from typing import Any

from sandbox.errors import ApiError
from sandbox.store import paging, params
from sandbox.store.owned_objects import shelf
from sandbox.wire.messages import Answer, Request, json_response
from sandbox.wire.routing import Route

SHELF = "chat-completions"


def keep(request: Request, completion: dict[str, Any], messages: list[dict[str, Any]]) -> None:
    """Remembers an answer with the messages that it answered, for the key that asked."""
    kept = {**completion, "metadata": completion.get("metadata") or {}}
    shelf(request, SHELF).put(completion["id"], (kept, messages), len(request.body) + 1024)


def _find(request: Request) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    completion_id = request.params["completion_id"]
    found: tuple[dict[str, Any], list[dict[str, Any]]] | None = shelf(request, SHELF).get(completion_id)
    if found is None:
        raise ApiError(
            f"No stored completion with id '{completion_id}' found.",
            status=404,
            param="completion_id",
        )
    return found


async def list_completions(request: Request) -> Answer:
    """Filtered by `model` and `metadata[key]=value`; oldest first unless asked otherwise."""
    query = request.query()
    model = query.get("model")
    wanted = {name[9:-1]: value for name, value in query.items() if name.startswith("metadata[")}
    items = [
        item
        for item, _ in shelf(request, SHELF)
        if (model is None or item["model"] == model)
        and all(item["metadata"].get(key) == value for key, value in wanted.items())
    ]
    return json_response(paging.page(items, query, order="asc"))


async def retrieve(request: Request) -> Answer:
    return json_response(_find(request)[0])


async def update(request: Request) -> Answer:
    completion, _ = _find(request)
    body = request.json()
    params.required(body, "metadata")
    completion["metadata"] = params.metadata(body)
    return json_response(completion)


async def delete(request: Request) -> Answer:
    completion, _ = _find(request)
    shelf(request, SHELF).pop(completion["id"])
    return json_response({"object": "chat.completion.deleted", "id": completion["id"], "deleted": True})


async def list_messages(request: Request) -> Answer:
    completion, messages = _find(request)
    items = [_message(message, f"{completion['id']}-{index}") for index, message in enumerate(messages)]
    return json_response(paging.page(items, request.query(), order="asc"))


def _message(message: dict[str, Any], message_id: str) -> dict[str, Any]:
    content = message.get("content")
    parts = content if isinstance(content, list) else None
    return {
        **message,
        "id": message_id,
        "content": None if parts else content,
        "content_parts": parts,
        "refusal": message.get("refusal"),
    }


ROUTES = (
    Route("GET", "/v1/chat/completions", list_completions),
    Route("GET", "/v1/chat/completions/{completion_id}", retrieve),
    Route("POST", "/v1/chat/completions/{completion_id}", update),
    Route("DELETE", "/v1/chat/completions/{completion_id}", delete),
    Route("GET", "/v1/chat/completions/{completion_id}/messages", list_messages),
)
