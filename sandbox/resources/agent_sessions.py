"""`/v1/agents/sessions` with their turns, items and artifacts, and what automations start; `agent_turn.py` runs the turns."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from sandbox.errors import invalid_type, missing_parameter
from sandbox.jobs import agent_turn
from sandbox.jobs.agent_turn import ARTIFACTS, ITEMS, SUBAGENTS, TRACES, TURNS, Event
from sandbox.resources.agents import AGENT, AUTOMATION, CONFIGURATION, HOSTED, environment_of
from sandbox.resources.files import download
from sandbox.store import params, stored_files
from sandbox.store.objects import Item, add, find, items, page, remove
from sandbox.store.params import Body
from sandbox.store.plain_resources import Shape, item
from sandbox.wire.messages import Answer, Request, Response, Stream, json_response
from sandbox.wire.routing import Route

STORE = "agent-sessions"
INVOCATIONS = "invocations"
MESSAGE = "agent.session.input.message"
WAIT_SECONDS = 30.0


def start(request: Request, body: Body) -> Item:
    """A new idle session by what a body, or an automation's target, says. Its `inner` are the queues of who listens."""
    state = request.app.state
    now = state.created()
    shape = {
        "id": state.new_id("asess_"),
        "object": "agent.session",
        "agent": _agent(request, body),
        "created_at": now,
        "last_active_at": now,
        "environment": _environment(request, params.required(body, "environment")),
        "error": None,
        "metadata": params.metadata(body),
        "required_actions": [],
        "status": "idle",
        "usage": None,
        "vault_ids": body.get("vault_ids") or [],
    }
    return add(items(request, STORE), shape, [])


def _agent(request: Request, body: Body) -> Shape:
    """The configuration that a session runs with: that of the agent it names, with what the body itself says."""
    given, agent_id = params.mapping(body, "agent"), body.get("agent_id")
    base: Shape = {"id": request.app.state.new_id("agent_"), "name": None, **CONFIGURATION}
    if agent_id:
        kept = find(items(request, AGENT.path), agent_id, AGENT.name).shape
        base = {name: kept[name] for name in base}
    made = {**base, **{name: value for name, value in given.items() if name in base and value is not None}}
    if not made["model"]:
        raise missing_parameter("agent_id")
    return made


def _environment(request: Request, given: Shape) -> Shape:
    if given.get("type") == "none":
        return {"type": "none"}
    if given.get("type") == "self_hosted":
        kept = {"capability_directories": [], **given, "id": request.app.state.new_id("env_")}
        return {**kept, "remote_url": "wss://sandbox.invalid/"}
    made = environment_of(request, given)
    return {**HOSTED, "type": "openai_hosted", "id": made.id, "files": made.shape["files"]}


async def create(request: Request) -> Answer:
    body = request.json()
    session = start(request, body)
    said = body.get("input")
    if params.boolean(body, "stream"):
        return Stream(_first_turn(request, session, said))
    if said:
        await _turn(request, session, said)
    return json_response(session.shape)


async def _first_turn(request: Request, session: Item, said: Any) -> AsyncIterator[bytes]:
    yield agent_turn.streamed(agent_turn.created(request, session))
    if said:
        async for event in agent_turn.run(request, session, said):
            yield agent_turn.streamed(event)


async def _turn(request: Request, session: Item, said: Any) -> None:
    """Runs a turn and tells everybody who listens."""
    async for event in agent_turn.run(request, session, said):
        encoded = agent_turn.streamed(event)
        for listener in session.inner:
            listener.put_nowait((event, encoded))


async def send_events(request: Request) -> Answer:
    session, sent = _session(request), params.required(request.json(), "events")
    if not isinstance(sent, list):
        raise invalid_type("events", "an array of objects", sent)
    for event in sent:
        if event.get("type") == MESSAGE:
            await _turn(request, session, event["input"])
    return Response(b"", status=202)


async def listen(request: Request) -> Answer:
    session = _session(request)
    events: asyncio.Queue[tuple[Event, bytes]] = asyncio.Queue()
    session.inner.append(events)
    return Stream(_heard(session, events))


async def _heard(session: Item, events: asyncio.Queue[tuple[Event, bytes]]) -> AsyncIterator[bytes]:
    """The events of the session's next turn; a comment comes first, so that the client sees an answer at once."""
    try:
        yield b": listening\n\n"
        while True:
            async with asyncio.timeout(WAIT_SECONDS):
                event, encoded = await events.get()
            yield encoded
            if event["type"] == "agent.session.idle":
                return
    except TimeoutError:
        return
    finally:
        session.inner.remove(events)


async def list_sessions(request: Request) -> Answer:
    return page(request, items(request, STORE))


