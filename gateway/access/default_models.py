"""Which model a call means that names none, where OpenAI asks for none.

It is its account's default for the operation, or for the operation's model type; where the account has no such model,
the only one of the type that the caller may call. A default that the caller may not call is not replaced by another.
"""

from collections.abc import Mapping

from accounts.caller import Caller
from gateway.access import models as access
from gateway.access.accounts import account_of, no_model
from gateway.access.grants import may_call, may_call_all, may_use
from gateway.call.errors import InvalidRequest, ModelNotFound
from gateway.call.operation import Operation
from gateway.state import state
from providers.dialects.conversions import passes
from providers.snapshot import AccountSnapshot, ModelSnapshot, Target

SHOWN = 3


def default_name(account: AccountSnapshot, operation: Operation) -> str:
    """Return the name of the account's default model for ``operation``: its own, else its vendor's; empty: none."""
    return _of(account.default_models, operation) or vendors_name(account, operation)


def vendors_name(account: AccountSnapshot, operation: Operation) -> str:
    """Return what the account's vendor itself takes for a call without a model, empty when it takes none."""
    return _of(dict(account.vendor.unnamed), operation)


def _of(names: Mapping[str, str], operation: Operation) -> str:
    return names.get(operation.name) or names.get(operation.model_type, "")


def choose(caller: Caller, operation: Operation, account_name: str = "", *, prompt: bool = False) -> Target:
    """Return the target of a call that names no model: on the account ``account_name``, or on the only one that has it.

    ``prompt`` says that the call has a stored prompt. Raises :class:`~gateway.call.errors.InvalidRequest` when there is
    none or more than one, and what :func:`~gateway.access.accounts.account_of` raises.
    """
    accounts = _meant(caller, operation, account_name, prompt=prompt)
    if len(accounts) == 1:
        target = on_account(caller, accounts[0], operation)
        if target is not None:
            return target
    raise _not_clear(caller, operation, accounts)


def choose_for_prompt(caller: Caller, operation: Operation, account_name: str = "") -> Target:
    """Return the target of a call with a stored prompt that names no model; raise as :func:`choose` does.

    A prompt names a model of its own. Where the account has no default, and the caller may call each of its models,
    the vendor takes that one: the target is the account alone.
    """
    accounts = _meant(caller, operation, account_name, prompt=True)
    if len(accounts) == 1:
        account = accounts[0]
        target = on_account(caller, account, operation)
        if target is not None:
            return target
        if passes(operation.path, operation.door, account.vendor) and may_call_all(caller, account):
            return Target(account, no_model(account))
    raise _not_clear(caller, operation, accounts)


def _meant(caller: Caller, operation: Operation, account_name: str, *, prompt: bool) -> list[AccountSnapshot]:
    """Return the accounts that a call without a model may mean: the named one, else those that could answer it.

    Of several those count that have a default. A stored prompt is in one of the vendor's projects, so that no default
    says which of them is meant.
    """
    if account_name:
        return [account_of(caller, account_name)]
    kind = operation.model_type
    able = [
        account
        for account in state.directory.accounts.values()
        if account.enabled
        and may_use(caller, account)
        and not (prompt and not passes(operation.path, operation.door, account.vendor))
        and (_of_type(caller, account, kind) or on_account(caller, account, operation) is not None)
    ]
    if len(able) > 1 and not prompt:
        with_default = [account for account in able if _has_default(account, operation)]
        return [account for account in with_default if on_account(caller, account, operation) is not None] or able
    return able


def on_account(caller: Caller, account: AccountSnapshot, operation: Operation) -> Target | None:
    """Return what a call without a model means on ``account``; ``None`` when that is not clear, or not the caller's."""
    if _has_default(account, operation):
        try:
            return access.on_account(caller, account, default_name(account, operation))
        except ModelNotFound:
            return None
    mine = _of_type(caller, account, operation.model_type)
    return Target(account, mine[0]) if len(mine) == 1 else None


def _has_default(account: AccountSnapshot, operation: Operation) -> bool:
    name = default_name(account, operation)
    return bool(name) and _has(account, name, operation.model_type)


def _has(account: AccountSnapshot, name: str, kind: str) -> bool:
    """Whether ``name`` means a model of the account that fits; any name does where models need no listing."""
    listed = account.models.get(name) or account.upstream_ids.get(name.lower())
    return kind in listed.model_types if listed is not None else account.any_model


def _of_type(caller: Caller, account: AccountSnapshot, kind: str) -> list[ModelSnapshot]:
    models = account.models.values()
    return [model for model in models if kind in model.model_types and may_call(caller, account, model)]


def _not_clear(caller: Caller, operation: Operation, accounts: list[AccountSnapshot]) -> InvalidRequest:
    """Return the error that says what to name; its examples are models that the caller may call for it."""
    several = len(accounts) > 1
    found = [target.model for each in accounts if several and (target := on_account(caller, each, operation))]
    found.sort(key=lambda model: model.public_name)
    models = found or [model for each in accounts for model in _examples(caller, each, operation.model_type)]
    names = [f"'{model.public_name}'" for model in models[:SHOWN]]
    if several:
        why, fix = "Several provider accounts could answer it", ", or set the header x-tfy-provider-name"
    else:
        why, fix = f"No default model for {operation.name} is clear and yours to call", ""
    example = f": one of {', '.join(names)}" if names else "; GET /models lists those you may call"
    return InvalidRequest(
        f"You must provide a 'model'{example}{fix}. {why}.", param="model", code="missing_required_parameter"
    )


def _examples(caller: Caller, account: AccountSnapshot, kind: str) -> list[ModelSnapshot]:
    """Return the account's models of a type that the caller may call, those first that one would take today: its
    defaults for anything, then models of the catalogue that have no end, then others.
    """
    usual = {account.models.get(name) for name in account.default_models.values()}
    return sorted(
        _of_type(caller, account, kind),
        key=lambda model: (model not in usual, model.deprecated_on is not None, model.prices is None, model.name),
    )
