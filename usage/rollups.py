"""What usage records add to the sums that pages read, which keep them fast however many records there are.

New rows of sums are written in the transaction that stores the records, and only for records that were not there
before: so sums and records agree to the last digit, also after a crash between commit and cleaning up. What changes a
record later adds the difference. :mod:`usage.folding` moves new rows into hours and days.
"""

import operator
from bisect import bisect_right
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

import msgspec
from django.conf import settings
from django.db import connections

from usage.sums_table import DIMENSIONS, NEW, NEW_METADATA, SUMS, UsageSum, UsageTime

SPLIT: Final = 1_000_000
READ: Final = (
    *("created_at", "account", "model_asked", "subject_type", "subject_name", "teams", "token_prefix"),
    *("error_class", "batch_key", "attempt_number", "status", "cost_pico", "price_gaps", "estimated"),
    *("input_tokens", "cached_tokens", "cache_write_tokens", "output_tokens", "reasoning_tokens"),
    *("latency_us", "ttft_us", "metadata"),
)
"""The columns of a record that :func:`add` reads, in this order."""
GROUPED: Final = 9
"""How many of them say what a record counts for."""
HOUR_CHARACTERS: Final = 13
VALUE_CHARACTERS: Final = 200
SHORTEST_US, STEPS_AN_OCTAVE, OCTAVES = 100, 8, 25
BOUNDS: Final = tuple(round(SHORTEST_US * 2 ** (n / STEPS_AN_OCTAVE)) for n in range(OCTAVES * STEPS_AN_OCTAVE + 1))
"""Where slots of durations begin, in microseconds: eight to each doubling, from 0.1 ms to almost an hour."""

_SUM_COLUMNS: Final = ("part", "bucket", *DIMENSIONS, *SUMS)
_TIME_COLUMNS: Final = ("part", "bucket", "account", "model", "measure", "calls", "slots")

Sums = list[int]
Groups = dict[tuple[Any, ...], Sums]
_read: Final = operator.itemgetter(*READ)
_encode: Final = msgspec.json.Encoder().encode
_object: Final = msgspec.json.Decoder(dict[str, Any]).decode


class Added:
    """What records add: sums by what they count for, sums by metadata, and counts of durations."""

    __slots__ = ("calls", "keys", "metadata", "times")

    def __init__(self) -> None:
        self.keys: tuple[str, ...] = settings.USAGE_METADATA_KEYS
        self.calls: Groups = {}
        self.metadata: Groups = {}
        self.times: dict[tuple[Any, ...], int] = {}

    def count(self, values: tuple[Any, ...], sign: int = 1) -> None:
        """Add a record, the values of its columns :data:`READ`: all calls come here, beside the event loop."""
        moment, account, asked, kind, name, teams, token, error, batch, *amounts, latency, first, metadata = values
        hour = moment[:HOUR_CHARACTERS]
        group = (hour, account, asked, kind, name, teams, token, error, bool(batch))
        _sum(self.calls.setdefault(group, [0] * len(SUMS)), error, amounts, sign)
        if sign > 0 and not error:
            place = (hour, account, asked, UsageTime.LATENCY, bisect_right(BOUNDS, latency))
            self.times[place] = self.times.get(place, 0) + 1
            if first is not None:
                place = (hour, account, asked, UsageTime.FIRST_TOKEN, bisect_right(BOUNDS, first))
                self.times[place] = self.times.get(place, 0) + 1
        if self.keys and metadata != "{}":
            self.count_metadata((hour, account), _object(metadata), (error, amounts), sign)

    def count_metadata(
        self, place: tuple[str, str], metadata: dict[str, Any], counts: tuple[str, list[Any]], sign: int = 1
    ) -> None:
        """Add a record to the values of its metadata that are summed: its hour and account, and what counts."""
        for key in self.keys:
            value = metadata.get(key)
            if value and isinstance(value, str):
                group = (*place, key, value[:VALUE_CHARACTERS])
                _sum(self.metadata.setdefault(group, [0] * len(SUMS)), *counts, sign)

    def uncount(self, values: tuple[Any, ...], before: tuple[Any, ...]) -> None:
        """Take back what a record counted ``before`` it changed. Durations stay: nothing changes them."""
        kept = len(READ) - 3
        self.count((*values[:GROUPED], *before[GROUPED:kept], *values[kept:]), -1)

    def write(self, using: str) -> None:
        """Store it as new rows, in the caller's transaction."""
        rows = [(NEW, *_named(group), "", "", *total) for group, total in _by_model(self.calls).items()]
        rows += [
            (NEW_METADATA, f"{hour}:00:00", account, *[""] * 7, key, value, *total)
            for (hour, account, key, value), total in self.metadata.items()
        ]
        _append(UsageSum._meta.db_table, _SUM_COLUMNS, rows, using)
        _append(UsageTime._meta.db_table, _TIME_COLUMNS, [*_time_rows(self.times)], using)


