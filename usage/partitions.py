"""Partitions of the usage records by day (UTC), on PostgreSQL: made ahead, and dropped whole when they are too old.

A table is partitioned once ``manage.py partition_usage`` has made it so (``usage.partitioning``). Then it has

- one partition for each day, from today to some days ahead;
- until retention has reached its end, one for everything before the first of these: the table as it was before;
- one that takes what has no other, so that no record is refused for its time.

Ids are unique in each partition, not across them. A record is stored once all the same: its time follows from its id,
as both are of the attempt's beginning or of the object that it charges, so that what is stored again meets the first.

What changes partitions takes a lock of the database, which also holds behind a pooler: it ends with the transaction.
"""

import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import partial
from typing import Any, Final, TypeVar

from django.db import DatabaseError, OperationalError, connections, transaction

from usage.models import UsageRecord
from usage.rollups import midnight

logger = logging.getLogger(__name__)

T = TypeVar("T")

TABLE: Final = UsageRecord._meta.db_table
BEFORE: Final = f"{TABLE}_before"
DEFAULT: Final = f"{TABLE}_default"
BOUND: Final = f"{TABLE}_bound"
"""The check that the old table has while it becomes a partition: nothing is later than the partition's end."""
LIKE: Final = "INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING STORAGE INCLUDING COMPRESSION"
DAY: Final = timedelta(days=1)
AHEAD_DAYS: Final = 7
"""Days that are made ahead: so long may every worker be away."""
MOST_MOVED: Final = 10_000
"""Records of a day that may be moved out of the default partition; a day that has more there stays there."""
LOCK_KEY: Final = 0x67_68_70_61_72_74
LOCK_TIMEOUT: Final = "2s"
"""How long a change waits for a lock, and others wait behind it."""
PAUSE_SECONDS: Final = 1.0
LOCK_NOT_AVAILABLE: Final = "55P03"


class Busy(Exception):
    """Someone uses the table, or changes its partitions: later will do."""


@dataclass(frozen=True, slots=True)
class Partition:
    """A partition of the moments from ``since`` (``None``: the beginning) up to, and without, ``until``; of all others
    when that is ``None``."""

    name: str
    since: datetime | None
    until: datetime | None


@dataclass(frozen=True, slots=True)
class Layout:
    """How the table is stored: ``schema`` is quoted; ``ours``: this role may change it."""

    schema: str
    owner: str
    ours: bool
    partitioned: bool
    bounded: datetime | None
    """The end that a table has which is becoming a partition."""
    partitions: tuple[Partition, ...] = ()

    def name(self, table: str = TABLE) -> str:
        """Return a table's name for a statement."""
        return f'{self.schema}."{table}"'

    def missing(self, now: datetime) -> list[date]:
        """Return the days from today on that have no partition and should have one."""
        ends = [part for part in self.partitions if part.until is not None]
        days = [midnight(now) + number * DAY for number in range(AHEAD_DAYS + 1)]
        return [
            day.date()
            for day in days
            if not any(part.until > day and (part.since is None or part.since <= day) for part in ends if part.until)
        ]


_TABLE = """
    SELECT relnamespace::regnamespace::text, quote_ident(pg_get_userbyid(relowner)),
        pg_has_role(relowner, 'USAGE') AND has_schema_privilege(relnamespace, 'CREATE'), relkind = 'p',
        (SELECT substring(pg_get_constraintdef(check_.oid) FROM '''([^'']+)''')::timestamptz
            FROM pg_constraint AS check_ WHERE conrelid = pg_class.oid AND conname = %s)
    FROM pg_class WHERE oid = to_regclass(%s)
"""
_PARTITIONS = """
    SELECT relname, substring(bound FROM 'FROM \\(''([^'']+)''\\)')::timestamptz,
        substring(bound FROM 'TO \\(''([^'']+)''\\)')::timestamptz
    FROM pg_inherits JOIN pg_class ON oid = inhrelid, pg_get_expr(relpartbound, oid) AS bound
    WHERE inhparent = to_regclass(%s) ORDER BY 3, 1
"""


def read(using: str = "default") -> Layout | None:
    """Return how the table is stored; ``None`` where the database has no partitions, or no such table."""
    if connections[using].vendor != "postgresql":
        return None
    with connections[using].cursor() as cursor:
        cursor.execute(_TABLE, [BOUND, TABLE])
        found = cursor.fetchone()
        if found is None:
            return None
        cursor.execute(_PARTITIONS, [TABLE])
        schema, owner, ours, partitioned, bounded = found
        return Layout(schema, owner, ours, partitioned, bounded, tuple(Partition(*row) for row in cursor.fetchall()))


def names(using: str = "default") -> set[str]:
    """Return the names of the partitions that are there; none where the table has none."""
    layout = read(using)
    return {part.name for part in layout.partitions} if layout is not None else set()


