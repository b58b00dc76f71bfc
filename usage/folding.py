"""Folding: new rows of sums become part of the sums by the hour and by the day, each exactly once.

One transaction adds new rows to every cut and deletes them, and one process at a time does so: whatever dies, a row
was folded or is still new. Any process with a ledger folds; when none does, pages are slower and still exact.
:mod:`usage.recounting` makes a day's sums again from its records.
"""

import hashlib
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any, Final

import msgspec
from django.db import DEFAULT_DB_ALIAS, OperationalError, connections, transaction
from django.db.models import Min, QuerySet
from django.utils import timezone

from usage import rollups
from usage.sums_table import CUTS, DAYS, DIMENSIONS, HOURS, NEW, NEW_METADATA, SUMS, Cut, SumsState, UsageSum, UsageTime

SUM_TABLE: Final = UsageSum._meta.db_table
MOST_ROWS: Final = 20_000
"""New rows a transaction."""
MOST_VALUES: Final = 200
"""Values of a metadata key that a day has rows for; the others are summed as :data:`OTHER`."""
OTHER: Final = "(other)"
CHUNK: Final = 500
BEGINNING: Final = datetime(1970, 1, 1, tzinfo=UTC)
DETAILS_KEPT: Final = timedelta(days=2)
"""How long there are sums by the hour in detailed cuts: what is shown by the hour, and as long before."""
HOURS_KEPT: Final = timedelta(days=200)
"""How long there are sums by the hour at least: two spans of 90 days, and some more. Those by the day stay."""
DAY: Final = timedelta(days=1)
LOCK_NOT_AVAILABLE: Final = "55P03"

_decode: Final = msgspec.json.Decoder(dict[int, int]).decode
_encode: Final = msgspec.json.Encoder().encode


@contextmanager
def alone(using: str, *, wait: bool) -> Iterator[bool]:
    """Begin a transaction in which no one else changes folded sums; yield whether it is so: without ``wait`` another
    one may be at it.

    All of its statements see one state of the database.
    """
    connection = connections[using]
    if connection.vendor != "postgresql":
        with transaction.atomic(using=using):  # SQLite has one writer at a time
            yield True
        return
    nested = connection.in_atomic_block
    with transaction.atomic(using=using):
        with connection.cursor() as cursor:
            if not nested:
                cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            try:
                # A lock on a table comes before the transaction's view of the data is made; one of rows would not.
                cursor.execute(f"LOCK TABLE {SumsState._meta.db_table} IN EXCLUSIVE MODE{'' if wait else ' NOWAIT'}")
            except OperationalError as error:
                if getattr(error.__cause__, "sqlstate", "") != LOCK_NOT_AVAILABLE:
                    raise
                transaction.set_rollback(True, using=using)
                yield False
                return
        yield True


@contextmanager
def snapshot(using: str = DEFAULT_DB_ALIAS) -> Iterator[None]:
    """Have all reads within see one state of the database, so that their figures agree. Nothing can be written."""
    connection = connections[using]
    if connection.in_atomic_block:
        yield
    elif connection.vendor == "postgresql":
        with transaction.atomic(using=using):
            with connection.cursor() as cursor:
                cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            yield
    else:
        # Not atomic(), which would take the lock of writers.
        with connection.cursor() as cursor:
            cursor.execute("BEGIN DEFERRED")
        try:
            yield
        finally:
            with connection.cursor() as cursor:
                cursor.execute("ROLLBACK")


def fold(using: str = DEFAULT_DB_ALIAS, most: int = MOST_ROWS) -> int:
    """Fold the rows that are new, ``most`` of each table; return how many there were. Raises ``django.db.Error``."""
    sums, times = (table.objects.using(using) for table in (UsageSum, UsageTime))
    if not sums.filter(part__in=(NEW, NEW_METADATA)).exists() and not times.filter(part=NEW).exists():
        return 0
    with alone(using, wait=False) as mine:
        return fold_now(using, most) if mine else 0


