"""Agents, their environments, automations, sessions and vaults: every method of the SDK, checked strictly against its
types.
"""

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from openai import NotFoundError, OpenAI

from tests.support.calls import assert_ours
from tests.support.surface import Surface

MODEL = "wide/gpt-4o-mini"
WIDE = {"x-tfy-provider-name": "wide"}
HOSTED: Any = {"type": "openai_hosted"}
SAID: Any = [{"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Count from 1 to 5."}]}]


@pytest.fixture
def sdk(surface: Surface) -> OpenAI:
    """Ada's SDK, which refuses an answer that is not what its types say."""
    return surface.sdk(_strict_response_validation=True)


@pytest.fixture
def agents(sdk: OpenAI) -> Any:
    return sdk.beta.agents


@pytest.fixture
def file_id(surface: Surface) -> str:
    made = surface.sdk(account="wide").files.create(file=("facts.txt", b"A fact."), purpose="user_data")
    return made.id


def test_agents(surface: Surface, agents: Any) -> None:
    made = agents.create(model=MODEL, name="helper", instructions="Be brief.", metadata={"a": "b"})
    assert made.model == json.loads(surface.upstream.requests("/v1/agents")[-1]["body"])["model"] == "gpt-4o-mini"
    assert agents.retrieve(made.id) == made
    assert agents.update(made.id, name="other").name == "other"
    assert made.id in [each.id for each in agents.list(limit=1)]
    assert agents.with_raw_response.retrieve(made.id).parse().id == made.id
    assert agents.delete(made.id).deleted
    assert made.id not in [each.id for each in agents.list()]
    with pytest.raises(NotFoundError, match="does not exist"):
        agents.create(model="wide/gpt-unknown")


def test_environments(surface: Surface, agents: Any, file_id: str, tmp_path: Path) -> None:
    environments = agents.environments
    template = environments.templates.create(name="tidy", packages={"python": ["numpy"]})
    assert environments.templates.retrieve(template.id).packages.python == ["numpy"]
    assert environments.templates.update(template.id, name="tidier").name == "tidier"
    assert template.id in [each.id for each in environments.templates.list()]
    given: Any = {**HOSTED, "environment_template_id": template.id}
    made = environments.create(
        environment={**given, "files": [{"type": "file_id", "file_id": file_id, "path": "/workspace/facts.txt"}]}
    )
    assert made.files[0].file_id == file_id
    assert environments.retrieve(made.id).status == "ready"
    assert made.id in [each.id for each in environments.list()]
    data = base64.b64encode(b"More.").decode()
    added = environments.files.create(made.id, type="inline", data=data, path="/workspace/more.txt")
    assert (added.environment_id, added.size_bytes) == (made.id, 5)
    paths = [each.path for each in environments.files.list(made.id)]
    assert paths == ["/workspace/more.txt", "/workspace/facts.txt"]
    (tmp_path / "local.txt").write_text("Local.")
    files = surface.sdk(
        account="wide"
    ).beta.agents.environments.files  # these upload files, too: no row names the account
    staged = files.upload(made.id, file=tmp_path / "local.txt", path="/workspace/local.txt")
    assert staged.file.size_bytes == 6
    prepared = files.prepare({"/workspace/a.txt": tmp_path / "local.txt"})
    assert len(prepared.uploaded_file_ids) == 1
    prepared = files.prepare_directory(tmp_path, destination="/workspace/all", include=["*.txt"])
    assert environments.create(environment={**HOSTED, "files": prepared.files}).files[0].size_bytes == 6
    assert environments.templates.delete(template.id).deleted


def test_automations(agents: Any) -> None:
    agent = agents.create(model=MODEL)
    target: Any = {"type": "new_session", "agent_id": agent.id, "environment": {"type": "none"}, "input": SAID}
    made = agents.automations.create(
        name="daily", type="periodic", expression="0 8 * * *", timezone="UTC", target=target
    )
    assert agents.automations.retrieve(made.id).expression == "0 8 * * *"
    assert agents.automations.update(made.id, name="weekly").name == "weekly"
    assert made.id in [each.id for each in agents.automations.list()]
    assert agents.automations.pause(made.id).status == "paused"
    assert agents.automations.resume(made.id).status == "active"
    invoked = agents.automations.invocations.create(made.id)
    assert agents.automations.invocations.retrieve(invoked.id, automation_id=made.id).id == invoked.id
    assert [each.id for each in agents.automations.invocations.list(made.id)] == [invoked.id]
    assert agents.sessions.retrieve(invoked.session_id).usage.output_tokens > 0
    assert agents.automations.delete(made.id).deleted


