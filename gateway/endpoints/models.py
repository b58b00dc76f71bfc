"""``/models``: what the caller may call, with capabilities, prices and context as extra fields. Nothing else is
listed."""

from typing import Any

from gateway.call.reply import Reply
from gateway.call.request import InferenceRequest
from gateway.endpoints import model_shapes
from gateway.endpoints.base import InferenceView
from gateway.endpoints.describe import JSON_HEADERS, json_reply
from gateway.endpoints.fine_tuning import FineTunedModel
from gateway.endpoints.model_lists import describe, lists

# The headers that the clients of the other front doors are known by.
ANTHROPIC, GOOGLE = b"anthropic-version", b"x-goog-api-key"


class ModelList(InferenceView):
    """List the models that the caller may call: all, or those of the account that the address names."""

    async def get(self, request: InferenceRequest, **kwargs: Any) -> Reply:
        """Return OpenAI's list object; Anthropic's and Google's clients get their own."""
        account = model_shapes.listed_account(request, self.caller)
        if ANTHROPIC in request.raw_headers:
            return model_shapes.anthropic_list(await lists.models(self.caller, account), request.GET)
        if GOOGLE in request.raw_headers:
            return model_shapes.google_list(await lists.models(self.caller, account), request.GET)
        return Reply(200, list(JSON_HEADERS), await lists.body(self.caller, account))


class ModelDetail(InferenceView):
    """Describe one model, by the name that calls use."""

    async def get(self, request: InferenceRequest, name: str, **kwargs: Any) -> Reply:
        """Return OpenAI's model object."""
        target = model_shapes.asked_model(request, self.caller, name)
        if ANTHROPIC in request.raw_headers:
            return json_reply(model_shapes.anthropic_model(target.model))
        if GOOGLE in request.raw_headers:
            return json_reply(model_shapes.google_model(target.model))
        return json_reply(describe(target.account, target.model))

    async def delete(self, request: InferenceRequest, name: str, **kwargs: Any) -> Reply:
        """Delete a fine-tuned model of the caller's."""
        view = FineTunedModel()
        view.caller = self.caller
        return await view.remove(request, name)
