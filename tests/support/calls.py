"""Small words of the gateway's tests: a chat body, a raw request, and the check of an error of ours."""

import json
import re
import socket
from collections.abc import Mapping
from typing import Any

import httpx

from tests.support.chat_examples import user
from tests.support.fixtures import CHAT
from tests.support.installation import Gateway

CHAT_PATH = "/v1/chat/completions"


def chat(prompt: str = "hi", **more: Any) -> dict[str, Any]:
    """Return the body of a chat call; ``prompt`` may hold directives for the sandbox."""
    return {"model": CHAT, "messages": user(prompt), **more}


def assert_ours(response: httpx.Response, status: int, code: str, param: str | None = None) -> dict[str, Any]:
    """Check an error of ours in both envelopes, and its headers; return the inner error object."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/json"
    assert response.headers["x-gatehouse-error-origin"] == "gateway"
    assert re.fullmatch("req_[0-9a-f]{32}", response.headers["x-request-id"])
    return assert_body(response.json(), code, param)


def assert_body(body: Any, code: str, param: str | None = None) -> dict[str, Any]:
    """Check the body of an error of ours in both envelopes; return the inner error object."""
    error: dict[str, Any] = body["error"]
    assert list(body) == ["status", "message", "error", "error_origin_level"]
    assert set(error) == {"message", "type", "param", "code"}
    assert body["status"] == "failure"
    assert body["message"] == error["message"]
    assert body["message"]
    assert (error["code"], error["param"]) == (code, param)
    return error


def open_call(
    gateway: Gateway, token: str, body: bytes, length: int | None = None, headers: Mapping[str, str] | None = None
) -> socket.socket:
    """Send a chat call over a socket of its own, announcing ``length`` bytes of body, and return the socket."""
    lines = {
        "host": f"127.0.0.1:{gateway.port}",
        "authorization": f"Bearer {token}",
        "content-type": "application/json",
        "content-length": str(len(body) if length is None else length),
        **(headers or {}),
    }
    head = f"POST {CHAT_PATH} HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    connection = socket.create_connection(("127.0.0.1", gateway.port), 10)
    connection.sendall(head.encode() + b"\r\n" + body)
    return connection


def read_answer(connection: socket.socket) -> tuple[int, bytes]:
    """Read one whole answer with a content-length from a socket; return its status and body."""
    with connection.makefile("rb") as stream:
        status = int(stream.readline().split()[1])
        length = 0
        while (line := stream.readline().strip()) != b"":
            name, _, value = line.partition(b":")
            length = int(value) if name.lower() == b"content-length" else length
        return status, stream.read(length)


def stream_error(content: bytes) -> dict[str, Any]:
    """Return the body in the error event that ends a broken stream; fails when there is a ``[DONE]``."""
    assert b"[DONE]" not in content
    _, mark, data = content.partition(b"event: error\ndata: ")
    assert mark, content[-500:]
    body: dict[str, Any] = json.loads(data)
    return body
