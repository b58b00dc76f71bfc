"""Which words could mean a model that a caller may not call, wherever they are in a call."""

import re

from accounts.caller import Caller
from gateway.access import grants
from gateway.access import models as access
from gateway.access.listings import listings
from gateway.access.model_names import base_of, stems
from providers.snapshot import AccountSnapshot


def looked_for(caller: Caller, account: AccountSnapshot) -> re.Pattern[bytes] | None:
    """Return what finds the stems of the models that the caller may not call, in text in lower case.

    ``None``: it hides none.
    """
    hidden = [model for model in account.models.values() if not grants.may_call(caller, account, model)]
    names = [name for model in hidden for name in (model.upstream_id, model.name) if name]
    if not names:
        return None
    forms = (
        re.escape(each.encode()).replace(rb"\-", rb"[._\s-]{1,8}")
        for each in sorted({stem for name in names for stem in stems(name)}, reverse=True)
    )
    return re.compile(rb"(?<![a-z0-9])(?:" + b"|".join(forms) + rb")(?![a-z0-9])")


def is_callable(caller: Caller, account: AccountSnapshot, name: str) -> bool:
    """Whether ``name`` is exactly that of a model which the caller may call: the vendor's, or ours."""
    return any(grants.may_call(caller, account, entry) for entry in listings(account).exact.get(name, ()))


def is_hidden(caller: Caller, account: AccountSnapshot, name: str) -> bool:
    """Whether ``name``, or what is left without our account before it, could mean a model of others, or one that was
    made of theirs.
    """
    ours = listings(account).lowered
    forms = {form for form in (name, name.removeprefix(f"{account.name}/")) if not is_callable(caller, account, form)}
    bases = {base for form in forms if (base := base_of(form)) and not is_callable(caller, account, base)}
    return any(
        access.is_narrowed(caller, account, form)
        or any(not grants.may_call(caller, account, entry) for entry in ours.get(form.lower(), ()))
        for form in forms | bases
    )
