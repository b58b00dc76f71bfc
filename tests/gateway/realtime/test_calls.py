"""Calls over WebRTC and SIP: begun with the account's key, owned, metered and ended by a sideband of ours."""

import asyncio
import contextlib
import json
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from openai import BadRequestError, NotFoundError

from tests.gateway.realtime.conftest import seed
from tests.support.fixtures import ACCOUNT, USER
from tests.support.installation import Gateway, Installation, within
from tests.support.manifests import provider
from tests.support.sandbox_process import KEY, SandboxProcess
from tests.support.servers import wait_until
from tests.support.talk import MODEL, client, dial, events_until, refusal, say

OFFER = "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\n"
USAGE = "[[sandbox: input_tokens=100 output_tokens=30]]"
SESSION: Any = {"type": "realtime", "model": MODEL, "output_modalities": ["text"], "instructions": f"Be brief. {USAGE}"}
ENDLESS: Any = {**SESSION, "instructions": "[[sandbox: tokens=5000 token-delay=20]]"}
SDP = {"content-type": "application/sdp"}
OTHER = "bob@example.com"


class Person:
    """A caller with a token of one test's own."""

    def __init__(self, gateway: Gateway, user: str = USER) -> None:
        self.gateway = gateway
        self.name = f"caller-{secrets.token_hex(4)}"
        self.token = gateway.token(self.name, user=user)
        self.sdk = gateway.sdk(self.token)

    def begin(self, session: Any = SESSION) -> str:
        """Begin a call with the SDK; return its id."""
        answer = self.sdk.realtime.calls.with_raw_response.create(sdp=OFFER, session=session)
        assert answer.http_response.status_code == 201
        assert answer.http_response.text.startswith("v=0\r\n")
        assert answer.headers["content-type"] == "application/sdp"
        place, _, call_id = answer.headers["location"].rpartition("/")
        assert place == "/v1/realtime/calls"
        return call_id

    def records(self, operation: str, count: int = 1) -> list[dict[str, Any]]:
        """The records of one operation, once there are ``count``; fails when there are more."""
        rows = self.gateway.installation.records(count, token_prefix=self.token[:10], operation__exact=operation)
        assert len(rows) == count, [(row["operation"], row["error_class"]) for row in rows]
        return rows


@pytest.fixture
def person(voices: Gateway) -> Iterator[Person]:
    made = Person(voices)
    yield made
    made.sdk.close()


@pytest.fixture
def other(voices: Gateway) -> Iterator[Person]:
    made = Person(voices, OTHER)
    yield made
    made.sdk.close()


def hung_up(upstream: SandboxProcess, call_id: str) -> bool:
    return bool(upstream.requests(f"/v1/realtime/calls/{call_id}/hangup"))


def posted(upstream: SandboxProcess, path: str) -> dict[str, Any]:
    return next(each for each in upstream.requests(path) if each["method"] == "POST")


@contextlib.asynccontextmanager
async def straight(upstream: SandboxProcess, call_id: str) -> Any:
    """A socket of the vendor's own beside a call: what goes on there does not pass the gateway."""
    async with (
        aiohttp.ClientSession(headers={"authorization": f"Bearer {KEY}"}) as session,
        session.ws_connect(f"{upstream.url}/realtime?call_id={call_id}") as socket,
    ):
        yield socket


def test_a_call_is_metered_and_ended(person: Person, realtime_upstream: SandboxProcess) -> None:
    realtime_upstream.clear()
    call_id = person.begin({**SESSION, "model": f"{ACCOUNT}/voice"})
    sent = posted(realtime_upstream, "/v1/realtime/calls")
    assert ["authorization", f"Bearer {KEY}"] in sent["headers"]
    assert b'"model":"gpt-realtime"' in sent["body"]
    assert OFFER.encode() in sent["body"]
    (response,) = person.records("realtime")
    assert (response["input_tokens"], response["output_tokens"]) == (100, 30)
    assert (response["model_asked"], response["model_served"]) == (f"{ACCOUNT}/voice", "gpt-realtime")
    assert response["cost_pico"] > 0

    person.sdk.realtime.calls.hangup(call_id)
    (call,) = person.records("realtime_call")
    assert (call["object_id"], call["cost_pico"], call["error_class"]) == (call_id, 0, "")
    assert call["units"]["session_ms"] > 0
    (begun,) = person.records("realtime.calls.create")
    assert (begun["status"], begun["cost_pico"], begun["model_asked"]) == (201, 0, f"{ACCOUNT}/voice")
    assert begun["request_id"] == call["request_id"] == response["request_id"]
    (row,) = person.gateway.installation.do("owned", object_id=call_id)
    assert (row["kind"], row["owner_name"], row["model_name"]) == ("realtime_call", USER, f"{ACCOUNT}/voice")
    wait_until(lambda: person.gateway.installation.do("owned", object_id=call_id)[0]["deleted_at"] is not None)


