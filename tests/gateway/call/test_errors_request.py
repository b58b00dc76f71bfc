"""Faulty and hostile requests: each gets a true 4xx in OpenAI's shape, and reaches no upstream."""

import json
import socket
import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from openai import APIStatusError, AuthenticationError, BadRequestError, NotFoundError, OpenAI

from accounts.tokens import new_token
from tests.support.bad_requests import BAD_BODIES, BAD_HEADERS
from tests.support.calls import CHAT_PATH, assert_body, assert_ours, chat, open_call, read_answer
from tests.support.chat_examples import user
from tests.support.fixtures import ACCOUNT, CHAT
from tests.support.installation import Gateway, promised, within
from tests.support.manifests import chat_model, provider
from tests.support.sandbox_process import SandboxProcess
from tests.support.servers import wait_until

MB = 2**20


@pytest.fixture(autouse=True)
def nothing_went_upstream(upstream: SandboxProcess) -> Any:
    """No request of this file may reach the upstream."""
    yield
    assert upstream.requests() == []


# --- 401 ----------------------------------------------------------------------------------------------------


def test_no_token(gateway: Gateway) -> None:
    response = gateway.http.post(gateway.origin + CHAT_PATH, json=chat())
    assert_ours(response, 401, "missing_api_key")
    assert response.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize("header", ["Basic eDp5", "Bearer", "Token abc", ""])
def test_no_token_in_the_header(gateway: Gateway, header: str) -> None:
    response = gateway.http.post(gateway.origin + CHAT_PATH, json=chat(), headers={"authorization": header})
    assert response.status_code == 401
    assert response.headers["www-authenticate"] == "Bearer"


def mistyped(token: str) -> str:
    return token[:20] + ("a" if token[20] != "a" else "b") + token[21:]


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (mistyped, "checksum"),
        (lambda token: token[:-3], "missing or added"),
        (lambda token: token + "x", "missing or added"),
        (lambda token: "sk-proj-" + token, "start with 'gh-'"),
        (lambda token: new_token(), "No such token"),
    ],
)
def test_a_token_that_opens_nothing(gateway: Gateway, token: str, spoil: Callable[[str], str], says: str) -> None:
    spoiled = spoil(token)
    with gateway.sdk(spoiled) as client, pytest.raises(AuthenticationError) as caught:
        client.chat.completions.create(**chat())

    assert_ours(
        httpx.Response(401, headers=dict(caught.value.response.headers), content=caught.value.response.content),
        401,
        "invalid_api_key",
    )
    assert says in caught.value.message
    assert spoiled not in str(caught.value), "the presented token must not be shown"


def refused(gateway: Gateway, token: str) -> dict[str, Any] | None:
    """The 401 that a token gets, or nothing while it is still let in."""
    response = gateway.get(token, "/v1/models")
    return assert_body(response.json(), response.json()["error"]["code"]) if response.status_code == 401 else None


@pytest.mark.parametrize(
    ("operation", "code"),
    [
        (("revoke", "doomed"), "token_revoked"),
        (("expire", "doomed"), "token_expired"),
        (("user", "doomed@example.com", {"is_active": False}), "token_holder_disabled"),
        (("delete_token", "doomed"), "invalid_api_key"),
    ],
)
def test_a_token_that_ended(gateway: Gateway, operation: tuple[Any, ...], code: str) -> None:
    doomed = gateway.token("doomed", user="doomed@example.com")
    name, *arguments = operation
    named = arguments.pop() if isinstance(arguments[-1], dict) else {}
    gateway.installation.do(name, *arguments, **named)
    try:
        wait_until(lambda: refused(gateway, doomed), 5)
        error = refused(gateway, doomed)
        assert error is not None
        assert error["code"] == code
        assert doomed not in error["message"]
        assert_ours(gateway.post(doomed, CHAT_PATH, chat()), 401, code)
    finally:
        gateway.installation.do("delete_token", "doomed")
        gateway.installation.do("user", "doomed@example.com", is_active=True)


def test_a_disabled_virtual_account(gateway: Gateway) -> None:
    gateway.installation.do("virtual_account", "robot", enabled=True)
    robot = gateway.token("robot", virtual_account="robot")
    gateway.installation.do("virtual_account", "robot", enabled=False)
    wait_until(lambda: refused(gateway, robot), 5)
    assert_ours(gateway.post(robot, CHAT_PATH, chat()), 401, "token_holder_disabled")


# --- 403 and 404 --------------------------------------------------------------------------------------------


def test_a_disabled_account(gateway: Gateway, token: str) -> None:
    installation = gateway.installation
    resting = {"models": [chat_model("m")], "enabled": False}
    installation.apply(provider("resting", "http://127.0.0.1:9/v1", access=(), **resting))
    unseen = gateway.post(token, CHAT_PATH, chat(model="resting/m"))
    assert_ours(unseen, 404, "model_not_found", "model")

    installation.do("grant", "resting", "everyone")
    wait_until(lambda: gateway.post(token, CHAT_PATH, {**chat(), "model": "resting/m"}).status_code == 403, 5)
    error = assert_ours(gateway.post(token, CHAT_PATH, chat(model="resting/m")), 403, "provider_account_disabled")
    assert "resting" in error["message"]


