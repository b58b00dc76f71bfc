"""Misbehaviour on request: each directive does what it says, by header and in the prompt."""

import json
import socket
import time
from dataclasses import fields
from typing import Any

import httpx
import pytest
from openai import APIStatusError, InternalServerError, OpenAI, RateLimitError

from sandbox.errors import ApiError
from sandbox.misbehaviour.faults import Faults, from_body, parse
from tests.support.forked import ROOT
from tests.support.openapi import assert_valid
from tests.support.sandbox_process import SandboxProcess
from tests.support.servers import wait_until

CHAT = "/chat/completions"


def body(text: str = "Count from 1 to 9.", **options: Any) -> dict[str, Any]:
    return {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": text}], **options}


def stream(sandbox: SandboxProcess, directives: str, text: str = "Count from 1 to 9.") -> list[bytes]:
    """The raw pieces of a stream, as they arrive; raises httpx.RemoteProtocolError when it is cut."""
    headers = {"x-sandbox": directives}
    with sandbox.http.stream("POST", sandbox.url + CHAT, json=body(text, stream=True), headers=headers) as answer:
        assert answer.status_code == 200
        return list(answer.iter_raw())


def data(raw: bytes) -> list[str]:
    return [line.removeprefix("data: ") for line in raw.decode().split("\n\n") if line]


class TestDirectives:
    def test_they_are_read(self) -> None:
        faults = parse("latency=200; token-delay=1.5, cut-after=3 reset prompt_tokens=7")
        assert (faults.latency, faults.token_delay, faults.cut_after, faults.reset) == (200, 1.5, 3, True)
        assert faults.usage == {"prompt_tokens": 7}

    @pytest.mark.parametrize("text", ["explode", "status", "status=many", "latency=soon", "cached_tokens=x"])
    def test_an_unknown_one_is_told(self, text: str) -> None:
        with pytest.raises(ApiError, match="knows no directive"):
            parse(text)

    def test_over_the_wire_too(self, sandbox: SandboxProcess) -> None:
        answer = sandbox.post(CHAT, body(), x_sandbox="explode")
        assert answer.status_code == 400
        assert answer.json()["error"]["code"] == "unknown_sandbox_directive"

    @pytest.mark.parametrize(
        ("content", "status"),
        [
            ({"messages": [{"role": "user", "content": "x [[sandbox: status=503]]"}]}, 503),
            ({"messages": [{"role": "user", "content": [{"type": "text", "text": "[[sandbox: status=503]]"}]}]}, 503),
            (
                {
                    "messages": [
                        {"role": "user", "content": "[[sandbox: status=503]]"},
                        {"role": "assistant", "content": "sorry"},
                        {"role": "user", "content": "again"},
                    ]
                },
                0,
            ),
            ({"messages": [{"role": "system", "content": "[[sandbox: status=503]]"}]}, 0),
            ({"input": "[[sandbox: status=404]]"}, 404),
            ({"input": [{"role": "user", "content": "[[sandbox: status=404]]"}]}, 404),
            ({"input": ["one", "[[sandbox: status=404]]"]}, 404),
            ({"prompt": "a cat [[sandbox: status=400]]"}, 400),
            ({"other": "[[sandbox: status=400]]"}, 0),
        ],
    )
    def test_only_the_last_user_text_counts(self, content: dict[str, Any], status: int) -> None:
        assert from_body(json.dumps(content).encode()).status == status

    def test_a_forms_text_counts(self) -> None:
        assert from_body(b'--x\r\ncontent-disposition: form-data; name="prompt"\r\n\r\n[[sandbox: status=500]]').status

    def test_each_one_is_documented(self) -> None:
        documented = (ROOT / "sandbox" / "README.md").read_text()
        names = [field.name.replace("_", "-") for field in fields(Faults) if field.name != "usage"]
        assert [name for name in names if f"`{name}" not in documented and f" {name}=" not in documented] == []


class TestStatus:
    @pytest.mark.parametrize("status", [400, 401, 403, 404, 408, 409, 413, 422, 429, 500, 502, 503, 504, 418, 529])
    def test_any_status_with_openais_body(self, sandbox: SandboxProcess, status: int) -> None:
        answer = sandbox.post(CHAT, body(), x_sandbox=f"status={status}")
        assert answer.status_code == status
        assert_valid("ErrorResponse", answer.json())

    def test_429_in_the_prompt_reaches_the_sdk(self, client: OpenAI) -> None:
        with pytest.raises(RateLimitError) as caught:
            client.chat.completions.create(**body("Hello [[sandbox: status=429 retry-after=7]]"))
        assert caught.value.response.headers["retry-after"] == "7"
        assert caught.value.code == "rate_limit_exceeded"

    def test_code_and_message(self, sandbox: SandboxProcess) -> None:
        answer = sandbox.post(CHAT, body(), x_sandbox="status=429 code=insufficient_quota message=No_money_left")
        assert answer.json()["error"]["code"] == "insufficient_quota"
        assert answer.json()["error"]["message"] == "No money left"

    def test_only_the_first_times(self, sandbox: SandboxProcess, client: OpenAI) -> None:
        directive = {"x-sandbox": "status=503 times=2 key=test_only_the_first_times"}
        seen = [sandbox.http.post(sandbox.url + CHAT, json=body(), headers=directive).status_code for _ in range(4)]
        assert seen == [503, 503, 200, 200]

    def test_the_sdks_retries_get_through(self, sandbox: SandboxProcess) -> None:
        with sandbox.client(max_retries=2) as client:
            answer = client.chat.completions.create(
                **body(), extra_headers={"x-sandbox": "status=500 times=1 key=test_retries retry-after=0"}
            )
        assert answer.choices[0].message.content == "1 2 3 4 5 6 7 8 9"

    def test_redirect(self, sandbox: SandboxProcess) -> None:
        answer = sandbox.post(CHAT, body(), x_sandbox="redirect=http://127.0.0.1:9/v1/steal")
        assert (answer.status_code, answer.headers["location"]) == (302, "http://127.0.0.1:9/v1/steal")

    @pytest.mark.parametrize(("directives", "status"), [("html", 200), ("html status=502", 502)])
    def test_html(self, sandbox: SandboxProcess, directives: str, status: int) -> None:
        answer = sandbox.post(CHAT, body(), x_sandbox=directives)
        assert (answer.status_code, answer.headers["content-type"]) == (status, "text/html; charset=utf-8")
        assert answer.text.startswith("<html>")


class TestTiming:
    def test_latency(self, sandbox: SandboxProcess) -> None:
        started = time.monotonic()
        sandbox.post(CHAT, body(), x_sandbox="latency=200").raise_for_status()
        assert 0.19 < time.monotonic() - started < 5

    def test_slow_tokens_come_one_by_one(self, sandbox: SandboxProcess) -> None:
        started = time.monotonic()
        pieces = stream(sandbox, "token-delay=20")
        # A role, nine tokens, the end, [DONE].
        assert 0.23 < time.monotonic() - started < 5
        assert len(pieces) == 12

    def test_a_hang_lasts_until_the_client_leaves(self, sandbox: SandboxProcess) -> None:
        with pytest.raises(httpx.ReadTimeout):
            sandbox.http.post(sandbox.url + CHAT, json=body(), headers={"x-sandbox": "hang"}, timeout=0.2)
        wait_until(lambda: sandbox.requests()[0]["disconnected"])
        assert sandbox.requests()[0]["status"] == 0

    def test_silence_amid_a_stream(self, sandbox: SandboxProcess) -> None:
        received = []
        with (
            pytest.raises(httpx.ReadTimeout),
            sandbox.http.stream(
                "POST",
                sandbox.url + CHAT,
                json=body(stream=True),
                headers={"x-sandbox": "hang-after=3"},
                timeout=0.2,
            ) as answer,
        ):
            received.extend(answer.iter_raw())
        assert len(data(b"".join(received))) == 3
        wait_until(lambda: sandbox.stats()["active_streams"] == 0)


class TestCuts:
    @pytest.mark.parametrize(("directives", "error"), [("cut", httpx.RemoteProtocolError), ("reset", httpx.ReadError)])
    def test_before_the_headers(self, sandbox: SandboxProcess, directives: str, error: type[Exception]) -> None:
        with pytest.raises(error):
            sandbox.post(CHAT, body(), x_sandbox=directives)

    @pytest.mark.parametrize(
        ("directives", "error"),
        [("cut-after=3", httpx.RemoteProtocolError), ("cut-after=3 reset", httpx.ReadError)],
    )
    def test_amid_a_stream(self, sandbox: SandboxProcess, directives: str, error: type[Exception]) -> None:
        received = []
        with (
            pytest.raises(error),
            sandbox.http.stream(
                "POST", sandbox.url + CHAT, json=body(stream=True), headers={"x-sandbox": directives}
            ) as answer,
        ):
            received.extend(answer.iter_raw())
        events = [json.loads(event) for event in data(b"".join(received))]
        assert [event["choices"][0]["delta"].get("content") for event in events] == ["", "1", " 2"]

    def test_right_after_the_headers(self, sandbox: SandboxProcess) -> None:
        with pytest.raises(httpx.RemoteProtocolError):
            stream(sandbox, "cut-after=0")

    def test_amid_a_whole_answer(self, sandbox: SandboxProcess) -> None:
        with pytest.raises(httpx.RemoteProtocolError):
            sandbox.post(CHAT, body(), x_sandbox="cut-after=0")

    def test_a_cut_is_not_the_clients_doing(self, sandbox: SandboxProcess) -> None:
        with pytest.raises(httpx.RemoteProtocolError):
            stream(sandbox, "cut-after=2")
        [request] = sandbox.requests()
        assert not request["disconnected"]
        assert request["completed_at"] is None
        assert request["chunks_sent"] == 2


class TestStreams:
    def test_garbage(self, sandbox: SandboxProcess) -> None:
        with pytest.raises(json.JSONDecodeError):
            sandbox.post(CHAT, body(), x_sandbox="garbage").raise_for_status().json()
        events = data(b"".join(stream(sandbox, "garbage")))
        with pytest.raises(json.JSONDecodeError):
            json.loads(events[1])
        assert events[-1] == "[DONE]"

    def test_an_error_event(self, sandbox: SandboxProcess) -> None:
        events = data(b"".join(stream(sandbox, "error-after=2")))
        assert len(events) == 3
        assert_valid("ErrorResponse", json.loads(events[-1]))

    def test_no_done(self, sandbox: SandboxProcess) -> None:
        events = data(b"".join(stream(sandbox, "no-done")))
        assert json.loads(events[-1])["choices"][0]["finish_reason"] == "stop"

    def test_pieces_do_not_end_where_events_do(self, sandbox: SandboxProcess) -> None:
        pieces = stream(sandbox, "split=7")
        assert len(data(b"".join(pieces))) == 12

    @pytest.mark.parametrize("directives", ["crlf", "comments", "crlf comments split=3"])
    def test_other_spellings_still_read(self, client: OpenAI, directives: str) -> None:
        chunks = client.chat.completions.create(**body(stream=True), extra_headers={"x-sandbox": directives})
        text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
        assert text == "1 2 3 4 5 6 7 8 9"

    def test_comments_are_there(self, sandbox: SandboxProcess) -> None:
        raw = b"".join(stream(sandbox, "comments crlf"))
        assert raw.startswith(b": keep-alive\r\n\r\ndata: {")

    def test_an_endless_stream_ends_with_the_client(self, sandbox: SandboxProcess, client: OpenAI) -> None:
        chunks = client.chat.completions.create(**body("go [[sandbox: endless]]", stream=True))
        for count, _ in enumerate(chunks):
            if count > 2000:
                break
        assert sandbox.stats()["active_streams"] == 1
        chunks.close()
        wait_until(lambda: sandbox.stats()["active_streams"] == 0)
        [request] = sandbox.requests("/v1/chat/completions")
        assert request["disconnected"]
        assert request["chunks_sent"] > 2000

    def test_an_endless_whole_answer(self, sandbox: SandboxProcess) -> None:
        total = 0
        with sandbox.http.stream("POST", sandbox.url + CHAT, json=body(), headers={"x-sandbox": "endless"}) as answer:
            assert answer.headers["content-type"] == "application/json"
            for piece in answer.iter_raw():
                total += len(piece)
                if total > 1_000_000:
                    break
        wait_until(lambda: sandbox.stats()["active_streams"] == 0)

    def test_others_are_served_beside_an_endless_stream(self, sandbox: SandboxProcess) -> None:
        with sandbox.http.stream("POST", sandbox.url + CHAT, json=body(stream=True), headers={"x-sandbox": "endless"}):
            assert sandbox.post(CHAT, body()).status_code == 200


class TestContent:
    def test_a_length_in_tokens(self, client: OpenAI) -> None:
        answer = client.chat.completions.create(**body("x [[sandbox: tokens=250]]"))
        assert answer.usage is not None
        assert answer.usage.completion_tokens == 250
        chunks = list(client.chat.completions.create(**body("x [[sandbox: tokens=250]]", stream=True)))
        assert len(chunks) == 252

    def test_a_length_in_bytes(self, client: OpenAI) -> None:
        answer = client.chat.completions.create(**body("x [[sandbox: big=5000000]]"))
        assert len(answer.choices[0].message.content or "") == 5_000_000

    def test_usage_as_wished(self, client: OpenAI) -> None:
        wish = "prompt_tokens=1000 completion_tokens=50 cached_tokens=900 cache_write_tokens=5 reasoning_tokens=20"
        usage = client.chat.completions.create(**body(f"x [[sandbox: {wish}]]")).usage
        assert usage is not None
        assert (usage.prompt_tokens, usage.completion_tokens, usage.total_tokens) == (1000, 50, 1050)
        assert usage.prompt_tokens_details is not None
        assert usage.prompt_tokens_details.cached_tokens == 900
        assert usage.prompt_tokens_details.cache_write_tokens == 5
        assert usage.completion_tokens_details is not None
        assert usage.completion_tokens_details.reasoning_tokens == 20

    def test_no_usage(self, client: OpenAI) -> None:
        assert client.chat.completions.create(**body("x [[sandbox: no-usage]]")).usage is None

    def test_a_directive_is_not_repeated(self, client: OpenAI) -> None:
        answer = client.chat.completions.create(**body("Tell me [[sandbox: latency=1]] more"))
        assert "sandbox:" not in (answer.choices[0].message.content or "")

    @pytest.mark.parametrize("path", ["/embeddings", "/moderations", "/completions"])
    def test_every_resource_obeys(self, sandbox: SandboxProcess, path: str) -> None:
        key = "prompt" if path == "/completions" else "input"
        answer = sandbox.post(path, {"model": "x", key: "[[sandbox: status=503]]"})
        assert answer.status_code == 503


def test_the_sdk_tells_errors_apart(client: OpenAI) -> None:
    for status, kind in ((500, InternalServerError), (503, InternalServerError), (418, APIStatusError)):
        with pytest.raises(kind):
            client.chat.completions.create(**body(f"[[sandbox: status={status}]]"))


def test_a_reset_is_a_real_one(sandbox: SandboxProcess) -> None:
    host, port = sandbox.origin.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as raw:
        raw.sendall(
            b"GET /v1/models HTTP/1.1\r\nhost: x\r\nauthorization: Bearer sk-sandbox\r\nx-sandbox: reset\r\n\r\n"
        )
        with pytest.raises(ConnectionResetError):
            raw.recv(1)
