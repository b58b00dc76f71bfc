"""What makes two requests the same."""

import hashlib
from collections.abc import MutableMapping, Sequence
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.call.errors import InvalidRequest
from gateway.call.request import InferenceRequest
from gateway.endpoints.fingerprint import DECIDING, Fingerprint

FORM = '--{0}\r\nContent-Disposition: form-data; name="a"\r\n\r\n{1}\r\n--{0}--\r\n'


async def value(
    pieces: Sequence[bytes],
    content_type: str = "application/json",
    path: str = "/v1/x",
    query: bytes = b"",
    also: Sequence[tuple[bytes, bytes]] = (),
) -> bytes:
    events = [{"type": "http.request", "body": piece, "more_body": True} for piece in pieces]
    events.append({"type": "http.request", "body": b"", "more_body": False})

    async def receive() -> MutableMapping[str, Any]:
        return events.pop(0)

    headers = [(b"content-type", content_type.encode()), *also]
    scope = {"path": path, "method": "POST", "headers": headers, "query_string": query}
    request = InferenceRequest(scope, receive)
    fingerprint = Fingerprint(request)
    await fingerprint.read_rest()
    request.stop_watching()
    return fingerprint.value


async def form(boundary: str, content: str, cuts: Sequence[int] = ()) -> bytes:
    whole = FORM.format(boundary, content).encode()
    edges = [0, *sorted(cut for cut in cuts if cut < len(whole)), len(whole)]
    pieces = [whole[begin:end] for begin, end in pairwise(edges)]
    return await value(pieces, f"multipart/form-data; boundary={boundary}")


async def test_address_and_body_count() -> None:
    same = await value([b'{"a"', b":1}"])
    assert same == await value([b'{"a":1}'])
    others = [
        await value([b'{"a":2}']),
        await value([b'{"a":1}'], path="/v1/y"),
        await value([b'{"a":1}'], query=b"b=1"),
        await value([]),
    ]
    assert len({same, *others}) == 5
    assert await value([], query=b"alt=sse&key=gh-1") == await value([], query=b"key=gh-2&alt=sse")


@pytest.mark.parametrize("name", DECIDING)
async def test_headers_that_decide_what_answers_count(name: bytes) -> None:
    """The same body for another account, or read otherwise, is another call."""
    without = await value([b"{}"])
    one, other, same = [await value([b"{}"], also=[(name, text)]) for text in (b"true", b"false", b" true ")]
    assert len({without, one, other}) == 3
    assert one == same


async def test_headers_of_each_try_do_not() -> None:
    tries = [[(b"x-tfy-metadata", b'{"try": "%d"}' % n), (b"x-tfy-request-timeout", b"%d000" % n)] for n in (1, 2)]
    one, other = [await value([b"{}"], also=headers) for headers in tries]
    assert one == other


async def test_kept_answers_of_earlier_versions_stay_the_answers() -> None:
    """Without such a header nothing is hashed but address and body."""
    assert await value([b"{}"]) == hashlib.sha256(b"/v1/x\0\0{}").digest()


@given(st.lists(st.integers(0, 150), max_size=8))
async def test_a_forms_boundary_does_not(cuts: list[int]) -> None:
    assert await form("----x1", "-----x-----xhello", cuts) == await form("another-and-longer", "-----x-----xhello")
    assert await form("----x1", "hello", cuts) != await form("----x2", "hallo")


async def test_a_form_without_a_boundary_is_refused() -> None:
    with pytest.raises(InvalidRequest):
        await value([], "multipart/form-data")
