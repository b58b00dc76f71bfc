"""What every upstream client promises, whatever an upstream sends: one suite over all of them."""

import gzip
import zlib
from typing import Any

import pytest

from providers.upstream.client import UpstreamClient
from providers.upstream.decoding import BOMB_BYTES, BOMB_RATIO
from providers.upstream.failures import BrokenAnswer, Disconnected, UpstreamFailure
from tests.support.raw_upstream import Peer, account, answering, keeping, request, serving

LIMIT = 10_000_000
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"
CLOSE = b"HTTP/1.1 200 OK\r\nconnection: close\r\n"


async def call(client: UpstreamClient, origin: str, **fields: Any) -> tuple[int, bytes]:
    """Make one call; return its status and body."""
    answer = await client.send(account(origin), request(f"{origin}/v1/x", **fields))
    try:
        return answer.status, await answer.read(LIMIT)
    finally:
        answer.close()


async def test_a_request_arrives_as_it_was_made(client: UpstreamClient) -> None:
    async with serving(keeping(OK)) as server:
        made = request(
            f"{server.origin}/v1/a%2Fb?q=%20x", body=b'{"a": 1}', content_type="application/json", x_odd="é;,="
        )
        answer = await client.send(account(server.origin), made)
        assert (answer.status, await answer.read(LIMIT)) == (200, b"{}")
        answer.close()
        ((first, headers, body),) = server.requests
    assert first == "POST /v1/a%2Fb?q=%20x HTTP/1.1"
    assert body == b'{"a": 1}'
    assert headers == {
        "host": server.origin.removeprefix("http://"),
        "content-type": "application/json",
        "x-odd": "é;,=",
        "accept-encoding": "identity",
        "content-length": "8",
    }


@pytest.mark.parametrize("method", ["GET", "DELETE", "POST", "PUT"])
async def test_a_request_without_a_body(client: UpstreamClient, method: str) -> None:
    async with serving(keeping(OK)) as server:
        assert await call(client, server.origin, method=method, body=None) == (200, b"{}")
        ((_, headers, _),) = server.requests
    assert headers.get("content-length", "0") == "0"
    assert ("content-length" in headers) or method in {"GET", "DELETE"}
    assert "transfer-encoding" not in headers


async def test_connections_are_used_again(client: UpstreamClient) -> None:
    async with serving(keeping(OK)) as server:
        for _ in range(5):
            assert await call(client, server.origin) == (200, b"{}")
        assert (server.connections, len(server.requests)) == (1, 5)


async def test_a_closed_connection_is_not_used_again(client: UpstreamClient) -> None:
    async with serving(answering(CLOSE + b"content-length: 2\r\n\r\n{}")) as server:
        for _ in range(2):
            assert await call(client, server.origin) == (200, b"{}")
        assert server.connections == 2


async def test_headers_of_an_answer(client: UpstreamClient) -> None:
    head = (
        b"HTTP/1.1 429 Slow\r\nX-One: 1\r\nx-two: a\r\nX-Two: b\r\nempty:\r\n"
        b"latin: caf\xe9\r\ncontent-length: 0\r\n\r\n"
    )
    async with serving(answering(head)) as server:
        answer = await client.send(account(server.origin), request(server.origin + "/"))
        answer.close()
    headers = answer.headers
    assert answer.status == 429
    assert (headers.get("x-ONE"), headers["x-two"], headers.get("empty"), headers.get("none", "-")) == (
        "1",
        "a",
        "",
        "-",
    )
    assert "X-two" in headers
    assert "none" not in headers
    assert [(name.lower(), value) for name, value in headers.items()][:3] == [
        ("x-one", "1"),
        ("x-two", "a"),
        ("x-two", "b"),
    ]


