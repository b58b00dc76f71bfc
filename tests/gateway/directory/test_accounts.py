"""A change on the providers' side loads the account that changed, in a few queries, and no other."""

from collections.abc import Callable

import pytest
from cryptography.fernet import Fernet
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.models import Team, User
from gateway.directory.directory import Directory
from providers.models import Grant, Model, ModelSubject, ProviderAccount

ACCOUNTS = 12
FEW_QUERIES = 6
WITH_ANOTHER_KEY = Fernet(Fernet.generate_key()).encrypt(b"sk-1")


@pytest.fixture
def directory(transactional_db: None) -> Directory:
    """A directory that has loaded a dozen accounts with a model and a grant each."""
    team = Team.objects.create(name="eng")
    for number in range(ACCOUNTS):
        account = ProviderAccount.objects.create(name=f"a{number}", kind="openai")
        model = Model.objects.create(account=account, name="m", upstream_id="gpt-4o", model_types=["chat"])
        Grant.objects.create(account=account, team=team)
        ModelSubject.objects.create(model=model, team=team)
    directory = Directory()
    directory.refresh()
    return directory


def account() -> ProviderAccount:
    return ProviderAccount.objects.get(name="a3")


def model() -> Model:
    return Model.objects.get(account__name="a3")


def save(row: Model | ProviderAccount, **fields: object) -> None:
    for name, value in fields.items():
        setattr(row, name, value)
    row.save()


CHANGES: dict[str, Callable[[], object]] = {
    "account": lambda: save(account(), discount_percent=5),
    "account in bulk": lambda: ProviderAccount.objects.filter(name="a3").update(enabled=False),
    "model": lambda: save(model(), context_window=7),
    "model in bulk": lambda: Model.objects.filter(account__name="a3").update(enabled=False),
    "new model": lambda: Model.objects.create(account=account(), name="n", model_types=["chat"]),
    "new models in bulk": lambda: Model.objects.bulk_create([Model(account=account(), name="n", model_types=["chat"])]),
    "deleted model": lambda: model().delete(),
    "grant": lambda: Grant.objects.create(account=account(), everyone=True),
    "deleted grants": lambda: Grant.objects.filter(account__name="a3").delete(),
    "subject": lambda: ModelSubject.objects.create(model=model(), everyone=True),
    "deleted subjects": lambda: ModelSubject.objects.filter(model__account__name="a3").delete(),
    "new name": lambda: save(account(), name="a3"),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_only_the_changed_account_is_loaded(directory: Directory, change: Callable[[], object]) -> None:
    before = dict(directory.accounts)
    change()
    with CaptureQueriesContext(connection) as queries:
        directory.refresh()
    assert {name for name in before if directory.accounts[name] is not before[name]} == {"a3"}
    assert len(queries) <= FEW_QUERIES, [query["sql"] for query in queries]


def test_what_changed_is_what_the_snapshot_says(directory: Directory) -> None:
    save(model(), context_window=7)
    ModelSubject.objects.filter(model__account__name="a3").delete()
    directory.refresh()
    assert directory.accounts["a3"].models["m"].context_window == 7
    assert directory.accounts["a3"].models["m"].subjects is None
    assert directory.accounts["a4"].models["m"].subjects is not None


def test_a_model_that_moves_changes_both_accounts(directory: Directory) -> None:
    Model.objects.get(account__name="a4").delete()
    save(model(), account=ProviderAccount.objects.get(name="a4"))
    directory.refresh()
    assert not directory.accounts["a3"].models
    assert "m" in directory.accounts["a4"].models
    Model.objects.filter(account__name="a4").update(account=account())
    directory.refresh()
    assert not directory.accounts["a4"].models
    assert "m" in directory.accounts["a3"].models


def test_a_subject_that_moves_narrows_one_model_and_frees_the_other(directory: Directory) -> None:
    ModelSubject.objects.filter(model__account__name="a4").delete()
    subject = ModelSubject.objects.get(model__account__name="a3")
    subject.model = Model.objects.get(account__name="a4")
    subject.save()
    directory.refresh()
    assert directory.accounts["a3"].models["m"].subjects is None
    assert directory.accounts["a4"].models["m"].subjects is not None


def test_renamed_and_deleted_accounts_are_gone(directory: Directory) -> None:
    save(account(), name="renamed")
    ProviderAccount.objects.get(name="a4").delete()
    directory.refresh()
    assert {"a3", "a4"}.isdisjoint(directory.accounts)
    assert directory.accounts["renamed"].models["m"].public_name == "renamed/m"
    assert len(directory.accounts) == ACCOUNTS - 1


def test_a_deleted_holder_takes_grants_along(directory: Directory) -> None:
    user = User.objects.create_user("ada@x.org")
    Grant.objects.create(account=account(), user=user)
    directory.refresh()
    key = f"user:{user.pk}"
    assert key in directory.accounts["a3"].users
    user.delete()
    directory.refresh()
    assert key not in directory.accounts["a3"].users


def test_a_key_that_can_not_be_read_keeps_the_last_snapshot_and_nothing_else(directory: Directory) -> None:
    before = directory.accounts["a3"]
    with connection.cursor() as cursor:
        cursor.execute("UPDATE providers_provideraccount SET credentials = %s WHERE name = 'a3'", [WITH_ANOTHER_KEY])
    ProviderAccount.objects.filter(name__in=["a3", "a4"]).update(enabled=False)
    directory.refresh()
    assert directory.accounts["a3"] is before
    assert directory.accounts["a4"].enabled is False
    assert len(directory.accounts) == ACCOUNTS
