"""Scheme, host and port of an address: what a secret is bound to, and what a connection leads to."""

from typing import NamedTuple
from urllib.parse import urlsplit

PORTS = {"http": 80, "https": 443}


class Origin(NamedTuple):
    """Where an address leads. ``host`` is in lower case, without a dot at its end."""

    scheme: str
    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.scheme}://{self.host}:{self.port}"


def origin(url: str) -> Origin:
    """Return the origin of ``url``. Raises ``ValueError`` for a port that is not one."""
    parts = urlsplit(url)
    host = (parts.hostname or "").rstrip(".")
    return Origin(parts.scheme, host, parts.port or PORTS.get(parts.scheme, 0))
