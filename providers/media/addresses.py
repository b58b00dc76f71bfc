"""Which URLs may be fetched for a caller: public ones, by the egress rules, at every step of a redirect."""

import string
from collections.abc import Sequence
from urllib.parse import quote, urljoin, urlsplit, urlunsplit

from yarl import URL

from providers import egress

LONGEST = 8192
NOT_PUBLIC = "Only public https addresses are fetched."
"""It does not say what was found at the address: callers must not learn of a network that they can't see."""
INVALID = "It is not a valid URL."
_KEPT = string.printable.strip()  # escapes that are there stay as they are: a URL may be signed


class MediaFault(ValueError):
    """Media can't be fetched. The message names the host at most: the rest of a URL may be signed."""


def checked(url: str, allow: Sequence[str]) -> URL:
    """Return the URL ready to be requested; raise :class:`MediaFault` for one that may not be.

    ``allow`` lists what may be at a private address or in plain http. No name is resolved here: the connection checks
    its addresses itself.
    """
    if len(url) > LONGEST:
        raise MediaFault(f"The URL is longer than {LONGEST} characters.")
    try:
        parts = urlsplit(url.strip())
        port, host = parts.port, parts.hostname or ""
        host = host if host.isascii() else host.encode("idna").decode()
    except (ValueError, UnicodeError):
        raise MediaFault(INVALID) from None
    if parts.scheme not in ("http", "https") or not host:
        raise MediaFault("Give a URL that begins with https://, or a base64 data URI.")
    if "@" in parts.netloc:
        raise MediaFault("A URL may not hold a user name or password.")
    place = f"[{host}]" if ":" in host else host
    if port is not None:
        place += f":{port}"
    if egress.url_fault(f"{parts.scheme}://{place}", allow):
        raise MediaFault(NOT_PUBLIC)
    path, query = quote(parts.path or "/", safe=_KEPT), quote(parts.query, safe=_KEPT)
    return URL(urlunsplit((parts.scheme, place, path, query, "")), encoded=True)


def redirected(url: URL, location: str, allow: Sequence[str]) -> URL:
    """Return where a redirect leads, checked like the first URL."""
    try:
        target = urljoin(str(url), location)
    except ValueError:
        raise MediaFault(INVALID) from None
    return checked(target, allow)
