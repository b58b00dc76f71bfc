"""Sums of usage records by the hour, which keep pages fast however many records there are.

A rollup row is written in the transaction that stores the records, and only for records that were not there before: so
rollups and records agree to the last digit, also after a crash between commit and cleaning up. :func:`rebuild` makes
them again from the records.
"""

import hashlib
import operator
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Final

import msgspec
from django.db import connections, models, transaction

SPLIT: Final = 1_000_000
SUMS: Final = (
    "requests",
    "attempts",
    "errors",
    "refused",
    "unpriced",
    "partly_priced",
    "input_tokens",
    "cached_tokens",
    "output_tokens",
    "reasoning_tokens",
    "cost_high",
    "cost_low",
)
DIMENSIONS: Final = ("hour", "account", "model", "subject_type", "subject_name", "teams")
READ: Final = (
    *("created_at", "account", "model_asked", "subject_type", "subject_name", "teams"),
    *("attempt_number", "error_class", "status", "cost_pico", "price_gaps"),
    *("input_tokens", "cached_tokens", "output_tokens", "reasoning_tokens"),
)
"""The columns of a record that :func:`add` reads, in this order."""
GROUPED: Final = 6
"""How many of them say what a record counts for."""
HOUR_CHARACTERS: Final = 13
KEY_SEPARATOR: Final = "\x1f"


class UsageHour(models.Model):
    """The sums of one hour (UTC) of one caller's attempts on one model, as ``usage.report.Sums`` counts them.

    ``model`` is ``account/model`` as it was asked for; ``teams`` the JSON list of the record. ``refused`` are errors
    that the caller made (4xx). The cost is ``cost_high`` million pico-dollars and ``cost_low`` pico-dollars: sums stay
    within 64 bits.
    """

    key = models.CharField(max_length=64, unique=True)
    hour = models.DateTimeField()
    account = models.CharField(max_length=64)
    model = models.CharField(max_length=365)
    subject_type = models.CharField(max_length=16)
    subject_name = models.CharField(max_length=254)
    teams = models.TextField()
    requests = models.BigIntegerField()
    attempts = models.BigIntegerField()
    errors = models.BigIntegerField()
    refused = models.BigIntegerField()
    unpriced = models.BigIntegerField()
    partly_priced = models.BigIntegerField()
    input_tokens = models.BigIntegerField()
    cached_tokens = models.BigIntegerField()
    output_tokens = models.BigIntegerField()
    reasoning_tokens = models.BigIntegerField()
    cost_high = models.BigIntegerField()
    cost_low = models.BigIntegerField()

    class Meta:
        indexes = [
            models.Index(fields=["hour"], name="usage_hour"),
            models.Index(fields=["account", "hour"], name="usage_hour_account"),
            models.Index(fields=["subject_name", "hour"], name="usage_hour_subject"),
        ]

    def __str__(self) -> str:
        return f"{self.hour:%Y-%m-%d %H} {self.subject_name} {self.model}"


TABLE: Final = UsageHour._meta.db_table
COLUMNS: Final = ("key", *DIMENSIONS, *SUMS)
_PLACES: Final = ", ".join(["%s"] * len(COLUMNS))
_UPSERT: Final = (
    f"INSERT INTO {TABLE} ({', '.join(COLUMNS)}) VALUES ({_PLACES}) "  # noqa: S608 - names of ours only
    f"ON CONFLICT (key) DO UPDATE SET {', '.join(f'{name} = {TABLE}.{name} + excluded.{name}' for name in SUMS)}"
)

Sums = list[int]
Groups = dict[tuple[str, ...], Sums]
_read: Final = operator.itemgetter(*READ)


def model_name(account: str, asked: str) -> str:
    """Return ``account/model``: a bare name, sent with the account's header, counts with the model's full name."""
    return asked if not asked or not account or asked.startswith(f"{account}/") else f"{account}/{asked}"


def add(records: Iterable[tuple[Any, ...]], using: str) -> None:
    """Add records that were stored now, each as the values of its columns :data:`READ`, to their hours.

    Call it in the transaction that stored them.
    """
    groups: Groups = {}
    for values in records:
        _count(groups, values)
    _write(_by_model(groups), using)


def adjust(changed: Iterable[tuple[Mapping[str, Any], Mapping[str, Any]]], using: str) -> None:
    """Bring hours in step with records that changed: column values by name, before and after.

    Call it in the transaction that changed them.
    """
    groups: Groups = {}
    for before, after in changed:
        values = _read(after)
        _count(groups, values)
        _count(groups, (*values[:GROUPED], *_read(before)[GROUPED:]), -1)
    _write(_by_model(groups), using)


