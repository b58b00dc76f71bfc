"""No call goes on for ever, however steadily a byte comes now and then: uploads, answers, and answers that no one
reads.
"""

import contextlib
import json
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.calls import CHAT_PATH, assert_body, open_call, read_answer, stream_error
from tests.support.fixtures import CHAT, USER
from tests.support.installation import Gateway, Installation, promised
from tests.support.manifests import provider
from tests.support.servers import wait_until
from tests.support.stage import Stage, Turn, completion

LIMIT = 2.0
LATE = 2.5
"""How much later than the limit a call may end: it is looked at once a second."""
DRIP = 0.35
ENV = {"GATEHOUSE_UPLOAD_MAX_SECONDS": str(int(LIMIT)), "GATEHOUSE_CALL_MAX_SECONDS": str(int(LIMIT))}
PART = b'--x\r\ncontent-disposition: form-data; name="%b"\r\n\r\n%b\r\n'
FILE = b'--x\r\ncontent-disposition: form-data; name="file"; filename="a.wav"\r\n\r\n'


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, migrated_data: Path, stage: Stage) -> Iterator[Gateway]:
    with Installation(tmp_path_factory.mktemp("bounds") / "data", migrated_data, ENV) as installation:
        installation.apply(provider("openai-main", stage.url, models=["gpt-4o-mini", "whisper-1"]))
        yield installation.gateway()


@pytest.fixture(scope="module")
def token(server: Gateway) -> str:
    return server.token("slow", user=USER)


def begin_upload(server: Gateway, token: str, tag: str = "") -> socket.socket:
    """Send the head of a large upload, its model and the beginning of its file."""
    connection = socket.create_connection(("127.0.0.1", server.port), 10)
    head = (
        f"POST /v1/audio/transcriptions HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {token}\r\n"
        "content-type: multipart/form-data; boundary=x\r\ncontent-length: 1000000\r\n"
        f'x-tfy-metadata: {{"tag": "{tag}"}}\r\n\r\n'
    )
    connection.sendall(head.encode() + PART % (b"model", b"openai-main/whisper-1") + FILE + b"a" * 1000)
    return connection


def in_time(began: float) -> None:
    took = time.monotonic() - began
    assert LIMIT * 0.9 <= took <= promised(LIMIT + LATE), took


@contextlib.contextmanager
def dripping(connection: socket.socket) -> Iterator[None]:
    """Send a byte now and then, as long as the connection takes it."""
    stop = threading.Event()

    def drip() -> None:
        with contextlib.suppress(OSError):
            while not stop.wait(DRIP):
                connection.sendall(b"a")

    thread = threading.Thread(target=drip)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def test_an_upload_that_drips(server: Gateway, token: str, stage: Stage) -> None:
    began = time.monotonic()
    with begin_upload(server, token) as connection, dripping(connection):
        status, body = read_answer(connection)
    in_time(began)
    assert status == 408
    assert f"within {LIMIT:g} seconds" in assert_body(json.loads(body), "request_timeout")["message"]


def test_a_client_that_leaves_in_an_upload(server: Gateway, token: str, stage: Stage) -> None:
    stage.play(lambda turn: turn.answer({"text": "never"}))
    connection = begin_upload(server, token, "leaves")
    time.sleep(0.5)
    connection.close()
    (record,) = server.installation.records(1, metadata__tag="leaves")
    assert (record["status"], record["error_class"]) == (499, "client_closed_request")
    assert (record["client_gone"], record["cost_pico"]) == (True, 0)


def test_a_client_that_leaves_in_a_body(server: Gateway, token: str) -> None:
    headers = {"x-tfy-metadata": '{"tag": "in a body"}'}
    open_call(server, token, b'{"model": ', 1000, headers).close()
    (record,) = server.installation.records(1, metadata__tag="in a body")
    assert (record["status"], record["error_class"]) == (499, "client_closed_request")
    assert (record["client_gone"], record["cost_pico"]) == (True, 0)


def ask(server: Gateway, token: str, stream: bool) -> httpx.Response:
    body: dict[str, Any] = {"model": CHAT, "messages": [{"role": "user", "content": "hi"}], "stream": stream}
    return server.post(token, CHAT_PATH, body)


def test_a_stream_that_drips(server: Gateway, token: str, stage: Stage) -> None:
    def script(turn: Turn) -> None:
        turn.begin_stream()
        while turn.wait_until_left(DRIP) is None:
            turn.text("a")

    stage.play(script)
    began = time.monotonic()
    answer = ask(server, token, stream=True)
    in_time(began)
    assert answer.status_code == 200
    assert_body(stream_error(answer.content), "call_too_long")
    (record,) = server.installation.records(1, request_id=answer.headers["x-request-id"])
    assert (record["error_class"], record["client_gone"], record["estimated"]) == ("call_too_long", False, True)
    assert stage.ended().left_at is not None


def test_an_answer_that_drips(server: Gateway, token: str, stage: Stage) -> None:
    def script(turn: Turn) -> None:
        turn.begin_answer(1000)
        while turn.wait_until_left(DRIP) is None:
            turn.raw(b" ")

    stage.play(script)
    began = time.monotonic()
    answer = ask(server, token, stream=False)
    in_time(began)
    assert answer.status_code == 504
    assert_body(answer.json(), "call_too_long")
    assert stage.ended().left_at is not None


@pytest.mark.parametrize("stream", [False, True])
def test_a_client_that_reads_a_byte_now_and_then(server: Gateway, token: str, stage: Stage, stream: bool) -> None:
    text = "a" * 30_000_000

    def script(turn: Turn) -> None:
        if not stream:
            turn.answer(completion(text, 1, 1))
            return
        turn.begin_stream()
        for _ in range(3000):
            turn.text("a" * 10_000)

    stage.play(script)
    body = json.dumps({"model": CHAT, "messages": [{"role": "user", "content": "hi"}], "stream": stream}).encode()
    began = time.monotonic()
    with open_call(server, token, body) as connection:
        seen = 0
        with contextlib.suppress(OSError):
            while time.monotonic() - began < 10 * LIMIT and (piece := connection.recv(1)):
                seen += len(piece)
                time.sleep(DRIP)
                if _cut_off(connection):
                    break
        assert 0 < seen < 100
    assert time.monotonic() - began <= promised(2 * LIMIT + LATE)
    wait_until(lambda: server.http.get(f"{server.origin}/healthz").status_code == 200, 5)


def _cut_off(connection: socket.socket) -> bool:
    """Whether the server has reset the connection, whatever is still to be read."""
    return connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) != 0 or _state(connection) not in (1, 4, 5)


def _state(connection: socket.socket) -> int:
    """Return the kernel's state of a TCP connection: 1 is established, 7 closed, 8 half-closed by the other side."""
    return connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0]
