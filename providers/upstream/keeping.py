"""What a connection keeps and lets go: how long it waits idle, and the source of a body."""

from accounts.numbers import whole_number

KEEPALIVE_SECONDS = 30.0


def idle_seconds(value: bytes) -> float:
    """Return for how long a connection may be kept by its ``keep-alive`` header, a second less than it says."""
    for part in value.lower().split(b","):
        name, _, given = part.partition(b"=")
        seconds = whole_number(given.strip())
        if name.strip() == b"timeout" and seconds is not None:
            return min(KEEPALIVE_SECONDS, max(0.0, seconds - 1.0))
    return KEEPALIVE_SECONDS


async def close_source(body: object) -> None:
    """Close what a body comes from, where it can be closed."""
    close = getattr(body, "aclose", None)
    if close is not None:
        await close()