def _count(groups: Groups, values: tuple[Any, ...], sign: int = 1) -> None:
    """Add a record's amounts to its group, each by a statement: all calls come here, beside the event loop."""
    *group, number, error, status, cost, gaps, given, cached, made, reasoned = values
    group[0] = group[0][:HOUR_CHARACTERS]
    total = groups.setdefault(tuple(group), [0] * len(SUMS))
    high, low = divmod(cost or 0, SPLIT)
    total[0] += sign * (number <= 1)
    total[1] += sign
    total[2] += sign * (bool(error) or status >= 400)
    total[3] += sign * (400 <= status < 500)
    total[4] += sign * (cost is None)
    total[5] += sign * bool(gaps)
    total[6] += sign * given
    total[7] += sign * cached
    total[8] += sign * made
    total[9] += sign * reasoned
    total[10] += sign * high
    total[11] += sign * low


def _by_model(groups: Groups) -> Iterable[tuple[tuple[str, ...], Sums]]:
    """Return the sums by :data:`DIMENSIONS`: several names may be of one model."""
    sums: dict[tuple[str, ...], Sums] = {}
    for (hour, account, asked, *others), total in groups.items():
        dimensions = (f"{hour}:00:00", account, model_name(account, asked), *others)
        sums[dimensions] = list(map(operator.add, sums.get(dimensions, [0] * len(SUMS)), total))
    return sums.items()


def _write(sums: Iterable[tuple[tuple[str, ...], Sums]], using: str) -> None:
    rows: list[Any] = [(_key(dimensions), *dimensions, *total) for dimensions, total in sums]
    rows.sort()  # writers that take rows in one order never wait for each other in a circle
    with connections[using].cursor() as cursor:
        cursor.executemany(_UPSERT, rows)


def _key(dimensions: tuple[str, ...]) -> str:
    return hashlib.sha256(KEY_SEPARATOR.join(dimensions).encode("utf-8", "surrogatepass")).hexdigest()


def rebuild(using: str = "default") -> int:
    """Make all rollups again from the records, in one transaction; return how many there are.

    Writers wait meanwhile.
    """
    with transaction.atomic(using=using), connections[using].cursor() as cursor:
        if connections[using].vendor == "postgresql":
            cursor.execute(f"LOCK TABLE {TABLE} IN SHARE ROW EXCLUSIVE MODE")
        cursor.execute(f"DELETE FROM {TABLE}")  # noqa: S608 - a name of ours
        for batch in _batches(_summed(using), 1000):
            _write(batch, using)
    return UsageHour.objects.using(using).count()


def _summed(using: str) -> Iterator[tuple[tuple[str, ...], Sums]]:
    postgres = connections[using].vendor == "postgresql"
    hour = "to_char(created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24')" if postgres else "substr(created_at, 1, 13)"
    teams = "teams::text" if postgres else "teams"
    amounts = (
        "SUM(CASE WHEN attempt_number <= 1 THEN 1 ELSE 0 END), COUNT(*), "
        "SUM(CASE WHEN error_class <> '' OR status >= 400 THEN 1 ELSE 0 END), "
        "SUM(CASE WHEN status >= 400 AND status < 500 THEN 1 ELSE 0 END), "
        "SUM(CASE WHEN cost_pico IS NULL THEN 1 ELSE 0 END), SUM(CASE WHEN price_gaps <> '' THEN 1 ELSE 0 END), "
        "SUM(input_tokens), SUM(cached_tokens), SUM(output_tokens), SUM(reasoning_tokens), "
        f"SUM(COALESCE(cost_pico, 0) / {SPLIT}), SUM(COALESCE(cost_pico, 0) % {SPLIT})"
    )
    with connections[using].cursor() as cursor:
        cursor.execute(
            f"SELECT {hour}, account, model_asked, subject_type, subject_name, {teams}, {amounts} "  # noqa: S608
            "FROM usage_usagerecord GROUP BY 1, 2, 3, 4, 5, 6"
        )
        rows = cursor.fetchall()
    for text, account, asked, kind, name, members, *total in rows:
        plain = msgspec.json.encode(msgspec.json.decode(members)).decode()  # PostgreSQL writes JSON with spaces
        yield (
            (f"{text}:00:00", account, model_name(account, asked), kind, name, plain),
            [int(amount) for amount in total],
        )


def _batches(found: Iterator[Any], size: int) -> Iterator[list[Any]]:
    batch: list[Any] = []
    for entry in found:
        batch.append(entry)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


def floor(moment: datetime) -> datetime:
    """Return the beginning of the hour of ``moment``."""
    return moment.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
