"""Time, pressure and limits: what both clients promise about waiting, leaving and how much is held."""

import asyncio
import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest

from providers.upstream.client import UpstreamClient
from providers.upstream.failures import (
    ConnectFailed,
    ConnectionsBusy,
    ConnectTimedOut,
    EgressRefused,
    ReadTimedOut,
    UnsendableHeaders,
    UpstreamFailure,
)
from tests.providers.upstream.test_contract import CHUNKED, CLOSE, OK, call
from tests.support.raw_upstream import Peer, account, answering, keeping, request, serving
from tests.support.scripted import deaf_port

LEAVING_SECONDS = 0.1


async def silent(peer: Peer) -> None:
    """Read the request and say nothing until the client leaves."""
    await peer.request()
    peer.server.left_at = await peer.closed()


def begun(answer: bytes) -> Any:
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(answer)
        peer.server.left_at = await peer.closed()

    return script


# --- time ---------------------------------------------------------------------------------------------------


async def test_no_answer_in_time(client: UpstreamClient) -> None:
    loop = asyncio.get_running_loop()
    async with serving(silent) as server:
        for fields, total in (({"read_timeout": 0.3}, None), ({"revision": "2"}, 0.3)):
            started = loop.time()
            with pytest.raises(ReadTimedOut) as raised:
                await client.send(account(server.origin, **fields), request(server.origin, total=total))
            assert 0.25 < loop.time() - started < 2
            assert raised.value.sent


async def test_a_silence_within_an_answer(client: UpstreamClient) -> None:
    async with serving(begun(CLOSE + b"content-length: 9\r\n\r\nhello")) as server:
        for fields, total in (({"read_timeout": 0.3}, None), ({"revision": "2"}, 0.3)):
            answer = await client.send(account(server.origin, **fields), request(server.origin, total=total))
            with pytest.raises(ReadTimedOut):
                await answer.read(100)
            answer.close()


async def test_the_read_timeout_is_one_between_bytes(client: UpstreamClient) -> None:
    pieces = [CLOSE + CHUNKED, *[b"1\r\nx\r\n"] * 8, b"0\r\n\r\n"]
    async with serving(answering(*pieces, pause=0.1)) as server:
        answer = await client.send(account(server.origin, read_timeout=0.5), request(server.origin))
        assert await answer.read(100) == b"x" * 8
        answer.close()


async def test_a_slow_reader_is_not_timed(client: UpstreamClient) -> None:
    async with serving(answering(CLOSE + b"\r\n" + b"x" * 5_000_000)) as server:
        answer = await client.send(account(server.origin, read_timeout=0.2), request(server.origin))
        size = len(await answer.next_chunk())
        await asyncio.sleep(0.6)
        assert size + sum([len(chunk) async for chunk in answer.chunks()]) == 5_000_000
        answer.close()


async def test_a_port_that_does_not_accept(client: UpstreamClient) -> None:
    with deaf_port() as port:
        origin = f"http://127.0.0.1:{port}"
        with pytest.raises(ConnectTimedOut) as raised:
            await client.send(account(origin, connect_timeout=0.3), request(origin))
    assert not raised.value.sent


async def test_all_connections_are_busy(client: UpstreamClient) -> None:
    async with serving(silent) as server:
        limited = account(server.origin, limit=2, connect_timeout=0.3)
        running = [asyncio.ensure_future(client.send(limited, request(server.origin))) for _ in range(2)]
        await asyncio.sleep(0.05)
        with pytest.raises(
            ConnectionsBusy, match=r"All connections \(2\) of the provider account 'acme' were busy"
        ) as raised:
            await client.send(limited, request(server.origin))
        assert not raised.value.sent
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


async def test_calls_wait_for_a_connection_in_their_order(client: UpstreamClient) -> None:
    async with serving(keeping(OK)) as server:
        limited, order = account(server.origin, limit=1), []

        async def one(number: int) -> None:
            answer = await client.send(limited, request(f"{server.origin}/{number}"))
            assert await answer.read(9) == b"{}"
            order.append(number)
            answer.close()

        tasks = [asyncio.ensure_future(one(number)) for number in range(12)]
        await asyncio.sleep(0)
        tasks[5].cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert order == [0, 1, 2, 3, 4, 6, 7, 8, 9, 10, 11]
        assert server.connections == 1


