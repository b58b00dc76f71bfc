"""Calls with an idempotency key: answered once, whatever comes twice, on two workers and both databases."""

import asyncio
import io
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import httpx
import pytest
from openai import ConflictError, UnprocessableEntityError

from tests.support.calls import CHAT_PATH, assert_ours, chat
from tests.support.fixtures import USER, seed
from tests.support.installation import Gateway, Installation, migrated_postgres_url
from tests.support.sandbox_process import SandboxProcess
from tests.support.servers import wait_until

KEPT_HEADERS = ("content-type", "x-tfy-resolved-model", "x-upstream-request-id")
SECRET = "The word is heliotrope."


class Workers(NamedTuple):
    installation: Installation
    one: Gateway
    two: Gateway
    token: str


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def running(request, tmp_path_factory, migrated_data, running_upstream: SandboxProcess) -> Iterator[Workers]:
    postgres = request.param == "postgresql"
    env = {"GATEHOUSE_IDEMPOTENCY_ANSWER_MB": "0.05"}
    env |= {"DATABASE_URL": migrated_postgres_url()} if postgres else {}
    folder = tmp_path_factory.mktemp("idempotency") / "data"
    with Installation(folder, None if postgres else migrated_data, env) as installation:
        seed(installation, running_upstream.url)
        token = installation.do("token", "twice", user=USER)
        yield Workers(installation, installation.gateway(), installation.gateway(), token)


@pytest.fixture
def key() -> str:
    return str(uuid.uuid4())


def named(key: str) -> dict[str, str]:
    return {"Idempotency-Key": key}


def sent(upstream: SandboxProcess) -> int:
    return len(upstream.requests())


def test_the_second_call_gets_the_first_answer(running: Workers, upstream: SandboxProcess, key: str) -> None:
    first, again = (
        worker.sdk(running.token).chat.completions.with_raw_response.create(
            **chat(SECRET), extra_headers={**named(key), "x-tfy-metadata": f'{{"try": "{number}"}}'}
        )
        for number, worker in enumerate((running.one, running.two))
    )
    assert again.content == first.content
    assert (first.status_code, again.status_code, sent(upstream)) == (200, 200, 1)
    assert all(again.headers[name] == first.headers[name] for name in KEPT_HEADERS)
    assert "idempotency-replayed" not in first.headers
    assert again.headers["idempotency-replayed"] == "true"
    assert again.headers["x-gatehouse-replayed-request-id"] == first.headers["x-request-id"]
    assert again.headers["x-request-id"] != first.headers["x-request-id"]

    (paid,) = running.installation.records(1, request_id=first.headers["x-request-id"])
    (free,) = running.installation.records(1, request_id=again.headers["x-request-id"])
    assert paid["cost_pico"] > 0
    assert (free["cost_pico"], free["input_tokens"], free["attempt_number"]) == (0, 0, 0)
    assert free["decision"] == {"replayed": paid["request_id"]}
    assert free["metadata"] == {"try": "1"}
    assert free["bytes_out"] == len(first.content)
    same = ("status", "account", "model_served", "model_resolved", "operation", "endpoint", "subject_name")
    assert all(free[name] == paid[name] for name in same)
    said = running.installation.do("manage", "why", free["request_id"])
    assert "kept answer" in said
    assert paid["request_id"] in said


@pytest.mark.parametrize("pace", ["", " [[sandbox: token-delay=10]]"])
def test_a_stream_is_streamed_again(running: Workers, upstream: SandboxProcess, key: str, pace: str) -> None:
    body = chat(f"Count from 1 to 40.{pace}", stream=True, stream_options={"include_usage": True})
    first, again = (
        worker.post(running.token, CHAT_PATH, body, headers=named(key)) for worker in (running.one, running.two)
    )
    assert first.content.endswith(b"data: [DONE]\n\n")
    assert again.content == first.content
    assert again.headers["content-type"].startswith("text/event-stream")
    assert "content-length" not in again.headers
    with running.two.sdk(running.token) as client:
        streams = [list(client.chat.completions.create(**body, extra_headers=named(f"{key}-sdk"))) for _ in range(2)]
    assert streams[0] == streams[1]
    assert streams[1][-1].usage is not None
    assert sent(upstream) == 2


def test_another_request_is_refused(running: Workers, upstream: SandboxProcess, key: str) -> None:
    with running.one.sdk(running.token) as client:
        client.chat.completions.create(**chat("one"), extra_headers=named(key))
        with pytest.raises(UnprocessableEntityError) as refused:
            client.chat.completions.create(**chat("two"), extra_headers=named(key))
        assert (refused.value.code, refused.value.param) == ("idempotency_key_reused", "idempotency-key")
    elsewhere = running.one.post(running.token, "/v1/responses", chat("one"), headers=named(key))
    assert_ours(elsewhere, 422, "idempotency_key_reused", "idempotency-key")
    assert sent(upstream) == 1


