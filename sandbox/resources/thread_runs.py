"""`/v1/threads/{id}/runs` and their steps; `thread_run.py` runs them."""

from typing import Any

from sandbox.errors import ApiError, invalid_type
from sandbox.jobs import thread_run, work
from sandbox.jobs.thread_run import STEPS, Event, Talk
from sandbox.resources import assistants
from sandbox.resources.threads import add_message, find_thread, new_thread
from sandbox.store import params
from sandbox.store.objects import POLL_SOON, Item, find, items, page
from sandbox.store.params import Body
from sandbox.wire.messages import Answer, Request, Stream, json_response
from sandbox.wire.routing import Route

RUNS = "runs"
LIFETIME = 600  # seconds
# Taken from the assistant when a run does not say.
_INHERITED = ("model", "instructions", "tools", "temperature", "top_p", "response_format")


async def create(request: Request) -> Answer:
    thread, body = find_thread(request), request.json()
    for message in body.get("additional_messages") or []:
        add_message(request.app.state, thread, message)
    return _begin(request, thread, body, [])


async def create_with_thread(request: Request) -> Answer:
    body = request.json()
    thread = new_thread(request, params.mapping(body, "thread"))
    return _begin(request, thread, body, [("thread.created", thread.shape)])


def _begin(request: Request, thread: Item, body: Body, before: list[Event]) -> Answer:
    assistant_id = params.required(body, "assistant_id")
    assistant = find(items(request, assistants.STORE), str(assistant_id), "assistant")
    run = Item(_shape(request, thread, body, assistant.shape), Talk())
    thread.within(RUNS).put(run.id, run)
    before += [("thread.run.created", dict(run.shape)), ("thread.run.queued", dict(run.shape))]
    return _carry_on(request, thread, run, body, before)


def _carry_on(request: Request, thread: Item, run: Item, body: Body, before: list[Event]) -> Answer:
    """Streams the run's story, or tells it to nobody while the client polls."""
    if params.boolean(body, "stream"):
        return Stream(thread_run.streamed(request.app, thread, run, before))
    work.start(thread_run.in_background(request.app, thread, run))
    return json_response(run.shape, headers=POLL_SOON)


def _shape(request: Request, thread: Item, body: Body, assistant: dict[str, Any]) -> dict[str, Any]:
    state = request.app.state
    chosen = {name: body[name] if body.get(name) is not None else assistant[name] for name in _INHERITED}
    more = params.string(body, "additional_instructions")
    chosen["instructions"] = "\n".join(filter(None, (chosen["instructions"], more)))
    now = state.created()
    return {
        "id": state.new_id("run_"),
        "object": "thread.run",
        "created_at": now,
        "assistant_id": assistant["id"],
        "thread_id": thread.id,
        "status": "queued",
        "started_at": None,
        "expires_at": now + LIFETIME,
        "cancelled_at": None,
        "failed_at": None,
        "completed_at": None,
        "required_action": None,
        "last_error": None,
        **chosen,
        "metadata": params.metadata(body),
        "incomplete_details": None,
        "usage": None,
        "max_prompt_tokens": params.integer(body, "max_prompt_tokens", 256),
        "max_completion_tokens": params.integer(body, "max_completion_tokens", 256),
        "truncation_strategy": body.get("truncation_strategy") or {"type": "auto", "last_messages": None},
        "tool_choice": body.get("tool_choice") or "auto",
        "parallel_tool_calls": params.boolean(body, "parallel_tool_calls", True),
    }


async def list_runs(request: Request) -> Answer:
    return page(request, find_thread(request).within(RUNS))


async def retrieve(request: Request) -> Answer:
    """A cancelled run is `cancelling` until somebody looks again."""
    run = _run(request)
    if run.shape["status"] == "cancelling":
        run.shape.update(status="cancelled", cancelled_at=request.app.state.created(), required_action=None)
    return json_response(run.shape, headers=POLL_SOON)


async def update(request: Request) -> Answer:
    run = _run(request)
    run.shape["metadata"] = params.metadata(request.json())
    return json_response(run.shape)


async def cancel(request: Request) -> Answer:
    run = _run(request)
    if run.shape["status"] not in (*thread_run.ACTIVE, "requires_action"):
        raise ApiError(f"Cannot cancel run with status '{run.shape['status']}'.")
    run.shape["status"] = "cancelling"
    return json_response(run.shape, headers=POLL_SOON)


async def submit_tool_outputs(request: Request) -> Answer:
    run, body = _run(request), request.json()
    if run.shape["status"] != "requires_action":
        raise ApiError(f'Runs in status "{run.shape["status"]}" do not accept tool outputs.')
    outputs = params.required(body, "tool_outputs")
    if not isinstance(outputs, list) or not all(isinstance(output, dict) for output in outputs):
        raise invalid_type("tool_outputs", "an array of objects", outputs)
    wanted = {call["id"] for call in run.shape["required_action"]["submit_tool_outputs"]["tool_calls"]}
    if wanted != {output.get("tool_call_id") for output in outputs}:
        raise ApiError(f"Expected tool outputs for call_ids {sorted(wanted)}.", param="tool_outputs")
    before = thread_run.take_outputs(request.app.state, run, outputs)
    return _carry_on(request, find_thread(request), run, body, before)


async def list_steps(request: Request) -> Answer:
    return page(request, _run(request).within(STEPS))


async def retrieve_step(request: Request) -> Answer:
    return json_response(find(_run(request).within(STEPS), request.params["step_id"], "run step").shape)


def _run(request: Request) -> Item:
    return find(find_thread(request).within(RUNS), request.params["run_id"], "run")


_RUNS = "/v1/threads/{thread_id}/runs"
_RUN = _RUNS + "/{run_id}"
ROUTES = (
    Route("POST", "/v1/threads/runs", create_with_thread),
    Route("POST", _RUNS, create),
    Route("GET", _RUNS, list_runs),
    Route("GET", _RUN, retrieve),
    Route("POST", _RUN, update),
    Route("POST", _RUN + "/cancel", cancel),
    Route("POST", _RUN + "/submit_tool_outputs", submit_tool_outputs),
    Route("GET", _RUN + "/steps", list_steps),
    Route("GET", _RUN + "/steps/{step_id}", retrieve_step),
)
