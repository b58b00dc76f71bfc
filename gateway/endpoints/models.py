"""``/models``: what the caller may call, with capabilities, prices and context as extra fields. Nothing else is listed."""

from typing import Any

from gateway.access import grants
from gateway.access import models as access
from gateway.call.reply import Reply
from gateway.call.request import InferenceRequest
from gateway.endpoints.base import InferenceView
from gateway.endpoints.describe import json_reply
from gateway.endpoints.fine_tuning import FineTunedModel
from providers.snapshot import AccountSnapshot, ModelSnapshot


class ModelList(InferenceView):
    """List the models that the caller may call."""

    async def get(self, request: InferenceRequest, **kwargs: Any) -> Reply:
        """Return OpenAI's list object."""
        found = grants.callable_models(self.caller)
        return json_reply({"object": "list", "data": [describe(account, model) for account, model in found]})


class ModelDetail(InferenceView):
    """Describe one model, by the name that calls use."""

    async def get(self, request: InferenceRequest, name: str, **kwargs: Any) -> Reply:
        """Return OpenAI's model object."""
        header = request.raw_headers.get(b"x-tfy-provider-name", b"").decode("latin1").strip()
        target = access.resolve(self.caller, name, header)
        return json_reply(describe(target.account, target.model))

    async def delete(self, request: InferenceRequest, name: str, **kwargs: Any) -> Reply:
        """Delete a fine-tuned model of the caller's."""
        view = FineTunedModel()
        view.caller = self.caller
        return await view.remove(request, name)


def describe(account: AccountSnapshot, model: ModelSnapshot) -> dict[str, Any]:
    """Return OpenAI's model object for a model, with what Gatehouse knows beyond it."""
    return {
        "id": model.public_name,
        "object": "model",
        "created": model.created,
        "owned_by": account.name,
        "provider": account.provider,
        "model_types": sorted(model.model_types),
        "features": sorted(model.features),
        "context_window": model.context_window,
        "max_output_tokens": model.max_output_tokens,
        "pricing": model.price,
        "shutdown_date": model.deprecated_on,
    }