def test_a_key_is_its_owners(running: Workers, upstream: SandboxProcess, key: str) -> None:
    same = running.one.token("twice-too", user=USER)
    other = running.one.token("other", user="bob@example.com")
    ids = [
        running.one.post(token, CHAT_PATH, chat(), headers=named(key)).json()["id"]
        for token in (running.token, same, other)
    ]
    assert (ids[0] == ids[1], ids[0] == ids[2], sent(upstream)) == (True, False, 2)


def test_who_may_not_make_the_call_gets_no_answer_again(running: Workers, upstream: SandboxProcess, key: str) -> None:
    """Tokens of one owner share a key's answers when they open the same models; one that does not make the call."""
    limited = running.one.token("narrow", ["openai-main/gpt-4o"], user=USER)
    assert running.one.post(running.token, CHAT_PATH, chat(), headers=named(key)).status_code == 200
    assert_ours(running.one.post(limited, CHAT_PATH, chat(), headers=named(key)), 404, "model_not_found", "model")
    assert sent(upstream) == 1


def test_a_model_that_was_withdrawn_answers_nothing_again(running: Workers, upstream: SandboxProcess, key: str) -> None:
    def again() -> httpx.Response:
        return running.one.post(running.token, CHAT_PATH, chat(), headers=named(key))

    assert again().status_code == 200
    running.installation.do("change_model", "openai-main/gpt-4o-mini", enabled=False)
    try:
        wait_until(lambda: again().status_code == 404)
        assert_ours(again(), 404, "model_not_found", "model")
    finally:
        running.installation.do("change_model", "openai-main/gpt-4o-mini", enabled=True)
    wait_until(lambda: again().status_code == 200)
    running.installation.do("change_account", "openai-main", enabled=False)
    try:
        wait_until(lambda: again().status_code == 403)
        assert_ours(again(), 403, "provider_account_disabled")
    finally:
        running.installation.do("change_account", "openai-main", enabled=True)
    wait_until(lambda: again().headers.get("idempotency-replayed") == "true")
    assert sent(upstream) == 1


async def test_calls_at_once_are_one(running: Workers, upstream: SandboxProcess, key: str) -> None:
    body = chat("[[sandbox: latency=400]] hi")
    clients = [worker.async_sdk(running.token, max_retries=4) for worker in (running.one, running.two)]
    calls = [client.chat.completions.create(**body, extra_headers=named(key)) for client in clients for _ in range(10)]
    ids = {answer.id for answer in await asyncio.gather(*calls)}
    assert (len(ids), sent(upstream)) == (1, 1)


@pytest.mark.parametrize("fault", ["status=500", "status=429", "reset"])
def test_failures_are_not_kept(running: Workers, upstream: SandboxProcess, key: str, fault: str) -> None:
    """What the SDK does by itself: the same key again after a failure that may pass."""
    body = chat(f"[[sandbox: {fault} times=1 key={key}]] hi")
    with running.one.sdk(running.token, max_retries=2) as client:
        first = client.chat.completions.create(**body, extra_headers=named(key))
        again = client.chat.completions.create(**body, extra_headers=named(key))
    assert (again.id, sent(upstream)) == (first.id, 2)


@pytest.mark.parametrize("fault", ["cut-after=3", "error-after=3"])
def test_a_cut_stream_is_not_kept(running: Workers, upstream: SandboxProcess, key: str, fault: str) -> None:
    body = chat(f"[[sandbox: {fault} times=1 key={key}]] Count from 1 to 40.", stream=True)
    broken, whole, again = (
        running.one.post(running.token, CHAT_PATH, body, headers=named(key)).content for _ in range(3)
    )
    assert b"[DONE]" not in broken
    assert whole.endswith(b"data: [DONE]\n\n")
    assert (again, sent(upstream)) == (whole, 2)


def test_a_stream_that_its_client_leaves_is_not_kept(running: Workers, upstream: SandboxProcess, key: str) -> None:
    body = chat("[[sandbox: token-delay=30]] Count from 1 to 40.", stream=True)
    with running.one.sdk(running.token) as client:
        left = client.chat.completions.create(**body, extra_headers=named(key))
        next(iter(left))
        left.close()
    whole, again = (running.two.post(running.token, CHAT_PATH, body, headers=named(key)).content for _ in range(2))
    assert whole.endswith(b"data: [DONE]\n\n")
    assert (again, sent(upstream)) == (whole, 2)


