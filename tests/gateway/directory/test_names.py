"""Names of accounts and models in the snapshot: live ones first, former ones found and never listed."""

import pytest

from gateway.directory.accounts import account_snapshots
from gateway.directory.directory import Directory
from providers.models import Alias, Model, ProviderAccount, keep_former_name
from providers.snapshot import ByName, Target, former_names
from tests.support.snapshots import account, model

pytestmark = pytest.mark.django_db(transaction=True)


def test_rows_by_name() -> None:
    names = ByName({"a": 1, "b": 2}, {"old": 1, "b": 9})
    assert [names["a"], names.get("old"), names["old"], names.get("b"), names.get("none"), names.get("none", 7)] == [
        *(1, 1, 1, 2),
        None,
        7,
    ]
    assert ["a" in names, "old" in names, "none" in names] == [True, True, False]
    assert (list(names), sorted(names.items()), len(names)) == (["a", "b"], [("a", 1), ("b", 2)], 2)
    with pytest.raises(KeyError):
        names["none"]


def test_former_names_of_accounts_and_models() -> None:
    row = ProviderAccount.objects.create(name="new", kind="openai")
    better = Model.objects.create(account=row, name="better", upstream_id="gpt-4o", model_types=["chat"])
    keep_former_name(row, None, "old")
    keep_former_name(row, better, "good")
    found = account_snapshots({})
    assert list(found) == ["new"]
    assert found.get("old") is found["new"]
    assert found["old"].models.get("good") is found["new"].models["better"]
    assert (found["new"].aliases, found["new"].models["better"].aliases) == (("old",), ("good",))


@pytest.mark.parametrize(
    ("accounts", "models", "expected"),
    [
        ((), (), ()),
        (("old",), (), ("old/m",)),
        ((), ("was",), ("acme/was",)),
        (("old",), ("was",), ("acme/was", "old/m", "old/was")),
    ],
)
def test_every_other_name_of_a_model(accounts: tuple[str, ...], models: tuple[str, ...], expected: object) -> None:
    row = model("m", aliases=models)
    assert former_names(Target(account(row, aliases=accounts), row)) == expected


def test_a_change_of_one_account_keeps_the_others_aliases() -> None:
    first = ProviderAccount.objects.create(name="first", kind="openai")
    second = ProviderAccount.objects.create(name="second", kind="openai")
    keep_former_name(first, None, "was-first")
    directory = Directory()
    directory.refresh()
    keep_former_name(second, None, "was-second")
    directory.refresh()
    assert [directory.current_name(name) for name in ("was-first", "was-second", "first", "unknown", "")] == [
        *("first", "second", "first", "unknown", "")
    ]
    Alias.objects.get(name="was-first").delete()
    directory.refresh()
    assert "was-first" not in directory.accounts


def test_a_live_name_wins_over_an_alias_that_shadows_it() -> None:
    first = ProviderAccount.objects.create(name="first", kind="openai")
    ProviderAccount.objects.create(name="second", kind="openai")
    Alias.objects.create(account=first, name="second")  # past every check
    found = account_snapshots({})
    assert found.get("second").name == found["second"].name == "second"
