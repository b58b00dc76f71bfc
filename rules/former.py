"""The former names of accounts and models, by which rules may still name them: for records, which have present ones."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from django.db import DEFAULT_DB_ALIAS
from django.db.models import Count, Max

from providers.models import Alias


@dataclass(frozen=True, slots=True)
class FormerNames:
    """Former names by present ones: of accounts by name, of models by account and name."""

    accounts: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    models: Mapping[tuple[str, str], tuple[str, ...]] = field(default_factory=dict)

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


def load(using: str = DEFAULT_DB_ALIAS) -> FormerNames:
    """Return the aliases of the tables."""
    accounts: dict[str, tuple[str, ...]] = {}
    models: dict[tuple[str, str], tuple[str, ...]] = {}
    for account, model, name in Alias.objects.using(using).values_list("account__name", "model__name", "name"):
        if model is None:
            accounts[account] = (*accounts.get(account, ()), name)
        else:
            models[account, model] = (*models.get((account, model), ()), name)
    return FormerNames(accounts, models)


def revision(using: str = DEFAULT_DB_ALIAS) -> tuple[int, int]:
    """Return what changes with every alias: how many there are, and the newest id. A rename makes one."""
    found = Alias.objects.using(using).aggregate(count=Count("id"), newest=Max("id"))
    return found["count"], found["newest"] or 0
