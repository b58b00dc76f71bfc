"""What OpenAI refuses, in its own words; and what hostile clients send."""

import json
import socket
from typing import Any

import httpx
import pytest

from tests.support.openapi import assert_valid
from tests.support.sandbox_process import SandboxProcess
from tests.support.servers import wait_until

CHAT = "/chat/completions"
CHAT_PATH = f"/v1{CHAT}"
USER = [{"role": "user", "content": "hi"}]


def error(answer: httpx.Response, status: int) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/json"
    assert_valid("ErrorResponse", answer.json())
    return answer.json()["error"]  # type: ignore[no-any-return]


def test_a_missing_key(sandbox: SandboxProcess) -> None:
    found = error(httpx.get(f"{sandbox.url}/models"), 401)
    assert found["message"].startswith("You didn't provide an API key.")
    assert found["code"] is None


@pytest.mark.parametrize("scheme", ["Bearer", "bearer"])
def test_a_wrong_key(sandbox: SandboxProcess, scheme: str) -> None:
    found = error(httpx.get(f"{sandbox.url}/models", headers={"authorization": f"{scheme} sk-wrong-key-1234"}), 401)
    assert found["message"].startswith("Incorrect API key provided: sk-wrong*****1234.")
    assert (found["type"], found["code"]) == ("invalid_request_error", "invalid_api_key")


def test_another_scheme(sandbox: SandboxProcess) -> None:
    error(httpx.get(f"{sandbox.url}/models", auth=("user", "sk-sandbox")), 401)


def test_an_unknown_model(sandbox: SandboxProcess) -> None:
    found = error(sandbox.post(CHAT, {"model": "openai-main/gpt-4o", "messages": USER}), 404)
    assert found == {
        "message": "The model `openai-main/gpt-4o` does not exist or you do not have access to it.",
        "type": "invalid_request_error",
        "param": None,
        "code": "model_not_found",
    }


def test_an_unknown_path_and_method(sandbox: SandboxProcess) -> None:
    assert error(sandbox.get("/nope"), 404)["message"] == "Invalid URL (GET /v1/nope)"
    answer = sandbox.get("/embeddings")
    assert error(answer, 405)["code"] == "method_not_supported"
    assert answer.headers["allow"] == "POST"


@pytest.mark.parametrize(
    ("body", "param", "code"),
    [
        ({"messages": USER}, None, None),
        ({"model": 7, "messages": USER}, "model", "invalid_type"),
        ({"model": "gpt-4o"}, "messages", "missing_required_parameter"),
        ({"model": "gpt-4o", "messages": "hi"}, "messages", "invalid_type"),
        ({"model": "gpt-4o", "messages": []}, "messages", "empty_array"),
        ({"model": "gpt-4o", "messages": ["hi"]}, "messages[0]", "invalid_type"),
        ({"model": "gpt-4o", "messages": [{"content": "x"}]}, "messages[0].role", "missing_required_parameter"),
        ({"model": "gpt-4o", "messages": [{"role": "robot", "content": "x"}]}, "messages[0].role", "invalid_value"),
        ({"model": "gpt-4o", "messages": [{"role": "user"}]}, "messages[0].content", None),
        ({"model": "gpt-4o", "messages": [{"role": "user", "content": 7}]}, "messages[0].content", "invalid_type"),
        (
            {"model": "gpt-4o", "messages": [{"role": "user", "content": [{"type": "image_url"}]}]},
            "messages[0].content[0].image_url",
            "missing_required_parameter",
        ),
        (
            {
                "model": "gpt-4o",
                "messages": [
                    {
                        "role": "user",
                        "content": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,?"}}],
                    }
                ],
            },
            "messages[0].content[0].image_url.url",
            "invalid_base64",
        ),
        ({"model": "gpt-4o", "messages": USER, "temperature": "hot"}, "temperature", "invalid_type"),
        ({"model": "gpt-4o", "messages": USER, "temperature": 3}, "temperature", "decimal_above_max_value"),
        ({"model": "gpt-4o", "messages": USER, "n": 0}, "n", "integer_below_min_value"),
        ({"model": "gpt-4o", "messages": USER, "n": True}, "n", "invalid_type"),
        ({"model": "gpt-4o", "messages": USER, "stream": "yes"}, "stream", "invalid_type"),
        ({"model": "gpt-4o", "messages": USER, "service_tier": "gold"}, "service_tier", "invalid_value"),
        (
            {"model": "gpt-4o", "messages": USER, "response_format": {"type": "xml"}},
            "response_format.type",
            "invalid_value",
        ),
        ({"model": "gpt-4o", "messages": USER, "tools": {}}, "tools", "invalid_type"),
    ],
)
def test_bad_chat_requests(sandbox: SandboxProcess, body: Any, param: str | None, code: str | None) -> None:
    found = error(sandbox.post(CHAT, body), 400)
    assert (found["param"], found["code"]) == (param, code)
    assert found["type"] == "invalid_request_error"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'"text"',
        b'{"model": "gpt-4o", "messages": \xff}',
        b'{"a":' * 50_000 + b"1" + b"}" * 50_000,
    ],
)
def test_a_body_that_is_no_json_object(sandbox: SandboxProcess, body: bytes) -> None:
    answer = sandbox.http.post(sandbox.url + CHAT, content=body, headers={"content-type": "application/json"})
    assert error(answer, 400)["message"].startswith("We could not parse the JSON body of your request.")


