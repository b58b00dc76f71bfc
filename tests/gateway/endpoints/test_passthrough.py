"""What a client sends arrives as sent, and what the upstream answers comes back as answered: to the byte, and at
once.
"""

import itertools
import json
import re
import socket
import time
from collections.abc import Iterator
from typing import Any

import httpx
import msgspec
import pytest
from openai import OpenAI

from tests.support.chat_examples import user
from tests.support.fixtures import ACCOUNT, CHAT
from tests.support.installation import Gateway
from tests.support.manifests import provider
from tests.support.sandbox_process import SandboxProcess
from tests.support.servers import wait_until

ODD_BODY = (
    b'{"model" : "openai-main/gpt-4o-mini", "messages":[ {"role":"user",  "content":"h\\u00e9 \\ud83d\\ude00 '
    b'\xc3\xa9"} ],\n'
    b' "x_unknown": {"b" : 1.0, "a":[1e3, 0.10, -0, 12345678901234567890], "twice":{"k":1,"k":2}},'
    b' "x_text":"a\\/b", "x_null":null ,"stream":false}'
)
UPSTREAM_HEADERS = {
    "host",
    "authorization",
    "accept",
    "accept-encoding",
    "content-type",
    "content-length",
    "user-agent",
}
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

fields = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


def top(body: bytes) -> dict[str, bytes]:
    """The top-level fields of a JSON object, each value as the bytes that came."""
    return {name: bytes(value) for name, value in fields(body).items()}


def only(upstream: SandboxProcess) -> dict[str, Any]:
    """The one request that the upstream received."""
    (request,) = upstream.requests()
    return request


def headers_of(request: dict[str, Any]) -> dict[str, str]:
    """A request's headers; fails when one came twice."""
    names = [name for name, _ in request["headers"]]
    assert len(set(names)) == len(names), names
    return dict(request["headers"])


def masked(body: bytes) -> bytes:
    """An answer without what differs from call to call: ids and times."""
    return re.sub(rb'"(id|created)":("[^"]*"|\d+)', rb'"\1":0', body)


def chat(prompt: str, **more: Any) -> dict[str, Any]:
    return {"model": CHAT, "messages": user(prompt), **more}


def direct(upstream: SandboxProcess, path: str, body: dict[str, Any]) -> httpx.Response:
    """The same call without a gateway: the model under its upstream name."""
    return upstream.post(path, {**body, "model": body["model"].partition("/")[2]})


# --- the request --------------------------------------------------------------------------------------------


def test_every_field_arrives_byte_for_byte(gateway: Gateway, token: str, upstream: SandboxProcess) -> None:
    gateway.post(token, "/v1/chat/completions", content=ODD_BODY)

    sent, received = top(ODD_BODY), top(only(upstream)["body"])
    assert list(received) == list(sent)
    assert received.pop("model") == b'"gpt-4o-mini"'
    assert sent.pop("model") == b'"openai-main/gpt-4o-mini"'
    assert received == sent


def test_the_model_is_replaced_by_its_upstream_name(sdk: OpenAI, upstream: SandboxProcess) -> None:
    answer = sdk.chat.completions.create(model=f"{ACCOUNT}/named-model", messages=user("hi"))

    assert top(only(upstream)["body"])["model"] == b'"gpt-4o-mini"'
    assert answer.model == "gpt-4o-mini-2024-07-18"


def test_unknown_parameters_of_the_sdk_arrive(sdk: OpenAI, upstream: SandboxProcess) -> None:
    extra = {"safety_identifier": "u1", "future_option": {"deep": [1, {"er": None}]}}
    sdk.with_options(max_retries=0).chat.completions.with_raw_response.create(
        **chat("hi"), service_tier="default", metadata={"a": "b"}, extra_body=extra
    )
    received = json.loads(only(upstream)["body"])
    assert {name: received[name] for name in extra} == extra
    assert received["metadata"] == {"a": "b"}
    assert received["service_tier"] == "default"


