"""Responses over a socket: checked, owned and charged like the same requests over HTTP."""

import asyncio
from typing import Any

import pytest
from openai import AsyncOpenAI, OpenAI

from tests.support.fixtures import ACCOUNT, USER
from tests.support.installation import Gateway
from tests.support.sandbox_process import SandboxProcess
from tests.support.talk import Socket, client, dial, refusal

MODEL = "gpt-4o-mini"
PATH = f"/live/{ACCOUNT}/responses"


async def answer(socket: Socket, **body: Any) -> list[dict[str, Any]]:
    """Ask for a response and return its events."""
    await socket.send("response.create", **{"model": MODEL, **body})
    events = []
    while not events or events[-1]["type"] not in ("response.completed", "response.failed", "error"):
        events.append(await socket.event())
    return events


async def test_the_sdk(server: Gateway, voice_token: str) -> None:
    async with client(server, voice_token).responses.connect() as connection:
        await connection.response.create(model=MODEL, input="Count from 1 to 5.")
        text = ""
        async for event in connection:
            if event.type == "response.output_text.delta":
                text += event.delta
            elif event.type == "response.completed":
                break
    assert text == "1 2 3 4 5"


@pytest.mark.parametrize("model", [f"{ACCOUNT}/{MODEL}", MODEL])
async def test_the_account_of_the_first_event(voices: Gateway, voice_token: str, model: str) -> None:
    headers = {} if "/" in model else {"x-tfy-provider-name": ACCOUNT}
    sdk = AsyncOpenAI(base_url=f"{voices.origin}/v1", api_key=voice_token, default_headers=headers)
    async with sdk.responses.connect() as connection:
        await connection.response.create(model=model, input="hi")
        assert (await connection.recv()).type == "response.created"


async def test_the_first_event_names_nobodys_account(voices: Gateway, voice_token: str) -> None:
    async with dial(voices, voice_token, "/v1/responses") as socket:
        await socket.send("response.create", model="nobody/gpt-4o-mini", input="hi")
        event = await socket.event()
        assert (event["type"], event["status"], event["error"]["code"]) == ("error", 404, "model_not_found")
        assert (await socket.closed())[0] == 4404


async def test_what_is_made_is_owned_and_charged(voices: Gateway, realtime_upstream: SandboxProcess) -> None:
    realtime_upstream.clear()
    token = voices.token("responses-over-sockets", user=USER)
    async with dial(voices, token, PATH) as socket:
        first = (await answer(socket, model=f"{ACCOUNT}/{MODEL}", input="hi"))[-1]["response"]
        second = (await answer(socket, input="again", previous_response_id=first["id"], stream_id="lane"))[-1]
        assert second["stream_id"] == "lane"
        unstored = (await answer(socket, input="hi", store=False))[-1]["response"]
    with OpenAI(base_url=f"{voices.origin}/v1", api_key=token) as sdk:
        assert sdk.responses.retrieve(first["id"]).id == first["id"]
        item = first["output"][0]["id"]
        assert sdk.responses.input_items.list(second["response"]["id"]).data
    owned = {row["object_id"] for row in voices.installation.do("owned", owner_name=USER)}
    assert {first["id"], second["response"]["id"], item} <= owned
    assert unstored["id"] not in owned

    rows = voices.installation.records(6, token_prefix=token[:10])
    operations = [row["operation"] for row in rows]
    assert (operations.count("responses"), operations.count("responses_session")) == (3, 1)
    row = next(row for row in rows if row["object_id"] == first["id"])
    assert (row["status"], row["model_asked"]) == (200, f"{ACCOUNT}/{MODEL}")
    assert (row["input_tokens"], row["output_tokens"]) == (
        first["usage"]["input_tokens"],
        first["usage"]["output_tokens"],
    )
    assert row["cost_pico"] > 0
    sent = realtime_upstream.requests("/v1/responses")[0]["messages"][0]
    assert f'"model":"{MODEL}"' in sent


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"model": "nothing"}, "model_not_found"),
        ({"model": 7}, "invalid_type"),
        ({"model": "gpt-4o-realtime-preview"}, "unsupported_model_type"),
        ({"model": "other/gpt-4o-mini"}, "model_on_other_account"),
        ({"previous_response_id": "resp_of_others"}, "not_found"),
        ({"conversation": "conv_of_others"}, "not_found"),
        ({"tools": [{"type": "file_search", "vector_store_ids": ["vs_of_others"]}]}, "not_found"),
        ({"background": True}, "unsupported_parameter"),
    ],
)
async def test_a_response_that_is_refused(
    voices: Gateway, voice_token: str, realtime_upstream: SandboxProcess, body: dict[str, Any], code: str
) -> None:
    realtime_upstream.clear()
    async with dial(voices, voice_token, PATH) as socket:
        events = await answer(socket, input="hi", **body)
        assert events[0]["error"]["code"] == events[0]["code"] == code
        assert (await answer(socket, input="hi"))[-1]["type"] == "response.completed"
    assert len(realtime_upstream.requests("/v1/responses")[0]["messages"]) == 1


