"""What the passthrough's rows make and refer to: records of threads and runs, ids in a row's own fields, models by
record.
"""

import json
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import msgspec

from gateway.access import models as access
from gateway.access.grants import may_call_all
from gateway.body.json import text_of
from gateway.body.references import INERT_FIELDS
from gateway.call.call import Call
from gateway.call.errors import InvalidRequest, ModelNotFound
from gateway.call.operation import Creates, Fields
from gateway.models import NewObject, OwnedObject
from gateway.objects import deferred
from gateway.objects.job_kinds import VIDEO
from gateway.objects.makers import by_id, child_of, record_for, text
from gateway.objects.resource_table import EVAL_RUN, RUN, SESSION, Resource
from gateway.objects.store import objects
from providers.snapshot import AccountSnapshot

THREAD = "thread"
SUBMIT = "submit_tool_outputs"
# What callers call things themselves: names in there refer to nothing.
INERT = INERT_FIELDS | {"env", "headers", "request_metadata"}


def thread_objects(call: Call, fields: Fields) -> list[NewObject]:
    """Return the records of the thread and the run that an answer, or an event of its stream, reports."""
    made = []
    kind = text(fields, "object")
    thread_id = text(fields, "id") if kind == THREAD else text(fields, "thread_id")
    if thread_id and call.operation.creates is not None and call.operation.creates.kind == THREAD:
        made.append(record_for(call, THREAD, thread_id))
    if kind == "thread.run" and text(fields, "id"):
        made.append(record_for(call, RUN, text(fields, "id"), parent_id=thread_id, **_due(call)))
    return made


def eval_run_objects(call: Call, fields: Fields) -> list[NewObject]:
    """Return the record of an eval's run, which is charged when it is over."""
    run_id = text(fields, "id")
    if not run_id:
        return []
    return [record_for(call, EVAL_RUN, run_id, parent_id=text(fields, "eval_id"), **_due(call))]


def _due(call: Call) -> dict[str, Any]:
    """Return what lets a job poll an object until it is over, when its call is charged then."""
    if call.operation.charges:
        return {}
    return {"data": deferred.kept_for_charge(call), "due_in": deferred.FIRST_POLL}


def video_objects(call: Call, fields: Fields) -> list[NewObject]:
    """Return the record of a video. It is charged when it is begun: one that fails later gets a correction."""
    video_id, state = text(fields, "id"), text(fields, "status")[:32]
    if not video_id:
        return []
    followed = {} if state == "completed" else {"data": deferred.kept_for_charge(call), "due_in": deferred.FIRST_POLL}
    return [record_for(call, VIDEO.kind, video_id, state=state, **followed)]


async def charge_later(call: Call, account: AccountSnapshot, row: Resource, place: tuple[str, ...]) -> None:
    """Leave what a run uses that is polled to :mod:`gateway.jobs.charge`: its call is free.

    A streamed run reports its own usage. One that was polled before is charged once, however its tools' outputs are
    sent.
    """
    polled = not call.stream
    if row.kind == THREAD and place[-1:] == (SUBMIT,):
        polled = await objects.run(is_polled, account.name, place[2])
    if call.operation.charges and polled and (row.kind == THREAD or row.makes.get("runs") == EVAL_RUN):
        call.operation = replace(call.operation, charges=False)


def is_polled(account_name: str, run_id: str) -> bool:
    """Whether a run is charged at its end, by the job that polls it."""
    known = OwnedObject.objects.named(account_name, run_id).filter(kind=RUN)
    return known.exclude(data={}).exists()


class AgentObject(msgspec.Struct):
    """What is read of an answer, or of an event, about agents: a session, or what names or holds one."""

    id: str | None = None
    object: str | None = None
    session_id: str | None = None
    session: "AgentObject | None" = None
    environment: "AgentObject | None" = None
    data: "list[AgentObject] | None" = None


_decoder = msgspec.json.Decoder(AgentObject)


def agent_objects(call: Call, fields: Fields) -> list[NewObject]:
    """Return the records of the sessions that an answer about agents reports, and of the environments that were made
    for them.

    What was created for an object belongs to that object's owner; an owner is known only when the object has a
    record.
    """
    try:
        answer = _decoder.decode(msgspec.json.encode(fields))
    except (ValueError, RecursionError):
        return []
    found = [
        pair for entry in (answer, answer.session, *(answer.data or ())) if entry is not None for pair in _made(entry)
    ]
    if call.parent is not None:
        return [child_of(call.parent, kind, object_id) for kind, object_id in found]
    makes = call.method == "POST" and "{id}" not in call.endpoint
    return [record_for(call, kind, object_id) for kind, object_id in found] if makes else []