# --- connecting ---------------------------------------------------------------------------------------------


async def test_a_port_that_refuses(client: UpstreamClient) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        origin = f"http://127.0.0.1:{taken.getsockname()[1]}"
    with pytest.raises(ConnectFailed, match=r"127.0.0.1 refused the connection") as raised:
        await client.send(account(origin), request(origin))
    assert type(raised.value) is ConnectFailed


async def test_an_address_that_may_not_be_connected_to(client: UpstreamClient, settings: Any) -> None:
    async with serving(keeping(OK)) as server:
        port = server.origin.rpartition(":")[2]
        settings.EGRESS_ALLOW = ["localhost.test"]
        for host in ("127.0.0.1", "10.0.0.1", "169.254.169.254", "[::1]"):
            with pytest.raises(EgressRefused) as raised:
                await client.send(account(f"https://{host}:{port}"), request(f"https://{host}:{port}"))
            assert not raised.value.sent
        assert not server.connections


async def test_a_name_at_an_address_that_may_not_be_connected_to(client: UpstreamClient, settings: Any) -> None:
    """The name is fine until it is resolved; a file of this machine resolves it."""
    name = socket.gethostname()
    settings.EGRESS_ALLOW = []
    with pytest.raises(UpstreamFailure) as raised:
        await client.send(account(f"https://{name}:9"), request(f"https://{name}:9"))
    assert type(raised.value) in (EgressRefused, ConnectFailed)  # where the machine does not know its own name
    assert not raised.value.sent


async def test_a_name_that_is_not_found(client: UpstreamClient) -> None:
    origin = "https://name.invalid"
    with pytest.raises(ConnectFailed, match=r"name\.invalid was not found"):
        await client.send(account(origin), request(origin))


async def test_a_name_that_this_machine_has(client: UpstreamClient, settings: Any) -> None:
    settings.EGRESS_ALLOW = ["localhost"]
    async with serving(keeping(OK)) as server:  # of its two addresses only one has a server
        origin = server.origin.replace("127.0.0.1", "localhost")
        assert await call(client, origin) == (200, b"{}")
        assert server.requests[0][1]["host"] == origin.removeprefix("http://")


async def test_what_is_stored_can_not_be_sent(client: UpstreamClient) -> None:
    stored = account("http://127.0.0.1:9", headers=(("openai-organization", "a\nb"),))
    with pytest.raises(UnsendableHeaders, match="its organization has characters"):
        await client.send(stored, request("http://127.0.0.1:9"))


async def test_a_changed_account_gets_new_connections(client: UpstreamClient) -> None:
    gate = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(CLOSE.replace(b"connection: close\r\n", b"") + b"content-length: 2\r\n\r\n")
        await gate.wait()
        await peer.send(b"{}")
        await peer.closed()

    async with serving(script) as server:
        old = await client.send(account(server.origin), request(server.origin))
        new = await client.send(account(server.origin, revision="2"), request(server.origin))
        gate.set()
        for answer in (old, new):
            assert await answer.read(9) == b"{}"
            answer.close()
        assert server.connections == 2
        async with asyncio.timeout(3):
            while server.open > 1:  # the old one is not kept
                await asyncio.sleep(0.02)


async def test_closing_the_client_closes_its_connections(client: UpstreamClient) -> None:
    async with serving(keeping(OK)) as server:
        await call(client, server.origin)
        assert server.open == 1
        await client.close()
        async with asyncio.timeout(2):
            while server.open:
                await asyncio.sleep(0.005)


# --- leaving ------------------------------------------------------------------------------------------------


async def test_a_cancelled_call_closes_its_connection(client: UpstreamClient) -> None:
    loop = asyncio.get_running_loop()
    async with serving(silent) as server:
        task = asyncio.ensure_future(client.send(account(server.origin), request(server.origin)))
        while not server.requests:
            await asyncio.sleep(0.005)
        left = loop.time()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        while server.open:
            await asyncio.sleep(0.002)
        assert server.left_at - left < LEAVING_SECONDS


