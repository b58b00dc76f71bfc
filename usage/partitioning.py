"""Making the table of usage records one that is partitioned by day, and back: ``manage.py partition_usage``.

No record is copied on the way there. A check says that no record is later than a day of next week; to prove it the
database reads the table, while writers go on. Then the table gets another name and becomes the first partition of a new
one with its name, its indexes those of the new table's: the only step that locks others out, for some milliseconds.
Processes of an earlier release go on, as the table has the same name and columns.

Back, the first partition (or the largest) takes all other records in, and has the table's name again.
"""

from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Any, Final

from django.conf import settings
from django.db import IntegrityError, connections

from accounts.words import counted
from usage import partitions
from usage.partitions import AHEAD_DAYS, BEFORE, BOUND, DAY, DEFAULT, TABLE, Layout, change
from usage.rollups import midnight

TRIES: Final = 30
QUERIES_AT_ONCE: Final = 3
"""Queries over all partitions that must be possible at the same time."""
OTHERS: Final = "Another process partitions the usage records, too."
PRIMARY_KEY: Final = f"{TABLE}_pkey"

_DEPENDENTS = """
    SELECT DISTINCT pg_describe_object(classid, objid, 0) FROM pg_depend
    WHERE refclassid = 'pg_class'::regclass AND refobjid = to_regclass(%s) AND (
        deptype = 'n' AND (classid, objid) NOT IN
            (SELECT 'pg_constraint'::regclass, oid FROM pg_constraint WHERE conrelid = refobjid)
        OR classid IN ('pg_trigger'::regclass, 'pg_policy'::regclass, 'pg_publication_rel'::regclass)
    ) ORDER BY 1
"""
"""What would stay with the table when that gets another name."""
_INDEXES = """
    SELECT indexrelid::regclass::text, relname, pg_get_indexdef(indexrelid)
    FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid
    WHERE indrelid = to_regclass(%s) AND NOT indisprimary AND indisvalid
"""
_INDEXES_OF_PARTITION = """
    SELECT child.oid::regclass::text, parent.relname FROM pg_inherits
    JOIN pg_class AS child ON child.oid = inhrelid JOIN pg_class AS parent ON parent.oid = inhparent
    JOIN pg_index ON indexrelid = child.oid WHERE indrelid = %s::regclass
"""
_GRANTS = """
    SELECT format('GRANT %%s%%s ON TABLE %%s TO %%s%%s', privilege_type, columns, relid::regclass,
        CASE grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(grantee)) END,
        CASE WHEN is_grantable THEN ' WITH GRANT OPTION' ELSE '' END)
    FROM (
        SELECT oid AS relid, '' AS columns, relacl AS acl FROM pg_class
        UNION ALL SELECT attrelid, format(' (%%I)', attname), attacl FROM pg_attribute
    ) AS of_table, aclexplode(acl), to_regclass(%s) AS wanted
    WHERE relid = wanted
"""
_CAPACITY = """
    SELECT current_setting('max_locks_per_transaction')::int,
        current_setting('max_connections')::int + current_setting('max_prepared_transactions')::int
"""


class Refused(Exception):
    """Why the table can't be partitioned, and what to do."""


def check(now: datetime, using: str) -> Layout:
    """Return how the table is stored; raise :class:`Refused` when that can't be changed."""
    layout = partitions.read(using)
    if layout is None:
        raise Refused("Only PostgreSQL has partitions. SQLite's records are deleted in batches.")
    why = _fault(layout, using)
    if not why and not layout.partitioned:
        why = too_few_locks(using) or _too_late(now, using)
    if why:
        raise Refused(why)
    return layout


def _fault(layout: Layout, using: str) -> str:
    """Return why this role can't change the table, or should not, and what to do."""
    if not layout.ours:
        return (
            f"This database role must own {TABLE} and be allowed to create tables in {layout.schema}: run this as the "
            "role that runs manage.py migrate."
        )
    with connections[using].cursor() as cursor:
        cursor.execute(_DEPENDENTS, [TABLE])
        depending = [name for (name,) in cursor.fetchall()]
    if not depending:
        return ""
    return f"These would stay with the old table: {'; '.join(depending)}. Drop them, and make them again afterwards."


