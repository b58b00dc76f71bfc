"""Which addresses may be dialled at all.

Upstream addresses are public and https unless the operator lists a host or network in ``GATEHOUSE_EGRESS_ALLOW``. The name
is judged when an account is saved (:func:`url_fault`), and the address again when it is dialled, after resolution
(:func:`address_fault`): a name that resolves to a private address later is refused then.
"""

import ipaddress
from collections.abc import Iterable
from functools import lru_cache
from urllib.parse import urlsplit

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

# Names of metadata services that must not be dialled even if they resolve to a public-looking address.
METADATA_HOSTS = frozenset({"metadata", "metadata.google.internal", "instance-data", "instance-data.ec2.internal"})
NAT64 = ipaddress.ip_network("64:ff9b::/96")


class EgressDenied(OSError):
    """An address that may not be dialled. The message names the address and the mend, never a credential."""


def parse_allow_list(entries: Iterable[str]) -> tuple[frozenset[str], tuple[Network, ...]]:
    """Return the host names and the networks of an allow list; raise ``ImproperlyConfigured`` on a bad entry."""
    hosts: set[str] = set()
    networks: list[Network] = []
    for entry in entries:
        try:
            networks.append(ipaddress.ip_network(entry.strip("[]"), strict=False))
        except ValueError:
            host = entry.lower().rstrip(".")
            if not host or any(sign in host for sign in "/:@ *"):
                raise ImproperlyConfigured(
                    f"GATEHOUSE_EGRESS_ALLOW: {entry!r} is neither a host name nor a network. "
                    "Use names and networks, separated by commas: vllm.internal,10.0.0.0/8."
                ) from None
            hosts.add(host)
    return frozenset(hosts), tuple(networks)


@lru_cache(maxsize=8)
def _allow_list(entries: tuple[str, ...]) -> tuple[frozenset[str], tuple[Network, ...]]:
    return parse_allow_list(entries)


def host_allowed(host: str) -> bool:
    """Whether the operator lists this host name or literal address."""
    hosts, _ = _allow_list(tuple(settings.EGRESS_ALLOW))
    host = host.lower().rstrip(".").strip("[]")
    literal = _literal(host)
    return host in hosts or (literal is not None and _in_allowed_network(literal))


def url_fault(url: str) -> str | None:
    """Say why ``url`` may not be an upstream address, or ``None``. No name is resolved here."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        return f"{url!r} is not a web address."
    if parts.scheme not in {"http", "https"} or not host:
        return "Give a whole address that begins with https://."
    if parts.username or parts.password:
        return "Put the key into the credentials, not into the address."
    if parts.query or parts.fragment:
        return "An address has no '?' or '#'."
    allowed = host_allowed(host)
    if parts.scheme == "http" and not allowed:
        return f"Plain http is refused. Use https, or list {host} in GATEHOUSE_EGRESS_ALLOW."
    if host.rstrip(".") in METADATA_HOSTS and not allowed:
        return f"{host} is a metadata service."
    literal = _literal(host)
    if literal is not None:
        return address_fault(host, str(literal))
    if not allowed and _odd_spelling(host):
        return f"{host} is an odd spelling of an address. Write it as a name or a plain address."
    return None


def address_fault(host: str, address: str) -> str | None:
    """Say why the resolved ``address`` of ``host`` may not be dialled, or ``None``."""
    try:
        parsed = ipaddress.ip_address(address.split("%", 1)[0])
    except ValueError:
        return f"{address!r} is not an address."
    real = _embedded(parsed)
    hosts, _ = _allow_list(tuple(settings.EGRESS_ALLOW))
    if host.lower().rstrip(".") in hosts or _in_allowed_network(real) or _in_allowed_network(parsed):
        return None
    if not real.is_global or real.is_multicast or real.is_reserved:
        return (
            f"{host} is at {address}, which is not a public address. "
            f"If it is meant, list {host} or its network in GATEHOUSE_EGRESS_ALLOW."
        )
    return None


def check_address(host: str, address: str) -> None:
    """Raise :class:`EgressDenied` when ``address`` of ``host`` may not be dialled. Call it at dial time."""
    fault = address_fault(host, address)
    if fault:
        raise EgressDenied(fault)


def _in_allowed_network(address: Address) -> bool:
    _, networks = _allow_list(tuple(settings.EGRESS_ALLOW))
    return any(address.version == network.version and address in network for network in networks)


def _literal(host: str) -> Address | None:
    try:
        return ipaddress.ip_address(host.split("%", 1)[0])
    except ValueError:
        return None


def _embedded(address: Address) -> Address:
    """Return the IPv4 address that an IPv6 one carries (mapped, 6to4, Teredo, NAT64), else the address itself."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address.ipv4_mapped:
        return address.ipv4_mapped
    if address.sixtofour:
        return address.sixtofour
    if address.teredo:
        return address.teredo[1]
    if address in NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address


def _odd_spelling(host: str) -> bool:
    """Whether a resolver may read ``host`` as a number: 0x7f.1, 2130706433, 0177.0.0.1."""
    last = host.rstrip(".").rsplit(".", 1)[-1]
    return last.isdigit() or last.startswith("0x")