def test_a_body_in_chunks_arrives_whole(gateway: Gateway, token: str, upstream: SandboxProcess) -> None:
    body = json.dumps(chat("x" * 300_000)).encode()
    pieces = (body[start : start + 7000] for start in range(0, len(body), 7000))
    response = gateway.post(token, "/v1/chat/completions", content=pieces)

    assert response.status_code == 200
    assert top(only(upstream)["body"])["messages"] == top(body)["messages"]


def test_the_query_goes_on(gateway: Gateway, token: str, upstream: SandboxProcess) -> None:
    gateway.post(token, "/v1/chat/completions?api-version=2026-01-01&a=%20b", chat("hi"))
    assert only(upstream)["query"] == "api-version=2026-01-01&a=%20b"


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        (None, {"include_usage": True}),
        ({}, {"include_usage": True}),
        ({"include_obfuscation": False}, {"include_obfuscation": False, "include_usage": True}),
        ({"include_usage": False}, {"include_usage": True}),
        ({"include_usage": True}, {"include_usage": True}),
    ],
)
def test_usage_of_a_stream_is_asked_for(
    gateway: Gateway, token: str, upstream: SandboxProcess, given: Any, sent: Any
) -> None:
    gateway.post(token, "/v1/chat/completions", chat("hi", stream=True, stream_options=given))
    assert json.loads(only(upstream)["body"])["stream_options"] == sent


def test_a_call_without_a_stream_gains_no_stream_options(sdk: OpenAI, upstream: SandboxProcess) -> None:
    sdk.chat.completions.create(**chat("hi"), stream=False)
    assert set(json.loads(only(upstream)["body"])) == {"model", "messages", "stream"}


# --- headers ------------------------------------------------------------------------------------------------


def test_only_harmless_headers_go_upstream(gateway: Gateway, token: str, upstream: SandboxProcess) -> None:
    sent = {
        "api-key": token,
        "cookie": "session=1",
        "connection": "x-drop-me",
        "x-drop-me": "1",
        "keep-alive": "timeout=5",
        "te": "trailers",
        "proxy-authorization": "Basic eDp5",
        "forwarded": "for=1.2.3.4",
        "x-forwarded-for": "1.2.3.4",
        "x-real-ip": "1.2.3.4",
        "x-tfy-metadata": '{"project": "secret-project"}',
        "x-tfy-provider-name": ACCOUNT,
        "x-tfy-request-timeout": "9000",
        "x-tfy-anything": "1",
        "x-request-id": "req_mine",
        "x-stainless-lang": "python",
        "openai-organization": "org-of-the-client",
        "accept-encoding": "gzip, br",
        "x-sandbox": "status=500",
        "user-agent": "client/1",
        "accept": "application/json",
    }
    response = gateway.post(token, "/v1/chat/completions", chat("hi"), headers=sent)

    received = headers_of(only(upstream))
    assert response.status_code == 200
    assert set(received) == UPSTREAM_HEADERS
    assert received["authorization"] == "Bearer sk-sandbox"
    assert received["accept-encoding"] == "identity"
    assert received["user-agent"] == "client/1"
    assert received["host"] == upstream.origin.removeprefix("http://")
    assert token not in json.dumps([received, only(upstream)["body"].decode()])


def test_headers_that_the_upstream_understands_go_on(gateway: Gateway, token: str, upstream: SandboxProcess) -> None:
    sent = {
        "traceparent": TRACE,
        "tracestate": "a=b",
        "openai-beta": "assistants=v2",
        "x-client-request-id": "c-1",
    }
    response = gateway.post(token, "/v1/chat/completions", chat("hi"), headers=sent)

    received = headers_of(only(upstream))
    assert {name: received[name] for name in sent} == sent
    assert response.headers["traceparent"] == TRACE


