"""The records of what answers create: one object by its id, children of a parent, and the fields that they are read
from.
"""

from functools import cache
from typing import Any

import msgspec

from gateway.call.call import Call
from gateway.call.operation import Creates, Fields
from gateway.models import NewObject, Owned
from gateway.objects.records import new_object

_text = msgspec.json.Decoder(str | None)


@cache
def by_id(kind: str) -> Creates:
    """Return the row of an operation that creates one object of ``kind``, which the answer's id names."""

    def records(call: Call, fields: Fields) -> list[NewObject]:
        object_id = text(fields, call.id_field)
        return [record_for(call, kind, object_id, state=text(fields, "status")[:32])] if object_id else []

    return Creates(kind, records)


def text(fields: Fields, name: str) -> str:
    """Return a string field of an answer, empty when it is missing or not a string."""
    raw = fields.get(name)
    if raw is None:
        return ""
    try:
        return _text.decode(raw) or ""
    except ValueError:
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


def child_of(parent: Owned, kind: str, object_id: str, **details: Any) -> NewObject:
    """Return the record of an object that an answer showed as part of ``parent``: it has the same owner."""
    return NewObject(
        object_id=object_id,
        account_name=parent.account_name,
        kind=kind,
        owner_key=parent.owner_key,
        owner_name=parent.owner_name,
        team_keys=parent.team_keys,
        token_id=parent.token_id,
        model_name=parent.model_name,
        **details,
    )