def test_a_refusal_for_good_is_kept(running: Workers, upstream: SandboxProcess, key: str) -> None:
    body = chat("[[sandbox: status=400 message=no_way]] hi")
    first, again = (running.one.post(running.token, CHAT_PATH, body, headers=named(key)) for _ in range(2))
    assert (first.status_code, again.status_code, again.content) == (400, 400, first.content)
    assert (again.headers["x-gatehouse-error-origin"], sent(upstream)) == ("upstream", 1)


def test_our_own_refusal_is_not_kept(running: Workers, upstream: SandboxProcess, key: str) -> None:
    wrong = running.one.post(running.token, CHAT_PATH, {"messages": []}, headers=named(key))
    assert wrong.status_code == 400
    assert running.one.post(running.token, CHAT_PATH, chat(), headers=named(key)).status_code == 200
    assert sent(upstream) == 1


def test_a_form_is_the_same_with_another_boundary(running: Workers, upstream: SandboxProcess, key: str) -> None:
    """Its clients make a new one for every try; the file is compared all the same."""
    audio, other = b"RIFF" + b"\0" * 200_000, b"RIFF" + b"\1" * 200_000

    def transcribe(data: bytes) -> Any:
        with running.one.sdk(running.token) as client:
            return client.audio.transcriptions.with_raw_response.create(
                model="openai-main/whisper-1", file=("a.wav", io.BytesIO(data)), extra_headers=named(key)
            )

    first, again = transcribe(audio), transcribe(audio)
    assert (again.content, again.headers["idempotency-replayed"]) == (first.content, "true")
    with pytest.raises(UnprocessableEntityError):
        transcribe(other)
    types = {dict(request["headers"])["content-type"] for request in upstream.requests()}
    assert len(types) == 1


def test_objects_are_made_once(running: Workers, upstream: SandboxProcess, key: str) -> None:
    with running.one.sdk(running.token, default_headers={"x-tfy-provider-name": "openai-main"}) as client:
        made = [client.conversations.create(extra_headers=named(key)).id for _ in range(2)]
        assert made[0] == made[1]
        assert client.conversations.retrieve(made[1]).id == made[0]
        closed = [client.conversations.items.create(made[0], items=[{"role": "user", "content": "hi"}]) for _ in (1, 2)]
        assert closed[0] != closed[1]  # without a key nothing is kept


def test_an_answer_that_is_too_large_is_not_paid_twice(running: Workers, upstream: SandboxProcess, key: str) -> None:
    body = chat("[[sandbox: big=100000]] hi")
    with running.one.sdk(running.token, max_retries=2) as client:
        client.chat.completions.create(**body, extra_headers=named(key))
        with pytest.raises(ConflictError) as refused:
            client.chat.completions.create(**body, extra_headers=named(key))
    assert (refused.value.code, sent(upstream)) == ("idempotent_answer_not_kept", 1)


@pytest.mark.parametrize("bad", ["", "a b", "x" * 256, "naïve"])
def test_a_key_is_a_short_word(running: Workers, upstream: SandboxProcess, bad: str) -> None:
    answer = running.one.post(running.token, CHAT_PATH, chat(), headers={"Idempotency-Key": bad.encode("latin1")})
    assert_ours(answer, 400, "invalid_request", "idempotency-key")
    assert sent(upstream) == 0


def test_it_is_encrypted_and_goes_after_a_day(running: Workers, upstream: SandboxProcess, key: str) -> None:
    def call() -> httpx.Response:
        return running.one.post(running.token, CHAT_PATH, chat("Say: heliotrope"), headers=named(key))

    first = call().json()["id"]
    rows = running.installation.do("kept_answers")
    assert rows
    assert not [row for row in rows if "heliotrope" in row or first in row or key in row]
    running.installation.do("age_kept_answers", 23.9 * 3600)
    assert call().json()["id"] == first
    running.installation.do("age_kept_answers", 0.2 * 3600)
    second = call().json()["id"]
    assert second != first
    running.installation.do("manage", "prune_objects")
    assert len(running.installation.do("kept_answers")) == 1
    assert (call().json()["id"], sent(upstream)) == (second, 2)


def test_a_dead_workers_turn_ends(running: Workers, upstream: SandboxProcess, key: str) -> None:
    body = chat(f"[[sandbox: hang times=1 key={key}]] hi")
    doomed = running.installation.gateway()
    with ThreadPoolExecutor(1) as threads:
        lost = threads.submit(doomed.post, running.token, CHAT_PATH, body, headers=named(key))
        wait_until(lambda: sent(upstream) == 1)
        doomed.kill()
        assert isinstance(lost.exception(), httpx.TransportError)
    running.installation.do("age_kept_answers", 61)
    answers = {running.two.post(running.token, CHAT_PATH, body, headers=named(key)).json()["id"] for _ in range(2)}
    assert (len(answers), sent(upstream)) == (1, 2)
