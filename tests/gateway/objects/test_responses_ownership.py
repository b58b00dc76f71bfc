"""Owners of responses are recorded before an id is returned: in the stream too, for every worker, or not at all."""

import asyncio
import json
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from openai import APIError, AsyncOpenAI, NotFoundError, OpenAI

from tests.support.calls import assert_ours, stream_error
from tests.support.fixtures import ACCOUNT, CHAT, USER, seed
from tests.support.installation import Gateway, Installation
from tests.support.response_calls import COUNT, PROVIDER
from tests.support.sandbox_process import SandboxProcess
from tests.support.servers import PostgresServer, own_postgres, wait_until

# --- what is recorded -----------------------------------------------------------------------------------


def owned(gateway: Gateway, *ids: str) -> dict[str, dict[str, Any]]:
    found: list[dict[str, Any]] = gateway.installation.do("owned", object_id__in=list(ids))
    return {row["object_id"]: row for row in found}


def test_a_response_is_recorded_with_its_owner(gateway: Gateway, sdk: OpenAI) -> None:
    response = sdk.responses.create(model=CHAT, input=COUNT, extra_headers={"x-tfy-metadata": '{"project": "search"}'})
    row = owned(gateway, response.id)[response.id]
    assert (row["kind"], row["account_name"], row["owner_name"], row["model_name"]) == ("response", ACCOUNT, USER, CHAT)
    assert (row["state"], row["metadata"], row["due_at"]) == ("completed", {"project": "search"}, None)
    item = owned(gateway, response.output[0].id or "")[response.output[0].id or ""]
    assert (item["kind"], item["owner_key"]) == ("item", row["owner_key"])


@pytest.mark.parametrize("stream", [False, True])
def test_store_false_leaves_no_record(gateway: Gateway, token: str, stream: bool) -> None:
    body = {"model": CHAT, "input": COUNT, "store": False, "stream": stream}
    sent = gateway.post(token, "/v1/responses", body).text
    ids = {part.split('"')[0] for part in sent.split('"id":"')[1:]}
    assert len(ids) >= 2
    assert owned(gateway, *ids) == {}
    response_id = next(each for each in ids if each.startswith("resp_"))
    assert_ours(gateway.get(token, f"/v1/responses/{response_id}"), 404, "not_found")


def test_store_false_in_a_conversation_keeps_its_items(gateway: Gateway, sdk: OpenAI) -> None:
    conversation = sdk.conversations.create(extra_headers=PROVIDER)
    response = sdk.responses.create(model=CHAT, input="hi", store=False, conversation=conversation.id)
    kept = owned(gateway, response.id, response.output[0].id or "")
    assert list(kept) == [response.output[0].id]
    assert kept[response.output[0].id or ""]["parent_id"] == conversation.id


# --- the stream ---------------------------------------------------------------------------------------------


def test_the_first_event_waits_for_the_commit(gateway: Gateway, token: str, sdk: OpenAI) -> None:
    """Another worker knows the response as soon as its id is returned, and its items as soon as it is complete."""
    other = gateway.installation.gateway()
    try:
        with other.sdk(token) as elsewhere:
            stream = sdk.responses.create(model=CHAT, input=f"{COUNT} [[sandbox: token-delay=30]]", stream=True)
            first: Any = next(iter(stream))
            found = elsewhere.responses.retrieve(first.response.id)
            assert found.id == first.response.id
            last: Any = list(stream)[-1]
            item: Any = {"type": "item_reference", "id": last.response.output[0].id}
            again = elsewhere.responses.create(model=CHAT, input=[item, {"role": "user", "content": "go on"}])
            chained = elsewhere.responses.create(model=CHAT, input="and?", previous_response_id=last.response.id)
        assert again.output_text
        assert chained.previous_response_id == last.response.id
        sdk.responses.delete(first.response.id)
        assert other.get(token, f"/v1/responses/{first.response.id}").status_code == 404
    finally:
        other.stop()


def test_a_client_that_leaves_closes_the_upstream_and_leaves_a_record(
    gateway: Gateway, token: str, upstream: SandboxProcess
) -> None:
    body = {"model": CHAT, "input": "hi [[sandbox: token-delay=20 endless]]", "stream": True}
    headers = {"authorization": f"Bearer {token}"}
    with (
        httpx.Client(trust_env=False, timeout=10) as client,
        client.stream("POST", f"{gateway.origin}/v1/responses", json=body, headers=headers) as response,
    ):
        lines = (line for line in response.iter_lines() if line.startswith("data: "))
        first = json.loads(next(lines)[6:])
        next(lines)
    wait_until(lambda: upstream.requests("/v1/responses")[-1]["disconnected"], 5)
    row = gateway.installation.records(1, request_id=response.headers["x-request-id"])[0]
    assert (row["client_gone"], row["error_class"]) == (True, "client_closed_request")
    assert gateway.get(token, f"/v1/responses/{first['response']['id']}").json()["status"] == "cancelled"


# --- without a database -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def fragile(
    tmp_path_factory: pytest.TempPathFactory, running_upstream: SandboxProcess
) -> Iterator[tuple[PostgresServer, Gateway, str]]:
    """A server whose PostgreSQL a test may stop; and a token."""
    data = tmp_path_factory.mktemp("fragile") / "data"
    with (
        own_postgres() as database,
        Installation(data, env={"DATABASE_URL": f"{database.url}/postgres"}) as installation,
    ):
        assert installation.command("migrate", "--verbosity=0").returncode == 0
        seed(installation, running_upstream.url)
        gateway = installation.gateway()
        yield database, gateway, gateway.token("ada", user=USER)