def test_a_browser_begins_a_call_with_a_client_secret(person: Person, realtime_upstream: SandboxProcess) -> None:
    secret = person.sdk.realtime.client_secrets.create(session=SESSION).value
    realtime_upstream.clear()
    answer = person.gateway.post(secret, "/v1/realtime/calls", content=OFFER.encode(), headers=SDP)
    assert answer.status_code == 201, answer.text
    sent = posted(realtime_upstream, "/v1/realtime/calls")
    assert USAGE.encode() in sent["body"]
    assert "ek_gh_" not in str(sent)
    assert person.records("realtime")[0]["input_tokens"] == 100
    call_id = answer.headers["location"].rpartition("/")[2]
    assert person.gateway.post(secret, f"/v1/realtime/calls/{call_id}/hangup", {}).status_code == 200
    person.records("realtime_call")


def test_a_call_under_daphne(daphne: Gateway) -> None:
    person = Person(daphne)
    call_id = person.begin()
    assert person.records("realtime")[0]["input_tokens"] == 100
    person.sdk.realtime.calls.hangup(call_id)
    assert person.records("realtime_call")[0]["object_id"] == call_id
    person.sdk.close()


def test_a_call_without_a_model_has_the_accounts_default(person: Person) -> None:
    call_id = person.begin({"type": "realtime", "instructions": "hi"})
    person.sdk.realtime.calls.hangup(call_id)
    assert person.records("realtime_call")[0]["model_served"] == "gpt-realtime"


def test_what_no_one_reports_is_unpriced(person: Person) -> None:
    call_id = person.begin({**SESSION, "instructions": "[[sandbox: tokens=20 no-usage]]"})
    (response,) = person.records("realtime")
    assert (response["cost_pico"], response["estimated"]) == (None, False), "its audio was not here to be measured"
    person.sdk.realtime.calls.hangup(call_id)


def test_an_offer_alone_names_its_model_in_the_address(person: Person) -> None:
    answer = person.gateway.post(
        person.token, f"/v1/accounts/{ACCOUNT}/realtime/calls?model=voice", content=OFFER.encode(), headers=SDP
    )
    assert answer.status_code == 201, answer.text
    assert answer.headers["x-tfy-resolved-model"] == f"{ACCOUNT}/voice"
    call_id = answer.headers["location"].removeprefix(f"/v1/accounts/{ACCOUNT}/realtime/calls/")
    person.sdk.realtime.calls.hangup(call_id)


REFUSALS: list[tuple[str, Any, int, str]] = [
    ("a-number-for-a-model", {**SESSION, "model": 7}, 400, "invalid_type"),
    ("an-unknown-model", {**SESSION, "model": "gpt-nothing"}, 404, "model_not_found"),
    ("a-model-of-others", {**SESSION, "model": f"foreign/{MODEL}"}, 404, "model_not_found"),
    ("a-model-for-other-calls", {**SESSION, "model": f"{ACCOUNT}/gpt-4o-mini"}, 400, "unsupported_model_type"),
    ("another-type", {**SESSION, "type": "transcription"}, 400, "invalid_request"),
    (
        "an-unknown-transcriber",
        {**SESSION, "audio": {"input": {"transcription": {"model": "gpt-nothing"}}}},
        404,
        "model_not_found",
    ),
    (
        "an-object-of-others",
        {**SESSION, "tools": [{"type": "file_search", "vector_store_ids": ["vs_of_others"]}]},
        404,
        "not_found",
    ),
]