def change(work: Callable[[Any, Layout], T], using: str, tries: int = 3) -> T:
    """Return what ``work`` does with a cursor, in a transaction, while no one else changes partitions.

    Raises :class:`Busy` when someone does, or the locks that it takes can't be had; nothing is changed then.
    """
    for left in reversed(range(tries)):
        try:
            with transaction.atomic(using=using), connections[using].cursor() as cursor:
                cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [LOCK_KEY])
                if not cursor.fetchone()[0]:
                    raise Busy("Another process changes the partitions of the usage records.")
                cursor.execute(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'")
                layout = read(using)
                assert layout is not None
                return work(cursor, layout)
        except OperationalError as error:
            if getattr(error.__cause__, "sqlstate", "") != LOCK_NOT_AVAILABLE:
                raise
            if not left:
                raise Busy("Others hold locks on the usage records.") from error
        time.sleep(PAUSE_SECONDS)
    raise AssertionError("unreachable")


def tend(now: datetime, using: str = "default") -> int:
    """Make the partitions of the days ahead; return how many. What can't be done now is said in the log."""
    layout = read(using)
    if layout is None:
        return 0
    if not layout.partitioned:
        _lift_bound(layout, now, using)
        return 0
    missing = layout.missing(now)
    if missing and not layout.ours:
        logger.error("Partitions of usage records are missing, and this database role can't make them.")
        return 0
    made = 0
    try:
        for day in missing:
            made += make_day(day, using)
    except (Busy, DatabaseError) as reason:  # the service goes on; the doctor says that one is missing
        logger.error("Partitions of usage records are missing: %s", _first_line(reason))
    return made


def make_day(day: date, using: str) -> bool:
    """Make the partition of a day; return whether it is made. Raises :class:`Busy`.

    Its records that are in the default partition go with it, unless they are many: then both stay as they are.
    """
    since = datetime(day.year, day.month, day.day, tzinfo=UTC)

    def work(cursor: Any, layout: Layout) -> bool:
        if day not in layout.missing(since):
            return False  # someone else was quicker
        others, new = layout.name(DEFAULT), layout.name(f"{TABLE}_{day:%Y%m%d}")
        cursor.execute(f"LOCK TABLE {others} IN ACCESS EXCLUSIVE MODE")
        span = f"created_at >= '{since}' AND created_at < '{since + DAY}'"
        limit = MOST_MOVED + 1
        cursor.execute(f"SELECT COUNT(*) FROM (SELECT FROM {others} WHERE {span} LIMIT {limit}) AS found")  # noqa: S608
        (waiting,) = cursor.fetchone()
        if waiting > MOST_MOVED:
            return False
        create(cursor, layout, new)
        if waiting:
            names = columns(cursor, layout)
            cursor.execute(
                f"WITH moved AS (DELETE FROM {others} WHERE {span} RETURNING {names}) "  # noqa: S608 - our names
                f"INSERT INTO {new} ({names}) SELECT {names} FROM moved"
            )
        cursor.execute(
            f"ALTER TABLE {layout.name()} ATTACH PARTITION {new} FOR VALUES FROM ('{since}') TO ('{since + DAY}')"
        )
        return True

    return change(work, using)


def columns(cursor: Any, layout: Layout) -> str:
    """Return the names of the table's columns: of all that it has, which another release may have made."""
    cursor.execute(
        "SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum) FROM pg_attribute "
        "WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped",
        [layout.name()],
    )
    (names,) = cursor.fetchone()
    return str(names)


def create(cursor: Any, layout: Layout, name: str) -> None:
    """Make an empty table that can become a partition. It is attached afterwards, which holds up no one."""
    cursor.execute(f"CREATE TABLE {name} (LIKE {layout.name()} {LIKE})")
    cursor.execute(f"ALTER TABLE {name} ADD PRIMARY KEY (id)")
    cursor.execute(f"ALTER TABLE {name} OWNER TO {layout.owner}")


def drop_before(before: datetime, using: str = "default") -> list[str] | None:
    """Drop the partitions whose every moment is before ``before``; return their names.

    ``None``: some are left for another time, because others work with the table, or something depends on them.
    """
    layout = read(using)
    if layout is None or not layout.ours:
        return []
    dropped = []
    try:
        for part in list(_over(layout, before)):
            change(partial(_drop, part=part), using)
            dropped.append(part.name)
    except (Busy, DatabaseError) as reason:
        logger.warning("Old partitions of usage records are left for later: %s", _first_line(reason))
        return None
    return dropped


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]


def _over(layout: Layout, before: datetime) -> Iterator[Partition]:
    return (part for part in layout.partitions if part.until is not None and part.until <= before)


def _drop(cursor: Any, layout: Layout, part: Partition) -> None:
    if part in layout.partitions:
        cursor.execute(f"DROP TABLE {layout.name(part.name)}")


def _lift_bound(layout: Layout, now: datetime, using: str) -> None:
    """Take the check away that a ``partition_usage`` left behind which was killed: soon it would refuse records."""
    if layout.bounded is None or layout.bounded > now + 2 * DAY or not layout.ours:
        return

    def lift(cursor: Any, layout: Layout) -> None:
        cursor.execute(f"ALTER TABLE {layout.name()} DROP CONSTRAINT IF EXISTS {BOUND}")

    try:
        change(lift, using)
    except Busy as reason:
        logger.error("The check %s has to go before %s: %s", BOUND, layout.bounded, reason)


def whole_days(before: datetime, using: str) -> datetime:
    """Return up to when records may be deleted that are older than ``before``: whole days where they have
    partitions."""
    layout = read(using)
    return midnight(before) if layout is not None and layout.partitioned else before
