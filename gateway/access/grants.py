"""Which accounts and models a caller may use, and which they manage."""

from accounts.caller import Caller
from gateway.state import state
from providers.snapshot import AccountSnapshot, ModelSnapshot, Target


def may_use(caller: Caller, account: AccountSnapshot) -> bool:
    """Whether the caller may use any of the account's models, leaving the models' own lists aside."""
    if caller.limits is not None:
        names = (account.name, *account.aliases)
        if not any(limit.partition("/")[0] in names for limit in caller.limits):
            return False
    return caller.is_superuser or not caller.principals.isdisjoint(account.users)


def manages(caller: Caller, account: AccountSnapshot) -> bool:
    """Whether the caller may see everyone's objects on the account: its managers, and superusers."""
    return may_use(caller, account) and (caller.is_superuser or not caller.principals.isdisjoint(account.managers))


def may_call(caller: Caller, account: AccountSnapshot, model: ModelSnapshot) -> bool:
    """Whether the caller may call this model of the account."""
    if not model.enabled or (model.owner_key and not _shares(caller, account, model)):
        return False
    if not caller.is_superuser:
        if caller.principals.isdisjoint(account.users):
            return False
        asked = caller.principals.union(caller.team_keys) if model.owner_key else caller.principals
        if model.subjects is not None and asked.isdisjoint(model.subjects | account.managers):
            return False
    return caller.limits is None or _within(caller.limits, account, model)


def is_limited(caller: Caller, account: AccountSnapshot) -> bool:
    """Whether the caller's token may call some of the account's models alone."""
    return caller.limits is not None and caller.limits.isdisjoint((account.name, *account.aliases))


def may_call_all(caller: Caller, account: AccountSnapshot) -> bool:
    """Whether no model of the account is closed to the caller: neither by the token nor by the models' own lists."""
    return not is_limited(caller, account) and all(
        may_call(caller, account, model) for model in account.models.values()
    )


def _within(limits: frozenset[str], account: AccountSnapshot, model: ModelSnapshot) -> bool:
    """Whether a token's limits name the account or the model, by any of their names."""
    return any(
        name in limits or any(f"{name}/{each}" in limits for each in (model.name, *model.aliases))
        for name in (account.name, *account.aliases)
    )


def _shares(caller: Caller, account: AccountSnapshot, model: ModelSnapshot) -> bool:
    """Whether a fine-tuned model is the caller's to use, as the account's isolation says: also administrators' it is
    not.

    A team shares it like its files, with its virtual accounts, too.
    """
    if account.isolation == "account" or caller.key == model.owner_key:
        return True
    return account.isolation == "team" and not (model.subjects or frozenset()).isdisjoint(
        caller.principals.union(caller.team_keys)
    )


def offers(caller: Caller, account: AccountSnapshot, model_type: str) -> bool:
    """Whether the account has a model for ``model_type`` that the caller may call; every account has one for no
    type.
    """
    if not model_type or account.any_model:
        return True
    return any(
        model_type in model.model_types and may_call(caller, account, model) for model in account.models.values()
    )


def still_allowed(caller: Caller, target: Target) -> bool:
    """Whether a running call to ``target`` would be let in again now."""
    account = state.directory.accounts.get(target.account.name)
    if account is None or not account.enabled:
        return False
    name = target.model.name
    if not name:
        return may_use(caller, account)
    model = account.models.get(name) or (target.model if account.any_model and not target.model.listed else None)
    return model is not None and may_call(caller, account, model)
