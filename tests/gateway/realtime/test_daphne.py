"""What daphne does not do by itself: large messages, and close codes of the standard's own."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator

import pytest

from gateway.call.single_headers import SINGLE
from tests.gateway.realtime.conftest import Scripted, scripted_behind
from tests.gateway.realtime.test_records import Ledger
from tests.support.installation import Gateway, Installation
from tests.support.servers import wait_until
from tests.support.talk import dial

MOST = 64 * 2**20
OPTION = 300_000
SECONDS = 60


@pytest.fixture
def ledger(daphne: Gateway, request: pytest.FixtureRequest) -> Ledger:
    return Ledger(daphne, request.node.name)


@pytest.fixture
async def upstream(daphne: Gateway, voice_token: str) -> AsyncIterator[Scripted]:
    async with scripted_behind(daphne, voice_token) as made:
        yield made


@pytest.fixture(scope="module")
def bounded(realtime_installation: Installation) -> Gateway:
    """A daphne of its own, whose operator set a smaller limit."""
    return realtime_installation.gateway("--websocket-max-message-size", str(OPTION), server="daphne")


def event(size: int) -> str:
    """A client's event of ``size`` bytes."""
    empty = json.dumps({"type": "input_audio_buffer.append", "audio": ""})
    return empty[:-2] + "A" * (size - len(empty)) + empty[-2:]


def ended_well(gateway: Gateway) -> bool:
    """Whether no session of the process failed."""
    return "Traceback" not in gateway.log and "Exception inside application" not in gateway.log


# The upstream's side takes messages below its limit only.
@pytest.mark.parametrize("size", [2**20 + 1, MOST - 1])
async def test_large_messages_pass_both_ways(daphne: Gateway, ledger: Ledger, upstream: Scripted, size: int) -> None:
    upstream.echoes = True
    sent = event(size)
    async with dial(daphne, ledger.token, upstream.path) as socket:
        await socket.socket.send_str(sent)
        answer = await socket.socket.receive(SECONDS)
        assert answer.data == sent, (answer.type, socket.socket.close_code)
    assert ledger.records(1)["realtime_session"][0]["error_class"] == ""


async def test_large_bytes_pass_both_ways(daphne: Gateway, voice_token: str, upstream: Scripted) -> None:
    upstream.echoes = True
    sent = event(2**21).encode()
    async with dial(daphne, voice_token, upstream.path) as socket:
        await socket.socket.send_bytes(sent)
        answer = await socket.socket.receive(SECONDS)
        assert answer.data == sent, (answer.type, socket.socket.close_code)


async def test_a_clients_message_that_is_too_large(daphne: Gateway, ledger: Ledger, upstream: Scripted) -> None:
    async with dial(daphne, ledger.token, upstream.path) as socket:
        await socket.socket.send_str(event(MOST + 1))
        code, reason = await socket.closed()
    assert code == 1009
    assert str(MOST) in reason
    assert upstream.received == []
    assert await upstream.closed() == (1000, "")
    assert ledger.records(1)["realtime_session"][0]["error_class"] == "message_too_large"
    wait_until(lambda: f"a message of the client is larger than {MOST} bytes" in daphne.log)
    assert ended_well(daphne)


async def test_an_operators_limit_stays(bounded: Gateway) -> None:
    ledger = Ledger(bounded, "an-operators-limit")
    async with scripted_behind(bounded, ledger.token) as upstream:
        async with dial(bounded, ledger.token, upstream.path) as socket:
            await socket.socket.send_str(event(OPTION + 1))
            assert (await socket.closed())[0] == 1009
        upstream.says = event(OPTION + 1)
        async with dial(bounded, ledger.token, upstream.path) as socket:
            told = await socket.event()
            assert (told["error"]["code"], told["status"]) == ("message_too_large", 413)
            assert await socket.closed() == (1009, "message_too_large")
    rows = ledger.installation.records(2, token_prefix=ledger.token[:10])
    assert [row["error_class"] for row in rows] == ["message_too_large"] * 2
    for side in ("client", "upstream"):
        told = f"a message of the {side} is larger than {OPTION} bytes"
        wait_until(lambda told=told: told in bounded.log)  # type: ignore[misc]
    assert ended_well(bounded)


@pytest.mark.parametrize("code", [1001, 1008, 1011, 1013])
async def test_the_standards_close_codes_leave_no_traceback(
    daphne: Gateway, ledger: Ledger, upstream: Scripted, code: int
) -> None:
    upstream.close = (code, "enough")
    async with dial(daphne, ledger.token, upstream.path) as socket:
        async with asyncio.timeout(5):
            assert await socket.closed() == (code, "enough")
    assert ledger.records(1)["realtime_session"][0]["error_class"] == ""
    path = upstream.path.partition("?")[0]
    wait_until(lambda: path in daphne.log)  # its lines are written a moment later, many at once
    line = next(line for line in reversed(daphne.log.splitlines()) if path in line)
    assert "internal_error" not in line
    assert ended_well(daphne)


@pytest.mark.parametrize("name", sorted({*SINGLE, b"authorization", b"x-tfy-provider-name"}), ids=bytes.decode)
def test_a_header_that_a_call_has_twice(daphne: Gateway, voice_token: str, name: bytes) -> None:
    """``manage.py serve`` refuses it with the head; daphne passes both on, and a proxy may have read the other one."""
    head = {b"host": b"localhost", b"authorization": b"Bearer " + voice_token.encode(), b"connection": b"close"}
    lines = [b"%b: %b" % pair for pair in {**head, name: head.get(name, b"1")}.items()]
    sent = b"\r\n".join([b"GET /v1/models HTTP/1.1", *lines, b"%b: %b" % (name.title(), head.get(name, b"1"))])
    with socket.create_connection(("127.0.0.1", daphne.port), 10) as connection:
        connection.sendall(sent + b"\r\n\r\n")
        answer = connection.makefile("rb").read()
    assert answer.startswith(b"HTTP/1.1 400 "), answer[:300]
    assert b"sent twice" in answer
