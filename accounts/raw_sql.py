"""Statements with many values, past Django's cursor where that costs more than the database."""

import sqlite3
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper


def execute(cursor: Any, connection: BaseDatabaseWrapper, statement: str, values: Sequence[Any]) -> None:
    """Run ``statement``, whose places are ``%s`` and which has no other ``%``, with values that the database takes as
    they are. Raises ``django.db.Error``.

    Django's cursor for SQLite looks for each of a thousand places in the text before it asks the database.
    """
    if connection.vendor != "sqlite":
        cursor.execute(statement, values)
        return
    with connection.wrap_database_errors:
        sqlite3.Cursor.execute(cursor.cursor, _in_sqlite(statement), values)


@lru_cache(maxsize=64)
def _in_sqlite(statement: str) -> str:
    """Return the statement with SQLite's own places; the same each time, so that it is found among the prepared."""
    return statement.replace("%s", "?")
