"""``/models``: what the caller may call, with capabilities, prices and context as extra fields. Nothing else is listed.

A list of thousands of models takes tens of milliseconds to make, so it is made in pieces that let other calls go on,
once for all callers with the same grants, and held until the snapshot or one of its prices changes.
"""

import asyncio
import math
import time
from collections import OrderedDict
from collections.abc import Hashable, Mapping
from typing import Any
from weakref import WeakKeyDictionary

import msgspec

from accounts.caller import Caller
from gateway.access import grants
from gateway.call.reply import Reply
from gateway.call.request import InferenceRequest
from gateway.endpoints import model_shapes
from gateway.endpoints.base import InferenceView
from gateway.endpoints.describe import JSON_HEADERS, json_reply
from gateway.endpoints.fine_tuning import FineTunedModel
from gateway.state import state
from providers.snapshot import AccountSnapshot, ModelSnapshot

# The headers that the clients of the other front doors are known by.
ANTHROPIC, GOOGLE = b"anthropic-version", b"x-goog-api-key"
PIECE_MODELS = 64
HELD_BYTES = 32 * 2**20


class ModelList(InferenceView):
    """List the models that the caller may call: all, or those of the account that the address names."""

    async def get(self, request: InferenceRequest, **kwargs: Any) -> Reply:
        """Return OpenAI's list object; Anthropic's and Google's clients get their own."""
        account = model_shapes.listed_account(request, self.caller)
        if ANTHROPIC in request.raw_headers:
            return model_shapes.anthropic_list(self.caller, request.GET, account)
        if GOOGLE in request.raw_headers:
            return model_shapes.google_list(self.caller, request.GET, account)
        return Reply(200, list(JSON_HEADERS), await lists.body(self.caller, account))


class ModelLists:
    """The lists of the present snapshot, encoded, by what its grants make of a caller. The least asked for are
    dropped."""

    def __init__(self) -> None:
        self._accounts: Mapping[str, AccountSnapshot] = {}
        self._named: frozenset[str] = frozenset()
        self._bodies: OrderedDict[Hashable, tuple[bytes, float]] = OrderedDict()
        self._entries: WeakKeyDictionary[ModelSnapshot, tuple[float, bytes]] = WeakKeyDictionary()
        self._bytes = 0

    async def body(self, caller: Caller, account: str = "") -> bytes:
        """Return the list of the models that ``caller`` may call, of all accounts or of one, as JSON."""
        accounts = state.directory.accounts
        if accounts is not self._accounts:
            self._accounts, self._named = accounts, await _named_subjects(accounts)
            self._bodies.clear()
            self._bytes = 0
        key = (account, *self._key(caller))
        held = self._bodies.get(key)
        if held is not None and time.time() < held[1]:
            self._bodies.move_to_end(key)
            return held[0]
        body, until = await self._make(caller, account)
        if accounts is self._accounts:
            self._hold(key, body, until)
        return body

    def _key(self, caller: Caller) -> tuple[Hashable, ...]:
        """Return all of a caller that decides what is listed: subjects that no grant names make no difference."""
        subjects = (self._named.intersection(part) for part in (caller.principals, caller.team_keys, (caller.key,)))
        return caller.is_superuser, caller.limits, *subjects

    async def _make(self, caller: Caller, name: str) -> tuple[bytes, float]:
        entries, until = [], math.inf
        for number, (account, model) in enumerate(grants.callable_models(caller, name), start=1):
            end, entry = self._entry(account, model)
            entries.append(entry)
            until = min(until, end)
            if number % PIECE_MODELS == 0:
                await asyncio.sleep(0)
        return b'{"object":"list","data":[' + b",".join(entries) + b"]}", until

    def _entry(self, account: AccountSnapshot, model: ModelSnapshot) -> tuple[float, bytes]:
        held = self._entries.get(model)
        if held is None or time.time() >= held[0]:
            held = model.price_until, msgspec.json.encode(describe(account, model))
            self._entries[model] = held
        return held

    def _hold(self, key: Hashable, body: bytes, until: float) -> None:
        self._bytes += len(body) - len(self._bodies.pop(key, (b"", 0))[0])
        self._bodies[key] = body, until
        while self._bytes > HELD_BYTES and len(self._bodies) > 1:
            self._bytes -= len(self._bodies.popitem(last=False)[1][0])


async def _named_subjects(accounts: Mapping[str, AccountSnapshot]) -> frozenset[str]:
    """Return every subject that a grant, a model's list or a model's owner names."""
    named: set[str] = set()
    for account in accounts.values():
        named |= account.users | account.managers
        for model in account.models.values():
            named |= model.subjects or frozenset()
            named.add(model.owner_key)
        await asyncio.sleep(0)
    return frozenset(named)


lists = ModelLists()


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
