"""Models that a call through ``/proxy/`` names, in the vendor's own words: none may be one that the caller may not
call.
"""

import re
from collections.abc import Iterable

from accounts.caller import Caller
from gateway.access import grants
from gateway.access import models as access
from gateway.access.hidden_models import is_callable, is_hidden, looked_for
from gateway.access.listings import listings
from gateway.access.model_names import plain, stems
from gateway.body.model_fields import MAX_NAME_CHARACTERS
from gateway.call.errors import ModelNotFound
from gateway.directory.accounts import unlisted_model
from providers.snapshot import AccountSnapshot, ModelSnapshot

# How paths end at which the vendor takes a model of its own choice, or that of a stored prompt, for a body without one.
UNNAMED_ENDS = (
    *("/responses", "/moderations", "/images/generations", "/images/edits", "/images/variations"),
    *("/videos", "/videos/edits", "/videos/extensions", "/remix"),
    *("/realtime/calls", "/realtime/client_secrets", "/realtime/sessions"),
)
PATTERN = re.compile(r"[*?|\[\]{}^$%]")


def check(
    caller: Caller,
    account: AccountSnapshot,
    models: Iterable[str],
    words: Iterable[str] = (),
    in_path: Iterable[tuple[str, ...]] = (),
) -> None:
    """Raise :class:`~gateway.call.errors.ModelNotFound` when one of ``models``, or of other ``words``, could mean a
    model that the caller may not call.

    A model that the account does not list passes, but a token that is limited to some models must name one of those,
    and no other: in the body or, by one of several names, at each place of the path (``in_path``).
    """
    limited = grants.is_limited(caller, account)
    named = [name for name in models if name]
    places = list(in_path)
    if limited and not (named or places):
        raise access.not_found("", f" on provider account {account.name!r}")
    for forms in places if limited else ():
        if not any(is_callable(caller, account, name) for name in forms):
            raise access.not_found(forms[0], f" on provider account {account.name!r}")
    for name in named:
        if is_callable(caller, account, name):
            continue
        if limited or _may_mean_hidden(caller, account, name):
            raise access.not_found(name, f" on provider account {account.name!r}")
    for word in words:
        if is_hidden(caller, account, word):
            raise access.not_found(word, f" on provider account {account.name!r}")


def meant(account: AccountSnapshot, asked: str, names: Iterable[str]) -> tuple[ModelSnapshot, ...]:
    """Return the models of ``account`` that ``names`` may mean, in any form of theirs, for rules to count the call by:
    those of ``asked``, the body's own model, first. What the account does not list is a model by itself.
    """
    found: dict[str, ModelSnapshot] = {}
    for name in dict.fromkeys((asked, *sorted(names))):
        for model in _meant_by(account, name.strip().removeprefix(f"{account.name}/")) if name.strip() else ():
            found.setdefault(model.name, model)
    return tuple(found.values())


def _meant_by(account: AccountSnapshot, name: str) -> Iterable[ModelSnapshot]:
    listed = listings(account)
    for known in (listed.exact.get(name), listed.by_name.get(plain(name)), listed.lowered.get(name.lower())):
        if known:
            return known
    versions = {model.name: model for each in stems(name) for model in listed.by_stem.get(each, ())}
    return versions.values() or (unlisted_model(account, name[:MAX_NAME_CHARACTERS]),)


def check_unnamed(caller: Caller, account: AccountSnapshot, path: str, models: Iterable[str]) -> None:
    """Raise :class:`~gateway.call.errors.ModelNotFound` for a call that names no model, at a ``path`` where the vendor
    then takes one, when some model of the account is not the caller's to call.
    """
    if any(models) or grants.may_call_all(caller, account):
        return
    if f"/{path.lower()}".endswith(UNNAMED_ENDS):
        raise ModelNotFound(
            f"Which model this would take is not known, and some models of the provider account {account.name!r} are "
            "not yours to call. Name a 'model'.",
            param="model",
        )


def _may_mean_hidden(caller: Caller, account: AccountSnapshot, name: str) -> bool:
    """Whether what a field names could be a model of others: as a form of its name, holding it, or as a pattern."""
    if is_hidden(caller, account, name) or access.holds_narrowed(caller, account, name):
        return True
    return PATTERN.search(name) is not None and looked_for(caller, account) is not None
