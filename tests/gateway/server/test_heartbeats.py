"""Heartbeats in a silent stream of events."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from gateway.server.heartbeats import HEARTBEAT, with_heartbeats


async def slow(*pauses: float) -> AsyncIterator[bytes]:
    for number, pause in enumerate(pauses):
        await asyncio.sleep(pause)
        yield b"data: %d\n\n" % number


async def test_a_comment_comes_while_the_upstream_is_silent() -> None:
    parts = [part async for part in with_heartbeats(slow(0, 0.25, 0), 0.1)]
    assert parts[0] == b"data: 0\n\n"
    assert parts[-2:] == [b"data: 1\n\n", b"data: 2\n\n"]
    assert set(parts[1:-2]) == {HEARTBEAT}


async def test_none_comes_without_the_setting() -> None:
    assert [part async for part in with_heartbeats(slow(0.05), 0)] == [b"data: 0\n\n"]


async def test_closing_it_closes_the_stream() -> None:
    closed = asyncio.Event()

    async def endless() -> AsyncIterator[bytes]:
        try:
            await asyncio.sleep(3600)
            yield b""
        finally:
            closed.set()

    parts = with_heartbeats(endless(), 0.01)
    assert await anext(parts) == HEARTBEAT
    await parts.aclose()  # type: ignore[attr-defined]
    assert closed.is_set()


async def test_an_error_of_the_stream_is_raised() -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield b"data: 0\n\n"
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        assert [part async for part in with_heartbeats(broken(), 0.1)]
