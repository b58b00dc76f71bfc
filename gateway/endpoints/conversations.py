"""``/conversations`` and their items, which responses read from and write to."""

from typing import Any, ClassVar

from gateway.call.operation import Operation
from gateway.call.reply import Reply
from gateway.call.request import InferenceRequest
from gateway.endpoints.base import ObjectView
from gateway.objects import operations


class Conversations(ObjectView):
    """Create a conversation."""

    operations: ClassVar[dict[str, Operation]] = {"POST": operations.CONVERSATION_CREATE}

    async def post(self, request: InferenceRequest, **kwargs: Any) -> Reply:
        """Create it on the header's account, on that of an item it refers to, or on the only one that makes
        responses.
        """
        return await self.forward(request, "conversations")


class Conversation(ObjectView):
    """A conversation by its id."""

    operations: ClassVar[dict[str, Operation]] = {
        "GET": operations.CONVERSATION_RETRIEVE,
        "POST": operations.CONVERSATION_UPDATE,
        "DELETE": operations.CONVERSATION_DELETE,
    }

    async def get(self, request: InferenceRequest, conversation_id: str, **kwargs: Any) -> Reply:
        """Return it, change its metadata, or delete it; its items stay with the responses that they are part of."""
        return await self.forward(request, f"conversations/{conversation_id}", conversation_id)

    post = delete = get


class ConversationItems(ObjectView):
    """The items of a conversation."""

    operations: ClassVar[dict[str, Operation]] = {
        "GET": operations.ITEM_LIST,
        "POST": operations.ITEM_CREATE,
    }

    async def get(self, request: InferenceRequest, conversation_id: str, **kwargs: Any) -> Reply:
        """Return a page of items, or add some."""
        return await self.forward(request, f"conversations/{conversation_id}/items", conversation_id)

    post = get


class ConversationItem(ObjectView):
    """An item of a conversation by its id."""

    operations: ClassVar[dict[str, Operation]] = {
        "GET": operations.ITEM_RETRIEVE,
        "DELETE": operations.ITEM_DELETE,
    }

    async def get(self, request: InferenceRequest, conversation_id: str, item_id: str, **kwargs: Any) -> Reply:
        """Return the item, or take it out of the conversation."""
        path = f"conversations/{conversation_id}/items/{item_id}"
        call = await self.describe(request, path, conversation_id)
        call.references.append(("item_id", item_id))
        return await self.run(call)

    delete = get
