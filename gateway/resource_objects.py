"""What the passthrough's rows make and refer to: records of threads and runs, ids in a row's own fields, models by record."""

from collections.abc import Iterable
from typing import Any

import msgspec

from gateway.body import text_of
from gateway.call import Call
from gateway.models import OwnedObject
from gateway.objects import NewObject, objects
from gateway.ownership import Fields, Maker, record_for, text
from gateway.policies import access
from gateway.resources import RUN, Resource
from providers.picture import AccountPicture

THREAD = "thread"
SUBMIT = "submit_tool_outputs"
_decode = msgspec.json.Decoder().decode


def thread_objects(call: Call, fields: Fields) -> list[NewObject]:
    """Return the records of the thread and the run that an answer, or an event of its stream, tells."""
    made = []
    kind = text(fields, "object")
    thread_id = text(fields, "id") if kind == THREAD else text(fields, "thread_id")
    if thread_id and call.operation.makes == THREAD:
        made.append(record_for(call, THREAD, thread_id))
    if kind == "thread.run" and text(fields, "id"):
        made.append(record_for(call, RUN, text(fields, "id")))
    return made


MAKERS: dict[str, Maker] = {THREAD: thread_objects, RUN: thread_objects}


def own_references(row: Resource, fields: Fields) -> list[tuple[str, str]]:
    """Return ``(field, id)`` for the ids that stand in a row's own fields: an id, an object with one, or a list of them."""
    found = []
    for name in row.refers & fields.keys():
        found += [(name, object_id) for object_id in _ids(_decode(fields[name]))]
    return found


def _ids(value: Any) -> Iterable[str]:
    entries = value if isinstance(value, list) else [value]
    for entry in entries:
        object_id = entry.get("id") if isinstance(entry, dict) else entry
        if isinstance(object_id, str) and object_id:
            yield object_id


async def find_model(call: Call, account: AccountPicture, row: Resource, root: str, segments: tuple[str, ...]) -> None:
    """Let a billed call that names no model be paid by that of the object it goes on from: ``call.notes["model"]``.

    A run goes on from its assistant, a remix from its video. Raises :class:`~gateway.errors.ModelNotFound` when the caller
    may not call that model.
    """
    if not row.model or not call.operation.charges or call.model_asked:
        return
    if row.kind == THREAD:
        source = segments[2] if segments[-1:] == (SUBMIT,) else text_of(call.fields.get("assistant_id"))
    else:
        source = root or next((object_id for name, object_id in call.references if name in row.refers), "")
    name = await objects.run(model_of, account.name, source) if source else ""
    if "/" in name:
        call.notes["model"] = access.resolve(call.caller, name, account.name).model


def model_of(account_name: str, object_id: str) -> str:
    """Return the model that an object's record names, ``account/model``; empty when it is not known."""
    row = OwnedObject.objects.filter(account_name=account_name, object_id=object_id, deleted_at=None).first()
    return row.model_name if row is not None else ""


def keep_model(account_name: str, object_id: str, model_name: str) -> None:
    """Write down that an object has another model now."""
    OwnedObject.objects.filter(account_name=account_name, object_id=object_id).update(model_name=model_name)
