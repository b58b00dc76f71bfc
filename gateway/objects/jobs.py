"""Work that an upstream finishes later: batches and fine-tuning jobs. Their states, their records, and what is known of them.

A record's ``data`` is ``{"body": the upstream's last body, "origin": who asked for it and how}``. ``due_at`` is set as long as
something is left to do: to ask again, to charge, to register a model. ``updated_at`` is when the upstream was last heard.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cache
from typing import Any

from django.utils import timezone

from gateway.call.call import Call, JobInput
from gateway.call.operation import Creates, Fields
from gateway.models import NewObject, Owned, OwnedObject
from gateway.objects.files import output_of, plain
from gateway.objects.makers import child_of, soon
from gateway.objects.records import new_object

FIRST_LOOK_SECONDS = 2.0
MODEL = "model"
CANCELLING = "cancelling"


@dataclass(frozen=True, slots=True, eq=False)
class JobKind:
    """A kind of job. ``transitions`` says where each state may lead; states that lead nowhere are the end."""

    kind: str
    path: str
    ability: str
    transitions: Mapping[str, tuple[str, ...]]

    def is_over(self, state: str) -> bool:
        """Whether nothing follows on ``state``."""
        return self.transitions.get(state) == ()

    @property
    def ends(self) -> list[str]:
        """The states that lead nowhere."""
        return [state for state, after in self.transitions.items() if not after]


BATCH = JobKind(
    "batch",
    "batches",
    "batches",
    {
        "validating": ("in_progress", "failed", "cancelling", "expired"),
        "in_progress": ("finalizing", "failed", "cancelling", "expired"),
        "finalizing": ("completed", "failed", "cancelling", "expired"),
        "cancelling": ("cancelled", "completed", "failed", "expired"),
        "completed": (),
        "failed": (),
        "expired": (),
        "cancelled": (),
    },
)
FINE_TUNING = JobKind(
    "fine_tuning.job",
    "fine_tuning/jobs",
    "fine_tuning",
    {
        "validating_files": ("queued", "failed", "cancelled"),
        "queued": ("running", "paused", "failed", "cancelled"),
        "running": ("succeeded", "paused", "failed", "cancelled"),
        "paused": ("queued", "running", "failed", "cancelled"),
        "succeeded": (),
        "failed": (),
        "cancelled": (),
    },
)
KINDS: dict[str, JobKind] = {job.kind: job for job in (BATCH, FINE_TUNING)}


@cache
def reachable(job: JobKind, state: str) -> frozenset[str]:
    """Return the states that ``state`` may lead to over any number of steps: a look may miss some. Itself is one."""
    found, pending = {state}, [state]
    while pending:
        for after in job.transitions.get(pending.pop(), ()):
            if after not in found:
                found.add(after)
                pending.append(after)
    return frozenset(found)


def may_become(job: JobKind, before: str, after: str) -> bool:
    """Whether a job last seen in ``before`` can be in ``after`` now. What no table knows may follow on anything but an end."""
    if job.is_over(before):
        return before == after
    if before not in job.transitions or after not in job.transitions:
        return True
    return after in reachable(job, before)


def find(account_name: str, object_id: str) -> OwnedObject | None:
    """Return a job's record."""
    return OwnedObject.objects.filter(account_name=account_name, object_id=object_id, deleted_at=None).first()


def note(account_name: str, object_id: str, body: dict[str, Any]) -> OwnedObject | None:
    """Write down what the upstream says of a job, unless it comes from before what is known; return the record.

    A job that is over is made due, so that what follows on its end is done soon; so is one that is to be cancelled, whatever
    it waited for.
    """
    row = find(account_name, object_id)
    if row is None:
        return None
    job, state = KINDS[row.kind], str(body.get("status") or "")[:32]
    if not may_become(job, row.state, state):
        return row
    now = timezone.now()
    changes: dict[str, Any] = {"state": state, "data": {**row.data, "body": body}, "updated_at": now}
    changed = OwnedObject.objects.filter(pk=row.pk, state=row.state).update(**changes)
    if changed and job.is_over(state):
        OwnedObject.objects.filter(pk=row.pk, due_at__gt=now, fault="").update(due_at=now)
    elif changed and state == CANCELLING != row.state:
        OwnedObject.objects.filter(pk=row.pk, due_at__gt=now).update(due_at=now)
    return OwnedObject.objects.get(pk=row.pk)


# --- what answers bring into being -----------------------------------------------------------------------------------
def batch_of(call: Call, fields: Fields) -> list[NewObject]:
    """Return the record of a batch that was created."""
    return _new_job(call, BATCH, plain(fields))


def fine_tuning_of(call: Call, fields: Fields) -> list[NewObject]:
    """Return the record of a fine-tuning job that was created."""
    return _new_job(call, FINE_TUNING, plain(fields))


def seen(call: Call, fields: Fields) -> list[NewObject]:
    """Return what a look at a job shows for the first time: the files that it wrote, the model that it made."""
    return children_of(call.parent, plain(fields)) if call.parent is not None else []


def children_of(job: Owned, body: Mapping[str, Any]) -> list[NewObject]:
    """Return the records of what a job brought into being, as its body tells: its owner has it."""
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
            due_at=soon(FIRST_LOOK_SECONDS),
        )
    ]


BATCH_CREATED = Creates(BATCH.kind, batch_of)
FINE_TUNING_CREATED = Creates(FINE_TUNING.kind, fine_tuning_of)
SEEN = Creates("job_seen", seen)
CHECKPOINTS = Creates("checkpoints", checkpoints_of)
