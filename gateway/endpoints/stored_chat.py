"""Stored chat completions: what ``store: true`` keeps at the vendor. Lists come from our own records.

A record's ``data`` is ``{"metadata": the completion's metadata, "model": the model that the answer names}``.
"""

from dataclasses import replace
from typing import Any, ClassVar

from django.db.models import Q, Value
from django.db.models.fields.json import KeyTextTransform, KeyTransform
from django.db.models.lookups import Exact

from gateway.access import accounts as access_accounts
from gateway.access import models as access
from gateway.call.errors import ModelNotFound
from gateway.call.operation import Operation
from gateway.call.reply import Reply
from gateway.call.request import InferenceRequest
from gateway.endpoints.base import ObjectView
from gateway.endpoints.describe import begin_call, json_reply
from gateway.objects import operations
from gateway.objects.chat import KIND, keep_metadata, metadata_of
from gateway.objects.listing import account_of_list, list_body, list_owned, read_page
from gateway.objects.store import objects
from gateway.pipeline.fetch import read_objects
from providers.snapshot import AccountSnapshot, Target


class StoredCompletion(ObjectView):
    """A stored completion by its id: read, given other metadata, deleted."""

    operations: ClassVar[dict[str, Operation]] = {
        "GET": operations.CHAT_RETRIEVE,
        "POST": operations.CHAT_UPDATE,
        "DELETE": operations.CHAT_DELETE,
    }

    async def get(self, request: InferenceRequest, completion_id: str, **kwargs: Any) -> Reply:
        """Return the completion."""
        return await self.forward(request, f"chat/completions/{completion_id}", completion_id)

    async def post(self, request: InferenceRequest, completion_id: str, **kwargs: Any) -> Reply:
        """Replace the completion's metadata, and what lists know of it."""
        call = await self.describe(request, f"chat/completions/{completion_id}", completion_id)
        reply = await self.run(call)
        if reply.status < 300:
            await objects.run(keep_metadata, call.account_name, completion_id, metadata_of(call.body.fields))
        return reply

    async def delete(self, request: InferenceRequest, completion_id: str, **kwargs: Any) -> Reply:
        """Delete the completion."""
        return await self.forward(request, f"chat/completions/{completion_id}", completion_id)


class StoredMessages(ObjectView):
    """What a stored completion was asked."""

    operations: ClassVar[dict[str, Operation]] = {"GET": operations.CHAT_MESSAGES}

    async def get(self, request: InferenceRequest, completion_id: str, **kwargs: Any) -> Reply:
        """Return a page of the messages."""
        return await self.forward(request, f"chat/completions/{completion_id}/messages", completion_id)


class StoredCompletions(ObjectView):
    """The collection of stored completions."""

    async def get(self, request: InferenceRequest, **kwargs: Any) -> Reply:
        """List the caller's stored completions, oldest first, narrowed by ``model`` and ``metadata[key]``."""
        call = begin_call(request, self.caller, operations.CHAT_LIST)
        account = await account_of_list(request, self.caller, call.operation, call.account_name, KIND)
        page = read_page(request.GET)
        if not request.GET.get("order"):
            page = replace(page, order="asc")
        conditions: list[Any] = [
            Exact(KeyTextTransform(key[9:-1], KeyTransform("metadata", "data")), Value(value))
            for key, value in request.GET.items()
            if key.startswith("metadata[") and key.endswith("]")
        ]
        conditions += self._model_conditions(account, str(request.GET.get("model") or ""))
        rows, more = await list_owned(self.caller, account, KIND, page, conditions=conditions)
        target = Target(account, access_accounts.no_model(account))
        found = await read_objects(target, "chat/completions", [row.object_id for row in rows])
        return json_reply(list_body([body for body in found if body is not None], more))

    def _model_conditions(self, account: AccountSnapshot, model: str) -> list[Q]:
        """Return the filter for a model, by one of our names or by the vendor's own."""
        if not model:
            return []
        try:
            return [Q(model_name=access.resolve(self.caller, model, account.name).model.public_name)]
        except ModelNotFound:
            return [Q(data__model=model)]
