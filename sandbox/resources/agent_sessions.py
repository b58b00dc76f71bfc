"""`/v1/agents/sessions`, their turns, items and artifacts, and what automations start; `agent_turn.py` runs the
turns.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from sandbox.errors import missing_parameter
from sandbox.jobs import agent_turn
from sandbox.jobs.agent_turn import ARTIFACTS, CONFIGURATION, ITEMS, SESSIONS, SUBAGENTS, TRACES, TURNS, Event
from sandbox.resources.agents import AGENTS, AUTOMATIONS, HOSTED, environment_of
from sandbox.resources.files import download
from sandbox.store import params, stored_files
from sandbox.store.collection import Collection
from sandbox.store.objects import Item, Shape
from sandbox.store.params import Body
from sandbox.wire.messages import Answer, Request, Response, Stream
from sandbox.wire.routing import Route

MESSAGE = "agent.session.input.message"
WAIT_SECONDS = 30.0


INVOCATIONS = Collection(
    "invocations",
    "invoc_",
    "agent.automation.invocation",
    parent=AUTOMATIONS,
    fixed={
        **dict.fromkeys(("scheduled_at", "error", "skip_reason")),
        "source": {"type": "manual"},
        "status": "completed",
    },
)


def _inside(parent: Collection) -> tuple[Route, ...]:
    """The routes of the turns of a session or a subagent, and of the items of both."""
    turns = Collection(TURNS.key, TURNS.prefix, TURNS.name, parent=parent)
    of_turn = Collection(ITEMS, "msg_", "agent.session.item", parent=turns)
    items = Collection(ITEMS, "msg_", "agent.session.item", parent=parent)
    return (*turns.routes("list retrieve"), *of_turn.routes("list"), *items.routes("list"))


def start(request: Request, body: Body) -> Item:
    """A new idle session by a body, or by an automation's target. Its `inner` are the queues of those who listen."""
    agent = _agent(request, body)
    environment = _environment(request, params.required(body, "environment"))
    return SESSIONS.new(request, body, [], agent=agent, environment=environment)


def _agent(request: Request, body: Body) -> Shape:
    """The configuration that a session runs with: that of the agent it names, with what the body itself says."""
    given, agent_id = params.mapping(body, "agent"), body.get("agent_id")
    base: Shape = {"id": request.app.state.new_id("agent_"), "name": None, **CONFIGURATION}
    if agent_id:
        kept = AGENTS.find(request, agent_id).shape
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
    return SESSIONS.answer(request, session)


async def _first_turn(request: Request, session: Item, said: Any) -> AsyncIterator[bytes]:
    yield agent_turn.streamed(agent_turn.created(request, session))
    if said:
        async for event in agent_turn.run(request, session, said):
            yield agent_turn.streamed(event)


async def _turn(request: Request, session: Item, said: Any) -> None:
    """Runs a turn and sends its events to all who listen."""
    async for event in agent_turn.run(request, session, said):
        encoded = agent_turn.streamed(event)
        for listener in session.inner:
            listener.put_nowait((event, encoded))


async def send_events(request: Request) -> Answer:
    session, body = SESSIONS.find(request), request.json()
    params.required(body, "events")
    for event in params.objects(body, "events"):
        if event.get("type") == MESSAGE:
            await _turn(request, session, event["input"])
    return Response(b"", status=202)


async def listen(request: Request) -> Answer:
    session = SESSIONS.find(request)
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


async def artifact_content(request: Request) -> Answer:
    return download(stored_files.loose(ARTIFACTS.find(request).inner, "answer.txt"), request.header("range"))


async def invoke(request: Request) -> Answer:
    target = AUTOMATIONS.find(request).shape["target"]
    if target["type"] == "new_session":
        session, said = start(request, target), target["input"]
    else:
        session, said = SESSIONS.find(request, target["session_id"]), target["instructions"]
    if said:
        await _turn(request, session, said)
    return INVOCATIONS.answer(request, INVOCATIONS.new(request, {}, session_id=session.id))


ROUTES = (
    *SESSIONS.routes("list retrieve update delete", create=create, events=send_events, get_events=listen),
    *TRACES.routes("list"),
    *SUBAGENTS.routes("list retrieve"),
    *_inside(SESSIONS),
    *_inside(SUBAGENTS),
    *ARTIFACTS.routes("list retrieve delete", get_content=artifact_content),
    *INVOCATIONS.routes("list retrieve", create=invoke),
)
