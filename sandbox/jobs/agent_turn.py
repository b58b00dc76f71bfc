"""One turn of an agent's session: the model is asked through chat completions, and its answer is sent as events."""

from collections.abc import AsyncIterator
from typing import Any

import msgspec

from sandbox.jobs.internal_request import ask
from sandbox.model.usage import plain_report
from sandbox.store.collection import Collection
from sandbox.store.objects import Item, Shape, add
from sandbox.store.params import Body
from sandbox.wire.messages import Request, encode, named_event

ITEMS = "items"
OUTPUT = "/workspace/outputs/answer.txt"
Event = dict[str, Any]


# What an agent's configuration is when nothing is said, also inside a session and an automation.
CONFIGURATION: Shape = {
    "instructions": None,
    "model": "",
    "multi_agent": {"enabled": False, "max_concurrent_subagents": None},
    "reasoning": {"effort": "medium", "summary": None},
    "service_tier": "auto",
    "text": {"format": {"type": "text"}, "verbosity": "medium"},
    "tools": [],
}


def _configure(request: Request, shape: Shape, body: Body) -> None:
    shape["agent"] |= {name: body[name] for name in CONFIGURATION if body.get(name) is not None}


SESSIONS = Collection(
    "/v1/agents/sessions",
    "asess_",
    "agent.session",
    fields={"metadata": {}, "vault_ids": []},
    fixed={"agent": {}, "error": None, "required_actions": [], "status": "idle", "usage": None},
    times=("created_at", "last_active_at"),
    complete=_configure,
)
SUBAGENTS = Collection(
    "subagents",
    "subagent_",
    "agent.session.subagent",
    parent=SESSIONS,
    fixed={"name": "helper", "instructions": None, "status": "closed"},
    times=("opened_at", "closed_at"),
)
TURNS = Collection(
    "turns",
    "turn_",
    "agent.session.turn",
    parent=SESSIONS,
    fixed={"status": "queued", **dict.fromkeys(("subagent_id", "started_at", "completed_at", "error", "usage"))},
)
TRACES = Collection("traces", "trace_", "agent.session.trace", parent=SESSIONS, fixed={"otlp": {"resourceSpans": []}})
ARTIFACTS = Collection("artifacts", "artifact_", "agent.session.artifact", parent=SESSIONS)


def text_of(said: Any) -> str:
    """The words of an input: a string, or messages with parts."""
    if isinstance(said, str):
        return said
    return " ".join(part.get("text", "") for message in said for part in message["content"])


async def run(request: Request, session: Item, said: Any) -> AsyncIterator[Event]:
    """The events of a turn, as it goes on; the session is idle before and after it."""
    text, shape = text_of(said), session.shape
    shape["status"] = "in_progress"
    yield _event(request, "in_progress", session=shape)
    turn = TURNS.add(request.app.state, session, agent_id=shape["agent"]["id"])
    ids = {"session_id": session.id, "turn_id": turn.id}
    yield _event(request, "turn.created", turn=dict(turn.shape), **ids)
    turn.shape.update(status="in_progress", started_at=request.app.state.created())
    yield _event(request, "turn.in_progress", turn=dict(turn.shape), **ids)
    asked = _message(request, turn, "user", [{"type": "input_text", "text": text}])
    session.within(ITEMS).put(asked.id, asked)
    answer, usage = await _ask(request, shape["agent"], text)
    item = _message(request, turn, "assistant", [{"type": "output_text", "text": ""}])
    item.shape["phase"] = "final_answer"
    session.within(ITEMS).put(item.id, item)
    yield _event(request, "turn.item.added", item={**item.shape, "status": "in_progress"}, output_index=0, **ids)
    place = {"item_id": item.id, "output_index": 0, "content_index": 0, **ids}
    for word in answer.split(" "):
        yield _event(request, "turn.output_text.delta", delta=word, **place)
    yield _event(request, "turn.output_text.done", text=answer, **place)
    item.shape["content"][0]["text"] = answer
    yield _event(request, "turn.item.done", item=item.shape, output_index=0, **ids)
    _end(request, session, turn, answer, usage)
    yield _event(request, "turn.completed", turn=turn.shape, usage=usage, **ids)
    yield _event(request, "idle", session=shape)


def created(request: Request, session: Item) -> Event:
    """The first event of a session."""
    return _event(request, "created", session=session.shape)


def streamed(event: Event) -> bytes:
    """One event as it goes over the line."""
    return named_event(event)


def _event(request: Request, kind: str, **fields: Any) -> Event:
    return {"type": f"agent.session.{kind}", "event_id": request.app.state.new_id("event_"), **fields}


def _message(request: Request, turn: Item, role: str, content: list[Shape]) -> Item:
    shape = {
        "id": request.app.state.new_id("msg_"),
        "type": "message",
        "role": role,
        "status": "completed",
        "turn_id": turn.id,
        "content": content,
    }
    return add(turn.within(ITEMS), shape)


async def _ask(request: Request, agent: Shape, text: str) -> tuple[str, Shape]:
    """The model's answer, and what it used."""
    messages = [{"role": "user", "content": text}]
    if agent.get("instructions"):
        messages.insert(0, {"role": "developer", "content": agent["instructions"]})
    reply = await ask(request.app, "/v1/chat/completions", encode({"model": agent["model"], "messages": messages}))
    decoded = msgspec.json.decode(reply.body)
    if reply.status != 200:
        return decoded["error"]["message"], plain_report()
    used = plain_report(decoded["usage"]["prompt_tokens"], decoded["usage"]["completion_tokens"])
    return decoded["choices"][0]["message"]["content"] or "", used


def _end(request: Request, session: Item, turn: Item, answer: str, usage: Shape) -> None:
    state, shape = request.app.state, session.shape
    now = state.created()
    turn.shape.update(status="completed", completed_at=now, usage=usage)
    shape.update(status="idle", last_active_at=now, usage=_sum(shape["usage"], usage))
    TRACES.add(state, session)
    environment_id = shape["environment"].get("id")
    if environment_id:
        content = answer.encode()
        made = {"environment_id": environment_id, "path": OUTPUT, "size_bytes": len(content), "turn_id": turn.id}
        ARTIFACTS.add(state, session, content, **made)
    if shape["agent"]["multi_agent"]["enabled"]:
        _help(request, session, answer)


def _help(request: Request, session: Item, answer: str) -> None:
    """What a subagent did meanwhile."""
    state, agent_id = request.app.state, session.shape["agent"]["id"]
    subagent = SUBAGENTS.add(state, session, parent_agent_id=agent_id)
    turn = TURNS.add(state, subagent, agent_id=agent_id, session_id=session.id, subagent_id=subagent.id)
    turn.shape.update(status="completed", completed_at=state.created())
    item = _message(request, turn, "assistant", [{"type": "output_text", "text": answer}])
    subagent.within(ITEMS).put(item.id, item)


def _sum(before: Shape | None, usage: Shape) -> Shape:
    if before is None:
        return dict(usage)
    return {name: value + before[name] if isinstance(value, int) else value for name, value in usage.items()}
