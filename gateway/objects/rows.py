"""Objects as rows: how new ones get into the database, many with one statement and without the ORM's cost."""

import time
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import datetime, timedelta
from functools import lru_cache
from operator import attrgetter
from typing import Any, Final

from django.db import DEFAULT_DB_ALIAS, InterfaceError, OperationalError, connections, models, transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from accounts.database_clock import database_now
from accounts.raw_sql import execute
from gateway.models import NewObject, Owned, OwnedObject

MOMENTS: Final = ("created_at", "updated_at", "expires_at", "due_at")
"""Columns that the time of the commit says, for all of it the same or nearly."""
GIVEN: Final = frozenset(NewObject.__struct_fields__)


def _kind(field: "models.Field[Any, Any]") -> int:
    """Return the place of a column among the others: as it is given, JSON, a moment, always the same."""
    if field.name in MOMENTS:
        return 2
    if field.name not in GIVEN:
        return 3
    return int(isinstance(field, models.JSONField))


FIELDS: Final = sorted((field for field in OwnedObject._meta.concrete_fields if not field.primary_key), key=_kind)
PLAIN, JSON, _, FIXED = ([field for field in FIELDS if _kind(field) == kind] for kind in range(4))
TABLE: Final = OwnedObject._meta.db_table
COLUMNS: Final = ", ".join(f'"{field.column}"' for field in FIELDS)
PLACES: Final = f"({', '.join(['%s'] * len(FIELDS))})"
STATEMENT_ROWS: Final = 500
"""Rows a statement: SQLite takes 32,766 values in one, PostgreSQL 65,535."""
CHECK_SECONDS: Final = 5.0

_plain: Final = attrgetter(*(field.name for field in PLAIN))
_owned: Final = attrgetter(*Owned.__struct_fields__)

Key = tuple[str, str]
Written = dict[tuple[Any, ...], tuple[Any, ...]]
"""The last values of objects as the database takes them, by what they are made of."""


class Connection:
    """A thread's own connection: kept open, and looked at now and then instead of at each use."""

    def __init__(self, using: str = DEFAULT_DB_ALIAS) -> None:
        self._using = using
        self._checked = 0.0
        self._base: datetime | None = None
        self._base_at = 0.0

    def store(self, objects: Sequence[NewObject]) -> dict[Key, Owned]:
        """Write ``objects``, all or none, and return what the database has of them, by account and id.

        Who was recorded first stays the owner. Raises what the database raises; a connection that was lost since it was
        last looked at is made again first.
        """
        connection = connections[self._using]
        fresh = connection.connection is None or self._check(connection)
        try:
            return _store(objects, connection, self._now())
        except (OperationalError, InterfaceError):
            if fresh or connection.vendor == "sqlite":
                raise
            connection.close()
            return _store(objects, connection, self._now())

    def _now(self) -> datetime:
        """Return the present by the database's clock, which is asked now and then; this process's counts in between."""
        if not self._base or time.monotonic() - self._base_at > CHECK_SECONDS:
            self._base, self._base_at = database_now(self._using), time.monotonic()
        return self._base + timedelta(seconds=time.monotonic() - self._base_at)

    def _check(self, connection: BaseDatabaseWrapper) -> bool:
        """Let Django renew a connection that is old or dead; return whether it was due. A file is neither."""
        now = time.monotonic()
        if connection.vendor == "sqlite" or now - self._checked < CHECK_SECONDS:
            return False
        self._checked = now
        connection.close_if_unusable_or_obsolete()
        return True


def found(object_ids: Sequence[str], using: str = DEFAULT_DB_ALIAS) -> list[Owned]:
    """Return the records of ``object_ids``, of all accounts, but for deleted ones."""
    rows = OwnedObject.objects.using(using).filter(object_id__in=object_ids, deleted_at=None)
    return [Owned(**{**row, "team_keys": tuple(row["team_keys"])}) for row in rows.values(*Owned.__struct_fields__)]


def _store(objects: Sequence[NewObject], connection: BaseDatabaseWrapper, now: datetime) -> dict[Key, Owned]:
    written: Written = {}
    rows = [_row(entry, now, connection, written) for entry in objects]
    whole: AbstractContextManager[Any] = nullcontext()  # one statement is a transaction of its own
    if len(rows) > STATEMENT_ROWS:
        whole = transaction.atomic(using=connection.alias)
    stored = 0
    with whole, connection.cursor() as cursor:
        for start in range(0, len(rows), STATEMENT_ROWS):
            part = rows[start : start + STATEMENT_ROWS]
            execute(cursor, connection, _insert(len(part)), [value for row in part for value in row])
            stored += cursor.rowcount
    if stored == len(rows):  # all were new, so the database has what we gave it
        return {(entry.account_name, entry.object_id): Owned(*_owned(entry)) for entry in objects}
    known = found([entry.object_id for entry in objects], connection.alias)
    return {(entry.account_name, entry.object_id): entry for entry in known}


@lru_cache(maxsize=STATEMENT_ROWS)
def _insert(rows: int) -> str:
    places = ", ".join([PLACES] * rows)
    return f"INSERT INTO {TABLE} ({COLUMNS}) VALUES {places} ON CONFLICT DO NOTHING"  # noqa: S608 - names of ours only


def _row(entry: NewObject, now: datetime, connection: BaseDatabaseWrapper, written: Written) -> tuple[Any, ...]:
    """Return the values of an object in the order of ``FIELDS``. Most objects of a commit differ in the first ones
    only: the others are written once."""
    if entry.metadata or entry.data:
        return *_plain(entry), *_rest(entry, now, connection)
    key = entry.team_keys, entry.expires_at, entry.due_in
    rest = written.get(key)
    if rest is None:
        rest = written[key] = _rest(entry, now, connection)
    return *_plain(entry), *rest


def _rest(entry: NewObject, now: datetime, connection: BaseDatabaseWrapper) -> tuple[Any, ...]:
    values = {field.name: getattr(entry, field.name) for field in JSON} | entry.moments(now)
    given = [field.get_db_prep_save(values[field.name], connection) for field in FIELDS if field.name in values]
    return *given, *_fixed(connection.alias, connection.vendor)


@lru_cache(maxsize=8)
def _fixed(using: str, vendor: str) -> tuple[Any, ...]:
    """Return what the last columns of a new object always have, as a database of the ``vendor`` takes it."""
    return tuple(field.get_db_prep_save(field.get_default(), connections[using]) for field in FIXED)
