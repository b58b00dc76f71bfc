"""Ownership of upstream objects: found by id, checked where they are mentioned, written down before their id is told.

Somebody else's id, an unknown id and an id that was made outside the gateway answer the same 404. Only an account whose
isolation is ``account`` lets ids through that the gateway has not made.
"""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from gateway.call import Call, Caller
from gateway.errors import InvalidRequest, NotFound
from gateway.objects import NewObject, Owned, new_object, objects, visible
from gateway.policies import access
from gateway.runtime import runtime
from providers.picture import AccountPicture

ID_FORM = re.compile(r"^[A-Za-z0-9][A-Za-z0-9_.:-]{0,199}$")

Fields = Mapping[str, msgspec.Raw]
Maker = Callable[[Call, Fields], list[NewObject]]
_text = msgspec.json.Decoder(str | None)


def check_id(object_id: str) -> str:
    """Return ``object_id`` when it can be placed in an upstream address; raise :class:`NotFound` otherwise."""
    if not ID_FORM.match(object_id) or ".." in object_id:
        raise unknown(object_id)
    return object_id


def unknown(object_id: str, param: str | None = None) -> NotFound:
    """Return the one error for ids that are not there, not yours, or not ours."""
    return NotFound(f"No object with id {object_id[:200]!r} was found.", param=param, code="not_found")


async def locate(caller: Caller, object_id: str, provider_name: str = "") -> tuple[AccountPicture, Owned | None]:
    """Return the account that ``object_id`` lives on, and its record, for a caller who may know of it.

    The record is ``None`` for an id that was made outside the gateway, on an account that shares everything. Raises
    :class:`NotFound`, or :class:`InvalidRequest` when the id alone does not tell the account.
    """
    check_id(object_id)
    if provider_name:
        account = access.account_of(caller, provider_name)
        found = await objects.find(object_id, account.name)
        if found and visible(caller, found[0], account.isolation):
            return account, found[0]
        if not found and account.isolation == "account":
            return account, None
        raise unknown(object_id)
    candidates = []
    for owned in await objects.find(object_id):
        account_there = runtime.directory.accounts.get(owned.account_name)
        if account_there and access.may_use(caller, account_there) and visible(caller, owned, account_there.isolation):
            candidates.append((account_there, owned))
    if not candidates:
        raise unknown(object_id)
    if len(candidates) > 1:
        names = ", ".join(sorted(account.name for account, _ in candidates))
        raise InvalidRequest(
            f"The id {object_id!r} is known on several accounts ({names}): set x-tfy-provider-name.",
            param="x-tfy-provider-name",
            code="ambiguous_account",
        )
    account, owned = candidates[0]
    access.account_of(caller, account.name)  # tells a disabled account
    return account, owned


async def check_references(call: Call, account: AccountPicture) -> None:
    """Raise :class:`NotFound` unless every object that the request mentions is the caller's to use on ``account``."""
    for field, object_id in call.references:
        if not ID_FORM.match(object_id):
            continue  # not an id: {"container": {"type": "auto"}}, or a value that the upstream refuses better
        found = await objects.find(object_id, account.name)
        if found and visible(call.caller, found[0], account.isolation):
            continue
        if not found and account.isolation == "account":
            continue
        raise unknown(object_id, field)


def made_by(call: Call, fields: Fields) -> list[NewObject]:
    """Return the records for the objects that an answer brings into being, by the operation's kind."""
    kind = call.operation.makes
    maker = MAKERS.get(kind, _by_id)
    return maker(call, fields)


def text(fields: Fields, name: str) -> str:
    """Return a text field of an answer, empty when it is missing or no text."""
    raw = fields.get(name)
    if raw is None:
        return ""
    try:
        return _text.decode(raw) or ""
    except msgspec.DecodeError:
        return ""


def record_for(call: Call, kind: str, object_id: str, **details: Any) -> NewObject:
    """Return the record of an object that ``call`` made on the account that served it."""
    assert call.target is not None  # an answer came, so a target gave it
    return new_object(
        call.caller,
        call.target.account.name,
        kind,
        object_id,
        model_name=call.target.model.public_name if call.target.model.name else "",
        metadata=call.options.metadata,
        **details,
    )


def soon(seconds: float) -> datetime:
    """Return the moment ``seconds`` from now."""
    return datetime.now(UTC) + timedelta(seconds=seconds)


def _by_id(call: Call, fields: Fields) -> list[NewObject]:
    object_id = text(fields, "id")
    return [record_for(call, call.operation.makes, object_id, state=text(fields, "status")[:32])] if object_id else []


# Kinds whose answers make more than the one object that ``id`` names, or need more written down than that.
MAKERS: dict[str, Maker] = {}