@pytest.mark.parametrize(("session", "status", "code"), [row[1:] for row in REFUSALS], ids=[row[0] for row in REFUSALS])
def test_what_is_refused_before_the_upstream_is_asked(
    voices: Gateway, voice_token: str, realtime_upstream: SandboxProcess, session: Any, status: int, code: str
) -> None:
    realtime_upstream.clear()
    parts = {"sdp": (None, OFFER, "application/sdp"), "session": (None, json.dumps(session), "application/json")}
    headers = {"authorization": f"Bearer {voice_token}"}
    answer = voices.http.post(f"{voices.origin}/v1/realtime/calls", files=parts, headers=headers)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
    answer = voices.post(voice_token, "/v1/realtime/calls/rtc_incoming/accept", session)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
    assert realtime_upstream.requests() == []


@pytest.mark.parametrize(
    ("parts", "code"),
    [
        ({"sdp": (None, "hello")}, "invalid_offer"),
        ({"session": (None, "{}")}, "missing_required_parameter"),
        ({"sdp": ("offer.sdp", OFFER)}, "missing_required_parameter"),
        ({"sdp": (None, OFFER), "session": (None, "[]")}, "invalid_type"),
        ({"sdp": (None, OFFER), "other": (None, "1")}, "unknown_parameter"),
    ],
)
def test_offers_that_are_none(voices: Gateway, voice_token: str, parts: Any, code: str) -> None:
    headers = {"authorization": f"Bearer {voice_token}"}
    answer = voices.http.post(f"{voices.origin}/v1/realtime/calls?model={MODEL}", files=parts, headers=headers)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, code)


def test_a_vendor_without_sidebands(voices: Gateway, person: Person, realtime_upstream: SandboxProcess) -> None:
    model = {"name": "talker", "model_id": "gpt-realtime", "model_types": ["realtime"]}
    plain = provider("no-calls", realtime_upstream.url, models=[], type="provider-account/groq")
    plain["integrations"] = [{"type": "integration/model/groq", **model}]
    voices.installation.apply(plain)
    wait_until(lambda: "no-calls" in voices.get(person.token, "/v1/models").text)
    with pytest.raises(BadRequestError, match="no socket beside a call") as refused:
        person.begin({**SESSION, "model": "no-calls/talker"})
    assert refused.value.code == "calls_not_supported"


async def test_calls_of_others_do_not_exist(person: Person, other: Person) -> None:
    call_id = person.begin(ENDLESS)
    calls = other.sdk.realtime.calls
    for act in (
        lambda: calls.hangup(call_id),
        lambda: calls.refer(call_id, target_uri="tel:+14155550123"),
        lambda: calls.accept(call_id, type="realtime", model=MODEL),
        lambda: calls.reject(call_id, extra_headers={"x-tfy-provider-name": ACCOUNT}),
    ):
        with pytest.raises(NotFoundError) as refused:
            act()
        assert refused.value.code == "not_found"
    for path in (f"/v1/realtime?call_id={call_id}", f"/live/{ACCOUNT}/realtime?call_id={call_id}"):
        status, error = await refusal(person.gateway, other.token, path)
        assert (status, error["code"], error["param"]) == (404, "not_found", "call_id")
    status, error = await refusal(person.gateway, person.token, f"/live/other/realtime?call_id={call_id}")
    assert (status, error["code"]) == (404, "not_found")
    person.sdk.realtime.calls.refer(call_id, target_uri="tel:+14155550123")
    person.records("realtime_call")


async def test_the_clients_own_sideband(person: Person) -> None:
    call_id = person.begin()
    person.records("realtime")
    async with client(person.gateway, person.token).realtime.connect(call_id=call_id) as connection:
        assert (await events_until(connection, "session.created"))[0].session.model == MODEL
        await say(connection, f"hi {USAGE}")
        await events_until(connection, "response.done")
        await connection.session.update(
            session={"type": "realtime", "audio": {"input": {"transcription": {"model": "gpt-nothing"}}}}
        )
        assert (await events_until(connection, "error"))[-1].error.code == "model_not_found"
        person.sdk.realtime.calls.hangup(call_id)
        await asyncio.wait_for(connection._connection.wait_closed(), 10)
    assert [row["input_tokens"] for row in person.records("realtime", 2)] == [100, 100], "each is metered once"
    (session,) = person.records("realtime_session")
    assert (session["cost_pico"], session["input_tokens"]) == (0, 0)
    status, error = await refusal(person.gateway, person.token, f"/v1/realtime?call_id={call_id}&model={MODEL}")
    assert (status, error["code"], error["param"]) == (400, "invalid_value", "call_id")


