"""Which models a list shows to a caller: the registered ones, and what servers of ``any_model`` accounts offer beside
them.

A name that a server offers is shown where a call by it is let in as that of a model that no one registered.
"""

from collections.abc import Iterator, Mapping
from functools import lru_cache

from accounts.caller import Caller
from gateway.access.grants import is_limited, may_call
from gateway.access.listings import LISTINGS_KEPT
from gateway.access.model_names import is_fine_tuned, plain
from gateway.access.models import UNLISTED_NAME, may_mean_closed
from providers.snapshot import AccountSnapshot, ModelSnapshot

JUDGED_KEPT = 64


def shown_models(
    caller: Caller, accounts: Mapping[str, AccountSnapshot], account_name: str = ""
) -> Iterator[ModelSnapshot | None]:
    """Yield every model of the ``accounts``, or of one of them, that the caller may call now, by account and name.

    For each name that is not the caller's it yields ``None``, so that a reader who gets few models of a long list can
    let others go on.
    """
    for name, account in sorted(accounts.items()):
        if account.enabled and account_name in ("", name):
            yield from _of_account(caller, account)


def _of_account(caller: Caller, account: AccountSnapshot) -> Iterator[ModelSnapshot | None]:
    closed = frozenset(
        model.name for model in account.models.values() if account.offered and not may_call(caller, account, model)
    )
    limited, held = is_limited(caller, account), _held(account)
    judged = _judged(account, closed, limited)
    for name in sorted({*account.models, *account.offered}):
        model = account.models.get(name)
        if model is not None:  # of another name, if this is a former one of it
            yield model if model.name == name and may_call(caller, account, model) else None
            continue
        if name not in held:
            held[name] = _unregistered(account, name)
        model = held[name]
        if model is None or not may_call(caller, account, model):
            yield None
            continue
        if (closed or limited) and name not in judged:  # else no name can mean a closed model
            judged[name] = may_mean_closed(caller, account, name)
        yield None if judged.get(name) else model


def _unregistered(account: AccountSnapshot, name: str) -> ModelSnapshot | None:
    """Return the model that ``account`` offers by a name that no registered one has; ``None`` where one has it.

    Nor is a fine-tuned model shown that no one registered: whose it is can't be known, and its name may say too much.
    Without prices: looking one up takes up to milliseconds, which thousands of names can't have at a request.
    """
    if plain(name) in _upstream_names(account) or is_fine_tuned(name) or UNLISTED_NAME.fullmatch(name) is None:
        return None
    return ModelSnapshot(account.name, name, name, frozenset(), listed=False)


@lru_cache(maxsize=LISTINGS_KEPT)
def _upstream_names(account: AccountSnapshot) -> frozenset[str]:
    """Return what the registered models are called upstream, in the form in which names are compared.

    :func:`~gateway.access.models.is_listed` says the same from more than a list needs, which takes long to make.
    """
    return frozenset(plain(model.upstream_id) for model in account.models.values())


@lru_cache(maxsize=LISTINGS_KEPT)
def _held(account: AccountSnapshot) -> dict[str, ModelSnapshot | None]:
    """Return where the account's unregistered models are kept, which are made when they are first looked at."""
    return {}


@lru_cache(maxsize=JUDGED_KEPT)
def _judged(account: AccountSnapshot, closed: frozenset[str], limited: bool) -> dict[str, bool]:
    """Return where it is kept which names could mean a closed model: the same for all callers to whom the same models
    are closed, and whose tokens are limited or not."""
    return {}
