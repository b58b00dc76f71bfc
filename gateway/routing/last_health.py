"""How targets do by what workers reported to each other last: for a process that is none of them, as a command."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import Any, Final

from redis import Redis

from gateway.routing.health import LONGEST_REST_SECONDS, WINDOW_SECONDS, Health, TargetHealth
from gateway.routing.shared_health import FAULTS, STREAM, TIMEOUT_SECONDS, event_of

WITHOUT: Final = (
    "How targets do is not known here: without REDIS_URL each worker knows what it saw itself, and its log says when "
    "a target rests and is back."
)


class Unknown(Exception):
    """It can't be known, for the reason that it says."""


def last_health(url: str) -> Health:
    """Return what workers reported in the last minutes, as one of them would know it. Raises :class:`Unknown`."""
    if not url:
        raise Unknown(WITHOUT)
    known = Health()
    try:
        options: dict[str, Any] = {"socket_timeout": TIMEOUT_SECONDS, "socket_connect_timeout": TIMEOUT_SECONDS}
        with Redis.from_url(url, decode_responses=True, **options) as redis:
            seconds, micros = redis.time()  # type: ignore[misc]  # not one to await
            now = int(seconds) + int(micros) / 1e6
            entries: Any = redis.xrange(STREAM, min=f"{int((now - LONGEST_REST_SECONDS) * 1000)}-0")
    except FAULTS as error:
        raise Unknown(f"How targets do is not known here: Redis can't be reached ({type(error).__name__}).") from None
    offset = monotonic() - now
    for entry_id, fields in entries:
        event = event_of(fields)
        if event is not None:
            known.take(event, int(entry_id.partition("-")[0]) / 1000 + offset)
    return known


def said(target: TargetHealth, now: float) -> str:
    """Return in words how a target does; ``now`` in monotonic seconds."""
    if target.ejected:
        why = f"it failed with {target.cause}"
        if now < target.resting_until:
            left = target.resting_until - now
            until = datetime.now(UTC) + timedelta(seconds=left)
            return f"rests until {until:%H:%M:%S} UTC ({left:.0f} s), because {why}"
        if now < target.probing_until:
            return f"is being tried again by one call, because {why}"
        return f"has rested, because {why}; the next call tries it again"
    recent = [moment for moment in target.failures if now - moment <= WINDOW_SECONDS]
    if recent:
        return f"is well; failed {now - max(recent):.0f} s ago with {target.cause}, and rests if it does so again"
    return "is well, as far as workers reported"


def health_lines(names: Iterator[str] | list[str], url: str) -> Iterator[str]:
    """Yield a line for each of the targets, or one that says why that can't be known."""
    names = list(dict.fromkeys(names))
    if not names:
        return
    try:
        known = last_health(url)
    except Unknown as reason:
        yield str(reason)
        return
    now = monotonic()
    for name in names:
        yield f"target {name} {said(known.of(name), now)}"
