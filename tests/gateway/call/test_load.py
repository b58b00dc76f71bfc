"""What is in flight is bounded, for everyone and for each caller, and every share comes back."""

import gzip
import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.call.errors import TooManyRequests, Unavailable
from gateway.call.load import Bounds, Load
from tests.support.calls import CHAT_PATH, assert_ours, chat, open_call, read_answer
from tests.support.fixtures import USER, seed
from tests.support.installation import Gateway, Installation
from tests.support.sandbox_process import SandboxProcess

BOUNDS = {
    "GATEHOUSE_MAX_CALLS_IN_FLIGHT": "6",
    "GATEHOUSE_MAX_CALLS_PER_CALLER": "4",
    "GATEHOUSE_MAX_BYTES_IN_FLIGHT_MB": "3",
    "GATEHOUSE_MAX_BYTES_PER_CALLER_MB": "2",
}
MB = 2**20


def test_shares_are_counted_and_come_back() -> None:
    load = Load(Bounds(3, 100, 2, 60))
    first, second = load.begin("a"), load.begin("a")
    with pytest.raises(TooManyRequests):
        load.begin("a")
    third = load.begin("b")
    with pytest.raises(Unavailable):
        load.begin("c")
    first.take(40)
    with pytest.raises(TooManyRequests):
        second.take(21)
    third.take(60)
    with pytest.raises(Unavailable):
        second.take(1)
    third.count(1000)  # an answer is counted, not refused
    for ticket in (first, first, second, third):
        ticket.release()
    assert (load.calls, load.bytes, len(load.calls_of), len(load.bytes_of)) == (0, 0, 0, 0)


@pytest.fixture(scope="module")
def bounded(
    tmp_path_factory: pytest.TempPathFactory, migrated_data: Path, running_upstream: SandboxProcess
) -> Iterator[Gateway]:
    with Installation(tmp_path_factory.mktemp("bounded") / "data", migrated_data, BOUNDS) as installation:
        seed(installation, running_upstream.url)
        yield installation.gateway()


def test_bodies_beyond_the_bound_are_refused_before_they_are_read(bounded: Gateway) -> None:
    token = bounded.token("load", user=USER)
    body = b"{" + b" " * (MB + MB // 2)
    held: list[socket.socket] = [open_call(bounded, token, b"{", len(body))]  # announced, and not sent
    time.sleep(0.2)
    refused = open_call(bounded, token, b"", len(body))
    status, answer = read_answer(refused)
    assert (status, b"too_many_bytes_in_flight" in answer) == (429, True)
    assert bounded.http.get(f"{bounded.origin}/healthz").elapsed.total_seconds() < 1
    for connection in (*held, refused):
        connection.close()
    deadline = time.monotonic() + 5
    while (answered := bounded.post(token, CHAT_PATH, chat())).status_code != 200 and time.monotonic() < deadline:
        time.sleep(0.1)
    assert answered.status_code == 200  # the shares of those who left came back


def test_what_a_body_unpacks_to_counts(bounded: Gateway) -> None:
    token = bounded.token("packed", user=USER)
    packed = gzip.compress(json.dumps(chat("x" * (2 * MB + 1000))).encode())
    answer = bounded.post(token, CHAT_PATH, content=packed, headers={"content-encoding": "gzip"})
    assert_ours(answer, 429, "too_many_bytes_in_flight")
    assert bounded.post(token, CHAT_PATH, chat()).status_code == 200


def test_calls_beyond_the_bound_are_refused(bounded: Gateway) -> None:
    token = bounded.token("many", user="many@example.com")
    held = [open_call(bounded, token, b"{", 1000) for _ in range(4)]
    time.sleep(0.3)
    answer = bounded.post(token, CHAT_PATH, chat())
    assert_ours(answer, 429, "too_many_calls_in_flight")
    assert answer.headers["retry-after"] == "1"
    for connection in held:
        connection.close()