def test_an_idempotency_key_is_the_callers_own(gateway: Gateway, token: str, upstream: SandboxProcess) -> None:
    """Callers share the account's key upstream: the same words of two of them must not name one answer."""
    other = gateway.token("another", user="another@example.com")
    for caller in (token, token, other):
        body = chat("[[sandbox: status=503]] hi")  # which is not kept here
        gateway.post(caller, "/v1/chat/completions", body, headers={"idempotency-key": "i-1"})

    first, again, foreign = (headers_of(request)["idempotency-key"] for request in upstream.requests())
    assert first == again != foreign
    assert "i-1" not in (first, foreign)


@pytest.mark.parametrize("name", ["authorization", "x-tfy-provider-name"])
def test_a_header_that_we_act_on_comes_once(gateway: Gateway, token: str, upstream: SandboxProcess, name: str) -> None:
    headers = [("authorization", f"Bearer {token}"), (name, f"Bearer {token}")]
    if name != "authorization":
        headers.append((name, "openai-main"))
    response = httpx.post(f"{gateway.origin}/v1/chat/completions", json=chat("hi"), headers=headers)
    assert response.status_code == 400
    assert name in response.json()["error"]["message"]
    assert upstream.requests() == []


def test_the_accounts_own_headers_go_upstream(gateway: Gateway, token: str, upstream: SandboxProcess) -> None:
    manifest = provider(
        "with-headers",
        upstream.url,
        models=["gpt-4o-mini"],
        extra_headers={"X-Team": "blue", "OpenAI-Beta": "v9"},
        organization="org-1",
        project="proj-1",
    )
    gateway.installation.apply(manifest)
    body = {**chat("hi"), "model": "with-headers/gpt-4o-mini"}
    wait_until(lambda: gateway.get(token, f"/v1/models/{body['model']}").status_code == 200)

    gateway.post(token, "/v1/chat/completions", body, headers={"openai-beta": "v1", "x-team": "red"})

    received = headers_of(only(upstream))
    assert received["x-team"] == "blue"
    assert received["openai-beta"] == "v9"
    assert received["openai-organization"] == "org-1"
    assert received["openai-project"] == "proj-1"


def test_answers_carry_our_headers(gateway: Gateway, token: str, upstream: SandboxProcess) -> None:
    response = gateway.post(token, "/v1/chat/completions", chat("hi"), headers={"x-request-id": "req_mine"})

    headers = response.headers
    assert re.fullmatch(r"req_[0-9a-f]{32}", headers["x-request-id"])
    assert headers["x-request-id"] != headers["x-upstream-request-id"]
    assert headers["x-tfy-resolved-model"] == CHAT
    assert re.fullmatch(r"upstream;dur=\d+\.\d\d, gateway;dur=\d+\.\d\d", headers["server-timing"])
    assert headers["x-ratelimit-remaining-requests"] == "9999"
    assert "openai-processing-ms" in headers
    assert "openai-organization" not in headers, "whose account it is stays inside"
    assert "set-cookie" not in headers
    assert "x-gatehouse-error-origin" not in headers
    assert "sk-sandbox" not in str(headers) + response.text


def test_every_call_has_an_id_of_its_own(gateway: Gateway, token: str) -> None:
    ids = {gateway.post(token, "/v1/chat/completions", chat("hi")).headers["x-request-id"] for _ in range(5)}
    assert len(ids) == 5


# --- the answer ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/chat/completions", chat("hi")),
        ("/chat/completions", chat("Say hi in Japanese.", n=2, logprobs=True)),
        ("/completions", {"model": f"{ACCOUNT}/gpt-3.5-turbo-instruct", "prompt": "hi"}),
        (
            "/embeddings",
            {"model": f"{ACCOUNT}/text-embedding-3-small", "input": ["a", "b"], "encoding_format": "base64"},
        ),
        ("/moderations", {"model": f"{ACCOUNT}/omni-moderation-latest", "input": "a"}),
    ],
)
def test_an_answer_gains_the_provider_and_nothing_else(
    gateway: Gateway, token: str, upstream: SandboxProcess, path: str, body: dict[str, Any]
) -> None:
    plain = direct(upstream, path, body)
    governed = gateway.post(token, f"/v1{path}", body)

    assert masked(governed.content) == masked(plain.content[:-1] + b',"provider":"openai"}')
    assert governed.headers["content-type"] == plain.headers["content-type"]
    assert governed.headers["content-length"] == str(len(governed.content))


