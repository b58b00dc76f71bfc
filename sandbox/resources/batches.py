"""`/v1/batches`: creating, retrieving and cancelling batches; `batch_run.py` runs them."""

from sandbox.errors import ApiError
from sandbox.jobs import batch_run, work
from sandbox.jobs.batch_job import Batch
from sandbox.jobs.job import polled, vanished
from sandbox.misbehaviour import job_switches
from sandbox.model.usage import plain_report
from sandbox.store import params, stored_files
from sandbox.store.collection import Collection
from sandbox.store.objects import Shape
from sandbox.store.params import Body
from sandbox.wire.messages import Answer, Request

WINDOW = 86_400  # seconds
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
_LATER = ("in_progress", "finalizing", "completed", "failed", "expired", "cancelling", "cancelled")


def _check(request: Request, shape: Shape, body: Body) -> None:
    params.choice(body, "endpoint", ENDPOINTS, "")
    params.choice(body, "completion_window", ("24h",), "")
    shape["expires_at"] = shape["created_at"] + WINDOW


BATCHES = Collection(
    "/v1/batches",
    "batch_",
    "batch",
    digits=32,
    required=("input_file_id", "endpoint", "completion_window"),
    fields=dict.fromkeys(("input_file_id", "endpoint", "completion_window", "metadata")),
    fixed={
        "status": "validating",
        **dict.fromkeys(("model", "errors", "output_file_id", "error_file_id")),
        **{f"{status}_at": None for status in _LATER},
        "request_counts": {"total": 0, "completed": 0, "failed": 0},
        "usage": plain_report(),
    },
    complete=_check,
    hidden=vanished,
)


async def create(request: Request) -> Answer:
    body, app = request.json(), request.app
    shape = BATCHES.shape(request, body)
    switches = job_switches.of_job(shape["metadata"])
    begun = app.state.now()
    batch = Batch(
        shape,
        input=stored_files.of_purpose(app.state, body, "input_file_id", "batch"),
        switches=switches,
        authorization=request.headers.get(b"authorization", b""),
        output_expires_in=stored_files.expires_in(body, "output_expires_after"),
        begun=begun,
        ends=begun + switches.seconds(app.job_seconds),
    )
    BATCHES.keep(request, batch)
    work.start(batch_run.run(app, batch), f"batch {batch.id}", lambda error: batch_run.fail(app.state, batch, error))
    return BATCHES.answer(request, batch)


async def cancel(request: Request) -> Answer:
    """Twice is as good as once, also when the first has taken effect already."""
    batch = BATCHES.find(request)
    if batch.status not in ("cancelling", "cancelled"):
        if not batch.can("cancelling"):
            raise ApiError(f"Cannot cancel a batch with status '{batch.status}'.", status=409)
        batch.move(request.app.state, "cancelling")
    return BATCHES.answer(request, batch)


ROUTES = BATCHES.routes("list", create=create, retrieve=polled(BATCHES), cancel=cancel)
