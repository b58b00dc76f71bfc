"""Anthropic's front door: ``/messages`` and ``/messages/count_tokens``, with any model that can chat."""

from typing import Any

from gateway.call.reply import Reply
from gateway.call.request import InferenceRequest
from gateway.endpoints.base import ModelCallView
from gateway.endpoints.counting import count
from gateway.objects import operations
from providers.dialects import anthropic
from providers.dialects.token_counts import read_anthropic


class Messages(ModelCallView):
    """Create a message, whole or streamed, in Anthropic's words."""

    operation = operations.MESSAGES
    door = "anthropic"


class CountTokens(ModelCallView):
    """Count the input tokens of a message that is not created."""

    operation = operations.MESSAGES_COUNT
    door = "anthropic"

    async def post(self, request: InferenceRequest, **kwargs: Any) -> Reply:
        """Return the vendor's count, or an estimate where the vendor does not count."""
        return await count(await self.describe(request), read_anthropic, anthropic.write_count)