@pytest.mark.parametrize("directive", ["", "split=7", "crlf", "comments", "split=1; crlf; comments", "no-done"])
def test_a_stream_comes_byte_for_byte_but_for_the_usage_chunk(
    gateway: Gateway, token: str, upstream: SandboxProcess, directive: str
) -> None:
    body = chat(f"Count from 1 to 9. [[sandbox: {directive}]]", stream=True)
    plain = direct(upstream, "/chat/completions", {**body, "stream_options": {"include_usage": True}})
    governed = gateway.post(token, "/v1/chat/completions", body)

    events = re.split(rb"(?<=\n\n)|(?<=\r\n\r\n)", plain.content)
    expected = [event for event in events if b'"choices":[]' not in event]
    if "comments" in directive:  # the comment of the withheld chunk is an event of its own
        assert len(expected) == len(events) - 1
    assert masked(governed.content) == masked(b"".join(expected))
    assert governed.headers["content-type"] == plain.headers["content-type"]


@pytest.mark.parametrize("directive", ["", "split=5", "crlf"])
def test_a_stream_with_usage_asked_comes_whole(
    gateway: Gateway, token: str, upstream: SandboxProcess, directive: str
) -> None:
    body = chat(f"Count from 1 to 9. [[sandbox: {directive}]]", stream=True, stream_options={"include_usage": True})
    plain = direct(upstream, "/chat/completions", body)
    governed = gateway.post(token, "/v1/chat/completions", body)

    assert b'"choices":[]' in plain.content
    assert masked(governed.content) == masked(plain.content)


def test_an_error_of_the_upstream_comes_byte_for_byte(gateway: Gateway, token: str, upstream: SandboxProcess) -> None:
    body = chat("hi", temperature="hot")
    plain = direct(upstream, "/chat/completions", body)
    governed = gateway.post(token, "/v1/chat/completions", body)

    assert plain.status_code == governed.status_code == 400
    assert governed.content == plain.content
    assert governed.headers["x-gatehouse-error-origin"] == "upstream"


# --- at once ------------------------------------------------------------------------------------------------


def test_events_come_as_they_are_made(sdk: OpenAI) -> None:
    started = time.monotonic()
    arrived = []
    for chunk in sdk.chat.completions.create(**chat("hi [[sandbox: tokens=12 token-delay=80]]"), stream=True):
        if chunk.choices:
            arrived.append(time.monotonic() - started)

    assert arrived[0] < 0.5
    assert arrived[-1] > 0.9
    gaps = [later - earlier for earlier, later in itertools.pairwise(arrived)]
    assert sum(gap > 0.03 for gap in gaps) >= 10, gaps


def unread_stream(gateway: Gateway, token: str, prompt: str) -> socket.socket:
    """Start a stream on a small receive buffer and read nothing of it."""
    body = json.dumps(chat(prompt, stream=True)).encode()
    head = (
        f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\n"
        f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.connect(("127.0.0.1", gateway.port))
    connection.sendall(head.encode() + body)
    return connection


@pytest.fixture
def lazy_reader(gateway: Gateway, token: str, upstream: SandboxProcess) -> Iterator[socket.socket]:
    with unread_stream(gateway, token, "hi [[sandbox: endless]]") as connection:
        yield connection


def test_a_slow_reader_slows_its_upstream(lazy_reader: socket.socket, upstream: SandboxProcess) -> None:
    def sent() -> int:
        return sum(request["chunks_sent"] or 0 for request in upstream.requests())

    def stands_still() -> bool:
        before = sent()
        time.sleep(0.4)
        return before > 0 and sent() == before

    wait_until(stands_still, 15)
    held = sent()
    lazy_reader.settimeout(5)
    while sent() == held:  # it goes on when the reader does
        assert lazy_reader.recv(65536)
