"""Whatever bytes come, in whatever pieces: the call ends, with an answer no longer than what came, or with a failure of
ours.
"""

import asyncio
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from providers.upstream.answer import LeanAnswer
from providers.upstream.connection import Connection
from providers.upstream.failures import UpstreamFailure
from providers.upstream.head import Origin

ORIGIN = Origin(False, "h", 80, "h")
LINES = [
    b"HTTP/1.1 200 OK\r\n",
    b"HTTP/1.1 100 Continue\r\n\r\n",
    b"HTTP/1.1 204 None\r\n",
    b"HTTP/1.0 200 OK\r\n",
    b"content-length: 5\r\n",
    b"content-length: 0\r\n",
    b"content-length: 99999999999999999999\r\n",
    b"transfer-encoding: chunked\r\n",
    b"transfer-encoding: identity\r\n",
    b"content-encoding: gzip\r\n",
    b"connection: close\r\n",
    b"keep-alive: timeout=x\r\n",
    b"x: \xff\r\n",
    b" folded\r\n",
    b"\r\n",
    b"\r\n",
    b"5\r\nhello\r\n",
    b"0\r\n\r\n",
    b"0\r\nx-trailer: 1\r\n\r\n",
    b"ffffffffffffffffff\r\n",
    b"hello",
    b"\n",
    b"\0",
]
HEADERS = [line for line in LINES if b": " in line and b"trailer" not in line]
answers = st.tuples(  # nearly right, or right and cut off
    st.sampled_from(LINES[:4]),
    st.lists(st.sampled_from(HEADERS), max_size=3, unique=True).map(b"".join),
    st.just(b"\r\n"),
    st.lists(st.sampled_from([b"5\r\nhello\r\n", b"0\r\n\r\n", b"hello", b"he", b""]), max_size=4).map(b"".join),
)
streams = st.one_of(
    answers.map(b"".join),
    st.binary(max_size=200),
    st.lists(st.one_of(st.sampled_from(LINES), st.binary(max_size=8)), max_size=14).map(b"".join),
    st.lists(st.sampled_from(LINES), max_size=10).map(lambda lines: b"HTTP/1.1 200 OK\r\n" + b"".join(lines)),
)


class Kernel:
    """A transport that notes what a connection does with it."""

    def __init__(self) -> None:
        self.closed = False
        self.reading = True

    def write(self, data: bytes) -> None:
        assert not self.closed

    def abort(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed

    def get_write_buffer_size(self) -> int:
        return 0

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True


class Keeper:
    """Counts how often the connection was given back, and how."""

    def __init__(self) -> None:
        self.given: list[bool] = []

    def freed(self, connection: Connection, *, reusable: bool) -> None:
        self.given.append(reusable)

    def forget(self, connection: Connection) -> None:
        return


async def run(pieces: list[bytes], method: str, whole: bool, reset: bool) -> None:
    keeper, kernel = Keeper(), Kernel()
    connection = Connection(asyncio.get_running_loop(), ORIGIN, keeper)
    connection.connection_made(kernel)  # type: ignore[arg-type]
    answer = connection.send(method, b"", None, None, 60.0, None)
    reader = asyncio.ensure_future(read(answer, whole))
    await asyncio.sleep(0)
    for piece in pieces:
        if kernel.closed:
            break
        connection.data_received(piece)
        await asyncio.sleep(0)
        assert answer.size <= sum(map(len, pieces))
    if not kernel.closed and not reset:
        connection.eof_received()
    connection.connection_lost(ConnectionResetError() if reset else None)
    async with asyncio.timeout(1):
        body = await reader
    answer.close()
    assert len(keeper.given) == 1, "given back once, whatever happened"
    if isinstance(body, bytes) and not answer.decoder:
        assert len(body) <= sum(map(len, pieces))
        assert body in b"".join(pieces) or "transfer-encoding" in answer.headers
        if "content-length" in answer.headers and method != "HEAD" and answer.status not in (204, 304):
            assert len(body) == int(answer.headers["content-length"])
    if keeper.given[0]:
        assert answer.complete, "a connection is used again only behind a whole answer"


async def read(answer: LeanAnswer, whole: bool) -> Any:
    try:
        await answer.head()
        return await answer.read(10**6) if whole else b"".join([chunk async for chunk in answer.chunks()])
    except UpstreamFailure as failure:
        return failure


@settings(max_examples=600, deadline=None)
@given(st.data(), st.sampled_from(["POST", "HEAD"]), st.booleans(), st.booleans())
def test_any_bytes_in_any_pieces(data: st.DataObject, method: str, whole: bool, reset: bool) -> None:
    stream = data.draw(streams)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=6)))
    pieces = [stream[start:end] for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    asyncio.run(run([piece for piece in pieces if piece], method, whole, reset))