def test_an_unknown_and_a_foreign_model_look_the_same(gateway: Gateway, token: str) -> None:
    names = [
        "foreign/gpt-4o-mini",
        "nowhere/gpt-4o-mini",
        f"{ACCOUNT}/gpt-4o-nano",
        "foreign/none",
        "gpt-9",
        "/",
        "a//b",
    ]
    texts = set()
    for name in names:
        response = gateway.post(token, CHAT_PATH, chat(model=name))
        error = assert_ours(response, 404, "model_not_found", "model")
        assert repr(name) in error["message"]
        texts.add(error["message"].replace(repr(name), "NAME"))
        assert set(response.headers) == {
            "date",
            "content-type",
            "content-length",
            "x-request-id",
            "x-tfy-feedback-target-id",
            "x-gatehouse-error-origin",
        }
    assert len(texts) == 1


def test_an_unknown_and_a_foreign_account_in_the_header_look_the_same(gateway: Gateway, token: str) -> None:
    texts = set()
    for name in ("foreign", "nowhere", "", "Foreign"):
        if not name:
            continue
        response = gateway.post(token, CHAT_PATH, chat(model="gpt-4o-mini"), headers={"x-tfy-provider-name": name})
        texts.add(assert_ours(response, 404, "model_not_found", "model")["message"].replace(repr(name), "NAME"))
    assert len(texts) == 1


def test_the_sdk_sees_a_not_found_error(sdk: OpenAI) -> None:
    with pytest.raises(NotFoundError) as caught:
        sdk.chat.completions.create(**chat(model="nowhere/gpt"))
    assert caught.value.code == "model_not_found"
    assert caught.value.param == "model"
    assert caught.value.type == "invalid_request_error"


@pytest.mark.parametrize(
    "path",
    [
        "/v1",
        "/v1/",
        "/v1/nope",
        "/v1/chat",
        "/v1/chat/completions/",
        "/v1/v1/v1/models",
        "/api/llm",
        "/api/llm/",
        "/api/llm/nope",
        "/api/llm/api/inference/nope",
        "/v1/%00",
        "/v1/%ff%fe",
        "/v1/" + "x" * 5000,
        "/v1/../admin",
        "/v1//models",
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_an_unknown_path(gateway: Gateway, token: str, method: str, path: str) -> None:
    """Past httpx, which would fix some of these."""
    with socket.create_connection(("127.0.0.1", gateway.port), 10) as connection:
        connection.sendall(
            f"{method} {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\ncontent-length: "
            f"0\r\n\r\n".encode()
        )
        status, body = read_answer(connection)
    assert status == 404
    assert_body(json.loads(body), "unknown_url")


# --- 405 ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/v1/completions", "POST"),
        ("PUT", CHAT_PATH, "POST"),
        ("OPTIONS", CHAT_PATH, "POST"),
        ("PROPFIND", CHAT_PATH, "POST"),
        ("DELETE", "/api/llm/embeddings", "POST"),
        ("POST", "/v1/models", "GET"),
        ("PATCH", f"/v1/models/{CHAT}", "GET"),
    ],
)
def test_a_method_that_an_endpoint_has_not(gateway: Gateway, token: str, method: str, path: str, allowed: str) -> None:
    headers = {"authorization": f"Bearer {token}"}
    response = gateway.http.request(method, gateway.origin + path, headers=headers, content=b"{}")
    assert_ours(response, 405, "method_not_allowed")
    assert allowed in response.headers["allow"].split(", ")


@pytest.mark.parametrize("name", ["authorization", "api-key", "x-tfy-metadata"])
def test_a_header_that_came_twice_is_named(gateway: Gateway, token: str, name: str) -> None:
    value = f"Bearer {token}" if name == "authorization" else "{}"
    headers = [("authorization", f"Bearer {token}"), *[(name, value)] * (1 if name == "authorization" else 2)]
    response = gateway.http.post(gateway.origin + CHAT_PATH, json=chat(), headers=headers)
    assert_ours(response, 400, "invalid_request", name)


# --- 400: capability ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "model", "model_type"),
    [
        ("/v1/chat/completions", "text-embedding-3-small", "chat"),
        ("/v1/chat/completions", "whisper-1", "chat"),
        ("/v1/completions", "gpt-4o-mini", "completion"),
        ("/v1/embeddings", "gpt-4o-mini", "embedding"),
        ("/v1/moderations", "gpt-4o-mini", "moderation"),
    ],
)
def test_a_model_that_is_not_for_this(gateway: Gateway, token: str, path: str, model: str, model_type: str) -> None:
    body = {"model": f"{ACCOUNT}/{model}", "messages": user("hi"), "input": "hi", "prompt": "hi"}
    error = assert_ours(gateway.post(token, path, body), 400, "unsupported_model_type", "model")
    assert error["message"] == f"{model_type} is not supported for the model"


