"""`/v1/conversations` and their items."""

from sandbox.errors import ApiError, missing_parameter
from sandbox.responses.conversation import CONVERSATIONS, Conversation, find, keep
from sandbox.responses.items import Item, read_items
from sandbox.responses.lookup import lookup, query_list
from sandbox.responses.model_response import visible
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
    items = _new_items(request, body) if body.get("items") is not None else []
    conversation = Conversation(CONVERSATIONS.shape(request, body), items=items)
    keep(request, conversation)
    return CONVERSATIONS.answer(request, conversation)


async def update(request: Request) -> Answer:
    if "metadata" not in request.json():
        raise missing_parameter("metadata")
    return await CONVERSATIONS.update(request)


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
    return CONVERSATIONS.answer(request, conversation)


_ITEM = f"{CONVERSATIONS.item_path}/items/{{item_id}}"
ROUTES = (
    *CONVERSATIONS.routes("retrieve delete", create=create, update=update, items=create_items, get_items=list_items),
    Route("GET", _ITEM, retrieve_item),
    Route("DELETE", _ITEM, delete_item),
)
