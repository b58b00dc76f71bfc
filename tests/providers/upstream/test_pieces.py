"""A body in pieces goes up as if it were one, as often as needed, and is copied nowhere."""

import json

import msgspec
import pytest

from providers.dialects.wire import encode_fields
from providers.upstream.client import UpstreamClient
from providers.upstream.lean import LeanClient
from providers.upstream.pieces import LARGE_BYTES, SENT_BYTES, Pieces
from tests.support.raw_upstream import Peer, account, keeping, request, serving

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"
LARGE = bytes(range(256)) * (3 * SENT_BYTES // 256) + b"end"


@pytest.mark.parametrize("parts", [[], [b""], [b"a"], [b"a", LARGE, b"b", b"c", memoryview(LARGE)[1:]]])
async def test_parts_are_one_body(parts: list[bytes]) -> None:
    pieces = Pieces(parts)
    whole = b"".join(parts)
    for _ in range(2):
        sent = [piece async for piece in pieces]
        assert b"".join(sent) == whole
        assert max(map(len, sent), default=0) <= SENT_BYTES
    assert (len(pieces), bytes(pieces)) == (len(whole), whole)


async def test_large_parts_are_not_copied() -> None:
    sent = [piece async for piece in Pieces([b"{", LARGE, b"}"])]
    assert all(isinstance(piece, memoryview) and piece.obj is LARGE for piece in sent[1:-1])


@pytest.mark.parametrize("size", [0, LARGE_BYTES + 1])
def test_fields_are_written_alike_whole_and_in_pieces(size: int) -> None:
    raw = json.dumps({"model": "a/b", "é\n": [1, {"x": "é"}], "long": "a" * SENT_BYTES}).encode()
    fields = {**msgspec.json.decode(raw, type=dict[str, msgspec.Raw]), "model": "b", "n": 1}
    assert bytes(encode_fields(fields, size)) == msgspec.json.encode(fields)
    assert isinstance(encode_fields(fields, size), Pieces if size else bytes)


@pytest.mark.parametrize("body", [Pieces([b"{", LARGE, b"}"]), b"a" * (LARGE_BYTES + 1)], ids=["pieces", "bytes"])
async def test_a_large_body_is_sent_as_one(client: UpstreamClient, body: bytes | Pieces) -> None:
    async with serving(keeping(OK)) as server:
        for _ in range(2):
            answer = await client.send(account(server.origin), request(f"{server.origin}/v1/x", body=body))
            assert (answer.status, await answer.read(10)) == (200, b"{}")
            answer.close()
        assert [(sent == bytes(body), headers["content-length"]) for _, headers, sent in server.requests] == [
            (True, str(len(body)))
        ] * 2
        assert "transfer-encoding" not in server.requests[0][1]
        assert server.connections == 1, "the connection is used again"


async def test_it_is_sent_again_where_a_kept_connection_had_closed(lean: LeanClient) -> None:
    async def once(peer: Peer) -> None:
        await peer.request()
        await peer.send(OK)

    body = Pieces([b"{", LARGE, b"}"])
    async with serving(once) as server:
        for _ in range(2):
            made = request(f"{server.origin}/v1/x", body=body, idempotency_key="k")
            answer = await lean.send(account(server.origin), made)
            assert (answer.status, await answer.read(10)) == (200, b"{}")
            answer.close()
        assert [sent == bytes(body) for _, _, sent in server.requests] == [True, True]


async def test_an_early_refusal_ends_the_sending(client: UpstreamClient) -> None:
    async def refuse(peer: Peer) -> None:
        await peer.reader.readuntil(b"\r\n\r\n")
        await peer.send(b"HTTP/1.1 413 Too Large\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}")
        await peer.closed()

    async with serving(refuse) as server:
        body = Pieces([LARGE] * 64)
        answer = await client.send(account(server.origin), request(f"{server.origin}/v1/x", body=body))
        assert (answer.status, await answer.read(10)) == (413, b"{}")
        answer.close()