# --- 400: bodies --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", BAD_BODIES)
def test_a_bad_body(gateway: Gateway, token: str, name: str) -> None:
    body, code, param = BAD_BODIES[name]
    with within(2, "refusing a bad body"):
        response = gateway.post(token, CHAT_PATH, content=body)
    assert_ours(response, 400, code, param)
    assert len(response.content) < 1000


def test_a_bad_body_and_the_next_call_on_the_connection(gateway: Gateway, token: str) -> None:
    bad = gateway.post(token, CHAT_PATH, content=b"{")
    good = gateway.get(token, "/v1/models")
    assert (bad.status_code, good.status_code) == (400, 200)


def test_the_sdk_sees_a_bad_request_error(sdk: OpenAI) -> None:
    with pytest.raises(BadRequestError) as caught:
        sdk.chat.completions.create(model="", messages=user("hi"))
    assert caught.value.code == "missing_required_parameter"


def test_strange_model_names_are_only_names(gateway: Gateway, token: str) -> None:
    names = [
        "a" * 100_000,
        f"{ACCOUNT}/../foreign/gpt-4o-mini",
        f"{ACCOUNT}/",
        "x\u0000y",
        "x\r\nset-cookie: a=b",
        "名/前",
    ]
    for name in names:
        error = assert_ours(gateway.post(token, CHAT_PATH, chat(model=name)), 404, "model_not_found", "model")
        assert len(error["message"]) < 1000


# --- 400: headers -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "value"), BAD_HEADERS, ids=lambda text: str(text)[:40])
def test_a_bad_header(gateway: Gateway, token: str, name: str, value: str | bytes) -> None:
    error = assert_ours(gateway.post(token, CHAT_PATH, chat(), headers={name: value}), 400, "invalid_request", name)
    assert name in error["message"]


# --- 408, 413, 415 ------------------------------------------------------------------------------------------


def test_a_half_sent_body(tight_gateway: Gateway, tight_token: str) -> None:
    started = time.monotonic()
    with open_call(tight_gateway, tight_token, b'{"model": "', length=1000) as connection:
        status, body = read_answer(connection)
    assert status == 408
    assert_body(json.loads(body), "request_timeout")
    assert 0.9 < time.monotonic() - started < promised(3)


def test_a_body_that_trickles(tight_gateway: Gateway, tight_token: str) -> None:
    """The whole body has the time, not each piece of it."""
    with open_call(tight_gateway, tight_token, b"{", length=1000) as connection, within(3, "refusing a trickle"):
        connection.settimeout(0.2)
        answer = b""
        while not answer:
            connection.sendall(b" ")
            try:
                answer = connection.recv(65536)
            except TimeoutError:
                continue
    assert answer.startswith(b"HTTP/1.1 408")


def test_an_unauthenticated_half_sent_body_is_refused_at_once_enough(gateway: Gateway) -> None:
    with open_call(gateway, "gh-none", b"{", length=1000) as connection, within(8, "refusing a stranger"):
        status, _ = read_answer(connection)
    assert status == 401


def test_a_30_mb_body_through_the_sdk(sdk: OpenAI) -> None:
    with pytest.raises(APIStatusError) as caught:
        sdk.chat.completions.create(**chat("x" * 30 * MB))
    assert caught.value.status_code == 413
    assert caught.value.body is not None
    assert caught.value.code == "request_too_large"
    assert "GATEHOUSE_MAX_BODY_MB" in caught.value.message


def test_a_large_body_in_chunks(tight_gateway: Gateway, tight_token: str) -> None:
    response = tight_gateway.post(tight_token, CHAT_PATH, content=(b" " * MB for _ in range(8)))
    assert_ours(response, 413, "request_too_large")


def test_the_largest_body_that_is_allowed(tight_gateway: Gateway, tight_token: str, upstream: SandboxProcess) -> None:
    body = json.dumps(chat(model="nowhere/m")).encode()
    padded = body[:-1] + b" " * (MB - len(body)) + b"}"
    assert tight_gateway.post(tight_token, CHAT_PATH, content=padded).status_code == 404
    assert tight_gateway.post(tight_token, CHAT_PATH, content=padded + b" ").status_code == 413


@pytest.mark.parametrize(
    "media",
    ["text/plain", "multipart/form-data; boundary=x", "application/x-www-form-urlencoded", "application/jsonp", "json"],
)
def test_a_wrong_content_type(gateway: Gateway, token: str, media: str) -> None:
    response = gateway.post(token, CHAT_PATH, chat(), headers={"content-type": media})
    error = assert_ours(response, 415, "unsupported_media_type")
    assert "application/json" in error["message"]


@pytest.mark.parametrize(
    "media", ["application/json; charset=utf-8", "Application/JSON", "application/vnd.api+json", ""]
)
def test_a_fitting_content_type(gateway: Gateway, token: str, media: str) -> None:
    headers = {"content-type": media}
    assert_ours(gateway.post(token, CHAT_PATH, chat(model="a/b"), headers=headers), 404, "model_not_found", "model")


def test_a_client_that_leaves_before_its_body_is_whole(gateway: Gateway, token: str) -> None:
    open_call(gateway, token, b"{", length=1000).close()
    wait_until(lambda: "status=499" in gateway.log, 5)
