"""What the lean client promises beyond the contract: aiohttp reads on, reuses or hangs where these upstreams
misbehave.
"""

import asyncio
import gzip
import socket
import threading
import time
from collections.abc import AsyncIterator

import pytest

from providers.upstream.failures import BrokenAnswer, Disconnected, ReadTimedOut, UnsendableHeaders, UpstreamFailure
from providers.upstream.lean import LeanClient
from tests.providers.upstream.test_contract import CHUNKED, CLOSE, OK, call
from tests.support.raw_upstream import Peer, account, answering, keeping, request, serving

BROKEN: dict[str, tuple[list[bytes], type[UpstreamFailure]]] = {
    "a-bad-chunk-later": ([CLOSE + CHUNKED + b"2\r\n{}\r\n", b"zz\r\n"], BrokenAnswer),
    "half-a-gzip": ([CLOSE + b"content-encoding: gzip\r\n\r\n" + gzip.compress(b"hello" * 99)[:-12]], Disconnected),
    "more-than-64-kb": ([CLOSE + b"x-line: abcdefghijkl\r\n" * 3300 + b"content-length: 0\r\n\r\n"], BrokenAnswer),
    "endless-informational": (
        [b"HTTP/1.1 103 Early\r\nlink: xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\r\n\r\n" * 2000],
        BrokenAnswer,
    ),
    "endless-trailers": ([CLOSE + CHUNKED + b"2\r\n{}\r\n0\r\n", b"x-line: abcdefghijkl\r\n" * 4000], BrokenAnswer),
    "endless-chunk-extension": ([CLOSE + CHUNKED + b"2\r\n{}\r\n2;", *[b"x" * 60_000] * 3], BrokenAnswer),
    "folded-header": ([CLOSE + b"a: b\r\n  c\r\ncontent-length: 2\r\n\r\n{}"], BrokenAnswer),
    "bare-lf": ([b"HTTP/1.1 200 OK\ncontent-length: 2\n\n{}"], BrokenAnswer),
    "switched": ([b"HTTP/1.1 101 Switching\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n{}"], BrokenAnswer),
    "a-status-below-100": ([b"HTTP/1.1 099 Low\r\ncontent-length: 2\r\n\r\n{}"], BrokenAnswer),
    "odd-transfer-coding": ([CLOSE + b"transfer-encoding: gzip, chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"], BrokenAnswer),
    "two-transfer-codings": (
        [CLOSE + b"transfer-encoding: chunked\r\ntransfer-encoding: identity\r\n\r\n2\r\n{}\r\n0\r\n\r\n"],
        BrokenAnswer,
    ),
    "brotli": ([CLOSE + b"content-encoding: br\r\ncontent-length: 2\r\n\r\n{}"], BrokenAnswer),
}


@pytest.mark.parametrize("name", BROKEN)
async def test_broken_answers(lean: LeanClient, name: str) -> None:
    pieces, failure = BROKEN[name]
    async with serving(answering(*pieces, pause=0.01)) as server:
        with pytest.raises(failure) as raised:
            await call(lean, server.origin)
    assert type(raised.value) is failure


async def test_what_was_read_before_a_break_is_given_out(lean: LeanClient) -> None:
    async with serving(answering(CLOSE + CHUNKED + b"5\r\nhello\r\n", b"zz")) as server:
        answer = await lean.send(account(server.origin), request(server.origin))
        await asyncio.sleep(0.05)
        assert await answer.next_chunk() == b"hello"
        with pytest.raises(BrokenAnswer):
            await answer.next_chunk()
        answer.close()