async def test_another_callers_response(voices: Gateway, voice_token: str) -> None:
    stranger = voices.token("stranger", user="stranger@example.com")
    async with dial(voices, voice_token, PATH) as mine, dial(voices, stranger, PATH) as theirs:
        made = (await answer(mine, input="hi"))[-1]["response"]
        refused = await answer(theirs, input="hi", previous_response_id=made["id"])
        assert refused[0]["error"]["code"] == "not_found"


async def test_a_response_that_was_not_stored_goes_on_in_its_own_socket(voices: Gateway, voice_token: str) -> None:
    async with dial(voices, voice_token, PATH) as socket:
        made = (await answer(socket, input="hi", store=False))[-1]["response"]
        told = await answer(socket, input="hi", previous_response_id=made["id"])
        assert told[0]["error"]["code"] == "previous_response_not_found", "the vendor was not asked"
    async with dial(voices, voice_token, PATH) as socket:
        told = await answer(socket, input="hi", previous_response_id=made["id"])
        assert told[0]["error"]["code"] == "not_found"


async def test_the_upstreams_error_costs_nothing(voices: Gateway) -> None:
    token = voices.token("failing", user=USER)
    async with dial(voices, token, PATH) as socket:
        told = await answer(socket, input="hi", temperature=9)
        assert told[0]["status"] == 400
    rows = voices.installation.records(2, token_prefix=token[:10])
    row = next(row for row in rows if row["operation"] == "responses")
    assert (row["status"], row["error_class"], row["cost_pico"]) == (400, "upstream_error", 0)


async def test_a_socket_that_breaks_amid_a_response(voices: Gateway) -> None:
    token = voices.token("broken", user=USER)
    async with dial(voices, token, PATH) as socket:
        told = await answer(socket, input="[[sandbox: tokens=50 cut-after=5 reset]]")
        assert told[-1]["error"]["code"] == "upstream_disconnected"
    rows = voices.installation.records(2, token_prefix=token[:10])
    row = next(row for row in rows if row["operation"] == "responses")
    assert (row["error_class"], row["estimated"]) == ("upstream_disconnected", True)
    assert row["cost_pico"] > 0
    assert row["object_id"].startswith("resp_")


async def test_a_token_without_the_account(voices: Gateway) -> None:
    token = voices.token("elsewhere", limits=["other"], user=USER)
    status, error = await refusal(voices, token, PATH)
    assert (status, error["code"]) == (404, "provider_account_not_found")


async def test_lanes_are_bounded_and_end_with_their_responses(voices: Gateway, voice_token: str) -> None:
    async with dial(voices, voice_token, PATH) as socket:
        await socket.send("response.create", model=MODEL, input="hi", stream_id="x" * 8_000_000)
        assert (await socket.event())["error"]["code"] == "string_too_long"
        for number in range(80):  # more lanes than a socket may have waiting: each is gone with its response
            assert (await answer(socket, input="hi", stream_id=f"lane-{number}"))[-1]["type"] == "response.completed"


async def test_a_response_that_its_client_leaves_is_estimated(
    voices: Gateway, realtime_upstream: SandboxProcess
) -> None:
    token = voices.token("leaves-a-response", user=USER)
    async with dial(voices, token, PATH) as socket:
        await socket.send("response.create", model=MODEL, input="Say it. [[sandbox: token-delay=20 endless]]")
        await socket.send("response.create", model=MODEL, input="And this.")
        deltas = 0
        while deltas < 20:
            deltas += (await socket.event())["type"] == "response.output_text.delta"
    first, second = voices.installation.records(2, operation__exact="responses", token_prefix=token[:10])
    assert (first["client_gone"], first["error_class"], first["estimated"]) == (True, "client_closed_request", True)
    assert first["input_tokens"] > 5
    assert first["output_tokens"] >= 10
    assert first["cost_pico"] > 0
    assert (second["estimated"], second["output_tokens"], second["cost_pico"]) == (False, 0, 0)


async def test_each_response_counts_in_limits_and_budgets(voices: Gateway) -> None:
    """The socket is a call, and so is each response in it; one that is refused ends nothing."""
    owner = "limited@sockets.example"
    token = voices.token("limited-sockets", user=owner)
    when = {"subjects": {"users": {"in": [owner]}}}
    aggregate = {"applies_to": {"type": "aggregate"}, "mode": "enforce", "when": when}
    limit = {"type": "tenant-rate-limit-config/model", "name": "three", "limits": {"requests_per_day": 3}, **aggregate}
    budget = {"type": "tenant-budget-config", "name": "seen", "limits": {"cost_per_day": 5}, **aggregate}
    voices.installation.apply(limit, budget)
    await asyncio.sleep(1)  # a change is obeyed within a second
    async with dial(voices, token, PATH) as socket:
        for _ in range(2):
            assert (await answer(socket, input="hi"))[-1]["type"] == "response.completed"
        refused = (await answer(socket, input="hi"))[-1]
        assert (refused["type"], refused["status"]) == ("error", 429)
        assert refused["error"]["code"] == "rate_limit_exceeded"
        assert "'three'" in refused["error"]["message"]
    own = {"operation__exact": "responses", "token_prefix": token[:10]}
    await asyncio.to_thread(voices.installation.records, 2, **own)
    checked = await asyncio.to_thread(voices.installation.manage, "check_budgets")
    assert "1 counter agrees" in checked.stdout, checked.stdout + checked.stderr
