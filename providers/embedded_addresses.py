"""The IPv4 addresses that an IPv6 address leads to: a translator or a tunnel on the way may deliver to them."""

import ipaddress

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

# Where translation is the network's ordinary business: the address is nothing but the IPv4 one (RFC 4291 2.5.5.2, RFC
# 6052 2.1).
MAPPED = ipaddress.IPv6Network("::ffff:0:0/96")
NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
# Prefixes with the IPv4 address in the last 32 bits: IPv4-compatible (RFC 4291 2.5.5.1), and IPv4-translated (RFC 2765
# 2.1).
LAST_BITS = (ipaddress.IPv6Network("::/96"), ipaddress.IPv6Network("::ffff:0:0:0/96"))
# Local translators (RFC 8215): the operator's prefix may have any length, so every place of RFC 6052 2.2 is possible.
LOCAL_NAT64 = ipaddress.IPv6Network("64:ff9b:1::/48")
LOCAL_PLACES = ((6, 7, 9, 10), (7, 9, 10, 11), (9, 10, 11, 12), (12, 13, 14, 15))
SIX_TO_FOUR = ipaddress.IPv6Network("2002::/16")  # RFC 3056
TEREDO = ipaddress.IPv6Network("2001::/32")  # RFC 4380: the server's address, and the client's with its bits inverted
ISATAP = (bytes.fromhex("00005efe"), bytes.fromhex("02005efe"))  # RFC 5214 6.1, in the interface's half of any prefix


def translated(address: Address) -> Address:
    """Return the IPv4 address of a mapped or NAT64 address, else the address itself."""
    if isinstance(address, ipaddress.IPv6Address) and (address in MAPPED or address in NAT64):
        return _at(address.packed, 12, 13, 14, 15)
    return address


def of(address: Address) -> tuple[ipaddress.IPv4Address, ...]:
    """Return every IPv4 address that ``address`` may be delivered to; nothing for an IPv4 address or an ordinary IPv6
    one.
    """
    if isinstance(address, ipaddress.IPv4Address) or int(address) <= 1:
        return ()
    packed = address.packed
    if address in MAPPED or address in NAT64 or any(address in network for network in LAST_BITS):
        return (_at(packed, 12, 13, 14, 15),)
    found = []
    if address in LOCAL_NAT64:
        found += [_at(packed, *places) for places in LOCAL_PLACES]
    if address in SIX_TO_FOUR:
        found.append(_at(packed, 2, 3, 4, 5))
    if address in TEREDO:
        found += [_at(packed, 4, 5, 6, 7), _at(bytes(byte ^ 0xFF for byte in packed), 12, 13, 14, 15)]
    if packed[8:12] in ISATAP:
        found.append(_at(packed, 12, 13, 14, 15))
    return tuple(found)


def _at(packed: bytes, *places: int) -> ipaddress.IPv4Address:
    return ipaddress.IPv4Address(bytes(packed[place] for place in places))
