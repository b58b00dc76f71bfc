"""Names by which rules may know what a record names otherwise: former ones, and those that no one listed."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from django.db import DEFAULT_DB_ALIAS
from django.db.models import Count, Max

from providers.models import Alias, Model, ProviderAccount


@dataclass(frozen=True, slots=True)
class OpenAccount:
    """An account that passes on any model's name: the models that are listed on it, and its id in the price list."""

    listed: frozenset[str]
    price_source: str


@dataclass(frozen=True, slots=True)
class ModelNames:
    """Former names by present ones: of accounts by name, of models by account and name; and the open accounts."""

    accounts: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    models: Mapping[tuple[str, str], tuple[str, ...]] = field(default_factory=dict)
    open_accounts: Mapping[str, OpenAccount] = field(default_factory=dict)

    def of_account(self, account: str) -> tuple[str, ...]:
        """Return the account's former names."""
        return self.accounts.get(account, ())

    def of_model(self, name: str) -> tuple[str, ...]:
        """Return every other ``account/model`` that means the model ``name``."""
        account, _, model = name.partition("/")
        accounts, models = self.accounts.get(account, ()), self.models.get((account, model), ())
        if not model or not (accounts or models):
            return ()
        return tuple(f"{one}/{each}" for one in (account, *accounts) for each in (model, *models))[1:]


def load(using: str = DEFAULT_DB_ALIAS) -> ModelNames:
    """Return the names of the tables."""
    accounts: dict[str, tuple[str, ...]] = {}
    models: dict[tuple[str, str], tuple[str, ...]] = {}
    for account, model, name in Alias.objects.using(using).values_list("account__name", "model__name", "name"):
        if model is None:
            accounts[account] = (*accounts.get(account, ()), name)
        else:
            models[account, model] = (*models.get((account, model), ()), name)
    return ModelNames(accounts, models, _open_accounts(using))


def _open_accounts(using: str) -> dict[str, OpenAccount]:
    listed: dict[str, set[str]] = {}
    models = Model.objects.using(using).filter(account__any_model=True)
    for account, model in models.values_list("account__name", "name"):
        listed.setdefault(account, set()).add(model)
    accounts = ProviderAccount.objects.using(using).filter(any_model=True).only("name", "kind", "base_url")
    return {
        account.name: OpenAccount(frozenset(listed.get(account.name, ())), account.vendor.price_source)
        for account in accounts
    }


def revision(using: str = DEFAULT_DB_ALIAS) -> tuple[int, ...]:
    """Return what changes with every name: of aliases and of open accounts' models the number and the newest id.

    A rename makes an alias.
    """
    aliases = Alias.objects.using(using).aggregate(count=Count("id"), newest=Max("id"))
    accounts = ProviderAccount.objects.using(using).filter(any_model=True)
    listed = accounts.aggregate(open=Count("id", distinct=True), count=Count("models"), newest=Max("models__id"))
    return (
        *(aliases["count"], aliases["newest"] or 0),
        *(listed["open"], listed["count"], listed["newest"] or 0),
    )