CHUNKED = b"transfer-encoding: chunked\r\n\r\n"
WHOLE = {
    "length": (CLOSE + b"content-length: 5\r\n\r\nhello", b"hello"),
    "nothing": (CLOSE + b"content-length: 0\r\n\r\n", b""),
    "chunks": (CLOSE + CHUNKED + b"3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n", b"hello"),
    "trailers": (CLOSE + CHUNKED + b"5\r\nhello\r\n0\r\nx-sum: 1\r\nx-other: 2\r\n\r\n", b"hello"),
    "chunk-extensions": (CLOSE + CHUNKED + b'5;a="b"\r\nhello\r\n0\r\n\r\n', b"hello"),
    "until-the-end": (CLOSE + b"\r\nhello", b"hello"),
    "http-1.0": (b"HTTP/1.0 200 OK\r\n\r\nhello", b"hello"),
    "http-1.0-length": (b"HTTP/1.0 200 OK\r\ncontent-length: 5\r\n\r\nhello", b"hello"),
    "100": (b"HTTP/1.1 100 Continue\r\n\r\n" + CLOSE + b"content-length: 5\r\n\r\nhello", b"hello"),
    "103": (b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n" * 3 + CLOSE + b"content-length: 5\r\n\r\nhello", b"hello"),
    "204": (b"HTTP/1.1 204 None\r\nconnection: close\r\n\r\n", b""),
    "304": (b"HTTP/1.1 304 Same\r\nconnection: close\r\ncontent-length: 5\r\n\r\n", b""),
    "no-reason": (b"HTTP/1.1 200\r\nconnection: close\r\ncontent-length: 5\r\n\r\nhello", b"hello"),
    "gzip": (CLOSE + b"content-encoding: GZIP\r\n\r\n" + gzip.compress(b"hello"), b"hello"),
    "deflate": (CLOSE + b"content-encoding: deflate\r\n\r\n" + zlib.compress(b"hello"), b"hello"),
    "bare-deflate": (CLOSE + b"content-encoding: deflate\r\n\r\n" + zlib.compress(b"hello", wbits=-15), b"hello"),
    "unknown-coding": (CLOSE + b"content-encoding: utf-8\r\n\r\nhello", b"hello"),
    "redirect": (
        b"HTTP/1.1 307 There\r\nconnection: close\r\nlocation: /elsewhere\r\ncontent-length: 5\r\n\r\nhello",
        b"hello",
    ),
}


@pytest.mark.parametrize("cut", ["whole", "byte-by-byte", "head-then-body"])
@pytest.mark.parametrize("name", WHOLE)
async def test_whole_answers(client: UpstreamClient, name: str, cut: str) -> None:
    sent, body = WHOLE[name]
    end = sent.index(b"\r\n\r\n") + 4
    pieces = {"whole": [sent], "byte-by-byte": [bytes([b]) for b in sent], "head-then-body": [sent[:end], sent[end:]]}
    async with serving(answering(*pieces[cut], pause=0.0 if cut != "head-then-body" else 0.01)) as server:
        status, got = await call(client, server.origin)
        streamed = await client.send(account(server.origin), request(f"{server.origin}/v1/x"))
        first = await streamed.next_chunk()
        rest = [chunk async for chunk in streamed.chunks()]
        streamed.close()
    assert got == body
    assert first + b"".join(rest) == body
    assert bool(first) == bool(body)
    assert status == streamed.status
    assert len(server.requests) == 2


async def test_head_has_no_body(client: UpstreamClient) -> None:
    async with serving(answering(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n")) as server:
        assert await call(client, server.origin, method="HEAD", body=None) == (200, b"")


# The lean client alone keeps more of this: see test_lean.py.
BROKEN: dict[str, tuple[list[bytes], type[UpstreamFailure]]] = {
    "nothing": ([b""], Disconnected),
    "no-http": ([b"SSH-2.0-OpenSSH_9.2\r\n"], BrokenAnswer),
    "a-request": ([b"GET / HTTP/1.1\r\n\r\n"], BrokenAnswer),
    "tls": ([b"\x15\x03\x01\x00\x02\x02\x46"], BrokenAnswer),
    "a-bad-status": ([b"HTTP/1.1 abc OK\r\n\r\n"], BrokenAnswer),
    "a-bad-header": ([b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n{}"], BrokenAnswer),
    "a-nul-in-a-header": ([b"HTTP/1.1 200 OK\r\na: b\x00c\r\n\r\n{}"], BrokenAnswer),
    "endless-headers": ([CLOSE + b"x-long: " + b"a" * 200_000 + b"\r\n\r\n{}"], BrokenAnswer),
    "endless-header-lines": ([CLOSE + b"x-long: abcdef\r\n" * 20_000], BrokenAnswer),
    "half-a-head": ([b"HTTP/1.1 200 OK\r\ncontent-ty"], Disconnected),
    "half-a-body": ([CLOSE + b'content-length: 100\r\n\r\n{"id":'], Disconnected),
    "half-a-body-later": ([CLOSE + b"content-length: 100\r\n\r\n", b'{"id":'], Disconnected),
    "half-a-chunk": ([CLOSE + CHUNKED + b'ff\r\n{"id":'], Disconnected),
    "no-last-chunk": ([CLOSE + CHUNKED + b"2\r\n{}\r\n"], Disconnected),
    "half-trailers": ([CLOSE + CHUNKED + b"2\r\n{}\r\n0\r\nx-sum: 1\r\n"], Disconnected),
    "a-bad-chunk": ([CLOSE + CHUNKED + b"zz\r\n{}"], BrokenAnswer),
    "a-negative-length": ([CLOSE + b"content-length: -1\r\n\r\n{}"], BrokenAnswer),
    "a-bad-gzip": ([CLOSE + b"content-encoding: gzip\r\ncontent-length: 5\r\n\r\nhello"], BrokenAnswer),
    "two-lengths": ([CLOSE + b"content-length: 2\r\ncontent-length: 3\r\n\r\n{}"], BrokenAnswer),
    "length-and-chunks": ([CLOSE + b"content-length: 2\r\n" + CHUNKED + b"2\r\n{}\r\n0\r\n\r\n"], BrokenAnswer),
}


@pytest.mark.parametrize("name", BROKEN)
async def test_broken_answers(client: UpstreamClient, name: str) -> None:
    pieces, failure = BROKEN[name]
    async with serving(answering(*pieces, pause=0.01)) as server:
        with pytest.raises(failure) as raised:
            await call(client, server.origin)
    assert type(raised.value) is failure
    assert raised.value.sent
    assert "127.0.0.1" not in str(raised.value)


async def test_a_reset(client: UpstreamClient) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        if len(peer.server.requests) == 2:
            await peer.send(CLOSE + b"content-length: 9\r\n\r\nhe", pause=0.02)
        peer.reset()

    async with serving(script) as server:
        for _ in range(2):
            with pytest.raises(Disconnected):
                await call(client, server.origin)


async def test_large_heads(client: UpstreamClient) -> None:
    lines = b"".join(b"x-%d: %s\r\n" % (number, b"a" * 4000) for number in range(14))
    async with serving(answering(CLOSE + lines + b"content-length: 2\r\n\r\n{}")) as server:
        assert await call(client, server.origin) == (200, b"{}")


@pytest.mark.parametrize("framing", [b"content-length: 2000\r\n\r\n" + b"x" * 2000, CHUNKED + b"7d0\r\n" + b"x" * 2000])
async def test_an_answer_over_the_limit(client: UpstreamClient, framing: bytes) -> None:
    async with serving(answering(CLOSE + framing)) as server:
        answer = await client.send(account(server.origin), request(server.origin))
        with pytest.raises(BrokenAnswer, match="larger than 1999 bytes"):
            await answer.read(1999)
        answer.close()


async def test_an_answer_as_large_as_the_limit(client: UpstreamClient) -> None:
    async with serving(answering(CLOSE + b"\r\n" + b"x" * 2_000_000)) as server:
        answer = await client.send(account(server.origin), request(server.origin))
        assert len(await answer.read(2_000_000)) == 2_000_000
        answer.close()


@pytest.mark.parametrize("coding", [b"identity", b"gzip"])
async def test_the_bytes_of_an_answer_are_counted_as_they_come(client: UpstreamClient, coding: bytes) -> None:
    """Many answers of which no one knows before they are whole would be in memory, and in no count."""
    body = bytes(12_000_000)
    sent = gzip.compress(body) if coding == b"gzip" else body
    async with serving(answering(CLOSE + b"content-encoding: %b\r\n\r\n" % coding + sent)) as server:
        answer = await client.send(account(server.origin), request(server.origin))
        counts: list[int] = []
        assert await answer.read(20_000_000, counts.append) == body
        answer.close()
    assert sum(counts) == len(body)
    assert len(counts) > 2


async def test_an_answer_that_unpacks_to_hundreds_of_times_its_size(client: UpstreamClient) -> None:
    packed = gzip.compress(bytes(BOMB_BYTES + 2**20))
    assert BOMB_RATIO * len(packed) < BOMB_BYTES
    head = CLOSE + b"content-encoding: gzip\r\ncontent-length: %d\r\n\r\n" % len(packed)
    async with serving(answering(head + packed)) as server:
        answer = await client.send(account(server.origin), request(server.origin))
        with pytest.raises(BrokenAnswer, match="200 times its size"):
            await answer.read(2 * BOMB_BYTES)
        answer.close()


async def test_an_answer_that_unpacks_to_too_much(client: UpstreamClient) -> None:
    packed = gzip.compress(bytes(50_000_000))
    async with serving(
        answering(CLOSE + b"content-encoding: gzip\r\ncontent-length: %d\r\n\r\n" % len(packed) + packed)
    ) as server:
        answer = await client.send(account(server.origin), request(server.origin))
        with pytest.raises(BrokenAnswer, match="larger than"):
            await answer.read(1_000_000)
        answer.close()
        answer = await client.send(account(server.origin), request(server.origin))
        assert sum([len(chunk) async for chunk in answer.chunks()]) == 50_000_000
        answer.close()
