"""Histories that were made on another account of the caller's: what of them goes to the account of a call."""

from collections.abc import Mapping

import msgspec

from gateway.body import travel
from gateway.body.references import find_references
from gateway.call.call import Call
from gateway.objects import ownership
from gateway.objects.store import objects
from gateway.state import state
from providers.snapshot import AccountSnapshot

Fields = Mapping[str, msgspec.Raw]
Reference = tuple[str, str]
_encode = msgspec.json.Encoder().encode


async def for_account(call: Call, account: AccountSnapshot) -> tuple[Fields, list[Reference]]:
    """Return the fields and the references of ``call`` as they are for ``account``, to be checked and sent there.

    They are the call's own unless complete items of its input carry ids of the caller's on other accounts: the items go
    on without those. A foreigner's ids stay where they are, and so do references. ``call`` is left as it is: its next
    target may be the account that made the items. Raises :class:`~gateway.call.errors.Unavailable` when the records
    can't be read.
    """
    if len(state.directory.accounts) < 2:
        return call.body.fields, call.references
    operation = call.endpoint
    carried = travel.carried_ids(call.body.seen_fields, operation)
    if not carried:
        return call.body.fields, call.references
    found = await objects.find_many(carried, account.name)
    elsewhere = {
        object_id
        for object_id, records in found.items()
        if all(owned.account_name != account.name for owned in records)
        and next(ownership.known_to(call.caller, records), None) is not None
    }
    if not elsewhere:
        return call.body.fields, call.references
    fields = travel.without_ids(call.body.fields, operation, elsewhere)
    left = find_references(_encode(fields), fields, operation)
    return fields, [pair for pair in call.references if pair[1] not in elsewhere or pair in left]
