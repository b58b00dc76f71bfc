"""Running an assistant over a thread: one sequence of events, streamed to a client or only carried out."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import msgspec

from sandbox.jobs.internal_request import ask
from sandbox.jobs.threads import MESSAGES, THREADS, text_part
from sandbox.jobs.work import sleep_until
from sandbox.model import tokens
from sandbox.state import State
from sandbox.store.collection import Collection
from sandbox.store.objects import POLL_SOON, Item, Shape
from sandbox.wire.messages import Host, Request, encode

Event = tuple[str, Shape]
ACTIVE = ("queued", "in_progress")
QUEUED = 0.2  # the part of a job's time that a run waits when it is not streamed
_DONE = b"event: done\ndata: [DONE]\n\n"


def _shown(request: Request, run: Item) -> Shape:
    """A cancelled run is `cancelling` until it is retrieved."""
    if run.status == "cancelling" and request.method == "GET":
        run.shape.update(status="cancelled", cancelled_at=request.app.state.created(), required_action=None)
    return run.shape


RUNS = Collection(
    "runs",
    "run_",
    "thread.run",
    parent=THREADS,
    fields={
        "metadata": {},
        "truncation_strategy": {"type": "auto", "last_messages": None},
        "tool_choice": "auto",
        "parallel_tool_calls": True,
    },
    fixed={
        "status": "queued",
        **dict.fromkeys(("started_at", "cancelled_at", "failed_at", "completed_at", "required_action", "last_error")),
        **dict.fromkeys(("incomplete_details", "usage", "max_prompt_tokens", "max_completion_tokens")),
    },
    changeable=("metadata",),
    show=_shown,
    headers=POLL_SOON,
)
STEPS = Collection(
    "steps",
    "step_",
    "thread.run.step",
    parent=RUNS,
    fixed={
        **dict.fromkeys(("cancelled_at", "completed_at", "expired_at", "failed_at", "last_error", "usage")),
        "status": "in_progress",
        "metadata": {},
    },
)


@dataclass(slots=True)
class RunMemory:
    """What a run remembers beside its object: the tool calls so far with their outputs, as chat messages."""

    messages: list[Shape] = field(default_factory=list)
    step: Item | None = None  # that waits for outputs


async def in_background(app: Host, thread: Item, run: Item) -> None:
    """Carries a run to its end, or to its next tool call, after a while in the queue."""
    state = app.state
    await sleep_until(state, state.now() + app.job_seconds * QUEUED, lambda: run.status == "queued")
    async for _ in events(app, thread, run):
        pass


def fail(state: State, run: Item, message: str, code: str = "server_error") -> None:
    """Ends a run as failed."""
    run.shape.update(status="failed", failed_at=state.created(), last_error={"code": code, "message": message})


async def streamed(app: Host, thread: Item, run: Item, before: list[Event]) -> AsyncIterator[bytes]:
    """The events of a run as a stream, after those that come `before`."""
    for name, shape in before:
        yield _event(name, shape)
    async for name, shape in events(app, thread, run):
        yield _event(name, shape)
    yield _DONE


def _event(name: str, shape: Shape) -> bytes:
    return b"event: " + name.encode() + b"\ndata: " + encode(shape) + b"\n\n"


async def events(app: Host, thread: Item, run: Item) -> AsyncIterator[Event]:
    """Does the work; yields each step of it."""
    state = app.state
    if run.status not in ACTIVE:
        return
    run.shape.update(status="in_progress", started_at=state.created())
    yield "thread.run.in_progress", run.shape
    answer = await ask(app, "/v1/chat/completions", encode(_chat_body(thread, run)))
    decoded = msgspec.json.decode(answer.body)
    if answer.status != 200:
        code = "rate_limit_exceeded" if answer.status == 429 else "server_error"
        fail(state, run, decoded["error"]["message"], code)
        yield "thread.run.failed", run.shape
        return
    usage = {name: decoded["usage"][name] for name in ("prompt_tokens", "completion_tokens", "total_tokens")}
    said = decoded["choices"][0]["message"]
    story = _calls(state, run, said) if said.get("tool_calls") else _message(state, thread, run, said, usage)
    for name, shape in story:
        yield name, shape


def _chat_body(thread: Item, run: Item) -> Shape:
    """The run as a chat completion."""
    shape, memory = run.shape, run.inner
    messages: list[Shape] = []
    if shape["instructions"]:
        messages.append({"role": "system", "content": shape["instructions"]})
    for message in thread.within(MESSAGES.key):
        parts = [_chat_part(part) for part in message.shape["content"]]
        messages.append({"role": message.shape["role"], "content": parts})
    functions = [tool for tool in shape["tools"] if tool.get("type") == "function"]
    body = {"model": shape["model"], "messages": [*messages, *memory.messages]}
    return {**body, "tools": functions} if functions else body


def _chat_part(part: Shape) -> Shape:
    if part["type"] == "text":
        return {"type": "text", "text": part["text"]["value"]}
    if part["type"] == "image_file":
        return {"type": "text", "text": f"(image {part['image_file'].get('file_id')})"}
    return part


def _message(state: State, thread: Item, run: Item, said: Shape, usage: dict[str, int]) -> list[Event]:
    """The events of an answer in words, which is in the thread when they are sent."""
    text = said["content"] or said["refusal"] or ""
    said_by = {"role": "assistant", "assistant_id": run.shape["assistant_id"], "run_id": run.id}
    message = MESSAGES.add(state, thread, **said_by, content=[])
    details = {"type": "message_creation", "message_creation": {"message_id": message.id}}
    step = _step(state, run, details)
    begun = {**message.shape, "status": "in_progress", "completed_at": None}
    events_so_far: list[Event] = [
        ("thread.run.step.created", dict(step.shape)),
        ("thread.run.step.in_progress", dict(step.shape)),
        ("thread.message.created", begun),
        ("thread.message.in_progress", begun),
    ]
    for piece in tokens.split(text):
        content = {"index": 0, "type": "text", "text": {"value": piece, "annotations": []}}
        delta = {"id": message.id, "object": "thread.message.delta", "delta": {"content": [content]}}
        events_so_far.append(("thread.message.delta", delta))
    message.shape["content"] = [text_part(text)]
    now = state.created()
    step.shape.update(status="completed", completed_at=now, usage=usage)
    run.shape.update(status="completed", completed_at=now, usage=usage)
    return [
        *events_so_far,
        ("thread.message.completed", message.shape),
        ("thread.run.step.completed", step.shape),
        ("thread.run.completed", run.shape),
    ]


def _calls(state: State, run: Item, said: Shape) -> list[Event]:
    """The events of an answer that calls functions: the run waits for their outputs."""
    calls = [
        {"id": call["id"], "type": "function", "function": {**call["function"], "output": None}}
        for call in said["tool_calls"]
    ]
    run.inner.messages.append({"role": "assistant", "content": None, "tool_calls": said["tool_calls"]})
    step = run.inner.step = _step(state, run, {"type": "tool_calls", "tool_calls": calls})
    action = {"type": "submit_tool_outputs", "submit_tool_outputs": {"tool_calls": said["tool_calls"]}}
    deltas = [{"index": index, **call} for index, call in enumerate(calls)]
    details = {"step_details": {"type": "tool_calls", "tool_calls": deltas}}
    events_so_far: list[Event] = [
        ("thread.run.step.created", {**step.shape, "step_details": {"type": "tool_calls", "tool_calls": []}}),
        ("thread.run.step.in_progress", {**step.shape, "step_details": {"type": "tool_calls", "tool_calls": []}}),
        ("thread.run.step.delta", {"id": step.id, "object": "thread.run.step.delta", "delta": details}),
    ]
    run.shape.update(status="requires_action", required_action=action)
    return [*events_so_far, ("thread.run.requires_action", run.shape)]


def take_outputs(state: State, run: Item, outputs: list[Shape]) -> list[Event]:
    """Gives a waiting run the outputs of its calls, after which it is queued again."""
    step, given = run.inner.step, {output.get("tool_call_id"): str(output.get("output", "")) for output in outputs}
    for call in step.shape["step_details"]["tool_calls"]:
        call["function"]["output"] = given.get(call["id"], "")
        run.inner.messages.append({"role": "tool", "tool_call_id": call["id"], "content": call["function"]["output"]})
    step.shape.update(status="completed", completed_at=state.created())
    run.inner.step = None
    run.shape.update(status="queued", required_action=None)
    return [("thread.run.step.completed", step.shape), ("thread.run.queued", run.shape)]


def _step(state: State, run: Item, details: Shape) -> Item:
    of_run = {name: run.shape[name] for name in ("assistant_id", "thread_id")}
    return STEPS.add(state, run, **of_run, type=details["type"], step_details=details)
