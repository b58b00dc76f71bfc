"""What is in flight in this process: calls and bytes of bodies and answers, of everyone and of each caller, with a
bound for each.

A call is counted from its authentication to its end, before anything of its body is read. Beyond a bound it is refused:
a caller's own with 429, the process's with 503, both with ``retry-after``. Answers are counted, never refused: the
vendor bills them.
"""

from dataclasses import dataclass

from django.conf import settings

from accounts.words import counted
from gateway.call.errors import TooManyRequests, Unavailable

RETRY_AFTER = {"retry-after": "1"}


@dataclass(slots=True)
class Bounds:
    """How much may be in flight: in the process, and of one caller."""

    calls: int
    bytes: int
    caller_calls: int
    caller_bytes: int


class Load:
    """The counts of one process, used in its event loop only."""

    __slots__ = ("bounds", "bytes", "bytes_of", "calls", "calls_of")

    def __init__(self, bounds: Bounds) -> None:
        self.bounds = bounds
        self.calls = 0
        self.bytes = 0
        self.calls_of: dict[str, int] = {}
        self.bytes_of: dict[str, int] = {}

    def begin(self, caller: str) -> "Ticket":
        """Count a call of ``caller`` (its key); return what it gives back at its end.

        Raises :class:`~gateway.call.errors.TooManyRequests` and :class:`~gateway.call.errors.Unavailable`.
        """
        calls = self.calls_of.get(caller, 0)
        if calls >= self.bounds.caller_calls:
            raise TooManyRequests(
                f"You have {counted(self.bounds.caller_calls, 'call')} in flight on this server, which is the limit. "
                "Wait for one to end.",
                code="too_many_calls_in_flight",
                headers=RETRY_AFTER,
            )
        if self.calls >= self.bounds.calls:
            raise Unavailable(
                "The server has as many calls in flight as it can serve. Try again.",
                code="overloaded",
                headers=RETRY_AFTER,
            )
        self.calls += 1
        self.calls_of[caller] = calls + 1
        return Ticket(self, caller)


class Ticket:
    """One call's share of the load. :meth:`release` gives all of it back, once."""

    __slots__ = ("_caller", "_load", "_size")

    def __init__(self, load: Load, caller: str) -> None:
        self._load = load
        self._caller = caller
        self._size = 0

    def take(self, size: int) -> None:
        """Count ``size`` bytes of the call's body before they are read. Raises like :meth:`Load.begin`."""
        load = self._load
        if load.bytes_of.get(self._caller, 0) + size > load.bounds.caller_bytes:
            raise TooManyRequests(
                f"The bodies of your calls in flight on this server exceed {load.bounds.caller_bytes} bytes. Wait for "
                f"some to end.",
                code="too_many_bytes_in_flight",
                headers=RETRY_AFTER,
            )
        if load.bytes + size > load.bounds.bytes:
            raise Unavailable(
                "The server holds as many bytes of bodies as it can. Try again.", code="overloaded", headers=RETRY_AFTER
            )
        self.count(size)

    def count(self, size: int) -> None:
        """Count ``size`` bytes that are there already: an answer's."""
        self._size += size
        self._load.bytes += size
        self._load.bytes_of[self._caller] = self._load.bytes_of.get(self._caller, 0) + size

    def release(self) -> None:
        """Give everything back. Safe to call twice."""
        load, caller = self._load, self._caller
        if not caller:
            return
        self._caller = ""
        load.calls -= 1
        load.bytes -= self._size
        for counts, amount in ((load.calls_of, 1), (load.bytes_of, self._size)):
            left = counts.pop(caller, 0) - amount
            if left > 0:
                counts[caller] = left


load = Load(
    Bounds(
        settings.MAX_CALLS_IN_FLIGHT,
        settings.MAX_BYTES_IN_FLIGHT,
        settings.MAX_CALLS_PER_CALLER,
        settings.MAX_BYTES_PER_CALLER,
    )
)
