"""`/v1/batches`: making, watching and cancelling batches; `batch_run.py` runs them."""

from sandbox.errors import ApiError
from sandbox.jobs import batch_job, batch_run, work
from sandbox.jobs.batch_job import Job
from sandbox.misbehaviour import job_switches
from sandbox.state import State, Store
from sandbox.store import paging, params, stored_files
from sandbox.store.auth import owned
from sandbox.wire.messages import Answer, Request, json_response
from sandbox.wire.routing import Route

STORE = "batches"
ENDPOINTS = (
    "/v1/responses",
    "/v1/chat/completions",
    "/v1/embeddings",
    "/v1/completions",
    "/v1/moderations",
    "/v1/images/generations",
    "/v1/images/edits",
    "/v1/videos",
)


async def create(request: Request) -> Answer:
    body, app = request.json(), request.app
    for name in ("input_file_id", "endpoint", "completion_window"):
        params.required(body, name)
    params.choice(body, "endpoint", ENDPOINTS, "")
    params.choice(body, "completion_window", ("24h",), "")
    metadata = params.metadata(body) if body.get("metadata") is not None else None
    wanted = job_switches.of_job(metadata)
    stored = stored_files.find(app.state, params.string(body, "input_file_id"), "input_file_id", 400)
    if stored.shape["purpose"] != "batch":
        raise ApiError(
            f"Invalid file purpose: '{stored.shape['purpose']}'. The input file of a batch must be uploaded with the "
            "purpose 'batch'.",
            param="input_file_id",
        )
    begun = app.state.now()
    job = Job(
        shape=batch_job.shape(app.state, body, metadata),
        input=stored,
        switches=wanted,
        authorization=request.headers.get(b"authorization", b""),
        output_expires_in=stored_files.expires_in(body, "output_expires_after"),
        begun=begun,
        ends=begun + wanted.seconds(app.job_seconds),
    )
    _jobs(app.state).put(job.id, job)
    work.start(batch_run.run(app, job))
    return json_response(job.shape)


async def list_batches(request: Request) -> Answer:
    shapes = [job.shape for job in _jobs(request.app.state) if not job.switches.vanished]
    return json_response(paging.page(shapes, request.query()))


async def retrieve(request: Request) -> Answer:
    job = _find(request)
    error = job.switches.poll()
    if error is not None:
        raise error
    return json_response(job.shape)


async def cancel(request: Request) -> Answer:
    job = _find(request)
    if job.status != "cancelling":
        if not job.can("cancelling"):
            raise ApiError(f"Cannot cancel a batch with status '{job.status}'.", status=409)
        job.move(request.app.state, "cancelling")
    return json_response(job.shape)


def _find(request: Request) -> Job:
    batch_id = request.params["batch_id"]
    job: Job | None = _jobs(request.app.state).get(batch_id)
    if job is None or job.switches.vanished:
        raise ApiError(f"No batch found with id '{batch_id}'.", status=404)
    return job


def _jobs(state: State) -> Store[str, Job]:
    return owned(state, STORE)


ROUTES = (
    Route("POST", "/v1/batches", create),
    Route("GET", "/v1/batches", list_batches),
    Route("GET", "/v1/batches/{batch_id}", retrieve),
    Route("POST", "/v1/batches/{batch_id}/cancel", cancel),
)
