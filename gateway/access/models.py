"""Access: which accounts and models a caller may use. Not there and not yours look the same."""

import re
from collections.abc import Iterator

from accounts.caller import Caller
from gateway.access.accounts import _check_enabled
from gateway.access.grants import may_call, may_call_all
from gateway.access.listings import family_of, letters, listings, longest
from gateway.access.model_names import is_fine_tuned, plain, stems
from gateway.body.model_fields import MAX_NAME_CHARACTERS
from gateway.call.errors import InvalidRequest, ModelNotFound
from gateway.directory.accounts import unlisted_model
from gateway.state import state
from providers.pricing.public import published_name
from providers.snapshot import AccountSnapshot, ModelSnapshot, Target
from rules.unlisted import words_of

# What an upstream name that no one listed may look like. It goes into headers, logs and caches.
# Vendors read lists, patterns and fallbacks in names with other signs.
UNLISTED_NAME = re.compile(r"[A-Za-z0-9@~][A-Za-z0-9._:/@+~-]{0,299}")
# Names of what a vendor keeps with a model of its choice: OpenRouter's and NanoGPT's.
PRESET = re.compile(r"@preset/|\Apresets/", re.IGNORECASE)


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
    if model is None and account.any_model:
        model = _by_upstream_name(caller, account, name)
    if model is None or not may_call(caller, account, model):
        return None
    _check_enabled(account)
    return Target(account, model)


def _by_upstream_name(caller: Caller, account: AccountSnapshot, name: str) -> ModelSnapshot | None:
    """Return what an upstream's own name means on an ``any_model`` account: no way around the listing of a model.

    A dated snapshot that is not listed is open to every caller who may use that model.
    """
    if UNLISTED_NAME.fullmatch(name) is None:
        return None
    if is_listed(account, name):
        return by_upstream_name(caller, account, name)
    return None if may_mean_closed(caller, account, name) else unlisted_model(account, name)


def may_mean_closed(caller: Caller, account: AccountSnapshot, name: str) -> bool:
    """Whether an unlisted ``name`` could mean a model of ``account`` that the caller may not call."""
    return is_narrowed(caller, account, name) or holds_narrowed(caller, account, name)


def by_upstream_name(
    caller: Caller, account: AccountSnapshot, name: str, *model_types: str, exact: bool = False
) -> ModelSnapshot | None:
    """Return the model listed on ``account`` that the upstream calls ``name``, in any form or in this ``exact`` one.

    Of several that the caller may call, one that is registered for most of ``model_types``, and that bears the name.
    """
    entries = [
        model
        for model in listings(account).by_name.get(plain(name), ())
        if (not exact or model.upstream_id == name) and may_call(caller, account, model)
    ]
    wanted = frozenset(model_types)
    return min(entries, key=lambda model: (-len(wanted & model.model_types), model.name != name), default=None)


def on_account(caller: Caller, account: AccountSnapshot, name: str, *model_types: str) -> Target:
    """Return what ``name`` means on ``account`` and nowhere else: ``account/name``, a public name, or the upstream's
    own.

    Where the upstream's name is listed more than once, the entry for ``model_types`` is meant. Raises
    :class:`ModelNotFound` and :class:`Forbidden`. For names whose account is settled: an upstream's names may begin
    like another account's.
    """
    prefix, slash, rest = name.partition("/")
    for asked in (rest if slash and prefix in (account.name, *account.aliases) else name, name):
        found = _of_account(caller, account, asked, name)
        if found is not None:
            return found
        model = by_upstream_name(caller, account, asked, *model_types)
        if model is not None:
            _check_enabled(account)
            return Target(account, model)
    raise not_found(name, f" on provider account {account.name!r}")


def is_narrowed(caller: Caller, account: AccountSnapshot, name: str) -> bool:
    """Whether ``name`` could mean a model of ``account`` that the caller may not call: it has a form of its name, or of
    its versions'.

    A caller who may call a model by this very name may write it.
    """
    listed = listings(account)
    exact = listed.by_name.get(plain(name), ())
    if any(may_call(caller, account, model) for model in exact):
        return False
    return any(not may_call(caller, account, model) for each in stems(name) for model in listed.by_stem.get(each, ()))


def holds_narrowed(caller: Caller, account: AccountSnapshot, name: str) -> bool:
    """Whether an unlisted ``name`` holds that of a model which the caller may not call, as whole words.

    Upstreams take many forms: ``~gpt-4o``, ``gpt-4o-fast``, ``x,gpt-4o``. Of names that begin at one word the longest
    counts. One that the price list has by just this name is a model of its own, and so is a fine-tuned one. What the
    name of a preset holds is not known.
    """
    if PRESET.search(name[:MAX_NAME_CHARACTERS]):
        return not may_call_all(caller, account)
    if len(name) > MAX_NAME_CHARACTERS or is_fine_tuned(name):
        return False
    words, place = words_of(name), 0
    while place < len(words):
        size, meant = longest(listings(account).by_words, words, place)
        if size and not any(may_call(caller, account, model) for model in meant):
            return not published_name(account.vendor.price_source, name)
        place += size or 1
    if resembles_narrowed(caller, account, name):
        return not published_name(account.vendor.price_source, name.rpartition("/")[2])
    return is_newest_of_narrowed(caller, account, name)


def resembles_narrowed(caller: Caller, account: AccountSnapshot, name: str) -> bool:
    """Whether the letters and digits of ``name`` hold those of a model which the caller may not call: ``gpt4o``.

    Where they are part of a longer name that the caller may call, that one counts.
    """
    text, marks = letters(name), listings(account).by_letters
    held = [each for each in marks if each in text]
    opened = [each for each in held if any(may_call(caller, account, model) for model in marks[each])]
    return any(not any(_covers(longer, each, text) for longer in opened) for each in held if each not in opened)


def _covers(longer: str, part: str, text: str) -> bool:
    """Whether each place of ``part`` in ``text`` lies in ``longer``."""
    return part in longer and part not in text.replace(longer, "/")


def is_newest_of_narrowed(caller: Caller, account: AccountSnapshot, name: str) -> bool:
    """Whether ``name`` has no version and is of the family of a model which the caller may not call: the vendor says
    which one it means, and changes it (``gemini-pro-latest`` for ``gemini-2.5-pro``).
    """
    family = family_of(name)
    if not family or not all(word.isalpha() for word in words_of(name)):
        return False
    return any(not may_call(caller, account, model) for model in listings(account).by_family.get(family, ()))


def is_listed(account: AccountSnapshot, name: str) -> bool:
    """Whether ``name`` is the upstream's own for a model that is listed on ``account``, in whatever form."""
    return plain(name) in listings(account).by_name


def _offers(caller: Caller, name: str) -> Iterator[Target]:
    for account in state.directory.accounts.values():
        model = account.models.get(name)
        if model is not None and account.enabled and may_call(caller, account, model):
            yield Target(account, model)
