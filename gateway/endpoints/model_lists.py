"""Lists of the models that callers may call, as ``/models`` shows them at every front door.

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
from gateway.access.offered import shown_models
from gateway.state import state
from providers.snapshot import AccountSnapshot, ModelSnapshot

PIECE_MODELS = 64
PIECE_SECONDS = 0.002
HELD_BYTES = 32 * 2**20
HELD_LISTS = 64


class ModelLists:
    """The lists of the present snapshot, encoded, by what its grants make of a caller. The least asked for are
    dropped."""

    def __init__(self) -> None:
        self._accounts: Mapping[str, AccountSnapshot] = {}
        self._named: frozenset[str] = frozenset()
        self._bodies: OrderedDict[Hashable, tuple[bytes, float]] = OrderedDict()
        self._models: OrderedDict[Hashable, tuple[ModelSnapshot, ...]] = OrderedDict()
        self._entries: WeakKeyDictionary[ModelSnapshot, tuple[float, bytes]] = WeakKeyDictionary()
        self._bytes = 0

    async def body(self, caller: Caller, account: str = "") -> bytes:
        """Return the list of the models that ``caller`` may call, of all accounts or of one, as JSON."""
        accounts = await self._present()
        key = (account, *self._key(caller))
        held = self._bodies.get(key)
        if held is not None and time.time() < held[1]:
            self._bodies.move_to_end(key)
            return held[0]
        body, until = await self._make(accounts, await self._found(accounts, caller, account))
        if accounts is self._accounts:
            self._hold(key, body, until)
        return body

    async def models(self, caller: Caller, account: str = "") -> tuple[ModelSnapshot, ...]:
        """Return the models that ``caller`` may call, of all accounts or of one, by account and name."""
        return await self._found(await self._present(), caller, account)

    async def _found(
        self, accounts: Mapping[str, AccountSnapshot], caller: Caller, account: str
    ) -> tuple[ModelSnapshot, ...]:
        key = (account, *self._key(caller))
        held = self._models.get(key)
        if held is not None:
            self._models.move_to_end(key)
            return held
        found = []
        began = time.perf_counter()
        for number, model in enumerate(shown_models(caller, accounts, account), start=1):
            if model is not None:
                found.append(model)
            if number % PIECE_MODELS == 0 or time.perf_counter() - began > PIECE_SECONDS:
                await asyncio.sleep(0)
                began = time.perf_counter()
        held = tuple(found)
        if accounts is self._accounts:
            self._models[key] = held
            while len(self._models) > HELD_LISTS:
                self._models.popitem(last=False)
        return held

    async def _present(self) -> Mapping[str, AccountSnapshot]:
        """Return the accounts of now; what is held of others is dropped."""
        accounts = state.directory.accounts
        if accounts is not self._accounts:
            self._accounts, self._named = accounts, await _named_subjects(accounts)
            self._bodies.clear()
            self._models.clear()
            self._bytes = 0
        return accounts

    def _key(self, caller: Caller) -> tuple[Hashable, ...]:
        """Return all of a caller that decides what is listed: subjects that no grant names make no difference."""
        subjects = (self._named.intersection(part) for part in (caller.principals, caller.team_keys, (caller.key,)))
        return caller.is_superuser, caller.limits, *subjects

    async def _make(
        self, accounts: Mapping[str, AccountSnapshot], models: tuple[ModelSnapshot, ...]
    ) -> tuple[bytes, float]:
        entries, until = [], math.inf
        for number, model in enumerate(models, start=1):
            end, entry = self._entry(accounts[model.account_name], model)
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
