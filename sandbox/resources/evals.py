"""`/v1/evals`, their runs, and what came out; `eval_run.py` runs them."""

from typing import Any

from sandbox.jobs import eval_run, grading, work
from sandbox.jobs.eval_run import OUTPUT_ITEMS
from sandbox.store import params
from sandbox.store.collection import Collection
from sandbox.store.objects import Shape, check_active
from sandbox.store.params import Body
from sandbox.wire.messages import Answer, Request
from sandbox.wire.routing import Route

SOURCES = ("custom", "logs", "stored_completions")
RUN_SOURCES = ("jsonl", "completions", "responses")
_ASCENDING = {"order": "asc"}


def _complete(request: Request, shape: Shape, body: Body) -> None:
    if "testing_criteria" in shape:
        return
    config = _data_source(params.mapping(body, "data_source_config"))
    criteria = params.objects(body, "testing_criteria")
    for index, grader in enumerate(criteria):
        grading.check(grader, f"testing_criteria[{index}]")
    new_id = request.app.state.new_id
    shape["data_source_config"] = config
    shape["testing_criteria"] = [{"id": new_id("grader_"), **grader} for grader in criteria]


def _data_source(config: Body) -> Shape:
    """OpenAI's answer to a `data_source_config`: the schema that rows will have."""
    kind = params.choice(config, "type", SOURCES, "")
    if kind != "custom":
        return {"type": kind, "metadata": config.get("metadata") or {}, "schema": {"type": "object", "properties": {}}}
    properties = {"item": params.required(config, "item_schema")}
    if params.boolean(config, "include_sample_schema"):
        properties["sample"] = {"type": "object", "properties": {"output_text": {"type": "string"}}}
    schema = {"type": "object", "properties": properties, "required": list(properties)}
    return {"type": "custom", "schema": schema}


EVALS = Collection(
    "/v1/evals",
    "eval_",
    "eval",
    digits=32,
    required=("data_source_config", "testing_criteria"),
    fields={"name": "", "metadata": {}},
    complete=_complete,
    paging=_ASCENDING,
    created=201,
    deleted_id="eval_id",
)
RUNS = Collection(
    "runs",
    "evalrun_",
    "eval.run",
    parent=EVALS,
    digits=32,
    fields={"name": "", "metadata": {}},
    fixed={"status": "queued", "error": None, "per_model_usage": []},
    filters=("status",),
    paging=_ASCENDING,
    created=201,
    deleted_id="run_id",
)
ITEMS = Collection(
    OUTPUT_ITEMS,
    "outputitem_",
    "eval.run.output_item",
    parent=RUNS,
    filters=("status",),
    paging=_ASCENDING,
)


async def create_run(request: Request) -> Answer:
    evaluation, body, app = EVALS.find(request), request.json(), request.app
    params.required(body, "data_source")
    source = params.mapping(body, "data_source")
    params.choice(source, "type", RUN_SOURCES, "")
    rows = eval_run.rows(app.state, source)
    criteria: list[dict[str, Any]] = evaluation.shape["testing_criteria"]
    run = RUNS.new(
        request,
        body,
        rows,
        model=source.get("model") or "",
        result_counts={"total": len(rows), "errored": 0, "failed": 0, "passed": 0},
        per_testing_criteria_results=[{"testing_criteria": one["id"], "passed": 0, "failed": 0} for one in criteria],
        data_source=source,
    )
    run.shape["report_url"] = f"https://platform.openai.com/evaluations/{evaluation.id}?run_id={run.id}"
    ends = app.state.now() + app.job_seconds
    work.start(eval_run.run(app, evaluation, run, ends), f"eval run {run.id}", lambda error: eval_run.fail(run, error))
    return RUNS.answer(request, run, 201)


async def cancel_run(request: Request) -> Answer:
    run = RUNS.find(request)
    check_active(run, "a run", "queued", "in_progress")
    run.shape["status"] = "canceled"
    return RUNS.answer(request, run)


ROUTES: tuple[Route, ...] = (
    *EVALS.routes("create list retrieve update delete"),
    # The description cancels by a POST to the run itself, the SDK by the word behind it.
    *RUNS.routes("list retrieve delete", create=create_run, update=cancel_run, cancel=cancel_run),
    *ITEMS.routes("list retrieve"),
)
