"""Which addresses may be connected to at all.

Upstream addresses are public and https unless the operator lists a host or network in ``GATEHOUSE_EGRESS_ALLOW``.
The name is judged when an account is saved (:func:`url_fault`), and the address again when it is connected to, after
resolution (:func:`check_address`): a name that resolves to a private address later is refused then.

A listed name opens plain http and private addresses for that name. Link-local addresses and those of metadata services
hold a cloud machine's own credentials, so they stay refused unless the address or its network is listed itself. An IPv6
address that a translator or a tunnel delivers to an IPv4 address is judged by that one, too.

Where a function takes ``allow``, it is the list to judge by instead of the operator's list for upstreams: what callers
name by URL must not reach what accounts may.
"""

import ipaddress
import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from urllib.parse import SplitResult, urlsplit

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from providers import embedded_addresses
from providers.embedded_addresses import Address

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Allow = Sequence[str] | None


class EgressDenied(OSError):
    """An address that may not be connected to. The message names the address and the fix, never a credential."""


def _networks(rows: dict[str, str]) -> tuple[tuple[Network, str], ...]:
    return tuple((ipaddress.ip_network(network), reason) for network, reason in rows.items())


# Names of metadata services that must not be connected to even if they resolve to a public-looking address.
METADATA_HOSTS = frozenset(
    {
        "metadata",
        "metadata.google.internal",
        "metadata.goog",
        "instance-data",
        "instance-data.ec2.internal",
        "metadata.tencentyun.com",
    }
)
LOOPBACK_HOSTS = frozenset({"localhost", "localhost.localdomain", "ip6-localhost", "ip6-loopback"})
METADATA_NETWORKS = _networks(
    {
        "169.254.0.0/16": "a link-local address, where clouds keep their metadata services",
        "fe80::/10": "a link-local address",
        "100.100.100.200/32": "Alibaba Cloud's metadata service",
        "168.63.129.16/32": "Azure's metadata service",
        "192.0.0.192/32": "Oracle Cloud's metadata service",
        "fd00:ec2::/32": "AWS's metadata service",
        "fd20:ce::/32": "Google Cloud's metadata service",
    }
)
# IANA's special-purpose registries, written out: Python's own is_global changed between patch releases.
SPECIAL_NETWORKS = _networks(
    {
        "0.0.0.0/8": "an unspecified address, which means this machine",
        "10.0.0.0/8": "a private address",
        "100.64.0.0/10": "a carrier-internal address",
        "127.0.0.0/8": "a loopback address",
        "172.16.0.0/12": "a private address",
        "192.0.0.0/24": "a reserved address",
        "192.0.2.0/24": "an address for documentation",
        "192.88.99.0/24": "a 6to4 relay address",
        "192.168.0.0/16": "a private address",
        "198.18.0.0/15": "an address for benchmarks",
        "198.51.100.0/24": "an address for documentation",
        "203.0.113.0/24": "an address for documentation",
        "224.0.0.0/4": "a multicast address",
        "240.0.0.0/4": "a reserved address",
        "::/128": "an unspecified address, which means this machine",
        "::1/128": "a loopback address",
        "fc00::/7": "a private address",
        "fec0::/10": "a site-local address",
        "ff00::/8": "a multicast address",
        "2001::/23": "a reserved or tunnelled address",
        "2001:db8::/32": "an address for documentation",
        "2002::/16": "a tunnelled (6to4) address",
        "3fff::/20": "an address for documentation",
    }
)
GLOBAL_UNICAST = ipaddress.ip_network("2000::/3")
HOST_NAME = re.compile(r"(?!.{254})[a-z0-9_](?:[a-z0-9_-]{0,62})(?:\.[a-z0-9_][a-z0-9_-]{0,62})*\.?")
URL_CHARACTERS = re.compile(r"[!-\[\]-~]+")


def parse_allow_list(entries: Iterable[str]) -> tuple[frozenset[str], tuple[Network, ...]]:
    """Return the host names and the networks of an allow list; raise ``ImproperlyConfigured`` on a bad entry."""
    hosts: set[str] = set()
    networks: list[Network] = []
    for entry in entries:
        try:
            networks.append(ipaddress.ip_network(entry.replace("[", "").replace("]", ""), strict=False))
        except ValueError:
            host = _canonical(entry)
            if not HOST_NAME.fullmatch(host) or _odd_spelling(host):
                raise ImproperlyConfigured(
                    f"GATEHOUSE_EGRESS_ALLOW: {entry!r} is neither a host name nor a network. "
                    "Use names and networks, separated by commas: vllm.internal,10.0.0.0/8."
                ) from None
            hosts.add(host)
    return frozenset(hosts), tuple(networks)


@lru_cache(maxsize=8)
def _allow_list(entries: tuple[str, ...]) -> tuple[frozenset[str], tuple[Network, ...]]:
    return parse_allow_list(entries)


def _lists(allow: Allow) -> tuple[frozenset[str], tuple[Network, ...]]:
    return _allow_list(tuple(settings.EGRESS_ALLOW if allow is None else allow))


