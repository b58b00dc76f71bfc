"""What a proxy before the server may read in another way: trailers, headers that appear twice, other versions."""

import asyncio
from typing import Any
from unittest.mock import Mock

import pytest
from uvicorn import Config
from uvicorn.server import ServerState

from gateway.call.single_headers import SINGLE
from gateway.server.http import TRAILER_BYTES, BoundedHttp
from tests.gateway.server.test_head_limits import answer_to
from tests.support.installation import Gateway

HEAD = b"POST /v1/models HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n"
BODY = b"2\r\n{}\r\n"


class Connection:
    """The server's side of a connection, and the scopes of the requests that came on it."""

    def __init__(self) -> None:
        self.scopes: list[dict[str, Any]] = []
        self.gone = 0

        async def application(scope: dict[str, Any], receive: Any, send: Any) -> None:
            await self._answer(scope, receive, send)

        self.protocol = BoundedHttp(Config(application, log_config=None), ServerState(), {})  # type: ignore[arg-type]
        self.transport = Mock(**{"is_closing.return_value": False})
        self.protocol.connection_made(self.transport)

    async def _answer(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        self.scopes.append(scope)
        while (event := await receive())["type"] != "http.disconnect":
            if not event["more_body"]:
                await send({"type": "http.response.start", "status": 204, "headers": []})
                await send({"type": "http.response.body"})
                return
        self.gone += 1

    async def take(self, *pieces: bytes) -> bytes:
        for piece in pieces:
            self.protocol.data_received(piece)
            await asyncio.sleep(0)
        for _ in range(3):
            await asyncio.sleep(0)
        self.protocol.connection_lost(None)
        return b"".join(call.args[0] for call in self.transport.write.call_args_list)


@pytest.mark.parametrize("cut", [1, 7, 1000])
async def test_trailers_are_no_headers(cut: int) -> None:
    sent = HEAD + BODY + b"0\r\nauthorization: Bearer x\r\nx-tfy-provider-name: other\r\n\r\n"
    connection = Connection()
    answer = await connection.take(*[sent[at : at + cut] for at in range(0, len(sent), cut)])
    assert answer.startswith(b"HTTP/1.1 204 ")
    assert [name for name, _ in connection.scopes[0]["headers"]] == [b"host", b"transfer-encoding"]


@pytest.mark.parametrize("trailer", [b"x-n: " + b"a" * 100 + b"\r\n", b"a" * 100], ids=["many", "one"])
async def test_trailers_have_a_bound(trailer: bytes) -> None:
    connection = Connection()
    many = [trailer] * (TRAILER_BYTES // len(trailer) + 2)
    answer = await connection.take(HEAD + BODY, b"0\r\n", *many, *many)
    assert answer.startswith(b"HTTP/1.1 431 ")
    assert connection.gone == 1, "the application sees that no more comes"
    assert connection.protocol.headers == connection.scopes[0]["headers"]


async def test_a_long_body_in_chunks_has_no_bound_of_trailers() -> None:
    chunk = b"%x\r\n%b\r\n" % (3000, b"a" * 3000)
    sent = HEAD + chunk * 20 + b"0\r\n\r\n"
    answer = await Connection().take(*[sent[at : at + 997] for at in range(0, len(sent), 997)])
    assert answer.startswith(b"HTTP/1.1 204 ")


@pytest.mark.parametrize("name", sorted(SINGLE), ids=bytes.decode)
def test_a_header_that_stands_twice(gateway: Gateway, name: bytes) -> None:
    head = b"GET /healthz HTTP/1.1\r\n" + (b"" if name == b"host" else b"host: a\r\n")
    for second in (name, name.title()):
        answer = answer_to(gateway, head + name + b": a\r\n" + second + b": a\r\nconnection: close\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 400 ")
        assert b"invalid_http" in answer
        assert name in answer


@pytest.mark.parametrize("version", [b"2.0", b"0.9", b"1.2", b"3.0"])
def test_other_versions(gateway: Gateway, version: bytes) -> None:
    answer = answer_to(gateway, b"GET /healthz HTTP/" + version + b"\r\nhost: a\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 400 ")


def test_a_token_in_a_trailer(gateway: Gateway, token: str) -> None:
    trailers = b"0\r\nauthorization: Bearer " + token.encode() + b"\r\nconnection: close\r\n\r\n"
    head = b"POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n"
    assert answer_to(gateway, head + BODY + trailers).startswith(b"HTTP/1.1 401 ")


def test_others_may_stand_twice(gateway: Gateway) -> None:
    answer = answer_to(gateway, b"GET /healthz HTTP/1.1\r\nhost: a\r\nx-a: 1\r\nx-a: 2\r\nconnection: close\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 200 ")
