"""Which model a call means that names none, where OpenAI asks for none.

It is its account's default for the operation, or for the operation's model type; where the account has no such model,
the only one of the type that the caller may call. A default that the caller may not call is not replaced by another.
"""

from collections.abc import Mapping

from accounts.caller import Caller
from gateway.access import models as access
from gateway.access.accounts import account_of
from gateway.access.grants import may_call, may_use
from gateway.call.errors import InvalidRequest, ModelNotFound
from gateway.call.operation import Operation
from gateway.state import state
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


def choose(caller: Caller, operation: Operation, account_name: str = "") -> Target:
    """Return the target of a call that names no model: on the account ``account_name``, or on the only one that has it.

    Raises :class:`~gateway.call.errors.InvalidRequest` when there is none or more than one, and what
    :func:`~gateway.access.accounts.account_of` raises.
    """
    if account_name:
        accounts = [account_of(caller, account_name)]
    else:
        accounts = [each for each in state.directory.accounts.values() if each.enabled and may_use(caller, each)]
    found = [target for each in accounts if (target := on_account(caller, each, operation)) is not None]
    if len(found) == 1:
        return found[0]
    raise _not_clear(caller, operation, accounts, found)


def on_account(caller: Caller, account: AccountSnapshot, operation: Operation) -> Target | None:
    """Return what a call without a model means on ``account``; ``None`` when that is not clear, or not the caller's."""
    kind, name = operation.model_type, default_name(account, operation)
    if name and _has(account, name, kind):
        try:
            return access.on_account(caller, account, name)
        except ModelNotFound:
            return None
    mine = _of_type(caller, account, kind)
    return Target(account, mine[0]) if len(mine) == 1 else None


def _has(account: AccountSnapshot, name: str, kind: str) -> bool:
    """Whether ``name`` means a model of the account that fits; any name does where models need no listing."""
    listed = account.models.get(name) or account.upstream_ids.get(name.lower())
    return kind in listed.model_types if listed is not None else account.any_model


def _of_type(caller: Caller, account: AccountSnapshot, kind: str) -> list[ModelSnapshot]:
    models = account.models.values()
    return [model for model in models if kind in model.model_types and may_call(caller, account, model)]


def _not_clear(
    caller: Caller, operation: Operation, accounts: list[AccountSnapshot], found: list[Target]
) -> InvalidRequest:
    """Return the error that says what to name; its examples are models that the caller may call for it."""
    models = [target.model for target in found]
    models = models or [model for each in accounts for model in _of_type(caller, each, operation.model_type)]
    names = [f"'{name}'" for name in sorted(model.public_name for model in models)[:SHOWN]]
    if found:
        why, fix = "Several provider accounts have a default for it", ", or set the header x-tfy-provider-name"
    else:
        why, fix = f"No default model for {operation.name} is clear and yours to call", ""
    example = f": one of {', '.join(names)}" if names else "; GET /models lists those you may call"
    return InvalidRequest(
        f"You must provide a 'model'{example}{fix}. {why}.", param="model", code="missing_required_parameter"
    )
