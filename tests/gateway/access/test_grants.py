"""Who may use which account and call which model, as a table: grants, narrowed models, fine-tuned ones, limits."""

from typing import Any

import pytest

from gateway.access import grants, offered
from gateway.state import state
from providers.snapshot import AccountSnapshot, ByName, Target
from tests.support.snapshots import account, caller, model

TEAM, OTHERS = frozenset({"team:9"}), frozenset({"user:2"})
NOBODY: Any = {"users": frozenset()}
ROOT: Any = {"is_superuser": True}
APP: Any = {"subject_type": "virtualaccount", "principals": frozenset({"virtualaccount:1"})}
TEAMED: Any = {"principals": frozenset({"user:1", "everyone", "team:9"}), "team_keys": ("team:9",)}


@pytest.mark.parametrize(
    ("about", "who", "uses", "manages"),
    [
        ({}, {}, True, False),
        (NOBODY, {}, False, False),
        ({"users": frozenset({"everyone"})}, {}, True, False),
        ({"users": frozenset({"everyone"})}, APP, False, False),
        ({"users": TEAM}, TEAMED, True, False),
        ({"users": TEAM}, {**APP, "team_keys": ("team:9",)}, False, False),
        ({"users": frozenset({"virtualaccount:1"})}, APP, True, False),
        ({"managers": frozenset({"user:1"})}, {}, True, True),
        (NOBODY, ROOT, True, True),
    ],
)
def test_accounts(about: dict[str, Any], who: dict[str, Any], uses: bool, manages: bool) -> None:
    """A team's access is for its people: its virtual accounts are granted one by one."""
    found, asked = account(**about), caller(**who)
    assert (grants.may_use(asked, found), grants.manages(asked, found)) == (uses, manages)


@pytest.mark.parametrize(
    ("about", "who", "expected"),
    [
        ({}, {}, True),
        ({"enabled": False}, {}, False),
        ({"enabled": False}, ROOT, False),
        ({"subjects": OTHERS}, {}, False),
        ({"subjects": frozenset({"user:1"})}, {}, True),
        ({"subjects": OTHERS}, ROOT, True),
        ({"subjects": TEAM}, TEAMED, True),
        ({"owner_key": "user:1", "subjects": frozenset({"user:1"})}, {}, True),
        ({"owner_key": "user:2", "subjects": OTHERS}, {}, False),
        ({"owner_key": "user:2", "subjects": OTHERS}, ROOT, False),
    ],
)
def test_models(about: dict[str, Any], who: dict[str, Any], expected: bool) -> None:
    assert grants.may_call(caller(**who), account(), model("m", **about)) is expected


def test_managers_call_what_is_narrowed_to_others() -> None:
    mine = account(managers=frozenset({"user:1"}))
    assert grants.may_call(caller(), mine, model("m", subjects=OTHERS))


@pytest.mark.parametrize(("isolation", "expected"), [("owner", False), ("team", True), ("account", True)])
def test_a_fine_tuned_model_is_shared_as_the_account_says(isolation: str, expected: bool) -> None:
    tuned = model("ft", owner_key="user:2", subjects=frozenset({"user:2", "team:9"}))
    assert grants.may_call(caller(**TEAMED), account(isolation=isolation, users=TEAM), tuned) is expected


@pytest.mark.parametrize(
    ("limits", "uses", "calls"),
    [
        (("acme",), True, True),
        (("acme/m",), True, True),
        (("acme/other",), True, False),
        (("acm",), False, False),
        (("acme-2/m",), False, False),
        (("was",), True, True),
        (("was/m",), True, True),
        (("acme/once",), True, True),
        (("was/once",), True, True),
        (("was/other",), True, False),
        (("elsewhere", "acme/m"), True, True),
    ],
)
def test_limits_of_a_token(limits: tuple[str, ...], uses: bool, calls: bool) -> None:
    found, asked = account(aliases=("was",)), caller(*limits)
    assert grants.may_use(asked, found) is uses
    assert grants.may_call(asked, found, model("m", aliases=("once",))) is calls


@pytest.fixture
def directory(monkeypatch: pytest.MonkeyPatch) -> dict[str, AccountSnapshot]:
    accounts = ByName({"acme": account(model("m"), model("n", subjects=OTHERS))}, {})
    monkeypatch.setattr(state.directory, "accounts", accounts)
    return accounts


def test_what_is_listed_is_what_may_be_called(directory: dict[str, AccountSnapshot]) -> None:
    assert [found.name for found in offered.shown_models(caller(), directory) if found] == ["m"]
    assert [found.name for found in offered.shown_models(caller(**ROOT), directory) if found] == ["m", "n"]


def test_a_running_call_is_let_in_again_only_as_things_are_now(directory: dict[str, AccountSnapshot]) -> None:
    begun = Target(directory["acme"], directory["acme"].models["m"])
    assert grants.still_allowed(caller(), begun)
    directory["acme"] = account(model("m", subjects=OTHERS))
    assert not grants.still_allowed(caller(), begun)
    directory["acme"] = account(model("m"), enabled=False)
    assert not grants.still_allowed(caller(), begun)
    del directory["acme"]
    assert not grants.still_allowed(caller(), begun)


def test_offers_by_type() -> None:
    found = account(model("m"))
    assert grants.offers(caller(), found, "chat")
    assert grants.offers(caller(), found, "")
    assert not grants.offers(caller(), found, "image")
    assert grants.offers(caller(), account(any_model=True), "image")
