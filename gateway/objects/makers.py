"""What the answers of operations create: the records of new objects, by kind."""

from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from gateway.call.call import Call
from gateway.models import NewObject, Owned
from gateway.objects.records import new_object

Fields = Mapping[str, msgspec.Raw]
Maker = Callable[[Call, Fields], list[NewObject]]
Listener = Callable[[Call, bytes], Awaitable[None]]
_text = msgspec.json.Decoder(str | None)
# What to do with an event of a stream whose call is charged later, by the operation's kind.
LISTENERS: dict[str, Listener] = {}
# Kinds whose answers make more than the one object that ``id`` names, or need more written down than that.
MAKERS: dict[str, Maker] = {}


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


def soon(seconds: float) -> datetime:
    """Return the moment ``seconds`` from now."""
    return datetime.now(UTC) + timedelta(seconds=seconds)


def _by_id(call: Call, fields: Fields) -> list[NewObject]:
    object_id = text(fields, call.id_field)
    return [record_for(call, call.operation.makes, object_id, state=text(fields, "status")[:32])] if object_id else []
