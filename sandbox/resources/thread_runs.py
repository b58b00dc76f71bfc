"""`/v1/threads/{id}/runs` and their steps; `thread_run.py` runs them."""

from typing import Any

from sandbox.errors import ApiError
from sandbox.jobs import thread_run, work
from sandbox.jobs.thread_run import RUNS, STEPS, Event, RunMemory
from sandbox.jobs.threads import THREADS
from sandbox.resources.assistants import ASSISTANTS
from sandbox.resources.threads import add_message, new_thread
from sandbox.store import params
from sandbox.store.objects import Item, Shape, check_active
from sandbox.store.params import Body
from sandbox.wire.messages import Answer, Request, Stream
from sandbox.wire.routing import Route

LIFETIME = 600  # seconds
# Taken from the assistant when a run does not say.
_INHERITED = ("model", "instructions", "tools", "temperature", "top_p", "response_format")


async def create(request: Request) -> Answer:
    thread, body = THREADS.find(request), request.json()
    for message in body.get("additional_messages") or []:
        add_message(request, thread, message)
    return _begin(request, thread, body, [])


async def create_with_thread(request: Request) -> Answer:
    body = request.json()
    thread = new_thread(request, params.mapping(body, "thread"))
    request.params["thread_id"] = thread.id
    return _begin(request, thread, body, [("thread.created", thread.shape)])


def _begin(request: Request, thread: Item, body: Body, before: list[Event]) -> Answer:
    assistant = ASSISTANTS.find(request, params.required(body, "assistant_id")).shape
    run = RUNS.new(request, body, RunMemory(), **_settings(request, body, assistant))
    before += [("thread.run.created", dict(run.shape)), ("thread.run.queued", dict(run.shape))]
    return _carry_on(request, thread, run, body, before)


def _carry_on(request: Request, thread: Item, run: Item, body: Body, before: list[Event]) -> Answer:
    """Streams the run's events, or runs it in the background while the client polls."""
    if params.boolean(body, "stream"):
        return Stream(thread_run.streamed(request.app, thread, run, before))
    app = request.app
    running = thread_run.in_background(app, thread, run)
    work.start(running, f"run {run.id}", lambda error: thread_run.fail(app.state, run, error))
    return RUNS.answer(request, run)


def _settings(request: Request, body: Body, assistant: Shape) -> dict[str, Any]:
    """The fields of a run that depend on its assistant, or are checked."""
    chosen = {name: body[name] if body.get(name) is not None else assistant[name] for name in _INHERITED}
    more = params.string(body, "additional_instructions")
    return {
        **chosen,
        "assistant_id": assistant["id"],
        "instructions": "\n".join(filter(None, (chosen["instructions"], more))),
        "expires_at": request.app.state.created() + LIFETIME,
        "max_prompt_tokens": params.integer(body, "max_prompt_tokens", 256),
        "max_completion_tokens": params.integer(body, "max_completion_tokens", 256),
    }


async def cancel(request: Request) -> Answer:
    run = RUNS.find(request)
    check_active(run, "run", *thread_run.ACTIVE, "requires_action")
    run.shape["status"] = "cancelling"
    return RUNS.answer(request, run)


async def submit_tool_outputs(request: Request) -> Answer:
    run, body = RUNS.find(request), request.json()
    if run.status != "requires_action":
        raise ApiError(f'Runs in status "{run.status}" do not accept tool outputs.')
    params.required(body, "tool_outputs")
    outputs = params.objects(body, "tool_outputs")
    wanted = {call["id"] for call in run.shape["required_action"]["submit_tool_outputs"]["tool_calls"]}
    if wanted != {output.get("tool_call_id") for output in outputs}:
        raise ApiError(f"Expected tool outputs for call_ids {sorted(wanted)}.", param="tool_outputs")
    before = thread_run.take_outputs(request.app.state, run, outputs)
    return _carry_on(request, THREADS.find(request), run, body, before)


ROUTES = (
    Route("POST", f"{THREADS.path}/runs", create_with_thread),
    *RUNS.routes("list retrieve update", create=create, cancel=cancel, submit_tool_outputs=submit_tool_outputs),
    *STEPS.routes("list retrieve"),
)