def test_vaults(agents: Any) -> None:
    made = agents.vaults.create(name="keys")
    assert agents.vaults.retrieve(made.id).name == "keys"
    assert agents.vaults.update(made.id, metadata={"a": "b"}).metadata == {"a": "b"}
    assert made.id in [each.id for each in agents.vaults.list()]
    auth: Any = {"type": "static_bearer", "mcp_server_url": "https://mcp.example.com", "token": "secret"}
    credentials = agents.vaults.credentials
    kept = credentials.create(made.id, name="mcp", auth=auth)
    assert "secret" not in kept.to_json()
    assert credentials.retrieve(kept.id, vault_id=made.id) == kept
    assert credentials.update(kept.id, vault_id=made.id, auth=auth, metadata={"a": "b"}).metadata == {"a": "b"}
    assert [each.id for each in credentials.list(made.id)] == [kept.id]
    assert credentials.delete(kept.id, vault_id=made.id).deleted
    assert agents.vaults.delete(made.id).deleted


def test_sessions(surface: Surface, agents: Any) -> None:
    sessions = agents.sessions
    agent = agents.create(model=MODEL, multi_agent={"enabled": True, "max_concurrent_subagents": 1})
    record = surface.record(
        "agent_session.create", lambda: sessions.create(agent_id=agent.id, environment=HOSTED, input=SAID)
    )
    assert record["model_served"] == "gpt-4o-mini"
    assert record["output_tokens"] > 0
    assert record["cost_pico"] > 0
    session = next(iter(sessions.list()))
    assert sessions.retrieve(session.id).agent.model == "gpt-4o-mini"
    assert sessions.update(session.id, metadata={"a": "b"}).metadata == {"a": "b"}
    message: Any = {"type": "agent.session.input.message", "input": SAID}
    sent = surface.record("agent_session.events.create", lambda: sessions.events.create(session.id, events=[message]))
    assert sent["cost_pico"] is None  # it has begun a turn, and does not report what that used
    turns = list(sessions.turns.list(session.id))
    assert [turn.status for turn in turns] == ["completed", "completed"]
    assert sessions.turns.retrieve(turns[0].id, session_id=session.id).usage.total_tokens > 0
    assert {item.role for item in sessions.turns.items.list(turns[0].id, session_id=session.id)} == {
        "user",
        "assistant",
    }
    assert len(list(sessions.items.list(session.id))) == 4
    assert len(list(sessions.traces.list(session.id))) == 2
    check_artifacts(sessions, session.id)
    check_subagents(sessions.subagents, session.id)
    assert agents.environments.retrieve(session.environment.id).id == session.environment.id  # made with the session
    assert sessions.delete(session.id).deleted
    assert session.id not in [each.id for each in sessions.list()]


def check_artifacts(sessions: Any, session_id: str) -> None:
    artifacts = sessions.artifacts
    (made, *_) = artifacts.list(session_id)
    assert artifacts.retrieve(made.id, session_id=session_id).path == made.path
    assert len(artifacts.content(made.id, session_id=session_id).read()) == made.size_bytes
    with sessions.stream(session_id, input="Say hi in French.") as stream:
        result = stream.get_final_result()
    assert artifacts.for_result(result).content(made.path).read().decode() == result.output_text
    assert artifacts.delete(made.id, session_id=session_id).deleted


def check_subagents(subagents: Any, session_id: str) -> None:
    (made, *_) = subagents.list(session_id)
    assert subagents.retrieve(made.id, session_id=session_id).name == "helper"
    assert list(subagents.items.list(made.id, session_id=session_id))
    (turn,) = subagents.turns.list(made.id, session_id=session_id)
    place = {"session_id": session_id, "subagent_id": made.id}
    assert subagents.turns.retrieve(turn.id, **place).subagent_id == made.id
    assert list(subagents.turns.items.list(turn.id, **place))


