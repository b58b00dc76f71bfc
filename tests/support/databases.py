"""Databases of one test's own, with the tables it needs."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from django.db import connections, models

from gateway.config.database import database as database_settings
from tests.support import servers


@contextmanager
def opened(alias: str, vendor: str, folder: Path, *tables: type[models.Model]) -> Iterator[str]:
    """Yield ``alias``, the name of a new database: a SQLite file in ``folder``, or a real PostgreSQL."""
    given = dict(connections.databases["default"])
    if vendor == "postgresql":
        given |= database_settings(servers.postgres_url(), folder, pooler=False) | {"OPTIONS": {}, "CONN_MAX_AGE": 0}
    else:
        given |= {"NAME": folder / f"{alias}.sqlite3"}
    connections.databases[alias] = given
    with connections[alias].schema_editor() as editor:
        for table in tables:
            editor.create_model(table)
    yield alias
    connections[alias].close()
    del connections[alias]
    del connections.databases[alias]
