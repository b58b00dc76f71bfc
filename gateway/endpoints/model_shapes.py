"""Models as Anthropic's and Google's clients list them: those that the caller may call, by the names that calls use."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from accounts.caller import Caller
from accounts.numbers import whole_number
from gateway.access import models as access
from gateway.access.accounts import usable
from gateway.call.errors import InvalidRequest
from gateway.call.reply import Reply
from gateway.call.request import InferenceRequest
from gateway.endpoints.base import InferenceView
from gateway.endpoints.describe import account_of_address, account_of_header, json_reply
from gateway.endpoints.model_lists import lists
from gateway.pipeline.describe import agreed
from providers.snapshot import ModelSnapshot, Target

PAGE, LONGEST_PAGE = 20, 1000
GOOGLE_PAGE = 50
# What Google calls the actions of a model, by what it may be called for here.
METHODS = {"chat": ("generateContent", "countTokens"), "embedding": ("embedContent",)}


def listed_account(request: InferenceRequest, caller: Caller) -> str:
    """Return the account whose models an address asks for, empty for all. Raises as :func:`usable` does."""
    name = account_of_address(request)
    return usable(caller, name).name if name else ""


def asked_model(request: InferenceRequest, caller: Caller, name: str) -> Target:
    """Return what ``name`` means to the caller: at an account's address a model of that account.

    Raises as :func:`gateway.access.models.resolve` does.
    """
    bound = account_of_address(request)
    target = access.resolve(caller, name, agreed(bound, account_of_header(request)))
    if bound not in ("", target.account.name):
        raise access.not_found(name, f" on provider account {bound!r}")
    return target


def anthropic_list(models: Sequence[ModelSnapshot], query: Mapping[str, Any]) -> Reply:
    """Return a page of Anthropic's list of ``models``.

    Raises :class:`~gateway.call.errors.InvalidRequest` for a bad cursor.
    """
    ids = [model.public_name for model in models]
    size = _size(query.get("limit", ""), "limit", PAGE)
    start, end = 0, min(size, len(models))
    if query.get("after_id"):
        start = _place(ids, query["after_id"], "after_id") + 1
        end = start + size
    elif query.get("before_id"):
        end = _place(ids, query["before_id"], "before_id")
        start = max(0, end - size)
    page = models[start:end]
    more = start > 0 if query.get("before_id") and not query.get("after_id") else end < len(models)
    return json_reply(
        {
            "data": [anthropic_model(model) for model in page],
            "has_more": more,
            "first_id": page[0].public_name if page else None,
            "last_id": page[-1].public_name if page else None,
        }
    )


def anthropic_model(model: ModelSnapshot) -> dict[str, Any]:
    """Return Anthropic's object of a model."""
    return {
        "type": "model",
        "id": model.public_name,
        "display_name": model.public_name,
        "created_at": datetime.fromtimestamp(model.created, UTC).isoformat().replace("+00:00", "Z"),
        "max_input_tokens": model.context_window,
        "max_tokens": model.max_output_tokens,
    }


def google_list(models: Sequence[ModelSnapshot], query: Mapping[str, Any]) -> Reply:
    """Return a page of Google's list of ``models``. Raises :class:`~gateway.call.errors.InvalidRequest` for a bad
    page."""
    size = _size(query.get("pageSize", ""), "pageSize", GOOGLE_PAGE)
    start = whole_number(query.get("pageToken", "0"), len(models))
    if start is None:
        raise InvalidRequest("pageToken is not one that a list returned.", param="pageToken")
    more = {"nextPageToken": str(start + size)} if start + size < len(models) else {}
    return json_reply({"models": [google_model(model) for model in models[start : start + size]], **more})


class GoogleModels(InferenceView):
    """List the models that the caller may call, in Google's words."""

    door = "gemini"
    key_in_query = True

    async def get(self, request: InferenceRequest, **kwargs: Any) -> Reply:
        """Return a page of Google's list."""
        models = await lists.models(self.caller, listed_account(request, self.caller))
        return google_list(models, request.GET)


class GoogleModel(InferenceView):
    """Describe one model, in Google's words."""

    door = "gemini"
    key_in_query = True

    async def get(self, request: InferenceRequest, name: str, **kwargs: Any) -> Reply:
        """Return Google's object of a model."""
        return json_reply(google_model(asked_model(request, self.caller, name).model))


def google_model(model: ModelSnapshot) -> dict[str, Any]:
    """Return Google's object of a model."""
    methods = [method for kind, methods in METHODS.items() if kind in model.model_types for method in methods]
    limits = {"inputTokenLimit": model.context_window, "outputTokenLimit": model.max_output_tokens}
    return {
        "name": f"models/{model.public_name}",
        "displayName": model.public_name,
        "supportedGenerationMethods": methods,
        **{name: value for name, value in limits.items() if value is not None},
    }


def _size(given: str, name: str, usual: int) -> int:
    size = whole_number(given, LONGEST_PAGE) if given else usual
    if not size:
        raise InvalidRequest(f"{name} must be a whole number from 1 to {LONGEST_PAGE}.", param=name)
    return size


def _place(ids: list[str], wanted: str, name: str) -> int:
    if wanted not in ids:
        raise InvalidRequest(f"{name} names no model of the list.", param=name)
    return ids.index(wanted)