def test_without_a_database_no_id_is_told(fragile: tuple[PostgresServer, Gateway, str]) -> None:
    database, gateway, token = fragile
    body = {"model": CHAT, "input": COUNT}
    client = gateway.sdk(token)
    known = client.responses.create(**body)  # type: ignore[call-overload]
    database.stop()
    try:
        whole = gateway.post(token, "/v1/responses", body)
        assert_ours(whole, 503, "ownership_unavailable")
        assert whole.headers["retry-after"] == "5"
        streamed = gateway.post(token, "/v1/responses", {**body, "stream": True})
        assert stream_error(streamed.content)["error"]["code"] == "ownership_unavailable"
        assert "resp_" not in whole.text + streamed.text
        assert_ours(gateway.get(token, "/v1/responses/resp_unknown"), 503, "records_unavailable")
        unknown = {**body, "previous_response_id": "resp_unknown"}
        assert_ours(gateway.post(token, "/v1/responses", unknown), 503, "records_unavailable")
        with pytest.raises(APIError):
            list(client.responses.create(**body, stream=True))  # type: ignore[call-overload]
        # what needs no new record goes on from what is remembered
        assert client.responses.create(**body, store=False).output_text  # type: ignore[call-overload]
        follow_up = {**body, "store": False, "previous_response_id": known.id}
        assert client.responses.create(**follow_up).output_text  # type: ignore[call-overload]
    finally:
        database.start()
    wait_until(lambda: gateway.post(token, "/v1/responses", body).status_code == 200)
    assert client.responses.retrieve(known.id).id == known.id
    gateway.installation.do("forget_connection")
    row = gateway.installation.records(1, request_id=streamed.headers["x-request-id"])[0]
    assert (row["error_class"], row["client_gone"]) == ("ownership_unavailable", False)


def test_what_runs_on_without_a_database_is_charged_later(fragile: tuple[PostgresServer, Gateway, str]) -> None:
    """Its id is withheld, but it was begun, so it costs."""
    database, gateway, token = fragile
    body = {"model": CHAT, "input": f"{COUNT} [[sandbox: queued=1 working=1]]", "background": True}
    database.stop()
    try:
        withheld = gateway.post(token, "/v1/responses", body)
        assert_ours(withheld, 503, "ownership_unavailable")
    finally:
        database.start()
    gateway.installation.do("forget_connection")
    request_id = withheld.headers["x-request-id"]
    wait_until(lambda: [row for row in gateway.installation.records(request_id=request_id) if row["output_tokens"]], 30)


# --- many at once -------------------------------------------------------------------------------------------


def test_records_share_commits_and_the_first_owner_stays(gateway: Gateway) -> None:
    done = gateway.installation.do("commit_together", 1000)
    assert done["stored"] == 1000
    assert sum(done["commits"]) == 1001
    assert len(done["commits"]) <= 50
    assert done["owner"] == "user:1"


async def test_a_hundred_at_once(gateway: Gateway, async_sdk: AsyncOpenAI) -> None:
    """A hundred responses at once are all recorded, and none waits for ninety-nine commits of its own."""
    started = time.monotonic()
    made = await asyncio.gather(*(async_sdk.responses.create(model=CHAT, input="hi") for _ in range(100)))
    took = time.monotonic() - started
    assert len(owned(gateway, *(response.id for response in made))) == 100
    assert took < 15, f"100 responses at once took {took:.1f} s"


# --- forgetting ---------------------------------------------------------------------------------------------


def test_owners_are_forgotten_when_the_time_is_over(gateway: Gateway, sdk: OpenAI) -> None:
    installation = gateway.installation
    message: Any = {"type": "message", "role": "user", "content": "hi"}
    old, young = (sdk.responses.create(model=CHAT, input="hi") for _ in range(2))
    running = sdk.responses.create(model=CHAT, input="hi [[sandbox: queued=60000]]", background=True)
    conversation, deleted = (sdk.conversations.create(items=[message], extra_headers=PROVIDER) for _ in range(2))
    kept_item, gone_item = (sdk.conversations.items.list(each.id).data[0].id or "" for each in (conversation, deleted))
    sdk.conversations.delete(deleted.id)
    days = 61 * 86_400
    old_item = old.output[0].id or ""
    for each in (old.id, old_item, running.id, conversation.id, deleted.id):
        assert installation.do("age_objects", days, object_id=each) == 1

    assert installation.do("manage", "prune_objects", "--batch=2").startswith("Deleted ")
    left = owned(gateway, old.id, old_item, young.id, running.id, conversation.id, deleted.id, kept_item, gone_item)
    assert set(left) == {young.id, running.id, conversation.id, kept_item}
    sdk.responses.cancel(running.id)


def test_the_retention_is_a_setting(make_installation: Any) -> None:
    installation = make_installation(env={"GATEHOUSE_OBJECT_RETENTION_DAYS": "1"})
    gateway = installation.gateway()
    with gateway.sdk(gateway.token("ada", user=USER)) as client:
        response = client.responses.create(model=CHAT, input="hi")
        installation.do("age_objects", 90_000)
        assert client.responses.retrieve(response.id).id == response.id
        installation.do("manage", "prune_objects")
    fresh = installation.gateway()
    with fresh.sdk(fresh.token("again", user=USER)) as client, pytest.raises(NotFoundError):
        client.responses.retrieve(response.id)