def test_a_revoked_token_ends_its_calls(person: Person, realtime_upstream: SandboxProcess) -> None:
    call_id = person.begin(ENDLESS)
    wait_until(lambda: b"call_id" in str(realtime_upstream.requests("/v1/realtime")[-1]["query"]).encode())
    person.gateway.installation.do("revoke", person.name)
    with within(1, "the hang-up"):
        wait_until(lambda: hung_up(realtime_upstream, call_id))
    (call,) = person.records("realtime_call")
    assert (call["object_id"], call["error_class"]) == (call_id, "token_revoked")
    (response,) = person.records("realtime")
    assert response["output_tokens"] > 0, "what it was cut off at is metered"


def test_a_disabled_account_ends_its_calls(voices: Gateway, person: Person, realtime_upstream: SandboxProcess) -> None:
    model = {"name": "ending", "model_id": "gpt-realtime", "model_types": ["realtime"]}
    voices.installation.apply(provider("ending", realtime_upstream.url, models=[model]))
    wait_until(lambda: "ending/ending" in voices.get(person.token, "/v1/models").text)
    call_id = person.begin({**ENDLESS, "model": "ending/ending"})
    voices.installation.do("change_account", "ending", enabled=False)
    with within(1, "the hang-up"):
        wait_until(lambda: hung_up(realtime_upstream, call_id))
    assert person.records("realtime_call")[0]["error_class"] == "access_ended"


async def test_a_setting_beside_the_gateway_ends_the_call(person: Person, realtime_upstream: SandboxProcess) -> None:
    call_id = person.begin()
    person.records("realtime")

    async def transcribe(model: str) -> None:
        session = {"type": "realtime", "audio": {"input": {"transcription": {"model": model}}}}
        await socket.send_json({"type": "session.update", "session": session})

    async with straight(realtime_upstream, call_id) as socket:
        await transcribe("gpt-4o-mini-transcribe")
        await asyncio.sleep(0.3)
        assert not hung_up(realtime_upstream, call_id), "the caller may use this model"
        await transcribe("whisper-1")
        await asyncio.to_thread(wait_until, lambda: hung_up(realtime_upstream, call_id))
    assert person.records("realtime_call")[0]["error_class"] == "model_not_found"


def test_a_broken_sideband_is_joined_again(person: Person, realtime_upstream: SandboxProcess) -> None:
    realtime_upstream.clear()
    call_id = person.begin({**SESSION, "instructions": "[[sandbox: tokens=9 cut-after=2]]"})
    wait_until(lambda: len(realtime_upstream.requests("/v1/realtime")) == 2)

    async def speak() -> None:
        async with dial(person.gateway, person.token, f"/v1/realtime?call_id={call_id}") as socket:
            content = [{"type": "input_text", "text": USAGE}]
            await socket.send("conversation.item.create", item={"type": "message", "role": "user", "content": content})
            await socket.send("response.create")
            await socket.until("response.done")

    asyncio.run(speak())
    rows = person.gateway.installation.records(1, token_prefix=person.token[:10], operation__exact="realtime")
    assert rows[-1]["input_tokens"] == 100
    person.sdk.realtime.calls.hangup(call_id)
    cut = next(row for row in person.records("realtime", 2) if row["error_class"])
    assert cut["cost_pico"] is None, "what no one reported is unpriced, not free"


