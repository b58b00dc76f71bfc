"""Access: which accounts and models a caller may use. Not there and not yours look the same."""

import re
from collections.abc import Iterator

from accounts.caller import Caller
from gateway.access.accounts import _check_enabled
from gateway.access.grants import may_call
from gateway.call.errors import InvalidRequest, ModelNotFound
from gateway.directory.accounts import unlisted_model
from gateway.state import state
from providers.snapshot import AccountSnapshot, ModelSnapshot, Target

# What an upstream name that nobody listed may look like. It goes into headers, logs and caches.
UNLISTED_NAME = re.compile(r"[!-~]{1,300}")
SNAPSHOT = re.compile(r"-20\d\d-\d\d-\d\d\Z")


def resolve(caller: Caller, model: str, provider_name: str) -> Target:
    """Return the target that ``model`` means to ``caller``.

    ``model`` is ``account/name``, or a bare name together with ``provider_name`` or when exactly one account that the
    caller may use offers it. Raises :class:`ModelNotFound` and :class:`Forbidden`.
    """
    accounts = state.directory.accounts
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


def not_found(model: str, where: str = "") -> ModelNotFound:
    """Return the error that an unknown and a forbidden model share."""
    return ModelNotFound(
        f"The model {model[:200]!r} does not exist{where} or you do not have access to it. "
        "Models are named 'account/model'; GET /models lists those you may call.",
        param="model",
    )


def _of_account(caller: Caller, account: AccountSnapshot, name: str, asked: str) -> Target | None:
    model = account.models.get(name)
    if model is None and account.any_model and UNLISTED_NAME.fullmatch(name):
        model = _by_upstream_name(caller, account, name)
    if model is None or not may_call(caller, account, model):
        return None
    _check_enabled(account)
    return Target(account, model)


def _by_upstream_name(caller: Caller, account: AccountSnapshot, name: str) -> ModelSnapshot | None:
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
    for account in state.directory.accounts.values():
        model = account.models.get(name)
        if model is not None and account.enabled and may_call(caller, account, model):
            yield Target(account, model)
