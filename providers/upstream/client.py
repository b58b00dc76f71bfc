"""What every upstream client takes and gives back."""

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from multidict import CIMultiDict

from providers.snapshot import AccountSnapshot
from providers.upstream.headers import Headers
from providers.upstream.pieces import Pieces

Count = Callable[[int], None]


def no_count(size: int) -> None:
    """Count nothing: for answers that no bound of what is in flight is for."""


@dataclass(slots=True)
class UpstreamRequest:
    """What a dialect makes: a request ready to be sent. ``total_timeout`` is in seconds, ``None`` for no limit.

    The client sets ``sent`` before the first byte leaves: from then on the vendor may have seen it.
    ``dropped`` names what of the caller's request the model does not take. ``traceparent`` is the header of that name,
    apart because it differs in every request: the others' lines are remembered.
    """

    method: str
    url: str
    headers: CIMultiDict[str] = field(repr=False)
    body: bytes | Pieces | AsyncIterator[bytes] | None = field(default=None, repr=False)
    total_timeout: float | None = None
    sent: bool = False
    dropped: Sequence[str] = ()
    traceparent: str = ""


class UpstreamAnswer(Protocol):
    """An answer whose head has arrived. Read it with :meth:`read` or :meth:`chunks`, and always :meth:`close` it."""

    status: int

    @property
    def headers(self) -> Headers:
        """The head's fields. Names are found in any case; ``items()`` and ``raw`` have those that come twice twice."""

    async def read(self, limit: int, count: Count = no_count) -> bytes:
        """Return the whole body; raise ``BrokenAnswer`` when it is larger than ``limit`` bytes.

        ``count`` is given the number of bytes that came since the last time, while there are more to come.
        """

    def chunks(self) -> AsyncIterator[bytes]:
        """Yield the body as it comes. A slow reader slows the upstream: at most one read buffer is held."""

    async def next_chunk(self) -> bytes:
        """Return the next bytes of the body, empty at its end; :meth:`chunks` goes on after them."""

    def take_with(self, taker: Callable[[bytes], bool]) -> None:
        """Let ``taker`` have what arrives while :meth:`next_chunk` waits, where the client can do that.

        It returns whether it took the bytes; what it leaves, :meth:`next_chunk` returns.
        """

    def close(self) -> None:
        """Give the connection back when the body was read to its end, else close it at once."""


@dataclass(frozen=True, slots=True)
class Connections:
    """The connections of an account: how many calls use one or make one, how many are idle, how many calls wait."""

    busy: int
    idle: int
    waiting: int


class UpstreamClient(Protocol):
    """Sends upstream requests, over connections that it keeps by account and revision."""

    async def send(self, account: AccountSnapshot, request: UpstreamRequest) -> UpstreamAnswer:
        """Send ``request`` and return its answer as soon as the head is there. Redirects are returned, never followed.

        Raises a subclass of ``UpstreamFailure``.
        """

    def connections(self) -> dict[str, Connections]:
        """Return the connections by the account's name. Any thread may call it."""

    async def close(self) -> None:
        """Close every connection."""