def fold_all(using: str = DEFAULT_DB_ALIAS) -> None:
    """Fold until nothing is new, or another process is at it."""
    while fold(using):
        pass


def fold_now(using: str, most: int) -> int:
    """Do what :func:`fold` does, within :func:`alone`."""
    connection, moved, recent = connections[using], 0, details_since() - DAY
    sums = UsageSum.objects.using(using)
    with connection.cursor() as cursor:
        ends = {part: _end(sums, part, most) for part in (NEW, NEW_METADATA)}
        if ends[NEW_METADATA]:
            _bound_values(sums.filter(part=NEW_METADATA, id__lte=ends[NEW_METADATA]))
        for cut in CUTS:
            if end := ends[cut.new]:
                since = recent if cut.detailed else BEGINNING
                cursor.execute(_statement(connection.vendor, cut, cut.hours, False), [end, since])
                cursor.execute(_statement(connection.vendor, cut, cut.days, True), [end, BEGINNING])
    for part, end in ends.items():
        moved += sums.filter(part=part, id__lte=end)._raw_delete(using) if end else 0
    sums.filter(part__in=[cut.hours for cut in CUTS if cut.detailed], bucket__lt=recent)._raw_delete(using)
    return moved + _fold_times(using, most)


def _fold_times(using: str, most: int) -> int:
    times = UsageTime.objects.using(using)
    new = times.filter(part=NEW).order_by("id").values_list("bucket", "account", "model", "measure", "slots", "id")
    rows, found = list(new[:most]), dict[tuple[Any, ...], Counter[int]]()
    for bucket, *others, slots, _ in rows:
        for part, begins in ((HOURS, bucket), (DAYS, rollups.midnight(bucket))):
            found.setdefault((part, begins, *others), Counter()).update(_decode(slots))
    if not rows:
        return 0
    keys = {_key(place): place for place in found}
    for some in _chunks(list(keys)):
        known: Any = times.filter(key__in=some).values_list("key", "slots")
        for key, slots in known:
            found[keys[key]].update(_decode(slots))
        merged = [_time_row(key, keys[key], found[keys[key]]) for key in some]
        times.bulk_create(merged, update_conflicts=True, unique_fields=["key"], update_fields=["calls", "slots"])
    return times.filter(part=NEW, id__lte=rows[-1][-1])._raw_delete(using)


def _time_row(key: uuid.UUID, place: tuple[Any, ...], slots: "Counter[int]") -> UsageTime:
    part, bucket, account, model, measure = place
    named = {"part": part, "bucket": bucket, "account": account, "model": model, "measure": measure}
    counts = _encode(dict(sorted(slots.items()))).decode()
    return UsageTime(key=key, calls=slots.total(), slots=counts, **named)


def _key(place: tuple[Any, ...]) -> uuid.UUID:
    text = "\x1f".join(map(str, place))
    return uuid.UUID(bytes=hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()[:16])


def _chunks(keys: list[uuid.UUID]) -> Iterator[list[uuid.UUID]]:
    for start in range(0, len(keys), CHUNK):
        yield keys[start : start + CHUNK]


def details_since() -> datetime:
    """Return from when on detailed cuts have sums by the hour; for a day before it, too, while clocks differ."""
    return rollups.midnight(timezone.now()) - DETAILS_KEPT


def _end(rows: "QuerySet[Any]", part: int, most: int) -> int:
    """Return the id of the last of the ``most`` first rows of a part; 0 without any.

    Ids are not in the order of commits; that does not matter, as the transaction sees the same rows all along.
    """
    found = list(rows.filter(part=part).order_by("id").values_list("id", flat=True)[:most])
    return found[-1] if found else 0


