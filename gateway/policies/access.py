"""Access: which accounts and models a caller may use. Not there and not yours look the same."""

import re
from collections.abc import Awaitable, Callable, Iterator

from gateway.call import Call, Caller, Reply
from gateway.errors import Forbidden, InvalidRequest, ModelNotFound, NotFound
from gateway.pictures import unlisted_model
from gateway.runtime import runtime
from providers.snapshot import AccountPicture, ModelPicture, Target

# What an upstream name that nobody listed may look like. It goes into headers, logs and caches.
UNLISTED_NAME = re.compile(r"[!-~]{1,300}")
SNAPSHOT = re.compile(r"-20\d\d-\d\d-\d\d\Z")


async def policy(call: Call, proceed: Callable[[Call], Awaitable[Reply]]) -> Reply:
    """Resolve the model or account that the call names into targets; refuse what the caller may not use."""
    if call.model_asked:
        target = resolve(call.caller, call.model_asked, call.options.provider_name)
        if not target.model.listed and target.model.upstream_id.startswith("ft:"):
            call.references.append(("model", target.model.upstream_id))  # it has an owner, whom the records know
        call.targets = (target,)
    else:
        account = account_of(call.caller, call.account_name)
        known = call.notes.get("model")  # what an object's record tells
        call.targets = (Target(account, known if isinstance(known, ModelPicture) else no_model(account)),)
    return await proceed(call)


def no_model(account: AccountPicture) -> ModelPicture:
    """Return the picture that stands for the model in a call that names none."""
    return ModelPicture(account_name=account.name, name="", upstream_id="", model_types=frozenset(), listed=False)


def resolve(caller: Caller, model: str, provider_name: str) -> Target:
    """Return the target that ``model`` means to ``caller``.

    ``model`` is ``account/name``, or a bare name together with ``provider_name`` or when exactly one account that the
    caller may use offers it. Raises :class:`ModelNotFound` and :class:`Forbidden`.
    """
    accounts = runtime.directory.accounts
    prefix, slash, name = model.partition("/")
    if slash and prefix in accounts:
        found = _of_account(caller, accounts[prefix], name, model)
        if found is not None:
            return found
    if provider_name:
        account = accounts.get(provider_name)
        found = _of_account(caller, account, model, model) if account is not None else None
        if found is not None:
            return found
        raise not_found(model, f" on provider account {provider_name!r}")
    offers = list(_offers(caller, model))
    if len(offers) == 1:
        return offers[0]
    if offers:
        names = ", ".join(sorted(offer.model.public_name for offer in offers))
        raise InvalidRequest(
            f"The model name {model!r} is ambiguous: write one of {names}, or set x-tfy-provider-name.",
            param="model",
            code="ambiguous_model",
        )
    raise not_found(model)


def account_of(caller: Caller, name: str) -> AccountPicture:
    """Return the account ``name`` for a call that names no model; raise :class:`NotFound` or :class:`Forbidden`."""
    account = runtime.directory.accounts.get(name)
    if account is None or not may_use(caller, account):
        raise NotFound(
            f"The provider account {name!r} does not exist or you do not have access to it.",
            param="x-tfy-provider-name",
            code="provider_account_not_found",
        )
    _check_enabled(account)
    return account


def may_use(caller: Caller, account: AccountPicture) -> bool:
    """Whether the caller may use any of the account's models, leaving the models' own lists aside."""
    if caller.limits is not None and not any(
        limit == account.name or limit.startswith(f"{account.name}/") for limit in caller.limits
    ):
        return False
    return caller.is_superuser or not caller.principals.isdisjoint(account.users)


def manages(caller: Caller, account: AccountPicture) -> bool:
    """Whether the caller may see everybody's objects on the account: its managers, and superusers."""
    return may_use(caller, account) and (caller.is_superuser or not caller.principals.isdisjoint(account.managers))


def may_call(caller: Caller, account: AccountPicture, model: ModelPicture) -> bool:
    """Whether the caller may call this model of the account."""
    if not model.enabled or (model.owner_key and not _shares(caller, account, model)):
        return False
    if not caller.is_superuser:
        if caller.principals.isdisjoint(account.users):
            return False
        asked = caller.principals.union(caller.team_keys) if model.owner_key else caller.principals
        if model.subjects is not None and asked.isdisjoint(model.subjects | account.managers):
            return False
    limits = caller.limits
    return limits is None or account.name in limits or f"{account.name}/{model.name}" in limits


def _shares(caller: Caller, account: AccountPicture, model: ModelPicture) -> bool:
    """Whether a fine-tuned model is the caller's to use, as the account's isolation says: also administrators' it is not.

    A team shares it like its files, with its virtual accounts, too.
    """
    if account.isolation == "account" or caller.key == model.owner_key:
        return True
    return account.isolation == "team" and not (model.subjects or frozenset()).isdisjoint(
        caller.principals.union(caller.team_keys)
    )


def offers(caller: Caller, account: AccountPicture, model_type: str) -> bool:
    """Whether the account has a model for ``model_type`` that the caller may call; every account has one for no type."""
    if not model_type or account.any_model:
        return True
    return any(
        model_type in model.model_types and may_call(caller, account, model) for model in account.models.values()
    )


def callable_models(caller: Caller) -> Iterator[tuple[AccountPicture, ModelPicture]]:
    """Yield every listed model that the caller may call now, by account and name."""
    for _, account in sorted(runtime.directory.accounts.items()):
        if account.enabled:
            for _, model in sorted(account.models.items()):
                if may_call(caller, account, model):
                    yield account, model


def not_found(model: str, where: str = "") -> ModelNotFound:
    """Return the error that an unknown and a forbidden model share."""
    return ModelNotFound(
        f"The model {model[:200]!r} does not exist{where} or you do not have access to it. "
        "Models are named 'account/model'; GET /models lists those you may call.",
        param="model",
    )


def still_allowed(caller: Caller, target: Target) -> bool:
    """Whether a running call to ``target`` would be let in again now."""
    account = runtime.directory.accounts.get(target.account.name)
    if account is None or not account.enabled:
        return False
    name = target.model.name
    if not name:
        return may_use(caller, account)
    model = account.models.get(name) or (target.model if account.any_model and not target.model.listed else None)
    return model is not None and may_call(caller, account, model)


def _of_account(caller: Caller, account: AccountPicture, name: str, asked: str) -> Target | None:
    model = account.models.get(name)
    if model is None and account.any_model and UNLISTED_NAME.fullmatch(name):
        model = _by_upstream_name(caller, account, name)
    if model is None or not may_call(caller, account, model):
        return None
    _check_enabled(account)
    return Target(account, model)


def _by_upstream_name(caller: Caller, account: AccountPicture, name: str) -> ModelPicture | None:
    """Return what an upstream's own name means on an ``any_model`` account: no way around the listing of a model.

    A dated snapshot that is not listed is open to whoever may use the model that it is of.
    """
    upstream_name = name.lower()
    listed = account.upstream_ids.get(upstream_name)
    base = listed or account.upstream_ids.get(SNAPSHOT.sub("", upstream_name))
    if base is not None and not may_call(caller, account, base):
        return None
    return listed or unlisted_model(account, name)


def _offers(caller: Caller, name: str) -> Iterator[Target]:
    for account in runtime.directory.accounts.values():
        model = account.models.get(name)
        if model is not None and account.enabled and may_call(caller, account, model):
            yield Target(account, model)


def _check_enabled(account: AccountPicture) -> None:
    if not account.enabled:
        raise Forbidden(
            f"The provider account {account.name!r} is disabled. Ask one of its managers to enable it.",
            code="provider_account_disabled",
        )