def _sum(total: Sums, error: str, amounts: list[Any], sign: int) -> None:
    number, status, cost, gaps, estimated, given, cached, written, made, reasoned = amounts
    high, low = divmod(cost or 0, SPLIT)
    total[0] += sign * (number <= 1)
    total[1] += sign
    total[2] += sign * (bool(error) or status >= 400)
    total[3] += sign * (400 <= status < 500)
    total[4] += sign * (cost is None)
    total[5] += sign * bool(gaps)
    total[6] += sign * bool(estimated)
    total[7] += sign * given
    total[8] += sign * cached
    total[9] += sign * written
    total[10] += sign * made
    total[11] += sign * reasoned
    total[12] += sign * high
    total[13] += sign * low


def model_name(account: str, asked: str) -> str:
    """Return ``account/model``: a bare name, sent with the account's header, counts with the model's full name."""
    return asked if not asked or not account or asked.startswith(f"{account}/") else f"{account}/{asked}"


def add(records: Iterable[tuple[Any, ...]], using: str) -> None:
    """Add records that were stored now, each as the values of its columns :data:`READ`.

    Call it in the transaction that stored them.
    """
    added = Added()
    for values in records:
        added.count(values)
    added.write(using)


def adjust(changed: Iterable[tuple[Mapping[str, Any], Mapping[str, Any]]], using: str) -> None:
    """Bring sums in step with records that changed: column values by name, before and after.

    Call it in the transaction that changed them.
    """
    added = Added()
    for before, after in changed:
        values = _read(after)
        added.count(values)
        added.uncount(values, _read(before))
    added.times.clear()  # counted when they were stored
    added.write(using)


def _named(group: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return the bucket and the dimensions of a group."""
    hour, account, model, kind, name, teams, token, error, batch = group
    return (f"{hour}:00:00", account, model, kind, name, teams, token, error, "batch" if batch else "")


def _by_model(groups: Groups) -> Groups:
    """Return sums with the models' full names: several names may be of one model."""
    sums: Groups = {}
    for (hour, account, asked, *others), total in groups.items():
        group = (hour, account, model_name(account, asked), *others)
        before = sums.get(group)
        sums[group] = total if before is None else list(map(operator.add, before, total))
    return sums


def _time_rows(times: dict[tuple[Any, ...], int]) -> Iterable[tuple[Any, ...]]:
    slots: dict[tuple[Any, ...], dict[int, int]] = {}
    for (hour, account, asked, measure, slot), calls in times.items():
        found = slots.setdefault((hour, account, model_name(account, asked), measure), {})
        found[slot] = found.get(slot, 0) + calls
    for (hour, *others), found in slots.items():
        yield NEW, f"{hour}:00:00", *others, sum(found.values()), _encode(found).decode()


def _append(table: str, columns: tuple[str, ...], rows: list[tuple[Any, ...]], using: str) -> None:
    if not rows:
        return
    connection, names = connections[using], ", ".join(columns)
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            with connection.wrap_database_errors, cursor.copy(f"COPY {table} ({names}) FROM STDIN") as copy:
                for row in rows:
                    copy.write_row(row)
            return
        places = f"({', '.join(['%s'] * len(columns))})"
        cursor.executemany(f"INSERT INTO {table} ({names}) VALUES {places}", rows)  # noqa: S608 - names of ours only


def floor(moment: datetime) -> datetime:
    """Return the beginning of the hour of ``moment``."""
    return moment.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


def midnight(moment: datetime) -> datetime:
    """Return the beginning of the day (UTC) of ``moment``."""
    return floor(moment).replace(hour=0)
