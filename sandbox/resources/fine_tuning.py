"""`/v1/fine_tuning/jobs`: creating, retrieving, pausing, resuming and cancelling jobs; `fine_tuning_run.py` runs
them.
"""

import zlib
from functools import partial

from sandbox.errors import ApiError, missing_parameter
from sandbox.jobs import fine_tuning_job, fine_tuning_run, work
from sandbox.jobs.fine_tuning_job import Training
from sandbox.jobs.job import polled, vanished
from sandbox.misbehaviour import job_switches
from sandbox.store import paging, params, stored_files
from sandbox.store.collection import Collection
from sandbox.store.objects import Shape, page
from sandbox.store.params import Body
from sandbox.wire.messages import Answer, Request

MAX_SUFFIX = 64
MAX_INTEGRATIONS = 5
MAX_SEED = 2**31 - 1


def _missing(job_id: str) -> ApiError:
    message = f"Could not find fine tune: {job_id}"
    return ApiError(message, status=404, param="fine_tune_id", code="fine_tune_not_found")


def _complete(request: Request, shape: Shape, body: Body) -> None:
    method = fine_tuning_job.read_method(body)
    seed = params.integer(body, "seed", 0, MAX_SEED)
    shape.update(
        integrations=_integrations(body),
        method=method,
        # The same object, so that what is settled shows in both places.
        hyperparameters=method[method["type"]]["hyperparameters"],
        seed=zlib.crc32(shape["id"].encode()) >> 1 if seed is None else seed,
        user_provided_suffix=params.limited(body, "suffix", MAX_SUFFIX) or None,
    )


JOBS = Collection(
    "/v1/fine_tuning/jobs",
    "ftjob-",
    "fine_tuning.job",
    missing=_missing,
    required=("model", "training_file"),
    fields=dict.fromkeys(("training_file", "validation_file", "metadata")),
    fixed={
        "status": "validating_files",
        "organization_id": "org-sandbox",
        "result_files": [],
        **dict.fromkeys(("finished_at", "fine_tuned_model", "trained_tokens", "error", "estimated_finish")),
    },
    complete=_complete,
    hidden=vanished,
)


async def create(request: Request) -> Answer:
    body, app = request.json(), request.app
    JOBS.check_required(body)
    base = fine_tuning_job.find_base(app.state, params.model_name(body))
    find = partial(stored_files.of_purpose, app.state, body, purpose="fine-tune")
    training = find("training_file")
    validation = find("validation_file") if body.get("validation_file") else None
    shape = {**JOBS.shape(request, body), "model": base.shown}
    switches = job_switches.of_job(shape["metadata"], params.string(body, "suffix"))
    begun = app.state.now()
    job = Training(
        shape,
        base=base,
        training=training,
        validation=validation,
        switches=switches,
        suffix=params.string(body, "suffix"),
        begun=begun,
        ends=begun + switches.seconds(app.job_seconds),
    )
    JOBS.keep(request, job)
    running = fine_tuning_run.run(app, job)
    work.start(running, f"fine-tuning job {job.id}", lambda error: fine_tuning_run.fail(app.state, job, error))
    return JOBS.answer(request, job)


def _integrations(body: Body) -> list[Shape]:
    given = params.objects(body, "integrations")
    if len(given) > MAX_INTEGRATIONS:
        raise params.too_long("integrations", "array", MAX_INTEGRATIONS, len(given))
    chosen = []
    for index, item in enumerate(given):
        wandb = params.mapping(item, "wandb")
        if not wandb.get("project"):
            raise missing_parameter(f"integrations[{index}].wandb.project")
        chosen.append({"type": "wandb", "wandb": {"name": None, "entity": None, "tags": [], **wandb}})
    return chosen


async def list_jobs(request: Request) -> Answer:
    """Newest first; `metadata[key]=value` and `metadata=null` filter."""
    query = request.query()
    found = [job.shape for job in JOBS.store(request) if not vanished(request, job)]
    shapes = paging.with_metadata(found, query)
    return page(request, [shape for shape in shapes if query.get("metadata") != "null" or not shape["metadata"]])


async def cancel(request: Request) -> Answer:
    return _transition(request, "cancelled", "cancel", "The job was cancelled")


async def pause(request: Request) -> Answer:
    return _transition(request, "paused", "pause", "The job was paused")


async def resume(request: Request) -> Answer:
    if JOBS.find(request).status != "paused":
        raise ApiError(f"Job is not paused: {request.params['job_id']}", param="resume", code="invalid_resume_request")
    return _transition(request, "queued", "resume", "The job was resumed")


def _transition(request: Request, status: str, verb: str, message: str) -> Answer:
    job = JOBS.find(request)
    if not job.can(status):
        why = "has already completed" if job.is_over else f"cannot {verb} while {job.status}"
        raise ApiError(f"Job {why}: {job.id}", param=verb, code=f"invalid_{verb}_request")
    job.move(request.app.state, status)
    job.report(request.app.state, message)
    return JOBS.answer(request, job)


async def list_events(request: Request) -> Answer:
    return page(request, JOBS.find(request).events)


async def list_checkpoints(request: Request) -> Answer:
    return page(request, JOBS.find(request).checkpoints, limit=10)


ROUTES = JOBS.routes(
    "",
    create=create,
    list=list_jobs,
    retrieve=polled(JOBS),
    cancel=cancel,
    pause=pause,
    resume=resume,
    get_events=list_events,
    get_checkpoints=list_checkpoints,
)
