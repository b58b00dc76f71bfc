"""``/responses``: made, streamed, kept, looked at, cancelled, counted and compacted."""

from typing import Any, ClassVar

from gateway.body.json import flag
from gateway.call.call import Call, Operation
from gateway.call.operations import BACKGROUND, CREATE
from gateway.call.reply import Reply
from gateway.call.request import InferenceRequest
from gateway.endpoints.base import ModelCallView, ObjectView
from gateway.jobs import poll
from gateway.objects import makers
from gateway.objects import responses as response_objects

makers.MAKERS.update(response_objects.MAKERS)
makers.LISTENERS.update(response_objects.LISTENERS)


class Responses(ModelCallView):
    """Create a response: whole, streamed, or in the background."""

    operation = CREATE

    async def describe(self, request: InferenceRequest) -> Call:
        """Return the call; one that runs in the background is charged later."""
        call = await super().describe(request)
        if flag(call.fields, "background"):
            call.operation = BACKGROUND
        return call


class InputTokens(ModelCallView):
    """Count the input tokens of a response that is not made."""

    operation = Operation("responses.input_tokens", "responses", "responses/input_tokens", charges=False)
    model_required = False


class Compact(ModelCallView):
    """Compact a conversation into fewer items."""

    operation = Operation("responses.compact", "responses", "responses/compact", makes="response")
    model_required = False


class Response(ObjectView):
    """A response by its id: whole, as the stream of a background response, or deleted."""

    operations: ClassVar[dict[str, Operation]] = {
        "GET": Operation("responses.retrieve", "", "responses", makes="shown", charges=False),
        "DELETE": Operation("responses.delete", "", "responses", charges=False),
    }

    async def get(self, request: InferenceRequest, response_id: str, **kwargs: Any) -> Reply:
        """Return the response, or its events with ``stream=true`` (from ``starting_after`` on)."""
        return await self.forward(request, f"responses/{response_id}", response_id)

    async def delete(self, request: InferenceRequest, response_id: str, **kwargs: Any) -> Reply:
        """Delete the response. What it used is charged before: nobody could ask for it afterwards."""
        call = await self.describe(request, f"responses/{response_id}", response_id)
        if call.parent is not None:
            await poll.settle(call.parent)
        return await self.run(call, deletes=response_id)


class CancelResponse(ObjectView):
    """Cancel a background response."""

    operations: ClassVar[dict[str, Operation]] = {
        "POST": Operation("responses.cancel", "", "responses/cancel", makes="shown", charges=False)
    }

    async def post(self, request: InferenceRequest, response_id: str, **kwargs: Any) -> Reply:
        """Cancel it and return it."""
        return await self.forward(request, f"responses/{response_id}/cancel", response_id)


class InputItems(ObjectView):
    """What a response was asked."""

    operations: ClassVar[dict[str, Operation]] = {
        "GET": Operation("responses.input_items", "", "responses/input_items", makes="shown", charges=False)
    }

    async def get(self, request: InferenceRequest, response_id: str, **kwargs: Any) -> Reply:
        """Return a page of the input items."""
        return await self.forward(request, f"responses/{response_id}/input_items", response_id)
