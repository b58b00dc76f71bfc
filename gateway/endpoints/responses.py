"""``/responses``: made, streamed, kept, looked at, cancelled, counted and compacted."""

from typing import Any, ClassVar

from gateway.body.json import flag
from gateway.call.call import Call
from gateway.call.errors import InvalidRequest
from gateway.call.operation import Operation
from gateway.call.reply import Reply
from gateway.call.request import InferenceRequest
from gateway.endpoints import kept_responses as kept
from gateway.endpoints.base import ModelCallView, ObjectView
from gateway.jobs import table
from gateway.objects import operations
from gateway.objects.listing import read_page


class Responses(ModelCallView):
    """Create a response: whole, streamed, or in the background."""

    operation = operations.RESPONSE

    async def describe(self, request: InferenceRequest) -> Call:
        """Return the call; one that runs in the background is charged later."""
        call = await super().describe(request)
        if flag(call.body.fields, "background"):
            call.operation = operations.RESPONSE_BACKGROUND
        return call


class InputTokens(ModelCallView):
    """Count the input tokens of a response that is not made."""

    operation = operations.RESPONSE_INPUT_TOKENS
    model_required = False


class Compact(ModelCallView):
    """Compact a conversation into fewer items."""

    operation = operations.RESPONSE_COMPACT


class Response(ObjectView):
    """A response by its id: whole, as the stream of a background response, or deleted."""

    operations: ClassVar[dict[str, Operation]] = {
        "GET": operations.RESPONSE_RETRIEVE,
        "DELETE": operations.RESPONSE_DELETE,
    }

    async def get(self, request: InferenceRequest, response_id: str, **kwargs: Any) -> Reply:
        """Return the response, or its events with ``stream=true`` (from ``starting_after`` on)."""
        call = await self.describe(request, f"responses/{response_id}", response_id)
        return await kept.show(call, response_id) if kept.is_kept(call) else await self.run(call)

    async def delete(self, request: InferenceRequest, response_id: str, **kwargs: Any) -> Reply:
        """Delete the response. What it used is charged before: no one could ask for it afterwards."""
        call = await self.describe(request, f"responses/{response_id}", response_id)
        if kept.is_kept(call):
            return await kept.delete(call, response_id)
        if call.parent is not None:
            await table.settle(call.parent)
        return await self.run(call, deletes=response_id)


class CancelResponse(ObjectView):
    """Cancel a background response."""

    operations: ClassVar[dict[str, Operation]] = {"POST": operations.RESPONSE_CANCEL}

    async def post(self, request: InferenceRequest, response_id: str, **kwargs: Any) -> Reply:
        """Cancel it and return it."""
        call = await self.describe(request, f"responses/{response_id}/cancel", response_id)
        if kept.is_kept(call):
            raise InvalidRequest("Only a background response can be cancelled.", code="not_in_background")
        return await self.run(call)


class InputItems(ObjectView):
    """What a response was asked."""

    operations: ClassVar[dict[str, Operation]] = {"GET": operations.RESPONSE_INPUT_ITEMS}

    async def get(self, request: InferenceRequest, response_id: str, **kwargs: Any) -> Reply:
        """Return a page of the input items."""
        call = await self.describe(request, f"responses/{response_id}/input_items", response_id)
        if kept.is_kept(call):
            return await kept.show_input(call, response_id, read_page(request.GET))
        return await self.run(call)
