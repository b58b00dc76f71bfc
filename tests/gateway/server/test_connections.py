"""Hostile connections: what is not valid HTTP, too much of it, or too slow, costs little and gets a true answer."""

import contextlib
import json
import os
import re
import socket
import time

import pytest

from tests.support.calls import CHAT_PATH, assert_body, chat, open_call, read_answer
from tests.support.installation import Gateway, within
from tests.support.servers import wait_until

MB = 2**20


def connect(gateway: Gateway) -> socket.socket:
    return socket.create_connection(("127.0.0.1", gateway.port), 10)


def resident(gateway: Gateway) -> int:
    """The server's memory in bytes."""
    with open(f"/proc/{gateway.process.pid}/status") as status:
        return int(re.search(r"VmRSS:\s+(\d+)", status.read())[1]) * 1024  # type: ignore[index]


def drained(connection: socket.socket) -> bytes:
    """All that comes until the other side closes."""
    received = b""
    try:
        while part := connection.recv(65536):
            received += part
    except ConnectionError:
        pass
    return received


@pytest.mark.parametrize(
    "sent",
    [
        b"hello\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET / HTTP/9.9\r\n\r\n",
        b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: -5\r\n\r\n",
        b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nhello",
        b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\ntransfer-encoding: "
        b"chunked\r\n\r\n0\r\n\r\n",
        b"GET /v1/models HTTP/1.1\r\nhost: x\r\nbad header\r\n\r\n",
        b"GET /v1/models HTTP/1.1\r\nhost: x\r\nx-a: a\x00b\r\n\r\n",
        b"GET /v1/\xff\xfe HTTP/1.1\r\nhost: x\r\n\r\n",
    ],
)
def test_no_http(gateway: Gateway, sent: bytes) -> None:
    with connect(gateway) as connection, within(3, "refusing"):
        connection.sendall(sent)
        answer = drained(connection)
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 ")
    assert b"connection: close" in head
    assert_body(json.loads(body), "invalid_http")


def test_endless_headers(gateway: Gateway) -> None:
    before = resident(gateway)
    with connect(gateway) as connection:
        connection.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nx-long: ")
        sent = 0
        try:
            while sent < 128 * MB:  # twice what is read and dropped, so that the client sees the answer
                sent += connection.send(b"a" * MB)
        except ConnectionError:
            pass
        assert sent < 128 * MB, "no one stopped it"
    assert resident(gateway) - before < 16 * MB
    with connect(gateway) as connection:
        connection.sendall(b"POST /v1/models HTTP/1.1\r\nhost: x\r\n" + b"x-a: b\r\n" * 60_000)
        status, body = read_answer(connection)
    assert status == 431
    assert_body(json.loads(body), "headers_too_large")


def test_an_endless_address(gateway: Gateway) -> None:
    with connect(gateway) as connection:
        connection.sendall(b"GET /v1/" + b"a" * 600_000)
        status, _ = read_answer(connection)
    assert status == 414


def test_large_headers_that_are_allowed(gateway: Gateway, token: str) -> None:
    body = json.dumps(chat()).encode()
    with open_call(gateway, token, body, headers={"x-large": "a" * 50_000}) as connection:
        status, _ = read_answer(connection)
    assert status == 200


def test_headers_that_never_end(tight_gateway: Gateway) -> None:
    with connect(tight_gateway) as connection, within(3, "refusing a slow head"):
        connection.settimeout(0.2)
        connection.sendall(b"GET /v1/models HTTP/1.1\r\n")
        answer = b""
        while not answer:
            connection.sendall(b"x-a: b\r\n")
            try:
                answer = connection.recv(65536)
            except TimeoutError:
                continue
    assert answer.startswith(b"HTTP/1.1 408 ")


def test_the_next_requests_head_has_a_time_too(tight_gateway: Gateway, tight_token: str) -> None:
    head = f"GET /v1/models HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {tight_token}\r\n"
    with connect(tight_gateway) as connection:
        connection.sendall(head.encode() + b"\r\n")
        assert read_answer(connection)[0] == 200
        connection.sendall(head.encode())
        with within(3, "refusing a slow head"):
            assert read_answer(connection)[0] == 408


def test_a_connection_that_asks_nothing(tight_gateway: Gateway) -> None:
    with connect(tight_gateway) as connection, within(3, "closing an idle connection"):
        assert connection.recv(1) == b""


def test_a_slow_call_is_not_mistaken_for_a_slow_head(tight_gateway: Gateway, tight_token: str) -> None:
    body = json.dumps(chat("hi [[sandbox: latency=1500]]")).encode()
    with open_call(tight_gateway, tight_token, body) as connection:
        assert read_answer(connection)[0] == 200


def test_many_requests_on_a_connection(gateway: Gateway, token: str) -> None:
    """Pipelined, with bodies of many sizes: no head's bound counts what belongs to a body."""
    bodies = [json.dumps(chat("x" * size, model="nowhere/m")).encode() for size in (1, 300_000, 10, 100_000)]
    head = (
        f"POST {CHAT_PATH} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\ncontent-type: application/json\r\n"
    )
    with connect(gateway) as connection:
        connection.sendall(
            b"".join(head.encode() + b"content-length: %d\r\n\r\n" % len(body) + body for body in bodies)
        )
        with connection.makefile("rb") as stream:
            for _ in bodies:
                assert stream.readline().startswith(b"HTTP/1.1 404")
                length = 0
                while line := stream.readline().strip():
                    name, _, value = line.partition(b": ")
                    length = int(value) if name == b"content-length" else length
                stream.read(length)


def test_an_idle_connection_is_kept(gateway: Gateway, token: str) -> None:
    """Proxies keep theirs for a minute: one that we close first loses the call that is sent in that moment."""
    head = f"GET /v1/models HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\n\r\n".encode()
    with connect(gateway) as connection:
        for pause in (7, 0):  # servers of this kind close after five seconds by themselves
            connection.sendall(head)
            assert connection.recv(2**16).startswith(b"HTTP/1.1 200")
            time.sleep(pause)
            connection.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                while connection.recv(2**16):  # the rest of the list; an end would be an empty read
                    continue
                raise AssertionError("the connection was closed")
            connection.settimeout(10)


def test_connections_that_come_and_go(gateway: Gateway) -> None:
    """Nothing is kept of them, and nothing is said about them."""
    time.sleep(0.3)  # lines of earlier calls come a little later
    before = len(gateway.log)
    for _ in range(200):
        connect(gateway).close()
    time.sleep(0.2)
    assert len(gateway.log) == before
    files = f"/proc/{gateway.process.pid}/fd"
    wait_until(lambda: len(os.listdir(files)) < 100, 5)


def test_an_offer_of_http_2_is_ignored(gateway: Gateway, token: str) -> None:
    """As Java's client makes it with every first request."""
    body = json.dumps(chat("Reply with exactly: upgrade: h2c")).encode()
    head = (
        f"POST {CHAT_PATH} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\ncontent-type: application/json\r\n"
        f"content-length: {len(body)}\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: "
        f"AAEA\r\n\r\n"
    ).encode()
    for sent in ([head + body], [head, body]):
        with connect(gateway) as connection:
            for piece in sent:
                connection.sendall(piece)
                time.sleep(0.05)
            answer = connection.recv(65536)
        assert answer.startswith(b"HTTP/1.1 200 "), answer
        assert b"upgrade: h2c" in answer
