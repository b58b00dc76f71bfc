"""Models that a call through ``/proxy/`` names, in the vendor's own words: none may be one that the caller may not
call.
"""

import re
from collections.abc import Iterable

from accounts.caller import Caller
from gateway.access import grants
from gateway.access import models as access
from gateway.access.listings import listings
from gateway.access.model_names import stem
from providers.snapshot import AccountSnapshot


def looked_for(caller: Caller, account: AccountSnapshot) -> re.Pattern[bytes] | None:
    """Return what finds the stems of the models that the caller may not call, in text in lower case.

    ``None``: there are none.
    """
    hidden = [model for model in account.models.values() if not grants.may_call(caller, account, model)]
    stems = {stem(name) for model in hidden for name in (model.upstream_id, model.name) if name}
    if not stems:
        return None
    forms = (re.escape(each.encode()).replace(rb"\-", rb"[._\s-]{1,8}") for each in sorted(stems, reverse=True))
    return re.compile(rb"(?<![a-z0-9])(?:" + b"|".join(forms) + rb")(?![a-z0-9])")


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
        if not any(_is_callable(caller, account, name) for name in forms):
            raise access.not_found(forms[0], f" on provider account {account.name!r}")
    for name in named:
        if _is_callable(caller, account, name):
            continue
        if limited or _is_hidden(caller, account, name) or access.holds_narrowed(caller, account, name):
            raise access.not_found(name, f" on provider account {account.name!r}")
    for word in words:
        if _is_hidden(caller, account, word):
            raise access.not_found(word, f" on provider account {account.name!r}")


def _is_callable(caller: Caller, account: AccountSnapshot, name: str) -> bool:
    """Whether ``name`` is exactly that of a model which the caller may call: the vendor's, or ours."""
    return any(grants.may_call(caller, account, entry) for entry in listings(account).exact.get(name, ()))


def _is_hidden(caller: Caller, account: AccountSnapshot, name: str) -> bool:
    """Whether ``name``, or what is left without our account before it, could mean a model of others."""
    ours = listings(account).lowered
    return any(
        access.is_narrowed(caller, account, form)
        or any(not grants.may_call(caller, account, entry) for entry in ours.get(form.lower(), ()))
        for form in {name, name.removeprefix(f"{account.name}/")}
        if not _is_callable(caller, account, form)
    )