@pytest.mark.parametrize("reading", ["read", "chunks", "nothing"])
async def test_leaving_an_answer_closes_its_connection(client: UpstreamClient, reading: str) -> None:
    loop = asyncio.get_running_loop()
    async with serving(begun(CLOSE + CHUNKED + b"5\r\nhello\r\n")) as server:
        answer = await client.send(account(server.origin), request(server.origin))

        async def read() -> None:
            if reading == "read":
                await answer.read(99)
            elif reading == "chunks":
                async for _ in answer.chunks():
                    continue

        task = asyncio.ensure_future(read())
        await asyncio.sleep(0.05)
        left = loop.time()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        answer.close()
        while server.open:
            await asyncio.sleep(0.002)
        assert server.left_at - left < LEAVING_SECONDS


# --- pressure -----------------------------------------------------------------------------------------------


async def test_a_slow_reader_slows_the_upstream(client: UpstreamClient) -> None:
    total, sent = 64 * 2**20, 0

    async def script(peer: Peer) -> None:
        nonlocal sent
        await peer.request()
        await peer.send(CLOSE + b"content-length: %d\r\n\r\n" % total)
        while sent < total:
            await peer.send(bytes(2**18))
            sent += 2**18

    async with serving(script) as server:
        answer = await client.send(account(server.origin), request(server.origin))
        got = len(await answer.next_chunk())
        await asyncio.sleep(0.3)
        assert sent < 16 * 2**20, "what is held is the kernel's: its buffers of both sides"
        async for chunk in answer.chunks():
            got += len(chunk)
            assert len(chunk) <= 2**20
        answer.close()
    assert got == total


async def test_a_slow_upstream_slows_an_upload(client: UpstreamClient) -> None:
    made = 0

    async def body() -> AsyncIterator[bytes]:
        nonlocal made
        for _ in range(256):
            made += 2**18
            yield bytes(2**18)

    go = asyncio.Event()

    async def script(peer: Peer) -> None:
        await go.wait()
        _, _, got = await peer.request()
        assert len(got) == 2**26
        await peer.send(OK)

    async with serving(script) as server:
        task = asyncio.ensure_future(call(client, server.origin, body=body(), content_length=str(2**26)))
        await asyncio.sleep(0.3)
        assert made < 16 * 2**20
        go.set()
        assert await task == (200, b"{}")


# --- uploads ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("length", [None, "11"])
async def test_a_body_in_pieces(client: UpstreamClient, length: str | None) -> None:
    async def body() -> AsyncIterator[bytes]:
        yield b"hello"
        await asyncio.sleep(0.01)
        if length is None:
            yield b""
        yield b" world"

    headers = {} if length is None else {"content_length": length}
    async with serving(keeping(OK)) as server:
        for _ in range(2):
            assert await call(client, server.origin, body=body(), **headers) == (200, b"{}")
        assert [body for _, _, body in server.requests] == [b"hello world"] * 2
        assert server.connections == 1
        assert ("transfer-encoding" in server.requests[0][1]) == (length is None)


async def test_a_body_that_breaks_off(client: UpstreamClient) -> None:
    async def body() -> AsyncIterator[bytes]:
        yield b"hello"
        await asyncio.sleep(0.01)
        raise ValueError("it broke")

    async with serving(keeping(OK)) as server:
        with pytest.raises(UpstreamFailure):
            await call(client, server.origin, body=body())
        async with asyncio.timeout(2):
            while server.open:
                await asyncio.sleep(0.005)
        assert not server.requests


@pytest.mark.parametrize("whole", [False, True])
async def test_an_early_answer_to_a_large_upload(client: UpstreamClient, whole: bool) -> None:
    """An answer that comes before the body was sent is the answer; the rest is not sent, the connection not used
    again.
    """
    made = 0

    async def body() -> AsyncIterator[bytes]:
        nonlocal made
        while made < 50_000_000:
            made += 2**18
            yield bytes(2**18)

    async def script(peer: Peer) -> None:
        await peer.reader.readuntil(b"\r\n\r\n")
        await peer.send(b"HTTP/1.1 413 Large\r\ncontent-length: 5\r\n\r\nlarge")
        await peer.closed() if peer.server.connections == 2 else await asyncio.sleep(0.3)

    async with serving(script) as server:
        for _ in range(2):
            made = 0
            sent = bytes(50_000_000) if whole else body()
            assert await call(client, server.origin, body=sent) == (413, b"large")
            assert made < 50_000_000
        assert server.connections == 2