def _made(answer: AgentObject) -> Iterable[tuple[str, str]]:
    """Yield kind and id of what a session, or an automation's invocation, reports."""
    if answer.object == "agent.session":
        yield SESSION, answer.id or ""
        if answer.environment is not None and answer.environment.id:
            yield "agent_environment", answer.environment.id
    elif answer.object == "agent.automation.invocation" and answer.session_id:
        yield SESSION, answer.session_id


SPECIAL = {
    row.kind: row
    for row in (
        Creates(THREAD, thread_objects),
        Creates(RUN, thread_objects),
        Creates(SESSION, agent_objects),
        Creates(EVAL_RUN, eval_run_objects),
        Creates(VIDEO.kind, video_objects),
    )
}


def creates(kind: str) -> Creates | None:
    """Return what an answer of a resource creates whose table says ``kind``; ``None`` when that is empty."""
    return SPECIAL.get(kind) or (by_id(kind) if kind else None)


def own_references(row: Resource, fields: Fields) -> list[tuple[str, str]]:
    """Return ``(field, id)`` for the ids in a row's own fields, however deep: an id, an object with one, or a list of
    them.

    Raises :class:`~gateway.call.errors.InvalidRequest` for such a field that is given twice: another reader could see
    the other one.
    """
    found: dict[tuple[str, str], None] = {}
    pending = [_read(row, name, raw) for name, raw in fields.items() if name not in INERT] if row.refers else []
    while pending:
        node = pending.pop()
        if isinstance(node, list):
            pending.extend(entry for entry in node if isinstance(entry, dict | list))
            continue
        for name, child in node.items():
            if name in row.refers:
                found.update(((name, object_id), None) for object_id in _ids(child))
            if isinstance(child, dict | list) and name not in INERT:
                pending.append(child)
    return list(found)


def _read(row: Resource, name: str, raw: msgspec.Raw) -> Any:
    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        names = [key for key, _ in pairs if key in row.refers]
        if len(set(names)) != len(names):
            raise InvalidRequest("A field is given twice in one object.", param=name[:80], code="duplicate_field")
        return dict(pairs)

    try:
        return {name: json.loads(bytes(raw), object_pairs_hook=unique)}
    except (ValueError, RecursionError):
        raise InvalidRequest(f"We could not parse {name[:80]!r}.", param=name[:80], code="invalid_json") from None


def _ids(value: Any) -> Iterable[str]:
    entries = value if isinstance(value, list) else [value]
    for entry in entries:
        object_id = entry.get("id") if isinstance(entry, dict) else entry
        if isinstance(object_id, str) and object_id:
            yield object_id


async def find_model(call: Call, account: AccountSnapshot, row: Resource, root: str, segments: tuple[str, ...]) -> None:
    """Let a billed call that names no model be paid by that of the object it goes on from: ``call.payer``.

    A run goes on from its assistant, a remix from its video, a session from its agent. Raises
    :class:`~gateway.call.errors.ModelNotFound` when the caller may not call that model.
    """
    if not row.model or not call.operation.charges or call.model_asked or call.payer is not None:
        return
    if row.kind == THREAD:
        sources = [segments[2] if segments[-1:] == (SUBMIT,) else text_of(call.body.fields.get("assistant_id"))]
    else:
        named = [object_id for name, object_id in call.references if name in row.refers]
        sources = [root] if root else [*(each for name, each in call.references if name == "agent_id"), *named]
    known = await objects.run(models_of, account.name, sources) if any(sources) else {}
    found = next((known[source] for source in sources if source in known), "")
    if not found and row.unnamed and not may_call_all(call.caller, account):
        raise ModelNotFound(
            f"Which model this would take is not known, and some models of the provider account {account.name!r} are "
            "not yours to call. Name a video that was made through Gatehouse.",
            param="video",
        )
    if found:
        call.payer = access.resolve(call.caller, found, account.name).model


def models_of(account_name: str, object_ids: list[str]) -> dict[str, str]:
    """Return the models that the objects' records name, ``account/model``, by the objects' ids."""
    known = OwnedObject.objects.alive().filter(account_name=account_name, object_id__in=object_ids)
    return {object_id: name for object_id, name in known.values_list("object_id", "model_name") if "/" in name}


def keep_model(account_name: str, object_id: str, model_name: str) -> None:
    """Record that an object has another model now."""
    OwnedObject.objects.named(account_name, object_id).update(model_name=model_name)
