"""Databases and records for the tests of ``usage``."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.db import connections

from gateway.config.database import database as database_settings
from tests.support import servers
from usage.models import UsageHour, UsageRecord

ALIAS = "usage_under_test"


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path, django_db_blocker: Any) -> Iterator[str]:
    """The alias of a database of this test's own, with the usage table in it: a SQLite file, then a real PostgreSQL."""
    given = dict(connections.databases["default"])
    if request.param == "postgresql":
        given |= database_settings(servers.postgres_url(), tmp_path, pooler=False) | {"OPTIONS": {}, "CONN_MAX_AGE": 0}
    else:
        given |= {"NAME": tmp_path / "usage.sqlite3"}
    connections.databases[ALIAS] = given
    with django_db_blocker.unblock():
        with connections[ALIAS].schema_editor() as editor:
            editor.create_model(UsageRecord)
            editor.create_model(UsageHour)
        yield ALIAS
        connections[ALIAS].close()
        del connections[ALIAS]
    del connections.databases[ALIAS]
