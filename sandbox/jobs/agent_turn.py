"""One turn of an agent's session: the model is asked through chat completions, and what came of it is told in events."""

from collections.abc import AsyncIterator
from typing import Any

import msgspec

from sandbox.jobs.internal_request import ask
from sandbox.model.usage import plain_report
from sandbox.store.objects import Item, Shape, add
from sandbox.wire.messages import Request, encode, named_event

TURNS, ITEMS, TRACES, ARTIFACTS, SUBAGENTS = "turns", "items", "traces", "artifacts", "subagents"
OUTPUT = "/workspace/outputs/answer.txt"
Event = dict[str, Any]


def text_of(said: Any) -> str:
    """The words of an input: a text, or messages with parts."""
    if isinstance(said, str):
        return said
    return " ".join(part.get("text", "") for message in said for part in message["content"])


async def run(request: Request, session: Item, said: Any) -> AsyncIterator[Event]:
    """The events of a turn, as it goes on; the session is idle before and after it."""
    text, shape = text_of(said), session.shape
    shape["status"] = "in_progress"
    yield _event(request, "in_progress", session=shape)
    turn = _begin(request, session)
    told = {"session_id": session.id, "turn_id": turn.id}
    yield _event(request, "turn.created", turn=dict(turn.shape), **told)
    turn.shape.update(status="in_progress", started_at=request.app.state.created())
    yield _event(request, "turn.in_progress", turn=dict(turn.shape), **told)
    asked = _message(request, turn, "user", [{"type": "input_text", "text": text}])
    session.within(ITEMS).put(asked.id, asked)
    answer, usage = await _ask(request, shape["agent"], text)
    item = _message(request, turn, "assistant", [{"type": "output_text", "text": ""}])
    item.shape["phase"] = "final_answer"
    session.within(ITEMS).put(item.id, item)
    yield _event(request, "turn.item.added", item={**item.shape, "status": "in_progress"}, output_index=0, **told)
    place = {"item_id": item.id, "output_index": 0, "content_index": 0, **told}
    for word in answer.split(" "):
        yield _event(request, "turn.output_text.delta", delta=word, **place)
    yield _event(request, "turn.output_text.done", text=answer, **place)
    item.shape["content"][0]["text"] = answer
    yield _event(request, "turn.item.done", item=item.shape, output_index=0, **told)
    _end(request, session, turn, answer, usage)
    yield _event(request, "turn.completed", turn=turn.shape, usage=usage, **told)
    yield _event(request, "idle", session=shape)


def created(request: Request, session: Item) -> Event:
    """The first event of a session."""
    return _event(request, "created", session=session.shape)


def streamed(event: Event) -> bytes:
    """One event as it goes over the line."""
    return named_event(event)


def _event(request: Request, kind: str, **fields: Any) -> Event:
    return {"type": f"agent.session.{kind}", "event_id": request.app.state.new_id("event_"), **fields}


def _begin(request: Request, session: Item, subagent_id: str | None = None) -> Item:
    state = request.app.state
    shape = {
        "id": state.new_id("turn_"),
        "object": "agent.session.turn",
        "agent_id": session.shape["agent"]["id"],
        "session_id": session.id,
        "subagent_id": subagent_id,
        "status": "queued",
        "created_at": state.created(),
        **dict.fromkeys(("started_at", "completed_at", "error", "usage")),
    }
    return add(session.within(TURNS), shape)


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
    told = msgspec.json.decode(reply.body)
    if reply.status != 200:
        return told["error"]["message"], plain_report()
    used = plain_report(told["usage"]["prompt_tokens"], told["usage"]["completion_tokens"])
    return told["choices"][0]["message"]["content"] or "", used


def _end(request: Request, session: Item, turn: Item, answer: str, usage: Shape) -> None:
    state, shape = request.app.state, session.shape
    now = state.created()
    turn.shape.update(status="completed", completed_at=now, usage=usage)
    shape.update(status="idle", last_active_at=now, usage=_sum(shape["usage"], usage))
    trace = {"id": state.new_id("trace_"), "object": "agent.session.trace", "created_at": now}
    add(session.within(TRACES), {**trace, "session_id": session.id, "otlp": {"resourceSpans": []}})
    if "id" in shape["environment"]:
        made = {
            "id": state.new_id("artifact_"),
            "object": "agent.session.artifact",
            "created_at": now,
            "environment_id": shape["environment"]["id"],
            "path": OUTPUT,
            "session_id": session.id,
            "size_bytes": len(answer.encode()),
            "turn_id": turn.id,
        }
        add(session.within(ARTIFACTS), made, answer.encode())
    if shape["agent"]["multi_agent"]["enabled"]:
        _help(request, session, answer)


def _help(request: Request, session: Item, answer: str) -> None:
    """What a subagent did meanwhile."""
    state = request.app.state
    shape = {
        "id": state.new_id("subagent_"),
        "object": "agent.session.subagent",
        "name": "helper",
        "instructions": None,
        "opened_at": state.created(),
        "closed_at": state.created(),
        "parent_agent_id": session.shape["agent"]["id"],
        "session_id": session.id,
        "status": "closed",
    }
    subagent = add(session.within(SUBAGENTS), shape)
    turn = _begin(request, session, subagent.id)
    session.within(TURNS).pop(turn.id)
    subagent.within(TURNS).put(turn.id, turn)
    turn.shape.update(status="completed", completed_at=state.created())
    item = _message(request, turn, "assistant", [{"type": "output_text", "text": answer}])
    subagent.within(ITEMS).put(item.id, item)


def _sum(before: Shape | None, usage: Shape) -> Shape:
    if before is None:
        return dict(usage)
    return {name: value + before[name] if isinstance(value, int) else value for name, value in usage.items()}
