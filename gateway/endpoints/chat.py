"""``/chat/completions`` and the older ``/completions``."""

from typing import Any

from gateway.body.json import flag
from gateway.call.call import Call
from gateway.call.reply import Reply
from gateway.call.request import InferenceRequest
from gateway.endpoints import stored_chat
from gateway.endpoints.base import ModelCallView
from gateway.objects import operations


class ChatCompletions(ModelCallView):
    """Create a chat completion, whole or streamed; list those that were stored."""

    operation = operations.CHAT

    async def describe(self, request: InferenceRequest) -> Call:
        """Return the call; one with ``store: true`` creates an object, and so does one that asks for audio."""
        call = await super().describe(request)
        if flag(call.body.fields, "store"):
            call.operation = operations.CHAT_STORED
        elif "audio" in call.body.fields:
            call.operation = operations.CHAT_SPOKEN
        return call

    async def get(self, request: InferenceRequest, **kwargs: Any) -> Reply:
        """List the caller's stored completions."""
        view = stored_chat.StoredCompletions()
        view.caller = self.caller
        return await view.get(request, **kwargs)


class Completions(ModelCallView):
    """Create a completion of a prompt, whole or streamed."""

    operation = operations.COMPLETION
