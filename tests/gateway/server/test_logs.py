"""Logs: one line a call, as JSON or text, and never a secret in it."""

import json
import uuid
from typing import Any

import pytest
from openai import OpenAI
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect as websocket

from gateway.config.log_format import text_line
from tests.support.calls import CHAT_PATH, chat
from tests.support.fixtures import ACCOUNT, CHAT, USER, InstallationMaker
from tests.support.installation import Gateway
from tests.support.manifests import provider
from tests.support.sandbox_process import SandboxProcess
from tests.support.servers import wait_until

CANARIES = {
    "prompt": "canary-prompt-5f2a",
    "metadata": "canary-metadata-81bc",
    "header": "canary-header-77de",
    "query": "canary-query-0a9f",
    "upstream key": "sk-canary-upstream-3c41",
    "answer": "canary-answer-66b0",
    "unknown token": "gh-canary000000000000000000000000000000000000abc",
    "bad metadata": "canary-bad-metadata-19e2",
    "bad body": "canary-bad-body-4d77",
}


def line_of(gateway: Gateway, request_id: str) -> str:
    """The one line of a call's log."""
    wait_until(lambda: request_id in gateway.log, 5)
    (line,) = [line for line in gateway.log.splitlines() if request_id in line]
    return line


@pytest.mark.parametrize("stream", [False, True])
def test_a_line_a_call_as_text(gateway: Gateway, token: str, stream: bool) -> None:
    response = gateway.post(token, CHAT_PATH, chat(stream=stream))
    line = line_of(gateway, response.headers["x-request-id"])
    words = dict(word.split("=", 1) for word in line.split(" call ")[1].split(" "))
    assert words["status"] == "200"
    assert (words["method"], words["path"]) == ("POST", CHAT_PATH)
    assert words["caller"] == f"user:{USER}"
    assert words["token"] == token[:10]
    assert (words["model"], words["served_by"]) == (CHAT, CHAT)
    assert (words["stream"], words["attempts"]) == (str(stream), "1")
    assert float(words["ms"]) >= float(words["upstream_ms"]) > 0


def test_refusals_and_upstream_errors_are_lines_too(gateway: Gateway, token: str) -> None:
    calls: list[tuple[dict[str, Any], str, str]] = [
        (chat(model="nowhere/m"), "404", "model_not_found"),
        (chat(model=f"{ACCOUNT}/whisper-1"), "400", "unsupported_model_type"),
        (chat("hi [[sandbox: cut]]"), "502", "upstream_disconnected"),
    ]
    for body, status, code in calls:
        line = line_of(gateway, gateway.post(token, CHAT_PATH, body).headers["x-request-id"])
        assert f"status={status}" in line
        assert f"error={code}" in line
    stranger = gateway.post("gh-none", CHAT_PATH, chat())
    assert "status=401" in line_of(gateway, stranger.headers["x-request-id"])


@pytest.mark.parametrize(
    "name",
    [
        "a\nINFO call status=200 caller=user:root",
        "a status=200 b",
        "a\r\nb",
        "a\x1b[31mred",
        "a\x85b\u2028c",
        'a" b="c',
    ],
)
def test_no_caller_writes_words_or_lines(gateway: Gateway, token: str, name: str) -> None:
    before = len(gateway.log.splitlines())
    response = gateway.post(token, CHAT_PATH, chat(model=name))
    line = line_of(gateway, response.headers["x-request-id"])
    assert len(gateway.log.splitlines()) - before == 1
    assert line.isprintable()
    outside_quotes = "".join(line.replace('\\"', "").split('"')[::2])
    assert outside_quotes.count("status=") == 1
    assert "status=404" in outside_quotes


def drive(gateway: Gateway, token: str, client: OpenAI) -> None:
    """Calls of every kind, with canaries wherever a caller can put one."""

    def call(body: dict[str, Any]) -> None:
        headers = {
            "x-tfy-metadata": json.dumps({"k": CANARIES["metadata"]}),
            "x-private": CANARIES["header"],
            "cookie": f"session={CANARIES['header']}",
            "idempotency-key": f"{CANARIES['header']}-{uuid.uuid4()}",
        }
        gateway.post(token, path, body, headers=headers)

    prompt = f"{CANARIES['prompt']} Repeat after me: {CANARIES['answer']}"
    path = f"{CHAT_PATH}?token={CANARIES['query']}"
    for model in (CHAT, "canary/gpt-4o-mini"):
        for directive in (
            "",
            "[[sandbox: status=500]]",
            "[[sandbox: cut]]",
            "[[sandbox: garbage]]",
            "[[sandbox: html]]",
        ):
            call(chat(f"{directive} {prompt}", model=model))
        call(chat(f"[[sandbox: cut-after=3]] {prompt}", model=model, stream=True))
    call(chat(prompt, stream=True))
    gateway.post(token, CHAT_PATH, content=f'{{"model": "{CANARIES["bad body"]}'.encode())
    gateway.post(token, CHAT_PATH, chat(prompt), headers={"x-tfy-metadata": CANARIES["bad metadata"]})
    gateway.post(CANARIES["unknown token"], CHAT_PATH, chat(prompt))
    gateway.post(token[:-1] + "x", CHAT_PATH, chat(prompt))
    client.chat.completions.create(**chat(prompt))


