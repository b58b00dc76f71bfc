"""What a connection keeps and lets go: who keeps it and how long it waits idle, and the source of a body."""

import asyncio
import select
from typing import Protocol, TypeVar

from accounts.numbers import whole_number

KEEPALIVE_SECONDS = 30.0
Kept = TypeVar("Kept", contravariant=True)


class Keeper(Protocol[Kept]):
    """What a connection belongs to."""

    def freed(self, connection: Kept, *, reusable: bool) -> None:
        """Take the connection back: called once for every call that used it."""

    def forget(self, connection: Kept) -> None:
        """Drop the connection, which closed, from those that wait for a call."""


def idle_seconds(value: bytes) -> float:
    """Return for how long a connection may be kept by its ``keep-alive`` header, a second less than it says."""
    for part in value.lower().split(b","):
        name, _, given = part.partition(b"=")
        seconds = whole_number(given.strip())
        if name.strip() == b"timeout" and seconds is not None:
            return min(KEEPALIVE_SECONDS, max(0.0, seconds - 1.0))
    return KEEPALIVE_SECONDS


def has_news(transport: asyncio.BaseTransport) -> bool:
    """Whether the socket has something to read: on an idle connection that is its end, not seen by the loop yet."""
    poll = select.poll()
    poll.register(transport.get_extra_info("socket").fileno(), select.POLLIN)
    return bool(poll.poll(0))


async def close_source(body: object) -> None:
    """Close what a body comes from, where it can be closed."""
    close = getattr(body, "aclose", None)
    if close is not None:
        await close()