async def test_bytes_behind_an_answer_poison_nothing(lean: LeanClient) -> None:
    """What was sent too much must not be the next call's answer."""
    for extra in (b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil", b"junk", b"HTTP/1.1 200 OK\r\nconte"):
        for split in (0.0, 0.02):

            async def script(peer: Peer, extra: bytes = extra, split: float = split) -> None:
                while True:
                    await peer.request()
                    await peer.send(*([OK, extra] if split else [OK + extra]), pause=split)

            async with serving(script) as server:
                for _ in range(3):
                    assert await call(lean, server.origin) == (200, b"{}")
                    async with asyncio.timeout(5):  # until the client has closed the connection
                        while server.open:
                            await asyncio.sleep(0.005)


@pytest.mark.parametrize(
    ("method", "repeated", "headers"),
    [("GET", True, {}), ("DELETE", True, {}), ("POST", True, {"idempotency-key": "k"}), ("POST", False, {})],
)
async def test_a_kept_connection_that_the_upstream_closes(
    lean: LeanClient, method: str, repeated: bool, headers: dict[str, str]
) -> None:
    """Without a byte of an answer: what may be repeated is sent again, of the rest the caller learns why it failed."""

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(OK)
        await peer.request()

    async with serving(script) as server:
        assert await call(lean, server.origin) == (200, b"{}")
        asked = request(server.origin, method=method, body=b"{}" if method == "POST" else None)
        asked.headers.update(headers)
        if repeated:
            answer = await lean.send(account(server.origin), asked)
            assert (answer.status, await answer.read(100)) == (200, b"{}")
            assert (len(server.requests), server.connections) == (3, 2)
        else:
            with pytest.raises(Disconnected) as raised:
                await lean.send(account(server.origin), asked)
            assert (raised.value.reused, raised.value.sent, server.connections) == (True, True, 1)


async def test_a_rested_connection_is_looked_at_before_it_is_used(lean: LeanClient) -> None:
    """Its end has arrived, but the event loop, which was busy, has not seen it yet: nothing is sent there."""
    listener = socket.create_server(("127.0.0.1", 0))
    origin = f"http://127.0.0.1:{listener.getsockname()[1]}"
    served: list[bytes] = []

    def serve() -> None:
        for _ in range(2):
            connection, _ = listener.accept()
            served.append(connection.recv(2**16))
            connection.sendall(OK)
            time.sleep(0.2)
            connection.close()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    assert await call(lean, origin) == (200, b"{}")
    time.sleep(0.8)  # noqa: ASYNC251 - the loop must be kept from seeing the end
    assert await call(lean, origin) == (200, b"{}")
    await asyncio.to_thread(thread.join, 5)
    assert len(served) == 2
    listener.close()


async def test_a_new_connection_that_closes_is_not_retried(lean: LeanClient) -> None:
    async with serving(answering(b"")) as server:
        with pytest.raises(Disconnected) as raised:
            await call(lean, server.origin, method="GET", body=None)
        assert (raised.value.reused, server.connections) == (False, 1)


@pytest.mark.parametrize("seconds", [1, 0])
async def test_keep_alive_with_a_time(lean: LeanClient, seconds: int) -> None:
    """A connection is given up before the upstream does: one that lasts a second is not used again."""
    answer = b"HTTP/1.1 200 OK\r\nkeep-alive: timeout=%d, max=9\r\ncontent-length: 2\r\n\r\n{}" % seconds
    async with serving(keeping(answer)) as server:
        for _ in range(2):
            assert await call(lean, server.origin) == (200, b"{}")
        assert server.connections == 2


@pytest.mark.parametrize(
    "fields",
    [
        {"x_a": "b\r\nx-evil: 1"},
        {"x_a": "b\nc"},
        {"x_a": "b\0c"},
        {"x_a": "\ud800"},
        {"x_a": "b\x7f"},
        {"x a": "b"},
        {"x:a": "b"},
        {"x_a\r\nb": "b"},
        {"host": "a\r\nx-evil: 1"},
        {"method": "GET / HTTP/1.1\r\n"},
        {"method": ""},
    ],
)
async def test_what_can_not_be_sent_is_not(lean: LeanClient, fields: dict[str, str]) -> None:
    async with serving(keeping(OK)) as server:
        with pytest.raises(UnsendableHeaders) as raised:
            await call(lean, server.origin, **fields)
        assert not raised.value.sent
        assert not server.connections


@pytest.mark.parametrize("path", ["/a b", "/a\r\nx-evil: 1", "/a\nb", "/a\0", "/a\tb", "/a\x7f"])
async def test_an_address_that_can_not_be_sent_is_not(lean: LeanClient, path: str) -> None:
    async with serving(keeping(OK)) as server:
        with pytest.raises(UpstreamFailure, match="address is not valid") as raised:
            await lean.send(account(server.origin), request(server.origin + path))
        assert not raised.value.sent
        assert not server.requests


async def test_framing_headers_are_ours(lean: LeanClient) -> None:
    async with serving(keeping(OK)) as server:
        for fields in ({"content_length": "99"}, {"Transfer_Encoding": "chunked"}):
            assert await call(lean, server.origin, **fields) == (200, b"{}")
        assert [body for _, _, body in server.requests] == [b"{}", b"{}"]


async def test_odd_query_bytes_stay_what_they_were(lean: LeanClient) -> None:
    async with serving(keeping(OK)) as server:
        answer = await lean.send(account(server.origin), request(f"{server.origin}?a=caf\xe9&b=%20#there"))
        answer.close()
        assert server.requests[0][0] == "POST /?a=caf%E9&b=%20 HTTP/1.1"


async def test_a_body_longer_or_shorter_than_announced(lean: LeanClient) -> None:
    """It must not become the next request."""

    async def body() -> AsyncIterator[bytes]:
        yield b"12345"
        yield b"67890"

    for length in ("7", "12"):
        async with serving(keeping(OK)) as server:
            with pytest.raises(Disconnected):
                await call(lean, server.origin, body=body(), content_length=length)
            assert not server.requests


async def test_an_upload_that_is_not_taken_times_out(lean: LeanClient) -> None:
    async def body() -> AsyncIterator[bytes]:
        while True:
            yield bytes(2**20)

    async def script(peer: Peer) -> None:
        await asyncio.sleep(30)

    async with serving(script) as server:
        with pytest.raises(ReadTimedOut):
            await lean.send(account(server.origin, read_timeout=0.3), request(server.origin, body=body()))
        with pytest.raises(ReadTimedOut):
            await lean.send(
                account(server.origin, read_timeout=0.3, revision="2"), request(server.origin, body=bytes(2**25))
            )