def too_few_locks(using: str = "default") -> str:
    """Return what to set where a query over all partitions would need more locks than the server has; else nothing."""
    days = settings.USAGE_RETENTION_DAYS + AHEAD_DAYS + 3
    with connections[using].cursor() as cursor:
        cursor.execute("SELECT COUNT(*) FROM pg_index WHERE indrelid = to_regclass(%s)", [TABLE])
        needed = QUERIES_AT_ONCE * days * (cursor.fetchone()[0] + 2)
        cursor.execute(_CAPACITY)
        each, sessions = cursor.fetchone()
    if each * sessions >= needed:
        return ""
    return (
        f"{counted(settings.USAGE_RETENTION_DAYS, 'day')} of partitions need more locks than the server has. Set "
        f"max_locks_per_transaction of PostgreSQL to {-(-needed // sessions)} and restart it, or keep fewer days "
        "(GATEHOUSE_USAGE_RETENTION_DAYS)."
    )


def _end(now: datetime) -> datetime:
    return midnight(now) + AHEAD_DAYS * DAY


def _too_late(now: datetime, using: str) -> str:
    with connections[using].cursor() as cursor:
        late = f"SELECT MAX(created_at), COUNT(*) FROM {TABLE} WHERE created_at >= %s"  # noqa: S608 - our name
        cursor.execute(late, [_end(now)])
        latest, number = cursor.fetchone()
    if not number:
        return ""
    return f"{counted(number, 'record')} of the future, up to {latest:%Y-%m-%d}: delete them, or correct their time."


def partition(now: datetime, using: str, note: Callable[[str], None]) -> None:
    """Partition the table; say to ``note`` what is done. Raises :class:`Refused`, and ``partitions.Busy``.

    What was begun and not ended is begun again.
    """
    if check(now, using).partitioned:
        return
    end = _end(now)
    change(partial(_bound, end=end), using, TRIES)
    try:
        note("Reading the table, to know that nothing in it is later than its partition. Writers go on.")
        change(_validate, using, TRIES)
        change(partial(_swap, end=end), using, TRIES)
    except BaseException:
        change(_unbound, using, TRIES)
        raise
    note(f"{BEFORE} has what was there, and what comes before {end:%Y-%m-%d}.")


def _bound(cursor: Any, layout: Layout, end: datetime) -> None:
    if layout.partitioned:
        raise partitions.Busy(OTHERS)
    _unbound(cursor, layout)
    cursor.execute(f"ALTER TABLE {layout.name()} ADD CONSTRAINT {BOUND} CHECK (created_at < '{end}') NOT VALID")


def _unbound(cursor: Any, layout: Layout) -> None:
    cursor.execute(f"ALTER TABLE {layout.name()} DROP CONSTRAINT IF EXISTS {BOUND}")


def _validate(cursor: Any, layout: Layout) -> None:
    if layout.bounded is None:
        raise partitions.Busy(OTHERS)
    cursor.execute("SET LOCAL statement_timeout = 0")
    cursor.execute(f"ALTER TABLE {layout.name()} VALIDATE CONSTRAINT {BOUND}")


