"""Lists of models: right for each caller, made once for callers with the same grants, and never in one long piece."""

import asyncio
import json
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from accounts.caller import Caller
from gateway.directory.accounts import account_snapshot
from gateway.endpoints import model_lists
from gateway.endpoints.model_lists import ModelLists
from providers.models import Grant, ProviderAccount
from providers.pricing import current
from providers.pricing.current import Prices
from providers.pricing.private import private_sheet
from providers.snapshot import AccountSnapshot, ModelSnapshot

Accounts = dict[str, AccountSnapshot]


def account(pk: int, name: str, *users: str, models: int = 2, **changes: Any) -> AccountSnapshot:
    """An account with models ``m0``, ``m1`` … that ``users`` may call; ``changes`` are of every model."""
    grants = [Grant(role="user", key=user) for user in users]
    found = [ModelSnapshot(name, f"m{n}", f"m{n}", frozenset({"chat"}), **changes) for n in range(models)]
    blank = account_snapshot(ProviderAccount(pk=pk, name=name, kind="openai"), [], grants)
    return replace(blank, models={model.name: model for model in found})


def caller(number: int, *teams: str, **changes: Any) -> Caller:
    """A user in some teams."""
    principals = frozenset({f"user:{number}", "everyone", *teams})
    fields: dict[str, Any] = {
        "token_id": number, "prefix": "gh-", "subject_type": "user", "subject_id": number, "subject_name": "u",
        "principals": principals, "is_superuser": False, "teams": (), "team_keys": teams, "tags": {}, "limits": None,
        "state": "active", "expires_at": None,
    }  # fmt: skip
    return Caller(**(fields | changes))


@pytest.fixture
def accounts(monkeypatch: pytest.MonkeyPatch) -> Accounts:
    """The accounts of the snapshot: one for everyone, one for a team."""
    found = {a.name: a for a in (account(1, "open", "everyone"), account(2, "eng", "team:7"))}
    monkeypatch.setattr(model_lists.state, "directory", SimpleNamespace(accounts=found))
    return found


def change(*accounts: AccountSnapshot) -> None:
    model_lists.state.directory.accounts = {account.name: account for account in accounts}


async def names(lists: ModelLists, who: Caller) -> list[str]:
    return [model["id"] for model in json.loads(await lists.body(who))["data"]]


@pytest.mark.usefixtures("accounts")
async def test_the_list_of_one_account() -> None:
    lists, who = ModelLists(), caller(1, "team:7")
    everything = await names(lists, who)
    assert {name.partition("/")[0] for name in everything} == {"open", "eng"}
    for account in ("open", "eng", "open"):
        listed = json.loads(await lists.body(who, account))["data"]
        assert [model["id"] for model in listed] == [name for name in everything if name.startswith(f"{account}/")]
    assert await names(lists, who) == everything


@pytest.mark.usefixtures("accounts")
async def test_callers_with_the_same_grants_share_a_list() -> None:
    lists = ModelLists()
    one = await lists.body(caller(1))
    assert await lists.body(caller(2)) is one
    assert await lists.body(caller(3, "team:9")) is one, "no grant names that team"
    assert await names(lists, caller(1)) == ["open/m0", "open/m1"]
    assert await names(lists, caller(4, "team:7")) == ["eng/m0", "eng/m1", "open/m0", "open/m1"]
    assert await names(lists, caller(1, limits=frozenset({"open/m1"}))) == ["open/m1"]
    assert await names(lists, caller(5, is_superuser=True)) == ["eng/m0", "eng/m1", "open/m0", "open/m1"]


@pytest.mark.parametrize("who", [caller(1), caller(4, "team:7"), caller(5, is_superuser=True)], ids=["a", "b", "c"])
async def test_a_change_is_seen_by_the_next_call(accounts: Accounts, who: Caller) -> None:
    lists = ModelLists()
    before = await names(lists, who)
    change(*accounts.values(), account(3, "later", "everyone", models=1))
    assert await names(lists, who) == sorted([*before, "later/m0"])
    change(account(1, "open", "user:99"))
    assert await names(lists, who) == (["open/m0", "open/m1"] if who.is_superuser else [])


async def test_a_fine_tuned_model_is_its_owners(accounts: Accounts) -> None:
    change(account(1, "open", "everyone", models=1, owner_key="user:1"))
    lists = ModelLists()
    assert await names(lists, caller(1)) == ["open/m0"]
    assert await names(lists, caller(2)) == []


async def test_a_narrowed_model(accounts: Accounts) -> None:
    change(account(1, "open", "everyone", models=1, subjects=frozenset({"user:2"})))
    lists = ModelLists()
    assert await names(lists, caller(1)) == []
    assert await names(lists, caller(2)) == ["open/m0"]


async def test_a_price_that_ends_is_listed_no_longer(accounts: Accounts, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [5.0]
    monkeypatch.setattr(current.time, "time", lambda: now[0])
    prices = Prices(lambda at: (private_sheet({"input_mtok": str(int(at) // 10)}), at // 10 * 10 + 10))
    change(account(1, "open", "everyone", models=1, prices=prices))
    lists = ModelLists()
    shown = []
    for now[0] in (11.0, 19.0, 20.0, 35.0):
        [model] = json.loads(await lists.body(caller(1)))["data"]
        shown.append(model["pricing"]["input_tokens_per_million"])
    assert shown == ["1", "1", "2", "3"]


async def test_a_long_list_is_made_in_pieces(accounts: Accounts) -> None:
    """Whatever else the loop has to do gets its turn at least every ``PIECE_MODELS`` models."""
    change(account(1, "open", "everyone", models=model_lists.PIECE_MODELS * 10))
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    beside = asyncio.create_task(others())
    await ModelLists().body(caller(1))
    beside.cancel()
    assert turns >= 10


async def test_a_snapshot_that_changes_meanwhile_is_not_held(accounts: Accounts) -> None:
    lists = ModelLists()
    change(account(1, "open", "everyone", models=model_lists.PIECE_MODELS * 3))
    making = asyncio.create_task(lists.body(caller(1)))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    change(account(1, "open", "user:2"))
    await making
    assert await names(lists, caller(1)) == []


async def test_what_is_held_is_bounded(accounts: Accounts, monkeypatch: pytest.MonkeyPatch) -> None:
    lists = ModelLists()
    size = len(await lists.body(caller(1, limits=frozenset({"open"}))))
    monkeypatch.setattr(model_lists, "HELD_BYTES", size * 3)
    bodies = [await lists.body(caller(1, limits=frozenset({"open", str(n)}))) for n in range(10)]
    held = [await lists.body(caller(1, limits=frozenset({"open", str(n)}))) is bodies[n] for n in (9, 8, 7)]
    assert held == [True, True, True]
    assert await lists.body(caller(1, limits=frozenset({"open", "0"}))) is not bodies[0]
