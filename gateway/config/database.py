"""The database from ``DATABASE_URL``: PostgreSQL, directly or behind a pooler, or the embedded SQLite."""

import re
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from django.core.exceptions import ImproperlyConfigured

from gateway.config.env import fail

EXAMPLE = "Use postgres://USER:PASSWORD@HOST:PORT/NAME, or leave it out for the embedded SQLite."
POSTGRES_SCHEMES = ("postgres", "postgresql", "pgsql")
STATEMENT_TIMEOUT_MS = 60_000
"""A hung database must be noticed: calls go on from the last snapshot, but only once the poll has given up."""
CONNECT_TIMEOUT_SECONDS = 5
CHECKPOINT_PAGES = 4000
"""The log of writes is moved into the database at 16 MB instead of SQLite's 4: pages that change often, such as those
of indexes, are moved once for many commits."""
NAME = "DATABASE_URL"


def database(url: str, folder: Path, *, pooler: bool) -> dict[str, Any]:
    """Return Django's settings for ``url``, or for the embedded SQLite in ``folder`` when it is empty.

    ``pooler`` is for PgBouncer and its like, which give a connection away between two transactions: no cursor may live
    longer. Raises ``ImproperlyConfigured`` without showing the address, which may hold a password.
    """
    if not url:
        return _sqlite(folder / "gatehouse.sqlite3")
    scheme, _, rest = url.partition("://")
    if scheme == "sqlite":
        path = unquote(rest.partition("?")[0].removeprefix("/"))
        if not path or path == ":memory:":  # each connection would have a memory of its own
            raise fail(NAME, "names no file for SQLite.", "Use sqlite:////PATH, or leave it out.")
        return _sqlite(Path(path))
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise _unreadable(rest) from None
    name = unquote(parts.path.removeprefix("/"))
    if scheme not in POSTGRES_SCHEMES or not name or "@" in parts.path or parts.fragment or port == 0:
        raise _unreadable(rest)
    return _postgres(parts, name, pooler)


def _postgres(parts: SplitResult, name: str, pooler: bool) -> dict[str, Any]:
    options: dict[str, Any] = {"connect_timeout": CONNECT_TIMEOUT_SECONDS, **dict(parse_qsl(parts.query))}
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": name,
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": unquote(parts.hostname or ""),
        "PORT": parts.port or "",
        "CONN_MAX_AGE": 60,
        "CONN_HEALTH_CHECKS": True,
        "DISABLE_SERVER_SIDE_CURSORS": pooler,
        "OPTIONS": options,
    }


def _sqlite(path: Path) -> dict[str, Any]:
    return {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": path,
        "OPTIONS": {
            "transaction_mode": "IMMEDIATE",
            "timeout": 20,
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA busy_timeout=20000; "
            f"PRAGMA wal_autocheckpoint={CHECKPOINT_PAGES};",
        },
    }


def _unreadable(rest: str) -> ImproperlyConfigured:
    why, fix = "is not an address of a PostgreSQL or SQLite database.", EXAMPLE
    if re.search(r"[/?#\[\]%]", rest.rpartition("@")[0]):
        hint = "percent-encode such characters of user and password: / as %2F, ? as %3F, # as %23, @ as %40, % as %25."
        why, fix = "has characters before the last @ that end an address.", f"{hint[0].upper()}{hint[1:]} {EXAMPLE}"
    return fail(NAME, why, fix)


def bound_statements(*, connection: Any, **kwargs: Any) -> None:
    """Bound how long a statement may take, on each new connection: poolers refuse it as a parameter of the start."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute(f"SET statement_timeout = {STATEMENT_TIMEOUT_MS:d}")