def _swap(cursor: Any, layout: Layout, end: datetime) -> None:
    old, others = layout.name(BEFORE), layout.name(DEFAULT)
    cursor.execute(f"LOCK TABLE {layout.name()} IN ACCESS EXCLUSIVE MODE")
    cursor.execute(
        "SELECT 1 FROM pg_constraint WHERE conrelid = %s::regclass AND conname = %s AND convalidated",
        [layout.name(), BOUND],
    )
    if layout.bounded != end or cursor.fetchone() is None:  # the database would read the table behind closed doors
        raise partitions.Busy(OTHERS)
    cursor.execute(_GRANTS, [TABLE])
    grants = [grant for (grant,) in cursor.fetchall()]
    cursor.execute(_INDEXES, [TABLE])
    indexes = cursor.fetchall()
    for full_name, name, _ in indexes:
        cursor.execute(f'ALTER INDEX {full_name} RENAME TO "{name}_before"')
    cursor.execute(f"ALTER TABLE {layout.name()} RENAME TO {BEFORE}")
    cursor.execute(
        f"CREATE TABLE {layout.name()} (LIKE {old} {partitions.LIKE}) PARTITION BY RANGE (created_at)",
    )
    _unbound(cursor, layout)
    cursor.execute(f"ALTER TABLE {layout.name()} OWNER TO {layout.owner}")
    for statement in (*grants, *(definition for _, _, definition in indexes)):
        cursor.execute(statement)
    cursor.execute(f"ALTER TABLE {layout.name()} ATTACH PARTITION {old} FOR VALUES FROM (MINVALUE) TO ('{end}')")
    cursor.execute(f"ALTER TABLE {old} DROP CONSTRAINT {BOUND}")
    partitions.create(cursor, layout, others)
    cursor.execute(f"ALTER TABLE {layout.name()} ATTACH PARTITION {others} DEFAULT")


def undo(using: str) -> None:
    """Make the table one without partitions. Raises :class:`Refused`, and ``partitions.Busy``.

    No one can read or write it meanwhile; usage waits in the spools. The time is for the records that are in another
    partition than the first: some days' in the beginning, nearly all once retention has dropped the first.
    """
    layout = partitions.read(using)
    if layout is None or not layout.partitioned:
        return
    if why := _fault(layout, using):
        raise Refused(why)
    try:
        change(_merge, using, TRIES)
    except IntegrityError as error:
        raise Refused(f"A record is there twice, which must not be: {str(error).partition(chr(10))[2]}") from error


def _merge(cursor: Any, layout: Layout) -> None:
    table, kept, names = layout.name(), _largest(cursor, layout), partitions.columns(cursor, layout)
    cursor.execute("SET LOCAL statement_timeout = 0")
    cursor.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
    cursor.execute(_GRANTS, [TABLE])
    grants = [grant for (grant,) in cursor.fetchall()]
    cursor.execute(_INDEXES_OF_PARTITION, [kept])
    indexes = cursor.fetchall()
    cursor.execute(f"ALTER TABLE {table} DETACH PARTITION {kept}")
    cursor.execute(f"INSERT INTO {kept} ({names}) SELECT {names} FROM {table}")  # noqa: S608 - our names
    cursor.execute(f"DROP TABLE {table}")
    cursor.execute(f"ALTER TABLE {kept} RENAME TO {TABLE}")
    cursor.execute("SELECT conname FROM pg_constraint WHERE conrelid = %s::regclass AND contype = 'p'", [table])
    (primary_key,) = cursor.fetchone()
    if primary_key != PRIMARY_KEY:
        cursor.execute(f'ALTER TABLE {table} RENAME CONSTRAINT "{primary_key}" TO {PRIMARY_KEY}')
    for full_name, name in indexes:
        cursor.execute(f'ALTER INDEX {full_name} RENAME TO "{name}"')
    for grant in grants:
        cursor.execute(grant)


def _largest(cursor: Any, layout: Layout) -> str:
    """Return the partition that all others are put into: the one of before, or the largest."""
    names = [part.name for part in layout.partitions]
    if BEFORE in names:
        return layout.name(BEFORE)
    cursor.execute(
        "SELECT relname FROM pg_class WHERE relnamespace = %s::regnamespace AND relname = ANY(%s) "
        "ORDER BY pg_relation_size(oid) DESC LIMIT 1",
        [layout.schema, names],
    )
    (name,) = cursor.fetchone()
    return layout.name(name)