async def retrieve(request: Request) -> Answer:
    return json_response(_session(request).shape)


async def update(request: Request) -> Answer:
    session, body = _session(request), request.json()
    if body.get("metadata") is not None:
        session.shape["metadata"] = params.metadata(body)
    session.shape["agent"] |= {name: body[name] for name in CONFIGURATION if body.get(name) is not None}
    return json_response(session.shape)


async def delete(request: Request) -> Answer:
    return remove(items(request, STORE), _session(request), "agent.session.deleted")


def _session(request: Request) -> Item:
    return find(items(request, STORE), request.params["session_id"], "agent session")


def _inside(request: Request) -> Item:
    """What the path leads to below a session: the session itself, a subagent, or a turn of either."""
    found = _session(request)
    for name, param in ((SUBAGENTS, "subagent_id"), (TURNS, "turn_id")):
        if param in request.params:
            found = find(found.within(name), request.params[param], param.removesuffix("_id"))
    return found


def _list(name: str) -> Any:
    async def list_inside(request: Request) -> Answer:
        return page(request, _inside(request).within(name))

    return list_inside


async def retrieve_inside(request: Request) -> Answer:
    return json_response(_inside(request).shape)


def _artifact(request: Request) -> Item:
    return find(_session(request).within(ARTIFACTS), request.params["artifact_id"], "artifact")


async def retrieve_artifact(request: Request) -> Answer:
    return json_response(_artifact(request).shape)


async def artifact_content(request: Request) -> Answer:
    return download(stored_files.loose(_artifact(request).inner, "answer.txt"), request.header("range"))


async def delete_artifact(request: Request) -> Answer:
    return remove(_session(request).within(ARTIFACTS), _artifact(request), "agent.session.artifact.deleted")


async def invoke(request: Request) -> Answer:
    automation, state = item(request, AUTOMATION), request.app.state
    target = automation.shape["target"]
    if target["type"] == "new_session":
        session, said = start(request, target), target["input"]
    else:
        session, said = find(items(request, STORE), target["session_id"], "agent session"), target["instructions"]
    if said:
        await _turn(request, session, said)
    shape = {
        "id": state.new_id("invoc_"),
        "object": "agent.automation.invocation",
        "automation_id": automation.id,
        "created_at": state.created(),
        "scheduled_at": None,
        "session_id": session.id,
        "source": {"type": "manual"},
        "status": "completed",
        "error": None,
        "skip_reason": None,
    }
    return json_response(add(automation.within(INVOCATIONS), shape).shape)


async def list_invocations(request: Request) -> Answer:
    return page(request, item(request, AUTOMATION).within(INVOCATIONS))


async def retrieve_invocation(request: Request) -> Answer:
    found = item(request, AUTOMATION).within(INVOCATIONS)
    return json_response(find(found, request.params["invocation_id"], "invocation").shape)


_SESSION = "/v1/agents/sessions/{session_id}"
_SUBAGENT = _SESSION + "/subagents/{subagent_id}"
_ARTIFACT = _SESSION + "/artifacts/{artifact_id}"
_INVOCATIONS = AUTOMATION.item_path + "/invocations"
ROUTES = (
    Route("POST", "/v1/agents/sessions", create),
    Route("GET", "/v1/agents/sessions", list_sessions),
    Route("GET", _SESSION, retrieve),
    Route("POST", _SESSION, update),
    Route("DELETE", _SESSION, delete),
    Route("POST", _SESSION + "/events", send_events),
    Route("GET", _SESSION + "/events", listen),
    *(Route("GET", f"{_SESSION}/{name}", _list(name)) for name in (TURNS, ITEMS, TRACES, ARTIFACTS, SUBAGENTS)),
    Route("GET", _SESSION + "/turns/{turn_id}", retrieve_inside),
    Route("GET", _SESSION + "/turns/{turn_id}/items", _list(ITEMS)),
    Route("GET", _SUBAGENT, retrieve_inside),
    Route("GET", _SUBAGENT + "/items", _list(ITEMS)),
    Route("GET", _SUBAGENT + "/turns", _list(TURNS)),
    Route("GET", _SUBAGENT + "/turns/{turn_id}", retrieve_inside),
    Route("GET", _SUBAGENT + "/turns/{turn_id}/items", _list(ITEMS)),
    Route("GET", _ARTIFACT, retrieve_artifact),
    Route("GET", _ARTIFACT + "/content", artifact_content),
    Route("DELETE", _ARTIFACT, delete_artifact),
    Route("POST", _INVOCATIONS, invoke),
    Route("GET", _INVOCATIONS, list_invocations),
    Route("GET", _INVOCATIONS + "/{invocation_id}", retrieve_invocation),
)
