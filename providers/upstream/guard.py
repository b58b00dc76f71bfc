"""An account's door outward: name resolution and sockets under the egress rules."""

import socket
from typing import Any

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from providers import egress

# The kernel asks a silent peer after a minute, four times: a socket whose upstream vanished ends in two minutes,
# however long sessions may be silent. Not every system has every option.
KEEP_ALIVE = [
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    *(
        (socket.IPPROTO_TCP, getattr(socket, name), value)
        for name, value in (("TCP_KEEPIDLE", 60), ("TCP_KEEPINTVL", 15), ("TCP_KEEPCNT", 4))
        if hasattr(socket, name)
    ),
]


class Guard(AbstractResolver):
    """An account's door outward: resolves names and makes sockets, and refuses what may not be connected to.

    A name is judged with the addresses it resolves to; the socket is judged again by the address itself, so a literal
    address, which is never resolved, passes the same rules.
    """

    def __init__(self) -> None:
        self._resolver = aiohttp.ThreadedResolver()
        self._allowed_by_name: set[str] = set()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Return the addresses of ``host``; raise ``EgressDenied`` when one of them may not be connected to."""
        found = await self._resolver.resolve(host, port, family)
        for entry in found:
            egress.check_address(host, entry["host"])
        self._allowed_by_name = {entry["host"] for entry in found} if egress.host_allowed(host) else set()
        return found

    def socket(self, info: tuple[Any, ...]) -> socket.socket:
        """Make the socket for a resolved address (an entry of ``getaddrinfo``), or raise ``EgressDenied``."""
        family, kind, protocol, _, sockaddr = info
        host = str(sockaddr[0])
        if host not in self._allowed_by_name:
            egress.check_address(host, host)
        made = socket.socket(family=family, type=kind, proto=protocol)
        for level, option, value in KEEP_ALIVE:
            made.setsockopt(level, option, value)
        return made

    async def close(self) -> None:
        """Release the resolver."""
        await self._resolver.close()