def test_no_secret_reaches_the_log(make_installation: InstallationMaker, running_upstream: SandboxProcess) -> None:
    installation = make_installation({"GATEHOUSE_LOG_FORMAT": "json", "GATEHOUSE_LOG_LEVEL": "DEBUG"})
    installation.apply(provider("canary", running_upstream.url, models=["gpt-4o-mini"], key=CANARIES["upstream key"]))
    token = installation.do("token", "t", user=USER)
    gateway = installation.gateway()
    with gateway.sdk(token) as client:
        drive(gateway, token, client)
    gateway.stop()

    log = gateway.log
    secrets = {
        **CANARIES,
        "token": token,
        "token's end": token[-20:],
        "keys": (installation.data / "secret_key").read_text(),
    }
    assert {name for name, secret in secrets.items() if secret in log} == set()
    assert "sk-sandbox" not in log
    assert log.count(CHAT_PATH) >= 18
    check_json(log, token)


def check_json(log: str, token: str) -> None:
    """Every line behind the first is an object; a call's has what the text form has."""
    lines = [json.loads(line) for line in log.splitlines() if not line.startswith("Gatehouse listens")]
    assert all({"time", "level", "event"} <= set(line) for line in lines)
    calls = [line for line in lines if line["event"] == "call"]
    assert len(calls) >= 18
    whole = next(call for call in calls if call["status"] == 200)
    assert whole["caller"] == f"user:{USER}"
    assert whole["token"] == token[:10]
    assert whole["served_by"] == CHAT
    assert isinstance(whole["ms"], float)


def test_health_checks_are_not_logged(gateway: Gateway) -> None:
    def checks() -> int:
        return gateway.log.count("/readyz") + gateway.log.count("/healthz")

    before = checks()
    for _ in range(3):
        gateway.http.get(f"{gateway.origin}/readyz")
    gateway.post("gh-none", "/v1/models/marker")
    wait_until(lambda: "/v1/models/marker" in gateway.log, 5)
    assert checks() == before


def test_a_sockets_address_is_logged_without_its_query(gateway: Gateway, token: str) -> None:
    """Some clients can only put their credential there."""
    canary = "canary-socket-query-2b7d"
    address = f"ws://127.0.0.1:{gateway.port}/v1/responses?api_key={canary}"
    with websocket(address, additional_headers={"Authorization": f"Bearer {token}"}) as socket:
        socket.send(json.dumps({"type": "response.create", "model": CHAT, "input": "hi", "store": False}))
        assert json.loads(socket.recv(timeout=10))["type"] == "response.created"
        # What no one reads would keep the socket from closing.
        wait_until(lambda: json.loads(socket.recv(timeout=10))["type"] == "response.completed", pause=0)
    with pytest.raises(InvalidStatus):
        websocket(address, additional_headers={"Authorization": "Bearer wrong"})
    wait_until(lambda: gateway.log.count("path=/v1/responses ") >= 2, 5)
    assert canary not in gateway.log


@pytest.mark.parametrize(
    ("value", "word"),
    [
        ("a/m-1.5", "a/m-1.5"),
        (3, "3"),
        ("two words", '"two words"'),
        ("a=b", '"a=b"'),
        ('say "no"', r'"say \"no\""'),
        ("line\nbreak", r'"line\nbreak"'),
        ("größe", '"größe"'),
        (["a", "b"], "\"['a', 'b']\""),
    ],
)
def test_each_value_is_one_word(value: Any, word: str) -> None:
    fields = {"time": "T", "level": "info", "event": "call", "status": 200, "error": "", "model": value, "ms": None}
    assert text_line(fields) == f"T INFO    call status=200 model={word}"


def test_a_line_may_have_nothing_to_add() -> None:
    assert text_line({"time": "T", "level": "warning", "event": "Started.", "trace": "Traceback"}) == (
        "T WARNING Started.\nTraceback"
    )