def host_allowed(host: str, allow: Allow = None) -> bool:
    """Whether the operator lists this host name, or the network of this literal address."""
    hosts, _ = _lists(allow)
    host = _canonical(host)
    literal = _literal(host)
    return host in hosts or (literal is not None and _in_allowed_network(literal, allow))


def url_fault(url: str, allow: Allow = None) -> str | None:
    """Say why ``url`` may not be an upstream address, or ``None``. No name is resolved here.

    The answer never repeats the whole address, which may hold a password.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return "This is not a web address. Give a whole one that begins with https://."
    if url and not URL_CHARACTERS.fullmatch(url):
        return _characters_fault(parts)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        return "Give a whole address that begins with https://."
    if "@" in parts.netloc:
        return "Put the key into the credentials, not into the address."
    if "?" in url or "#" in url:
        return "An address has no '?' or '#'."
    if port == 0:
        return "Port 0 can't be connected to."
    return _host_fault(parts.hostname, allow, plain=parts.scheme == "http")


def _characters_fault(parts: SplitResult) -> str:
    """Say what to write instead of an address with spaces, control characters, a backslash or letters beyond ASCII."""
    try:
        ascii_host = (parts.hostname or "").encode("idna").decode()
    except UnicodeError:
        ascii_host = ""
    if ascii_host and ascii_host != parts.hostname and HOST_NAME.fullmatch(ascii_host):
        return f"Write the host in its ASCII form: {ascii_host}."
    return "An address has no spaces, line breaks, backslashes or letters beyond ASCII."


def _host_fault(host: str, allow: Allow, *, plain: bool) -> str | None:
    allowed = host_allowed(host, allow)
    literal = _literal(host)
    if literal is None and not HOST_NAME.fullmatch(host):
        return f"{host!r} is not a host name."
    if plain and not allowed:
        return f"Plain http is refused. Use https, or list {host} in GATEHOUSE_EGRESS_ALLOW."
    if literal is not None:
        return address_fault(host, str(literal), allow)
    if allowed:
        return None
    name = _canonical(host)
    if name in METADATA_HOSTS:
        return f"{host} is a metadata service."
    if name in LOOPBACK_HOSTS or name.endswith(".localhost"):
        return f"{host} is this machine. If it is meant, list it in GATEHOUSE_EGRESS_ALLOW."
    if _odd_spelling(host):
        return f"{host} is an odd spelling of an address. Write it as a name or a plain address."
    return None


def address_fault(host: str, address: str, allow: Allow = None) -> str | None:
    """Say why the resolved ``address`` of ``host`` may not be connected to, or ``None``."""
    try:
        parsed = ipaddress.ip_address(address.split("%", 1)[0])
    except ValueError:
        return f"{address!r} is not an address."
    inner = embedded_addresses.of(parsed)
    for judged in (parsed, *inner):
        reason = _reason(judged, METADATA_NETWORKS)
        if reason and not _in_allowed_network(judged, allow):
            return f"{host} is at {address}, {reason}. If it is meant, list {judged} in GATEHOUSE_EGRESS_ALLOW."
    if _in_allowed_network(parsed, allow) or (inner and all(_in_allowed_network(each, allow) for each in inner)):
        return None
    hosts, _ = _lists(allow)
    if _canonical(host) in hosts:
        return None
    real = embedded_addresses.translated(parsed)
    reason = _reason(real, SPECIAL_NETWORKS)
    if reason is None and real.version == 6 and real not in GLOBAL_UNICAST:
        reason = "a reserved address"
    reason = reason or next(filter(None, (_reason(judged, SPECIAL_NETWORKS) for judged in inner)), None)
    if reason is None:
        return None
    return f"{host} is at {address}, {reason}. If it is meant, list {host} or its network in GATEHOUSE_EGRESS_ALLOW."


def check_address(host: str, address: str, allow: Allow = None) -> None:
    """Raise :class:`EgressDenied` when ``address`` of ``host`` may not be connected to. Call it when connecting."""
    fault = address_fault(host, address, allow)
    if fault:
        raise EgressDenied(fault)


def _canonical(host: str) -> str:
    return host.lower().strip("[]").removesuffix(".")


def _in_allowed_network(address: Address, allow: Allow) -> bool:
    _, networks = _lists(allow)
    return any(address.version == network.version and address in network for network in networks)


def _reason(address: Address, rows: tuple[tuple[Network, str], ...]) -> str | None:
    for network, reason in rows:
        if address.version == network.version and address in network:
            return reason
    return None


def _literal(host: str) -> Address | None:
    try:
        return ipaddress.ip_address(host.split("%", 1)[0] if ":" in host else host)
    except ValueError:
        return None


def _odd_spelling(host: str) -> bool:
    """Whether a resolver may read ``host`` as a number: 0x7f.1, 2130706433, 0177.0.0.1."""
    last = host.removesuffix(".").rsplit(".", 1)[-1].lower()
    return re.fullmatch(r"[0-9]+|0x[0-9a-f]*", last) is not None