def test_a_streamed_session_is_owned_and_paid_for(surface: Surface, agents: Any) -> None:
    agent: Any = {"model": MODEL}
    told: list[Any] = []

    def run() -> None:
        told.extend(agents.sessions.create(agent=agent, environment=HOSTED, input=SAID, stream=True))

    record = surface.record("agent_session.create", run)
    assert (told[0].type, told[-1].type) == ("agent.session.created", "agent.session.idle")
    assert record["model_served"] == "gpt-4o-mini"
    assert record["output_tokens"] == told[-2].usage.output_tokens > 0
    assert record["cost_pico"] > 0
    session = told[0].session
    assert agents.sessions.retrieve(session.id).id == session.id
    assert agents.environments.retrieve(session.environment.id).id == session.environment.id


def test_a_session_is_paid_by_its_agents_model_wherever_it_works(surface: Surface, agents: Any) -> None:
    larger, smaller = (agents.create(model=f"wide/{model}").id for model in ("gpt-4o", "gpt-4o-mini"))
    environment = agents.sessions.create(agent_id=larger, environment=HOSTED).environment.id
    there: Any = {**HOSTED, "environment_id": environment}
    record = surface.record(
        "agent_session.create", lambda: agents.sessions.create(agent_id=smaller, environment=there, input=SAID)
    )
    assert record["model_served"] == "gpt-4o-mini"


async def test_the_events_of_a_session(surface: Surface) -> None:
    async with surface.async_sdk() as client:
        sessions = client.beta.agents.sessions
        agent: Any = {"model": MODEL}
        session = await sessions.create(agent=agent, environment={"type": "none"})
        listening = await sessions.events.stream(session.id)
        message: Any = {"type": "agent.session.input.message", "input": SAID}
        await sessions.events.create(session.id, events=[message])
        kinds = [event.type async for event in listening]
        assert kinds[0] == "agent.session.in_progress"
        assert kinds[-1] == "agent.session.idle"
        async with sessions.stream(session.id, input="Say hi in French.") as stream:
            await stream.until_done()
        assert (await sessions.with_raw_response.retrieve(session.id)).parse().id == session.id
        assert session.id in [each.id async for each in sessions.list(limit=1)]


# --- whose they are -----------------------------------------------------------------------------------------

PATHS = (
    ("GET", "agents/{agent}"),
    ("POST", "agents/{agent}"),
    ("DELETE", "agents/{agent}"),
    ("GET", "agents/environments/{environment}"),
    ("GET", "agents/environments/{environment}/files"),
    ("POST", "agents/environments/{environment}/files"),
    ("GET", "agents/environments/templates/{template}"),
    ("POST", "agents/environments/templates/{template}"),
    ("DELETE", "agents/environments/templates/{template}"),
    ("GET", "agents/automations/{automation}"),
    ("POST", "agents/automations/{automation}"),
    ("DELETE", "agents/automations/{automation}"),
    ("POST", "agents/automations/{automation}/pause"),
    ("POST", "agents/automations/{automation}/invocations"),
    ("GET", "agents/automations/{automation}/invocations"),
    ("GET", "agents/sessions/{session}"),
    ("POST", "agents/sessions/{session}"),
    ("DELETE", "agents/sessions/{session}"),
    ("POST", "agents/sessions/{session}/events"),
    ("GET", "agents/sessions/{session}/events"),
    ("GET", "agents/sessions/{session}/turns"),
    ("GET", "agents/sessions/{session}/subagents/s_1/turns/t_1/items"),
    ("GET", "agents/sessions/{session}/artifacts/a_1/content"),
    ("GET", "agents/sessions/{invoked}"),
    ("GET", "agents/environments/{inner}"),
    ("GET", "vaults/{vault}"),
    ("POST", "vaults/{vault}"),
    ("DELETE", "vaults/{vault}"),
    ("GET", "vaults/{vault}/credentials"),
    ("POST", "vaults/{vault}/credentials"),
    ("GET", "vaults/{vault}/credentials/{credential}"),
)
MCP = {"type": "mcp", "server_label": "a", "transport": {"type": "http", "server_url": "https://mcp.example.com"}}
NEW = {"type": "new_session", "input": "hi", "environment": {"type": "none"}, "agent": {"model": MODEL}}
BODIES: tuple[tuple[str, Any], ...] = (
    ("agents", {"model": MODEL, "tools": [{**MCP, "credential_id": "{credential}"}]}),
    ("agents/sessions", {"agent_id": "{agent}", "environment": {"type": "none"}}),
    ("agents/sessions", {"agent": {"model": MODEL}, "environment": {**HOSTED, "environment_id": "{environment}"}}),
    (
        "agents/sessions",
        {"agent": {"model": MODEL}, "environment": {**HOSTED, "environment_template_id": "{template}"}},
    ),
    ("agents/sessions", {"agent": {"model": MODEL}, "environment": {"type": "none"}, "vault_ids": ["{vault}"]}),
    ("agents/environments", {"environment": {**HOSTED, "environment_template_id": "{template}"}}),
    (
        "agents/environments",
        {"environment": {**HOSTED, "files": [{"type": "file_id", "file_id": "{file}", "path": "a"}]}},
    ),
    ("agents/automations", {"name": "a", "type": "once", "target": {**NEW, "agent_id": "{agent}"}}),
    ("agents/automations", {"name": "a", "type": "once", "target": {**NEW, "vault_ids": ["{vault}"]}}),
    (
        "agents/automations",
        {"name": "a", "type": "once", "target": {"type": "existing_session", "session_id": "{session}"}},
    ),
)


