"""`/v1/assistants`, deprecated by OpenAI but still called."""

from typing import Any

from sandbox.errors import invalid_type
from sandbox.store import params
from sandbox.store.objects import Item, add, find, items, page, remove
from sandbox.store.params import Body
from sandbox.wire.messages import Answer, Request, json_response
from sandbox.wire.routing import Route

STORE = "assistants"
# field: what it is when it is not given
_FIELDS: dict[str, Any] = {
    "name": None,
    "description": None,
    "instructions": None,
    "tools": [],
    "tool_resources": {},
    "temperature": 1.0,
    "top_p": 1.0,
    "response_format": "auto",
}


async def create(request: Request) -> Answer:
    body, state = request.json(), request.app.state
    shape = {
        "id": state.new_id("asst_"),
        "object": "assistant",
        "created_at": state.created(),
        "model": params.model_name(body),
        **_FIELDS,
        "metadata": {},
    }
    _change(shape, body)
    return json_response(add(items(request, STORE), shape).shape)


def _change(shape: dict[str, Any], body: Body) -> None:
    for name in _FIELDS:
        if body.get(name) is not None:
            shape[name] = body[name]
    if not isinstance(shape["tools"], list):
        raise invalid_type("tools", "an array of objects", shape["tools"])
    if body.get("metadata") is not None:
        shape["metadata"] = params.metadata(body)


async def list_assistants(request: Request) -> Answer:
    return page(request, items(request, STORE))


async def retrieve(request: Request) -> Answer:
    return json_response(_assistant(request).shape)


async def update(request: Request) -> Answer:
    assistant, body = _assistant(request), request.json()
    _change(assistant.shape, body)
    if body.get("model") is not None:
        assistant.shape["model"] = params.model_name(body)
    return json_response(assistant.shape)


async def delete(request: Request) -> Answer:
    return remove(items(request, STORE), _assistant(request), "assistant.deleted")


def _assistant(request: Request) -> Item:
    return find(items(request, STORE), request.params["assistant_id"], "assistant")


ROUTES = (
    Route("POST", "/v1/assistants", create),
    Route("GET", "/v1/assistants", list_assistants),
    Route("GET", "/v1/assistants/{assistant_id}", retrieve),
    Route("POST", "/v1/assistants/{assistant_id}", update),
    Route("DELETE", "/v1/assistants/{assistant_id}", delete),
)
