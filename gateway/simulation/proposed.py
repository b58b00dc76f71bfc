"""Virtual models that are not stored, among the accounts that are."""

from collections.abc import Iterable
from dataclasses import replace

from gateway.directory.accounts import account_snapshot
from gateway.directory.nesting import nest
from providers.models import Model, ProviderAccount
from providers.routing.compiled import compile_routing
from providers.snapshot import AccountSnapshot, ByName, ModelSnapshot


def with_virtual_models(accounts: ByName[AccountSnapshot], models: Iterable[Model]) -> ByName[AccountSnapshot]:
    """Return the accounts as they would be with these virtual models beside those that there are, or in their place."""
    rows = dict(accounts)
    for model in models:
        name = model.account.name
        account = rows.get(name) or account_snapshot(ProviderAccount(kind=model.account.kind, name=name, pk=0), [], [])
        made = ModelSnapshot(
            account_name=name,
            name=model.name,
            upstream_id=model.name,
            model_types=frozenset(model.model_types),
            enabled=model.enabled,
            routing=compile_routing(model.routing),
        )
        aliases = getattr(account.models, "aliases", {})
        rows[name] = replace(account, models=ByName({**account.models, model.name: made}, aliases))
    return nest(ByName(rows, {alias: rows[account.name] for alias, account in accounts.aliases.items()}))