def belongings(sdk: OpenAI, file_id: str) -> dict[str, str]:
    agents = sdk.beta.agents
    agent = agents.create(model=MODEL)
    target: Any = {"type": "new_session", "agent_id": agent.id, "environment": HOSTED, "input": SAID}
    automation = agents.automations.create(name="a", type="once", run_at=2_000_000_000, target=target)
    invoked = agents.automations.invocations.create(automation.id).session_id or ""
    inner: Any = agents.sessions.retrieve(invoked).environment
    vault = agents.vaults.create()
    auth: Any = {"type": "static_bearer", "mcp_server_url": "https://mcp.example.com", "token": "s"}
    return {
        "file": file_id,
        "agent": agent.id,
        "environment": agents.environments.create(environment=HOSTED).id,
        "template": agents.environments.templates.create().id,
        "automation": automation.id,
        "session": agents.sessions.create(agent_id=agent.id, environment={"type": "none"}).id,
        "invoked": invoked,
        "inner": inner.id,
        "vault": vault.id,
        "credential": agents.vaults.credentials.create(vault.id, name="a", auth=auth).id,
    }


def test_nobody_else_reaches_an_agents_objects(surface: Surface, sdk: OpenAI, file_id: str) -> None:
    ids = belongings(sdk, file_id)
    surface.upstream.clear()
    headers = {"authorization": f"Bearer {surface.bob}", **WIDE}
    for method, path in PATHS:
        url = f"{surface.gateway.origin}/v1/{path.format(**ids)}"
        answer = surface.gateway.http.request(method, url, json={} if method == "POST" else None, headers=headers)
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "not_found"), (method, path, answer.text)
    for path, body in BODIES:
        text = json.dumps(body)
        for name, object_id in ids.items():
            text = text.replace(f"{{{name}}}", object_id)
        answer = surface.gateway.post(surface.bob, f"/v1/{path}", json.loads(text), headers=WIDE)
        assert_ours(answer, 404, "not_found", answer.json()["error"].get("param"))
        mine = surface.gateway.post(surface.ada, f"/v1/{path}", json.loads(text), headers=WIDE)
        assert mine.status_code == 200, (path, mine.text)
    for path in (
        "agents",
        "agents/environments",
        "agents/environments/templates",
        "agents/automations",
        "agents/sessions",
        "vaults",
    ):
        listed = surface.gateway.http.get(f"{surface.gateway.origin}/v1/{path}?limit=100", headers=headers).json()
        assert not {each["id"] for each in listed["data"]} & set(ids.values())


def test_a_reference_that_is_given_twice(surface: Surface, sdk: OpenAI, file_id: str) -> None:
    """The vendor could read the other one."""
    twice = '"environment_id": "%s", "environment_id": "env_mine"'
    body = '{"agent": {"model": "%s"}, "environment": {"type": "openai_hosted", ' + twice + "}}"
    ids = belongings(sdk, file_id)
    headers = {**WIDE, "content-type": "application/json"}
    text = (body % (MODEL, ids["environment"])).encode()
    answer = surface.gateway.post(surface.bob, "/v1/agents/sessions", content=text, headers=headers)
    assert_ours(answer, 400, "duplicate_field", "environment")


def test_what_the_client_calls_things_refers_to_nothing(surface: Surface) -> None:
    environment = {**HOSTED, "env": {"session_id": "mine"}}
    body = {"agent": {"model": MODEL}, "environment": environment, "metadata": {"vault_id": "mine"}}
    answer = surface.gateway.post(surface.bob, "/v1/agents/sessions", body, headers=WIDE)
    assert answer.status_code == 200, answer.text
