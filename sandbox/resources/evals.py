"""`/v1/evals`, their runs, and what came out; `eval_run.py` runs them."""

from typing import Any

from sandbox.errors import ApiError, invalid_type
from sandbox.jobs import eval_run, grading, work
from sandbox.store import params
from sandbox.store.objects import Item, find, items, page
from sandbox.store.params import Body
from sandbox.wire.messages import Answer, Request, json_response
from sandbox.wire.routing import Route

STORE = "evals"
SOURCES = ("custom", "logs", "stored_completions")
RUN_SOURCES = ("jsonl", "completions", "responses")


async def create(request: Request) -> Answer:
    body, state = request.json(), request.app.state
    config = _data_source(params.required(body, "data_source_config"))
    criteria = params.required(body, "testing_criteria")
    if not isinstance(criteria, list):
        raise invalid_type("testing_criteria", "an array of objects", criteria)
    for index, grader in enumerate(criteria):
        grading.check(grader, f"testing_criteria[{index}]")
    evaluation = Item(
        {
            "id": state.new_id("eval_", 32),
            "object": "eval",
            "created_at": state.created(),
            "name": params.string(body, "name"),
            "data_source_config": config,
            "testing_criteria": [{"id": state.new_id("grader_"), **grader} for grader in criteria],
            "metadata": params.metadata(body),
        }
    )
    items(request, STORE).put(evaluation.id, evaluation)
    return json_response(evaluation.shape, 201)


def _data_source(config: Any) -> dict[str, Any]:
    """OpenAI's answer to a `data_source_config`: the schema that rows will have."""
    if not isinstance(config, dict):
        raise invalid_type("data_source_config", "an object", config)
    kind = params.choice(config, "type", SOURCES, "")
    if kind != "custom":
        return {"type": kind, "metadata": config.get("metadata") or {}, "schema": {"type": "object", "properties": {}}}
    properties = {"item": params.required(config, "item_schema")}
    if params.boolean(config, "include_sample_schema"):
        properties["sample"] = {"type": "object", "properties": {"output_text": {"type": "string"}}}
    schema = {"type": "object", "properties": properties, "required": list(properties)}
    return {"type": "custom", "schema": schema}


async def list_evals(request: Request) -> Answer:
    return page(request, items(request, STORE), order="asc")


async def retrieve(request: Request) -> Answer:
    return json_response(_eval(request).shape)


async def update(request: Request) -> Answer:
    evaluation, body = _eval(request), request.json()
    if body.get("name") is not None:
        evaluation.shape["name"] = params.string(body, "name")
    if body.get("metadata") is not None:
        evaluation.shape["metadata"] = params.metadata(body)
    return json_response(evaluation.shape)


async def delete(request: Request) -> Answer:
    evaluation = _eval(request)
    items(request, STORE).pop(evaluation.id)
    return json_response({"object": "eval.deleted", "deleted": True, "eval_id": evaluation.id})


async def create_run(request: Request) -> Answer:
    evaluation, body, app = _eval(request), request.json(), request.app
    source = params.required(body, "data_source")
    if not isinstance(source, dict):
        raise invalid_type("data_source", "an object", source)
    params.choice(source, "type", RUN_SOURCES, "")
    rows = eval_run.rows(app.state, source)
    run = Item(_run_shape(request, evaluation, body, len(rows)), rows)
    evaluation.within("runs").put(run.id, run)
    work.start(eval_run.run(app, evaluation, run, app.state.now() + app.job_seconds))
    return json_response(run.shape, 201)


def _run_shape(request: Request, evaluation: Item, body: Body, total: int) -> dict[str, Any]:
    state = request.app.state
    run_id = state.new_id("evalrun_", 32)
    criteria = evaluation.shape["testing_criteria"]
    return {
        "id": run_id,
        "object": "eval.run",
        "eval_id": evaluation.id,
        "created_at": state.created(),
        "status": "queued",
        "model": body["data_source"].get("model") or "",
        "name": params.string(body, "name"),
        "report_url": f"https://platform.openai.com/evaluations/{evaluation.id}?run_id={run_id}",
        "result_counts": {"total": total, "errored": 0, "failed": 0, "passed": 0},
        "per_model_usage": [],
        "per_testing_criteria_results": [
            {"testing_criteria": item["id"], "passed": 0, "failed": 0} for item in criteria
        ],
        "data_source": body["data_source"],
        "metadata": params.metadata(body),
        "error": None,
    }


async def list_runs(request: Request) -> Answer:
    wanted = request.query().get("status")
    runs = [run for run in _eval(request).within("runs") if wanted in (None, run.shape["status"])]
    return page(request, runs, order="asc")


async def retrieve_run(request: Request) -> Answer:
    return json_response(_run(request).shape)


async def cancel_run(request: Request) -> Answer:
    run = _run(request)
    if run.shape["status"] not in ("queued", "in_progress"):
        raise ApiError(f"Cannot cancel a run with status '{run.shape['status']}'.")
    run.shape["status"] = "canceled"
    return json_response(run.shape)


async def delete_run(request: Request) -> Answer:
    run = _run(request)
    _eval(request).within("runs").pop(run.id)
    return json_response({"object": "eval.run.deleted", "deleted": True, "run_id": run.id})


async def list_output_items(request: Request) -> Answer:
    wanted = request.query().get("status")
    found = [item for item in _run(request).within("output-items") if wanted in (None, item.shape["status"])]
    return page(request, found, order="asc")


async def retrieve_output_item(request: Request) -> Answer:
    found = find(_run(request).within("output-items"), request.params["output_item_id"], "output item")
    return json_response(found.shape)


def _eval(request: Request) -> Item:
    return find(items(request, STORE), request.params["eval_id"], "eval")


def _run(request: Request) -> Item:
    return find(_eval(request).within("runs"), request.params["run_id"], "eval run")


_RUNS = "/v1/evals/{eval_id}/runs"
ROUTES = (
    Route("POST", "/v1/evals", create),
    Route("GET", "/v1/evals", list_evals),
    Route("GET", "/v1/evals/{eval_id}", retrieve),
    Route("POST", "/v1/evals/{eval_id}", update),
    Route("DELETE", "/v1/evals/{eval_id}", delete),
    Route("POST", _RUNS, create_run),
    Route("GET", _RUNS, list_runs),
    Route("GET", _RUNS + "/{run_id}", retrieve_run),
    # The description names this one, the SDK calls the next.
    Route("POST", _RUNS + "/{run_id}", cancel_run),
    Route("POST", _RUNS + "/{run_id}/cancel", cancel_run),
    Route("DELETE", _RUNS + "/{run_id}", delete_run),
    Route("GET", _RUNS + "/{run_id}/output_items", list_output_items),
    Route("GET", _RUNS + "/{run_id}/output_items/{output_item_id}", retrieve_output_item),
)
