"""Where a request of the console comes from: the peer, or what proxies of ours say of it."""

import ipaddress
import re

from django.conf import settings
from django.http import HttpRequest

UNKNOWN = "0.0.0.0"
"""The address of a peer that has none, as over a Unix socket."""
IPV6_PREFIX = 64
"""A host usually gets so much of the IPv6 space, and changes its address within it as it likes."""
MOST_HOPS = 20
PORT = re.compile(r"\[(?P<v6>[^\]]+)\](?::[0-9]+)?|(?P<v4>[0-9.]+):[0-9]+")
Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def client_address(request: HttpRequest) -> str:
    """Return the address that a request is counted under: an IPv4 address, or the beginning of an IPv6 network.

    ``X-Forwarded-For`` is read from its end, for as long as those who wrote it are ``GATEHOUSE_TRUSTED_PROXIES``: what
    comes before that, a client may have made up.
    """
    found = _address(request.META.get("REMOTE_ADDR", ""))
    hops = request.META.get("HTTP_X_FORWARDED_FOR", "").rsplit(",", MOST_HOPS)[-MOST_HOPS:]
    while found is not None and hops and _trusted(found):
        before = _address(hops.pop())
        if before is None:
            break
        found = before
    return UNKNOWN if found is None else _counted(found)


def address_of(written: str) -> str:
    """Return the address that requests of ``written`` are counted under; empty when it is not one."""
    found = _address(written)
    return "" if found is None else _counted(found)


def addresses_are_known() -> bool:
    """Whether the addresses of different people's requests differ."""
    return bool(settings.TRUSTED_PROXIES) or not settings.BEHIND_PROXY


def _counted(address: Address) -> str:
    if isinstance(address, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((address, IPV6_PREFIX), strict=False).network_address)
    return str(address)


def _trusted(address: Address) -> bool:
    return any(address in network for network in settings.TRUSTED_PROXIES)


def _address(written: str) -> Address | None:
    written = written.strip()
    port = PORT.fullmatch(written)
    if port is not None:
        written = port["v6"] or port["v4"]
    try:
        address = ipaddress.ip_address(written.partition("%")[0])
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address
