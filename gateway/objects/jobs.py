"""Batches and fine-tuning jobs, which callers list and control: their records, and what is known of them.

A record's ``data`` is ``{"body": the upstream's last body, "origin": who asked for it and how}``. ``due_at`` is set as
long as something is left to do: to poll again, to charge, to register a model. ``updated_at`` is when the upstream was
last heard."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from gateway.call.call import Call, JobInput
from gateway.call.operation import Creates, Fields
from gateway.models import NewObject, Owned, OwnedObject
from gateway.objects.deferred import FIRST_POLL
from gateway.objects.files import output_of, plain
from gateway.objects.job_kinds import BATCH, FINE_TUNING, KINDS, JobKind, may_become
from gateway.objects.makers import child_of
from gateway.objects.records import new_object

MODEL = "model"
CANCELLING = "cancelling"


def find(account_name: str, object_id: str) -> OwnedObject | None:
    """Return a job's record, with the moment when it was read as ``now``."""
    return OwnedObject.objects.named(account_name, object_id).alive().timed().first()


def note(account_name: str, object_id: str, body: dict[str, Any]) -> OwnedObject | None:
    """Store what the upstream says of a job, unless it comes from before what is known; return the record like
    :func:`find`.

    A job that is over is made due, so that what follows on its end is done soon; so is one that is to be cancelled,
    whatever it waited for."""
    row = find(account_name, object_id)
    if row is None:
        return None
    job, state = KINDS[row.kind], str(body.get("status") or "")[:32]
    if not may_become(job, row.state, state):
        return row
    now = row.now
    changes: dict[str, Any] = {"state": state, "data": {**row.data, "body": body}, "updated_at": now}
    changed = OwnedObject.objects.filter(pk=row.pk, state=row.state).update(**changes)
    if changed and job.is_over(state):
        OwnedObject.objects.filter(pk=row.pk, due_at__gt=now, fault="").update(due_at=now)
    elif changed and state == CANCELLING != row.state:
        OwnedObject.objects.filter(pk=row.pk, due_at__gt=now).update(due_at=now)
    return OwnedObject.objects.timed().get(pk=row.pk)


# --- what answers create ---------- -----------------------------------------------------------------------------------
def batch_of(call: Call, fields: Fields) -> list[NewObject]:
    """Return the record of a batch that was created."""
    return _new_job(call, BATCH, plain(fields))


def fine_tuning_of(call: Call, fields: Fields) -> list[NewObject]:
    """Return the record of a fine-tuning job that was created."""
    return _new_job(call, FINE_TUNING, plain(fields))


def seen(call: Call, fields: Fields) -> list[NewObject]:
    """Return what an answer about a job shows for the first time: the files that it wrote, the model that it made."""
    return children_of(call.parent, plain(fields)) if call.parent is not None else []


def children_of(job: Owned, body: Mapping[str, Any]) -> list[NewObject]:
    """Return the records of what a job created, as its body says: its owner has it."""
    files = [body.get("output_file_id"), body.get("error_file_id"), *(body.get("result_files") or [])]
    made = [output_of(job, file_id) for file_id in files if file_id and isinstance(file_id, str)]
    model = body.get("fine_tuned_model")
    if isinstance(model, str) and model:
        made.append(child_of(job, MODEL, model, parent_id=job.object_id))
    return made


def checkpoints_of(call: Call, fields: Fields) -> list[NewObject]:
    """Return the records of the models that a list of checkpoints shows."""
    if call.parent is None:
        return []
    names = [entry.get("fine_tuned_model_checkpoint") for entry in plain(fields).get("data") or []]
    return [child_of(call.parent, MODEL, name, parent_id=call.parent.object_id) for name in names if name]


def owned_of(row: OwnedObject) -> Owned:
    """Return what is remembered of a record."""
    return Owned(
        object_id=row.object_id,
        account_name=row.account_name,
        kind=row.kind,
        owner_key=row.owner_key,
        team_keys=tuple(row.team_keys),
        parent_id=row.parent_id,
        model_name=row.model_name,
        owner_name=row.owner_name,
        token_id=row.token_id,
    )


def _new_job(call: Call, job: JobKind, body: dict[str, Any]) -> list[NewObject]:
    if not isinstance(body.get("id"), str):
        return []
    assert call.target is not None  # an answer came, so a target gave it
    caller = call.caller
    asked = call.job or JobInput()
    given = {name: value for name, value in asdict(asked).items() if value and name != "batch_input"}
    origin = {
        "request_id": call.request_id,
        "token_prefix": caller.prefix,
        "teams": list(caller.teams),
        "tags": dict(caller.tags),
        **given,
    }
    public = sorted(set(asked.models.values()))
    return [
        new_object(
            caller,
            call.target.account.name,
            job.kind,
            body["id"],
            model_name=public[0] if len(public) == 1 else "",
            metadata=call.options.metadata,
            state=str(body.get("status") or "")[:32],
            data={"body": body, "origin": origin},
            due_in=FIRST_POLL,
        )
    ]


BATCH_CREATED = Creates(BATCH.kind, batch_of)
FINE_TUNING_CREATED = Creates(FINE_TUNING.kind, fine_tuning_of)
SEEN = Creates("job_seen", seen)
CHECKPOINTS = Creates("checkpoints", checkpoints_of)
