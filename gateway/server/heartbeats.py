"""Heartbeats: comments in a stream of events whose upstream is silent, so that proxies before us don't close it."""

import asyncio
from collections.abc import AsyncIterator

HEARTBEAT = b": heartbeat\n\n"


def with_heartbeats(stream: AsyncIterator[bytes], seconds: float) -> AsyncIterator[bytes]:
    """Return the parts of ``stream``, and a comment whenever none came for ``seconds`` (0: never).

    Parts are whole events.
    """
    return _with_heartbeats(stream, seconds) if seconds else stream


async def _with_heartbeats(stream: AsyncIterator[bytes], seconds: float) -> AsyncIterator[bytes]:
    parts = aiter(stream)
    following: asyncio.Future[bytes] | None = None
    try:
        while True:
            following = asyncio.ensure_future(anext(parts))
            while not (await asyncio.wait((following,), timeout=seconds))[0]:
                yield HEARTBEAT
            try:
                part = following.result()
            except StopAsyncIteration:
                return
            yield part
    finally:
        if following is not None and not following.done():
            following.cancel()
            await asyncio.wait((following,))