def test_an_incoming_call_belongs_to_the_caller_who_accepts_it(person: Person, other: Person) -> None:
    call_id = f"rtc_{secrets.token_hex(8)}"
    with pytest.raises(NotFoundError):
        person.sdk.realtime.calls.hangup(call_id)
    person.sdk.realtime.calls.accept(
        call_id, type="realtime", model=f"{ACCOUNT}/voice", output_modalities=["text"], instructions=USAGE
    )
    (response,) = person.records("realtime")
    assert (response["input_tokens"], response["model_asked"]) == (100, f"{ACCOUNT}/voice")
    with pytest.raises(BadRequestError) as refused:
        person.sdk.realtime.calls.accept(call_id, type="realtime", model=MODEL)
    assert refused.value.code == "call_already_accepted"
    with pytest.raises(NotFoundError):
        other.sdk.realtime.calls.accept(call_id, type="realtime", model=MODEL)
    person.sdk.realtime.calls.hangup(call_id)
    assert person.records("realtime_call")[0]["object_id"] == call_id


def test_a_call_that_the_upstream_does_not_give_stays_free(person: Person, realtime_upstream: SandboxProcess) -> None:
    call_id = f"rtc_{secrets.token_hex(8)}"
    realtime_upstream.post(f"/realtime/calls/{call_id}/reject", {})
    answer = person.gateway.post(person.token, f"/v1/realtime/calls/{call_id}/accept", SESSION)
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "call_already_answered")
    assert answer.headers["x-gatehouse-error-origin"] == "upstream"
    assert person.gateway.installation.do("owned", object_id=call_id) == []


def test_an_incoming_call_is_declined(person: Person, realtime_upstream: SandboxProcess) -> None:
    call_id = f"rtc_{secrets.token_hex(8)}"
    person.sdk.realtime.calls.reject(call_id, status_code=486, extra_headers={"x-tfy-provider-name": ACCOUNT})
    assert posted(realtime_upstream, f"/v1/realtime/calls/{call_id}/reject")["body"] == b'{"status_code":486}'
    path = f"/v1/realtime/calls/rtc_{secrets.token_hex(8)}/reject"
    answer = person.gateway.post(person.token, path, {}, headers={"x-tfy-provider-name": "other"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "permission_denied")


@pytest.fixture
def apart(tmp_path: Path, migrated_data: Path, realtime_upstream: SandboxProcess) -> Iterator[Installation]:
    """An installation whose servers a test may end, with tight bounds, that looks for abandoned calls often."""
    env = {"GATEHOUSE_BACKGROUND_POLL_SECONDS": "0.3", "GATEHOUSE_REALTIME_SESSIONS_PER_SUBJECT": "1"}
    with Installation(tmp_path / "data", migrated_data, env) as installation:
        seed(installation, realtime_upstream)
        yield installation


def test_calls_are_bounded_like_sessions(apart: Installation, realtime_upstream: SandboxProcess) -> None:
    person = Person(apart.gateway(env={"GATEHOUSE_REALTIME_MAX_SECONDS": "2"}))
    call_id = person.begin(ENDLESS)
    answer = person.gateway.post(person.token, f"/v1/realtime/calls?model={MODEL}", content=OFFER, headers=SDP)
    assert (answer.status_code, answer.json()["error"]["code"]) == (429, "too_many_sessions")
    wait_until(lambda: hung_up(realtime_upstream, call_id))
    assert person.records("realtime_call")[0]["error_class"] == "session_expired"
    person.sdk.realtime.calls.hangup(person.begin())


def test_a_server_that_ends_hangs_up(apart: Installation, realtime_upstream: SandboxProcess) -> None:
    person = Person(apart.gateway())
    call_id = person.begin()
    person.records("realtime")
    assert person.gateway.stop() in (0, -15)
    assert hung_up(realtime_upstream, call_id)
    (call,) = person.records("realtime_call")
    assert call["error_class"] == "shutting_down"


def test_a_dead_workers_calls_are_hung_up(apart: Installation, realtime_upstream: SandboxProcess) -> None:
    person = Person(apart.gateway())
    call_id = person.begin(ENDLESS)
    person.gateway.kill()
    apart.gateway()
    assert not hung_up(realtime_upstream, call_id)
    assert 0 < apart.do("seconds_until_due", call_id) <= 30
    apart.do("make_due", call_id)
    wait_until(lambda: hung_up(realtime_upstream, call_id))
    wait_until(lambda: apart.do("owned", object_id=call_id)[0]["deleted_at"] is not None)
    assert apart.do("owned", object_id=call_id)[0]["state"] == "abandoned"
    assert person.records("realtime_call")[0]["error_class"] == "interrupted"