def test_another_content_type(sandbox: SandboxProcess) -> None:
    answer = sandbox.http.post(sandbox.url + CHAT, data={"model": "gpt-4o"})
    assert error(answer, 400)["code"] == "unsupported_content_type"


def test_a_large_body_is_taken(sandbox: SandboxProcess) -> None:
    messages = [{"role": "user", "content": "Count from 1 to 3. " + "x" * 30_000_000}]
    answer = sandbox.post(CHAT, {"model": "gpt-4o", "messages": messages})
    assert answer.json()["choices"][0]["message"]["content"] == "1 2 3"
    assert answer.json()["usage"]["prompt_tokens"] > 7_000_000


def test_a_body_over_the_limit() -> None:
    with SandboxProcess("--max-body", "1000") as small:
        found = error(small.post(CHAT, {"model": "gpt-4o", "messages": USER, "user": "x" * 2000}), 413)
        assert found["message"] == "Maximum request body size is 1000 bytes."


def test_a_half_sent_body_leaves_no_request_behind(sandbox: SandboxProcess) -> None:
    host, port = sandbox.origin.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as raw:
        raw.sendall(
            b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer sk-sandbox\r\n"
            b'content-type: application/json\r\ncontent-length: 1000\r\n\r\n{"model":'
        )
        wait_until(lambda: sandbox.requests(CHAT_PATH))
    wait_until(lambda: sandbox.requests(CHAT_PATH)[0]["disconnected"])
    received = sandbox.requests(CHAT_PATH)
    assert received[0]["body"] == b'{"model":'
    assert received[0]["status"] == 0
    assert sandbox.stats()["active_requests"] == 1  # the question itself


def test_the_headers_of_openai(sandbox: SandboxProcess) -> None:
    first, second = (sandbox.post(CHAT, {"model": "gpt-4o", "messages": USER}) for _ in range(2))

    assert first.headers["x-request-id"].startswith("req_")
    assert first.headers["x-request-id"] != second.headers["x-request-id"]
    assert first.headers["openai-version"] == "2020-10-01"
    assert first.headers["openai-organization"] == "org-sandbox"
    assert int(first.headers["openai-processing-ms"]) >= 0
    for name in ("limit-requests", "limit-tokens", "remaining-requests", "remaining-tokens", "reset-requests"):
        assert first.headers[f"x-ratelimit-{name}"]
    assert json.loads(first.headers["content-length"]) == len(first.content)
