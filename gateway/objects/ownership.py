"""Ownership of upstream objects: found by id, checked where they are mentioned, recorded before their id is returned.

Someone else's id, an unknown id and an id that was made outside the gateway answer the same 404. Only an account whose
isolation is ``account`` lets ids through that the gateway has not made.
"""

import re
from collections.abc import Iterable, Iterator, Sequence

from accounts.caller import Caller
from gateway.access import accounts as access_accounts
from gateway.access import grants
from gateway.body.object_names import MENTIONED
from gateway.call.call import Call
from gateway.call.errors import CallError, InvalidRequest, NotFound
from gateway.models import Owned
from gateway.objects.records import visible
from gateway.objects.store import objects
from gateway.state import state
from providers.snapshot import AccountSnapshot

ID_FORM = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:-]{0,199}\Z")


def is_id(object_id: str) -> bool:
    """Whether ``object_id`` has the form of an id, so that it can be placed in an upstream address."""
    return ID_FORM.match(object_id) is not None and ".." not in object_id


def check_id(object_id: str) -> str:
    """Return ``object_id`` when it can be placed in an upstream address; raise :class:`NotFound` otherwise."""
    if not is_id(object_id):
        raise unknown(object_id)
    return object_id


def unknown(object_id: str, param: str | None = None) -> NotFound:
    """Return the one error for ids that are not there, not yours, or not ours."""
    return NotFound(f"No object with id {object_id[:200]!r} was found.", param=param, code="not_found")


async def locate(
    caller: Caller, object_id: str, provider_name: str = "", param: str | None = None
) -> tuple[AccountSnapshot, Owned | None]:
    """Return the account that ``object_id`` lives on, and its record, for a caller who may know of it.

    A record knows better than ``provider_name``, which only chooses where several accounts know the id. The record is
    ``None`` for an id that was made outside the gateway, on an account that shares everything and is the one that is
    named, or the caller's only one. Raises :class:`NotFound`
    (with ``param``, the field that named the id), or :class:`InvalidRequest` when the id does not say the account.
    """
    if not is_id(object_id):
        raise unknown(object_id, param)
    asked = access_accounts.account_of(caller, provider_name) if provider_name else None
    records = (await objects.find_many([object_id], provider_name))[object_id]
    candidates = list(known_to(caller, records))
    if asked is not None:
        candidates = [entry for entry in candidates if entry[0] is asked] or candidates
    if not candidates:
        asked = asked or access_accounts.only_one(caller)
        if asked is not None and not records and asked.isolation == "account":
            return asked, None
        raise unknown(object_id, param)
    if len(candidates) > 1:
        names = ", ".join(sorted(account.name for account, _ in candidates))
        raise InvalidRequest(
            f"The id {object_id!r} is known on several accounts ({names}): set x-tfy-provider-name.",
            param="x-tfy-provider-name",
            code="ambiguous_account",
        )
    account, owned = candidates[0]
    access_accounts.account_of(caller, account.name)  # refuses a disabled account
    return account, owned


def known_to(caller: Caller, records: Iterable[Owned]) -> Iterator[tuple[AccountSnapshot, Owned]]:
    """Yield the records that ``caller`` may know of, with their accounts."""
    for owned in records:
        account = state.directory.accounts.get(owned.account_name)
        if account is not None and grants.may_use(caller, account) and visible(caller, owned, account.isolation):
            yield account, owned


async def home_of(call: Call) -> str:
    """Return the account of the first object of the caller's that the request refers to; empty when there is none."""
    if not call.references:
        return ""
    found = await objects.find_many(object_id for _, object_id in call.references)
    for records in found.values():
        for account, _ in known_to(call.caller, records):
            return account.name
    return ""


async def check_references(call: Call, account: AccountSnapshot) -> None:
    """Raise unless every object that the request mentions is the caller's to use on ``account``.

    :class:`NotFound` for what the caller may not know of; :class:`InvalidRequest` for an object of the caller's on
    another account.
    """
    refused = await first_refused(call.caller, account, call.references)
    if refused is not None:
        raise refused[1]


async def check_words(caller: Caller, account: AccountSnapshot, words: Iterable[str]) -> None:
    """Raise :class:`NotFound` when one of ``words`` is the id of an object that ``caller`` may not know of.

    Words that no record knows pass.
    """
    if account.isolation == "account":
        return
    for object_id, records in (await objects.find_many(filter(is_id, words))).items():
        if is_hidden(caller, account, records):
            raise unknown(object_id)


def is_hidden(caller: Caller, account: AccountSnapshot, records: Sequence[Owned]) -> bool:
    """Whether ``records``, all of one id, say that it is another's on ``account``, or another's wherever it lives."""
    here = next((owned for owned in records if owned.account_name == account.name), None)
    if here is not None:
        return not visible(caller, here, account.isolation)
    return bool(records) and next(known_to(caller, records), None) is None


async def first_refused(
    caller: Caller, account: AccountSnapshot, references: Sequence[tuple[str, str]]
) -> tuple[int, CallError] | None:
    """Return place and error of the first of ``references``, pairs of field and id, that the caller may not use there.

    All of them are looked up together, however many there are.
    """
    found = await objects.find_many((object_id for _, object_id in references if is_id(object_id)), account.name)
    for place, (field, object_id) in enumerate(references):
        error = _refusal(caller, account, field, object_id, found.get(object_id, []))
        if error is not None:
            return place, error
    return None


def _refusal(
    caller: Caller, account: AccountSnapshot, field: str, object_id: str, records: list[Owned]
) -> CallError | None:
    """Return why the caller may not use an object on ``account``, given its records on all accounts."""
    if field == MENTIONED:
        return unknown(object_id) if is_hidden(caller, account, records) else None
    if not is_id(object_id):
        return unknown(object_id, field)
    here = next((owned for owned in records if owned.account_name == account.name), None)
    if here is not None and visible(caller, here, account.isolation):
        return None
    if not records and account.isolation == "account":
        return None
    elsewhere = next(known_to(caller, records), None)
    if here is None and elsewhere is not None:
        return _on_other_account(object_id, field, elsewhere[0].name, account.name)
    return unknown(object_id, field)


def _on_other_account(object_id: str, field: str, home: str, asked: str) -> InvalidRequest:
    return InvalidRequest(
        f"{object_id!r} lives on the provider account {home!r}, but this call goes to {asked!r}. Call a model of "
        f"{home!r}.",
        param=field,
        code="object_on_other_account",
    )
