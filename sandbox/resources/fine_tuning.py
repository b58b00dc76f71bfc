"""`/v1/fine_tuning/jobs`: making, watching and steering jobs; `fine_tuning_run.py` runs them."""

import re
from typing import Any

from sandbox.errors import ApiError, invalid_type, missing_parameter
from sandbox.jobs import fine_tuning_job, fine_tuning_run, work
from sandbox.jobs.fine_tuning_job import Job
from sandbox.misbehaviour import job_switches
from sandbox.state import State, Store
from sandbox.store import paging, params, stored_files
from sandbox.store.auth import owned
from sandbox.store.params import Body
from sandbox.store.stored_files import StoredFile
from sandbox.wire.messages import Answer, Request, json_response
from sandbox.wire.routing import Route

STORE = "fine-tuning-jobs"
MAX_SUFFIX = 64
MAX_INTEGRATIONS = 5
_METADATA = re.compile(r"metadata\[(.+)\]$")


async def create(request: Request) -> Answer:
    body, app = request.json(), request.app
    for name in ("model", "training_file"):
        params.required(body, name)
    base = fine_tuning_job.find_base(app.state, params.model_name(body))
    suffix = params.string(body, "suffix")
    if len(suffix) > MAX_SUFFIX:
        raise ApiError(
            f"Invalid 'suffix': string too long. Expected a string with maximum length {MAX_SUFFIX}, but got a string "
            f"with length {len(suffix)} instead.",
            param="suffix",
            code="string_above_max_length",
        )
    training = _file(app.state, body, "training_file")
    validation = _file(app.state, body, "validation_file") if body.get("validation_file") else None
    body = {**body, "integrations": _integrations(app.state, body)}
    shape = fine_tuning_job.shape(app.state, body, base, fine_tuning_job.read_method(body))
    wanted = job_switches.of_job(shape["metadata"], suffix)
    begun = app.state.now()
    ends = begun + wanted.seconds(app.job_seconds)
    job = Job(shape, base, training, validation, wanted, suffix, begun, ends)
    _jobs(app.state).put(job.id, job)
    work.start(fine_tuning_run.run(app, job))
    return json_response(shape)


def _file(state: State, body: Body, name: str) -> StoredFile:
    stored = stored_files.find(state, params.string(body, name), name, 400)
    if stored.shape["purpose"] != "fine-tune":
        raise ApiError(
            f"Invalid file purpose: '{stored.shape['purpose']}'. The {name} must be uploaded with the purpose "
            "'fine-tune'.",
            param=name,
            code="invalid_file_purpose",
        )
    return stored


def _integrations(state: State, body: Body) -> list[dict[str, Any]]:
    given = body.get("integrations") or []
    if not isinstance(given, list) or len(given) > MAX_INTEGRATIONS:
        raise invalid_type("integrations", f"an array of at most {MAX_INTEGRATIONS} objects", given)
    chosen = []
    for index, item in enumerate(given):
        wandb = params.mapping(item, "wandb") if isinstance(item, dict) else {}
        if not wandb.get("project"):
            raise missing_parameter(f"integrations[{index}].wandb.project")
        chosen.append({"type": "wandb", "wandb": {"name": None, "entity": None, "tags": [], **wandb}})
    return chosen


async def list_jobs(request: Request) -> Answer:
    """Newest first; `metadata[key]=value` and `metadata=null` filter."""
    query = request.query()
    wanted = {match[1]: value for name, value in query.items() if (match := _METADATA.match(name))}
    shapes = []
    for job in _jobs(request.app.state):
        found = job.shape["metadata"] or {}
        fits = all(found.get(key) == value for key, value in wanted.items())
        if fits and not (query.get("metadata") == "null" and found) and not job.switches.vanished:
            shapes.append(job.shape)
    return json_response(paging.page(shapes, query))


async def retrieve(request: Request) -> Answer:
    job = _find(request)
    error = job.switches.poll()
    if error is not None:
        raise error
    return json_response(job.shape)


async def cancel(request: Request) -> Answer:
    return _steer(request, "cancelled", "cancel", "The job was cancelled")


async def pause(request: Request) -> Answer:
    return _steer(request, "paused", "pause", "The job was paused")


async def resume(request: Request) -> Answer:
    if _find(request).status != "paused":
        raise ApiError(f"Job is not paused: {request.params['job_id']}", param="resume", code="invalid_resume_request")
    return _steer(request, "queued", "resume", "The job was resumed")


def _steer(request: Request, status: str, verb: str, message: str) -> Answer:
    job = _find(request)
    if not job.can(status):
        why = "has already completed" if job.is_over else f"cannot {verb} while {job.status}"
        raise ApiError(f"Job {why}: {job.id}", param=verb, code=f"invalid_{verb}_request")
    job.move(request.app.state, status)
    job.tell(request.app.state, message)
    return json_response(job.shape)


async def list_events(request: Request) -> Answer:
    return json_response(paging.page(_find(request).events, request.query()))


async def list_checkpoints(request: Request) -> Answer:
    return json_response(paging.page(_find(request).checkpoints, request.query(), limit=10))


def _find(request: Request) -> Job:
    job_id = request.params["job_id"]
    job: Job | None = _jobs(request.app.state).get(job_id)
    if job is None or job.switches.vanished:
        raise ApiError(
            f"Could not find fine tune: {job_id}", status=404, param="fine_tune_id", code="fine_tune_not_found"
        )
    return job


def _jobs(state: State) -> Store[str, Job]:
    return owned(state, STORE)


ROUTES = (
    Route("POST", "/v1/fine_tuning/jobs", create),
    Route("GET", "/v1/fine_tuning/jobs", list_jobs),
    Route("GET", "/v1/fine_tuning/jobs/{job_id}", retrieve),
    Route("POST", "/v1/fine_tuning/jobs/{job_id}/cancel", cancel),
    Route("POST", "/v1/fine_tuning/jobs/{job_id}/pause", pause),
    Route("POST", "/v1/fine_tuning/jobs/{job_id}/resume", resume),
    Route("GET", "/v1/fine_tuning/jobs/{job_id}/events", list_events),
    Route("GET", "/v1/fine_tuning/jobs/{job_id}/checkpoints", list_checkpoints),
)
