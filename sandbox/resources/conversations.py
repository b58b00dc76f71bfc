"""`/v1/conversations` and their items."""

from sandbox.errors import ApiError, missing_parameter
from sandbox.responses.conversation import Conversation, conversations, find, keep
from sandbox.responses.items import Item, read_items
from sandbox.responses.life import visible
from sandbox.responses.lookup import lookup, query_list
from sandbox.responses.settings import include
from sandbox.store import paging, params
from sandbox.store.params import Body
from sandbox.wire.messages import Answer, Request, json_response
from sandbox.wire.routing import Route

MAX_ITEMS_AT_ONCE = 20


def _named(request: Request) -> Conversation:
    return find(request, request.params["conversation_id"])


def _new_items(request: Request, body: Body) -> list[Item]:
    items = body.get("items")
    if isinstance(items, list) and len(items) > MAX_ITEMS_AT_ONCE:
        raise params.too_long("items", "array", MAX_ITEMS_AT_ONCE, len(items))
    if not isinstance(items, list):
        raise ApiError("Invalid type for 'items': expected an array of objects.", param="items", code="invalid_type")
    return read_items(items, lookup(request), "items")


async def create(request: Request) -> Answer:
    body = request.json()
    state = request.app.state
    items = _new_items(request, body) if body.get("items") is not None else []
    made = Conversation(state.new_id("conv_", 48), state.created(), params.metadata(body), items)
    keep(request, made)
    return json_response(made.body())


async def retrieve(request: Request) -> Answer:
    return json_response(_named(request).body())


async def update(request: Request) -> Answer:
    conversation = _named(request)
    body = request.json()
    if "metadata" not in body:
        raise missing_parameter("metadata")
    conversation.metadata = params.metadata(body)
    return json_response(conversation.body())


async def delete(request: Request) -> Answer:
    conversation = _named(request)
    conversations(request).pop(conversation.id)
    return json_response({"id": conversation.id, "object": "conversation.deleted", "deleted": True})


async def create_items(request: Request) -> Answer:
    conversation = _named(request)
    items = _new_items(request, request.json())
    conversation.add(items)
    keep(request, conversation)
    return json_response(
        {
            "object": "list",
            "data": [visible(item, include(query_list(request, "include"))) for item in items],
            "first_id": items[0]["id"] if items else "",
            "last_id": items[-1]["id"] if items else "",
            "has_more": False,
        }
    )


async def list_items(request: Request) -> Answer:
    conversation = _named(request)
    wanted = include(query_list(request, "include"))
    return json_response(paging.page([visible(item, wanted) for item in conversation.items], request.query()))


def _item(request: Request, conversation: Conversation) -> Item:
    item_id = request.params["item_id"]
    for item in conversation.items:
        if item["id"] == item_id:
            return item
    raise ApiError(f"Item with id '{item_id}' not found in conversation '{conversation.id}'.", status=404)


async def retrieve_item(request: Request) -> Answer:
    return json_response(visible(_item(request, _named(request)), include(query_list(request, "include"))))


async def delete_item(request: Request) -> Answer:
    """Answers with the conversation, as OpenAI does."""
    conversation = _named(request)
    conversation.items.remove(_item(request, conversation))
    return json_response(conversation.body())


ROUTES = (
    Route("POST", "/v1/conversations", create),
    Route("GET", "/v1/conversations/{conversation_id}", retrieve),
    Route("POST", "/v1/conversations/{conversation_id}", update),
    Route("DELETE", "/v1/conversations/{conversation_id}", delete),
    Route("POST", "/v1/conversations/{conversation_id}/items", create_items),
    Route("GET", "/v1/conversations/{conversation_id}/items", list_items),
    Route("GET", "/v1/conversations/{conversation_id}/items/{item_id}", retrieve_item),
    Route("DELETE", "/v1/conversations/{conversation_id}/items/{item_id}", delete_item),
)
