"""Request heads are bounded: they are read before anybody knows who asks."""

import asyncio
import json
import socket
from unittest.mock import Mock

import pytest
from uvicorn import Config
from uvicorn.server import ServerState

from gateway.server import http as protocol
from gateway.server.http import HEAD_BYTES, BoundedHttp
from tests.support.calls import assert_body
from tests.support.installation import Gateway

START = b"GET /v1/models HTTP/1.1\r\nhost: localhost\r\n"


def answer_to(gateway: Gateway, *pieces: bytes) -> bytes:
    """What comes back for the bytes of a request, until the connection ends."""
    with socket.create_connection(("127.0.0.1", gateway.port), 10) as connection:
        for piece in pieces:
            connection.sendall(piece)
        answer = b""
        while piece := connection.recv(2**16):
            answer += piece
        return answer


@pytest.mark.parametrize(
    ("start", "filler", "status", "code"),
    [
        (b"GET /v1/models?x=", b"a" * 2**15, 414, "url_too_long"),
        (START, b"x-a: b\r\n" * 2**12, 431, "headers_too_large"),
        (START + b"x-big: ", b"a" * 2**15, 431, "headers_too_large"),
    ],
    ids=["long URL", "many headers", "one long header"],
)
def test_a_head_of_ten_megabytes_gets_the_reason(
    gateway: Gateway, start: bytes, filler: bytes, status: int, code: str
) -> None:
    """The client sends all of it before it reads: nothing is reset."""
    answer = answer_to(gateway, start, *[filler] * (10 * 2**20 // len(filler)))
    assert answer.startswith(b"HTTP/1.1 %d " % status)
    assert_body(json.loads(answer.partition(b"\r\n\r\n")[2]), code)
    assert gateway.http.get(f"{gateway.origin}/healthz").status_code == 200


def test_a_head_that_is_a_little_too_large_gets_the_reason(gateway: Gateway) -> None:
    answer = answer_to(gateway, START + b"x-big: " + b"a" * HEAD_BYTES)
    assert answer.startswith(b"HTTP/1.1 431 ")
    assert_body(json.loads(answer.partition(b"\r\n\r\n")[2]), "headers_too_large")


def test_a_large_head_and_many_requests_on_a_connection_pass(gateway: Gateway, token: str) -> None:
    headers = {"authorization": f"Bearer {token}", "x-big": "a" * (HEAD_BYTES // 2)}
    for _ in range(4):
        assert gateway.http.get(f"{gateway.origin}/v1/models", headers=headers).status_code == 200
    request = START + b"authorization: Bearer " + token.encode() + b"\r\n"
    answer = answer_to(gateway, (request + b"\r\n") * 3 + request + b"connection: close\r\n\r\n")
    assert answer.count(b"HTTP/1.1 200 OK") == 4


@pytest.mark.parametrize("sent", [b"", START, b"GET /healthz HTTP/1.1\r\nhost: a\r\n\r\nGET"], ids=["", "1st", "2nd"])
async def test_a_head_that_takes_too_long_ends_the_connection(monkeypatch: pytest.MonkeyPatch, sent: bytes) -> None:
    monkeypatch.setattr(protocol, "HEAD_SECONDS", 0.02)
    monkeypatch.setattr(protocol, "DISCARD_SECONDS", 0.02)

    async def application(scope: object, receive: object, send: object) -> None:
        await asyncio.Event().wait()

    made = BoundedHttp(Config(application, log_config=None), ServerState(), {})  # type: ignore[arg-type]
    transport = Mock(**{"is_closing.return_value": False})
    made.connection_made(transport)
    if sent:
        made.data_received(sent)
    await asyncio.sleep(0)
    closed = asyncio.Event()
    transport.close.side_effect = closed.set
    if not transport.close.called:
        await asyncio.wait_for(closed.wait(), 5)
    made.connection_lost(None)
    for task in made.tasks:
        task.cancel()


async def test_a_call_that_takes_long_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "HEAD_SECONDS", 0.01)

    async def application(scope: object, receive: object, send: object) -> None:
        await asyncio.Event().wait()

    made = BoundedHttp(Config(application, log_config=None), ServerState(), {})  # type: ignore[arg-type]
    transport = Mock(**{"is_closing.return_value": False})
    made.connection_made(transport)
    made.data_received(START + b"\r\n")
    await asyncio.sleep(0.05)
    transport.close.assert_not_called()
    for task in made.tasks:
        task.cancel()
