"""Names to addresses for the lean client: in threads of its own, remembered for half a minute, judged at every use."""

import asyncio
import socket
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from providers import egress

CACHE_SECONDS = 30.0
MAX_CACHED_NAMES = 1024
# Look-ups can't be cancelled: threads of their own keep a dead name server from holding up anything but new
# connections.
THREADS = 8
AddressInfo = tuple[Any, ...]  # an entry of getaddrinfo


class Resolver:
    """Resolves names under the egress rules. Use it inside one event loop.

    ``allow`` is the list of exceptions; ``None`` means the operator's list for upstreams.
    """

    def __init__(self, allow: Sequence[str] | None = None) -> None:
        self.allow = allow
        self._threads = ThreadPoolExecutor(THREADS, "resolver")
        self._found: dict[tuple[str, int], tuple[float, list[AddressInfo]]] = {}
        self._running: dict[tuple[str, int], asyncio.Future[list[AddressInfo]]] = {}

    async def resolve(self, host: str, port: int) -> list[AddressInfo]:
        """Return all addresses of ``host``, a name or a literal address.

        Raises ``EgressDenied`` when one of them may not be connected to, ``socket.gaierror`` when there is none.
        """
        try:
            addresses = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
        except (socket.gaierror, UnicodeError):
            addresses = await self._lookup(host, port)
        for entry in addresses:
            egress.check_address(host, str(entry[4][0]), self.allow)
        return addresses

    def close(self) -> None:
        """Begin no look-up any more."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _lookup(self, host: str, port: int) -> list[AddressInfo]:
        loop, key = asyncio.get_running_loop(), (host, port)
        until, addresses = self._found.get(key, (0.0, []))
        if loop.time() < until:
            return addresses
        running = self._running.get(key)
        if running is None:
            running = self._running[key] = loop.run_in_executor(self._threads, _resolve, host, port)
            running.add_done_callback(lambda done: self._keep(key, done, loop.time() + CACHE_SECONDS))
        return await asyncio.shield(running)  # several callers wait for it: one that gives up must not cancel it

    def _keep(self, key: tuple[str, int], done: "asyncio.Future[list[AddressInfo]]", until: float) -> None:
        self._running.pop(key, None)
        if done.cancelled() or done.exception() is not None:
            return
        if len(self._found) >= MAX_CACHED_NAMES:
            self._found.clear()
        self._found[key] = (until, done.result())


def _resolve(host: str, port: int) -> list[AddressInfo]:
    try:
        return list(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
    except UnicodeError:
        raise socket.gaierror(socket.EAI_NONAME, "not a host name") from None
