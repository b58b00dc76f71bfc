"""A background response is charged once, when it is over, by the first poll or retrieval; none charges
anything."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from openai import NotFoundError, OpenAI

from tests.support.fixtures import ACCOUNT, CHAT, USER, seed
from tests.support.installation import Gateway, Installation, migrated_postgres_url
from tests.support.manifests import provider
from tests.support.response_calls import COUNT
from tests.support.sandbox_process import SandboxProcess
from tests.support.scripted import ScriptedUpstream
from tests.support.servers import wait_until

QUICK = "[[sandbox: queued=1 working=1]]"
SLOW = "[[sandbox: queued=60000]]"


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory, running_upstream: SandboxProcess) -> Iterator[Installation]:
    """An installation on PostgreSQL whose server polls nothing by itself: the tests do."""
    env = {"DATABASE_URL": migrated_postgres_url(), "GATEHOUSE_BACKGROUND_POLL_SECONDS": "0"}
    with Installation(tmp_path_factory.mktemp("background") / "data", env=env) as made:
        seed(made, running_upstream.url)
        yield made


@pytest.fixture(scope="module")
def quiet(installation: Installation) -> Gateway:
    return installation.gateway()


@pytest.fixture(scope="module")
def client(quiet: Gateway) -> Iterator[OpenAI]:
    with quiet.sdk(quiet.token("ada", user=USER)) as made:
        yield made


@pytest.fixture(autouse=True)
def nothing_waits(installation: Installation) -> Iterator[None]:
    """What a test left unfinished does not concern the others."""
    yield
    installation.do("settle_background")


def made(client: OpenAI, directives: str = QUICK, **more: Any) -> str:
    body: dict[str, Any] = {"model": CHAT, "input": f"{COUNT} {directives}", "background": True, **more}
    return str(client.responses.create(**body).id)


def over(client: OpenAI, response_id: str) -> None:
    wait_until(lambda: client.responses.retrieve(response_id).status not in ("queued", "in_progress"))


def due(installation: Installation, response_id: str) -> None:
    assert installation.do("age_objects", 10, object_id=response_id) == 1


def charges(installation: Installation, response_id: str) -> list[dict[str, Any]]:
    return [row for row in installation.records(object_id=response_id) if row["operation"] == "background_response"]


def created(installation: Installation, charge: dict[str, Any]) -> dict[str, Any]:
    """The record of the call that made the response."""
    found = installation.records(2, request_id=charge["request_id"])
    return next(row for row in found if row["operation"] == "responses")


def record(installation: Installation, response_id: str) -> dict[str, Any]:
    found: list[dict[str, Any]] = installation.do("owned", object_id=response_id)
    return found[0]


def test_it_is_charged_when_it_is_over_and_not_before(installation: Installation, client: OpenAI) -> None:
    response_id = made(client, "[[sandbox: queued=1 working=60000]]", metadata={"thread_id": "x"})
    assert installation.do("poll_background") == 0, "it is not due yet"
    due(installation, response_id)
    assert installation.do("poll_background") == 1
    assert charges(installation, response_id) == []
    waiting = record(installation, response_id)
    assert (waiting["lease_until"], waiting["state"]) == (None, "in_progress")
    client.responses.cancel(response_id)
    due(installation, response_id)
    assert installation.do("poll_background") == 1
    assert [row["error_class"] for row in charges(installation, response_id)] == ["response_cancelled"]


def test_its_charge_says_whose_it_is_and_what_it_used(
    installation: Installation, quiet: Gateway, client: OpenAI
) -> None:
    raw = client.responses.with_raw_response.create(
        model=CHAT,
        input="hi [[sandbox: queued=1 working=1 input_tokens=1000 cached_tokens=400 output_tokens=200 "
        "reasoning_tokens=50]]",
        background=True,
        extra_headers={"x-tfy-metadata": '{"project": "search"}'},
    )
    response_id = raw.parse().id
    over(client, response_id)
    due(installation, response_id)
    installation.do("poll_background")
    row = charges(installation, response_id)[0]
    assert row["cost_pico"] == 600 * 150_000 + 400 * 75_000 + 200 * 600_000
    assert (row["input_tokens"], row["cached_tokens"], row["output_tokens"], row["reasoning_tokens"]) == (
        1000,
        400,
        200,
        50,
    )
    assert (row["operation"], row["model_asked"], row["account"]) == ("background_response", CHAT, ACCOUNT)
    assert (row["subject_name"], row["metadata"], row["status"]) == (USER, {"project": "search"}, 200)
    assert row["model_served"] == "gpt-4o-mini"
    creation = created(installation, row)
    assert creation["request_id"] == raw.headers["x-request-id"]
    assert (creation["input_tokens"], creation["cost_pico"]) == (0, 0)
    done = record(installation, response_id)
    assert (done["state"], done["due_at"], done["lease_until"]) == ("completed", None, None)


@pytest.mark.parametrize("lease_seconds", [None, -1], ids=["with-leases", "although-every-lease-has-run-out"])
def test_racing_pollers_charge_once(installation: Installation, client: OpenAI, lease_seconds: float | None) -> None:
    ids = [made(client) for _ in range(6)]
    for response_id in ids:
        over(client, response_id)
        due(installation, response_id)
    looks = installation.do("poll_background", threads=6, lease_seconds=lease_seconds)
    assert looks == 6 if lease_seconds is None else looks > 6
    for response_id in ids:
        assert [row["error_class"] for row in charges(installation, response_id)] == [""]
    assert installation.do("poll_background") == 0


def test_one_that_comes_due_again_is_not_charged_again(installation: Installation, client: OpenAI) -> None:
    response_id = made(client)
    over(client, response_id)
    for _ in range(3):
        installation.do("make_due", response_id)
        assert installation.do("poll_background") == 1
    assert len(charges(installation, response_id)) == 1
    assert record(installation, response_id)["due_at"] is None


def test_no_retrieval_charges(installation: Installation, client: OpenAI) -> None:
    response_id = made(client)
    over(client, response_id)
    for _ in range(3):
        client.responses.retrieve(response_id)
    due(installation, response_id)
    installation.do("poll_background")
    installation.do("poll_background")
    wait_until(lambda: len(installation.records(object_id=response_id)) >= 5)  # it was also looked at until it was over
    rows = installation.records(object_id=response_id)
    assert {row["operation"] for row in rows} == {"responses", "responses.retrieve", "background_response"}
    assert [row["operation"] for row in rows if row["cost_pico"]] == ["background_response"]


def test_a_background_stream_is_charged_once_too(installation: Installation, client: OpenAI) -> None:
    stream = client.responses.create(model=CHAT, input=f"{COUNT} {QUICK}", background=True, stream=True)
    events: list[Any] = list(stream)
    response_id = events[0].response.id
    assert events[-1].response.usage.output_tokens > 0
    due(installation, response_id)
    installation.do("poll_background")
    row = charges(installation, response_id)[0]
    assert row["output_tokens"] == events[-1].response.usage.output_tokens
    creation = created(installation, row)
    assert (creation["output_tokens"], creation["cost_pico"], creation["stream"]) == (0, 0, True)


def test_one_that_a_client_left_is_charged(installation: Installation, client: OpenAI) -> None:
    stream = client.responses.create(
        model=CHAT, input=f"{COUNT} [[sandbox: queued=1 working=200]]", background=True, stream=True
    )
    first: Any = next(iter(stream))
    stream.close()
    over(client, first.response.id)
    due(installation, first.response.id)
    installation.do("poll_background")
    assert charges(installation, first.response.id)[0]["output_tokens"] > 0


def test_one_that_failed_says_so(installation: Installation, client: OpenAI) -> None:
    response_id = made(client, "[[sandbox: queued=1 working=1 fail]]")
    over(client, response_id)
    due(installation, response_id)
    installation.do("poll_background")
    row = charges(installation, response_id)[0]
    # the upstream reports no usage of a failed one, so it is unpriced, and counted as such
    assert (row["error_class"], row["cost_pico"]) == ("response_failed", None)


def test_deleting_it_first_does_not_save_the_cost(installation: Installation, client: OpenAI) -> None:
    response_id = made(client)
    over(client, response_id)
    client.responses.delete(response_id)
    assert [row["output_tokens"] > 0 for row in charges(installation, response_id)] == [True]
    with pytest.raises(NotFoundError):
        client.responses.retrieve(response_id)
    assert installation.do("poll_background") == 0


def test_deleting_a_running_one_cancels_it(
    installation: Installation, client: OpenAI, running_upstream: SandboxProcess
) -> None:
    response_id = made(client, SLOW)
    running_upstream.clear()
    client.responses.delete(response_id)
    parts = [(row["method"], row["path"].partition(response_id)) for row in running_upstream.requests()]
    asked = [(method, rest) for method, (_, found, rest) in parts if found]
    assert asked == [("GET", ""), ("POST", "/cancel"), ("DELETE", "")]
    assert [row["error_class"] for row in charges(installation, response_id)] == ["response_cancelled"]


def test_an_upstream_that_forgot_it(
    installation: Installation, client: OpenAI, running_upstream: SandboxProcess
) -> None:
    response_id = made(client, SLOW)
    running_upstream.http.delete(f"{running_upstream.url}/responses/{response_id}").raise_for_status()
    for failures in (1, 2):
        due(installation, response_id)
        installation.do("poll_background")
        waiting = record(installation, response_id)
        assert (waiting["failures"], waiting["fault"]) == (failures, "The upstream answered 404.")
        assert charges(installation, response_id) == []
        installation.do("age_objects", 100, object_id=response_id)
    installation.do("poll_background")
    row = charges(installation, response_id)[0]
    assert (row["error_class"], row["cost_pico"]) == ("response_unknown", None)
    assert record(installation, response_id)["due_at"] is None


def test_an_upstream_that_is_away_is_waited_for(
    installation: Installation, client: OpenAI, running_upstream: SandboxProcess
) -> None:
    response_id = made(client)
    over(client, response_id)
    installation.do("change_account", ACCOUNT, base_url="http://127.0.0.1:9/v1")
    try:
        due(installation, response_id)
        installation.do("poll_background")
        assert "refused" in record(installation, response_id)["fault"]
        assert charges(installation, response_id) == []
    finally:
        installation.do("change_account", ACCOUNT, base_url=running_upstream.url)
        installation.do("change_account", ACCOUNT, api_key="sk-sandbox")  # another address clears the key
    installation.do("age_objects", 60, object_id=response_id)
    installation.do("poll_background")
    assert len(charges(installation, response_id)) == 1
    assert record(installation, response_id)["fault"] == ""


def test_an_account_that_is_gone_is_given_up_at_last(installation: Installation, client: OpenAI) -> None:
    installation.do("own", "resp_left", "response", "gone", USER)
    installation.do("make_due", "resp_left")
    installation.do("poll_background")
    assert "'gone' is gone" in record(installation, "resp_left")["fault"]
    installation.do("age_objects", 4 * 86_400, object_id="resp_left")
    installation.do("poll_background")
    row = charges(installation, "resp_left")[0]
    assert (row["error_class"], row["cost_pico"], row["subject_name"]) == ("response_unknown", None, USER)
    assert record(installation, "resp_left")["due_at"] is None


def test_a_vendor_that_knows_no_background_is_charged_for_its_answer(
    installation: Installation, quiet: Gateway
) -> None:
    """It answers at once, and keeps nothing that could be asked for."""
    usage = {"input_tokens": 100, "output_tokens": 10, "total_tokens": 110}
    calls = [
        {"type": "web_search_call", "id": "ws_1", "action": {"type": "search", "query": "x"}, "results": "x" * 1000}
    ]
    answer = {"id": "resp_once", "object": "response", "status": "completed", "output": calls, "usage": usage}
    body = json.dumps(answer).encode()
    head = (
        f"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    with ScriptedUpstream() as upstream:
        upstream.answer(head.encode() + body)
        installation.apply(provider("simple", f"{upstream.origin}/v1", models=["gpt-4o-mini"]))
        token = quiet.token("simple", user=USER)
        asked = {"model": "simple/gpt-4o-mini", "input": "hi", "background": True}
        wait_until(lambda: quiet.post(token, "/v1/responses", asked).status_code == 200)
        installation.do("make_due", "resp_once")
        before = upstream.requests
        installation.do("poll_background")
        assert upstream.requests == before
    row = charges(installation, "resp_once")[0]
    assert (row["input_tokens"], row["units"]) == (100, {"web_searches": 1})
    assert row["cost_pico"] == 100 * 150_000 + 10 * 600_000 + 10_000_000_000
    assert len(json.dumps(record(installation, "resp_once")["data"])) < 700


def test_a_vendor_that_ignores_background_in_a_stream(installation: Installation, quiet: Gateway) -> None:
    """It keeps nothing that could be asked for later: what its last event says is charged."""
    usage = {"input_tokens": 100, "output_tokens": 10, "total_tokens": 110}
    shape = {"id": "resp_streamed", "object": "response", "status": "in_progress", "output": [], "usage": None}
    begun = {"type": "response.created", "sequence_number": 0, "response": shape}
    ended = {
        "type": "response.completed",
        "sequence_number": 1,
        "response": {**shape, "status": "completed", "usage": usage},
    }
    events = "".join(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in (begun, ended)).encode()
    kind = "content-type: text/event-stream"
    head = f"HTTP/1.1 200 OK\r\nconnection: close\r\n{kind}\r\ncontent-length: {len(events)}\r\n\r\n"
    with ScriptedUpstream() as upstream:
        upstream.answer(head.encode() + events)
        installation.apply(provider("streamer", f"{upstream.origin}/v1", models=["gpt-4o-mini"]))
        token = quiet.token("streamer", user=USER)
        asked = {"model": "streamer/gpt-4o-mini", "input": "hi", "background": True, "stream": True}
        wait_until(lambda: quiet.post(token, "/v1/responses", asked).status_code == 200)
        before = upstream.requests
        due(installation, "resp_streamed")
        installation.do("poll_background")
        assert upstream.requests == before
    (row,) = charges(installation, "resp_streamed")
    assert (row["input_tokens"], row["output_tokens"]) == (100, 10)
    assert row["cost_pico"] == 100 * 150_000 + 10 * 600_000
    assert created(installation, row)["cost_pico"] == 0


def test_two_servers_look_by_themselves(installation: Installation, quiet: Gateway, client: OpenAI) -> None:
    servers = [installation.gateway(env={"GATEHOUSE_BACKGROUND_POLL_SECONDS": "0.1"}) for _ in range(2)]
    try:
        ids = [made(client) for _ in range(4)]
        for response_id in ids:
            wait_until(lambda response_id=response_id: charges(installation, response_id))
        assert [len(charges(installation, response_id)) for response_id in ids] == [1, 1, 1, 1]
    finally:
        for server in servers:
            server.stop()