def _bound_values(rows: "QuerySet[UsageSum]") -> None:
    """Put values of metadata beyond the first ``MOST_VALUES`` of a key and day together."""
    asked: dict[tuple[str, datetime], set[str]] = {}
    for key, value, bucket in rows.values_list("meta_key", "meta_value", "bucket").distinct():
        asked.setdefault((key, rollups.midnight(bucket)), set()).add(value)
    for (key, day), values in asked.items():
        known = UsageSum.objects.using(rows.db).filter(part=CUTS[-1].days, bucket=day, meta_key=key)
        before = set(known.values_list("meta_value", flat=True).distinct())
        admitted = before | set(sorted(values - before)[: max(0, MOST_VALUES - len(before))])
        if not values <= admitted:
            beyond = rows.filter(meta_key=key, bucket__gte=day, bucket__lt=day + DAY).exclude(meta_value__in=admitted)
            beyond.update(meta_value=OTHER)


@cache
def _statement(vendor: str, cut: Cut, part: int, by_day: bool) -> str:
    """Return the statement that adds the new rows up to an id, of some hours, to a part."""
    chosen = {name: name if name in cut.dimensions else "''" for name in DIMENSIONS}
    grouped = [name for name, value in chosen.items() if name == value]
    if vendor == "postgresql":
        bucket = "date_trunc('day', bucket, 'UTC')" if by_day else "bucket"
        fields = ["extract(epoch FROM " + bucket + ")::bigint", *grouped]
        key = (
            f"substr(encode(sha256(convert_to(concat_ws(chr(31), {part}, {', '.join(fields)}), 'UTF8')), 'hex'), 1, 32)"
        )
        key = f"{key}::uuid"
    else:
        bucket = "substr(bucket, 1, 10) || ' 00:00:00'" if by_day else "bucket"
        key = f"substr(SHA256({' || char(31) || '.join([str(part), bucket, *grouped])}), 1, 32)"
    columns = ", ".join(["key", "part", "bucket", *chosen, *SUMS])
    added = ", ".join(f"SUM({name})" for name in SUMS)
    distinct = ", ".join([bucket, *grouped])
    both = ", ".join(f"{name} = {SUM_TABLE}.{name} + excluded.{name}" for name in SUMS)
    return (  # names of ours only
        f"INSERT INTO {SUM_TABLE} ({columns}) "  # noqa: S608
        f"SELECT {key}, {part}, {bucket}, {', '.join(chosen.values())}, {added} "
        f"FROM {SUM_TABLE} WHERE part = {cut.new} AND id <= %s AND bucket >= %s GROUP BY {distinct} "
        f"ON CONFLICT (key) DO UPDATE SET {both}"
    )


def sealed_until(using: str = DEFAULT_DB_ALIAS) -> datetime | None:
    """Return the day from which on all records are there; ``None``: none was ever deleted."""
    return SumsState.objects.using(using).values_list("sealed_until", flat=True).first()


def seal(before: datetime, using: str = DEFAULT_DB_ALIAS) -> None:
    """Note that records from before ``before`` will be deleted: their sums stay, and are not made again.

    Call it before they are. Sums by the hour go when they are old enough.
    """
    day = rollups.midnight(before)
    day = day if day == before else day + DAY
    with alone(using, wait=True):
        state, _ = SumsState.objects.using(using).get_or_create(pk=1)
        if state.sealed_until is None or state.sealed_until < day:
            state.sealed_until = day
            state.save(using=using)
    old = min(rollups.midnight(before), rollups.midnight(timezone.now()) - HOURS_KEPT)
    _delete_old(UsageSum.objects.using(using).filter(part__in=[cut.hours for cut in CUTS], bucket__lt=old))
    _delete_old(UsageTime.objects.using(using).filter(part=HOURS, bucket__lt=old))


def _delete_old(rows: "QuerySet[Any]") -> None:
    """Delete rows, a day a transaction."""
    while (first := rows.aggregate(first=Min("bucket"))["first"]) is not None:
        with alone(rows.db, wait=True):
            rows.filter(bucket__lt=rollups.midnight(first) + DAY)._raw_delete(rows.db)
