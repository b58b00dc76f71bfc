"""Sums made again from the records, and compared with them: a day (UTC) at a time.

Of days before :func:`usage.folding.sealed_until` records may be gone: their sums are all that is left, and stay.
"""

import operator
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec
from django.db import DEFAULT_DB_ALIAS
from django.db.models import (
    BooleanField,
    Count,
    ExpressionWrapper,
    F,
    Func,
    IntegerField,
    Max,
    Min,
    Q,
    QuerySet,
    Sum,
    TextField,
)
from django.db.models.functions import Cast, Left

from usage import folding, rollups
from usage.folding import DAY
from usage.models import UsageRecord
from usage.report import MetadataValue
from usage.sums_table import CUTS, DAYS, HOURS, METADATA, NEW, SUMS, UsageSum, UsageTime

GROUPS: Final = rollups.READ[1 : rollups.GROUPED - 1]
"""The columns of records that say what they count for, but hour and batch."""
WINDOW: Final = timedelta(hours=6)
"""Of how much time the sums are in memory at once."""
MICROSECOND: Final = timedelta(microseconds=1)
ALL: Final = 10**9

_encode: Final = msgspec.json.Encoder().encode


class Slot(Func):
    """The slot of a duration: how many of :data:`usage.rollups.BOUNDS` it reaches."""

    output_field = IntegerField()
    function = "DURATION_SLOT"  # in SQLite a function of ours, which every connection has (``usage.apps``)

    def as_postgresql(self, compiler: Any, connection: Any, **context: Any) -> Any:
        """Write it for PostgreSQL, which has it."""
        column, parameters = compiler.compile(self.source_expressions[0])
        return f"WIDTH_BUCKET({column}, ARRAY{list(rollups.BOUNDS)}::bigint[])", parameters


def recount(day: datetime, using: str = DEFAULT_DB_ALIAS) -> bool:
    """Make the sums of the day that begins at ``day`` again; return whether its records are all there to do so."""
    with folding.alone(using, wait=True):
        return recount_now(day, using)


def recount_now(day: datetime, using: str) -> bool:
    """Do what :func:`recount` does, within :func:`usage.folding.alone`."""
    sealed = folding.sealed_until(using)
    if sealed is not None and day < sealed:
        return False
    _forget(day, using)
    for number in range(DAY // WINDOW):
        counted(day + number * WINDOW, day + (number + 1) * WINDOW, using).write(using)
    folding.fold_now(using, ALL)
    return True


def _forget(day: datetime, using: str) -> None:
    for table in (UsageSum, UsageTime):
        table._default_manager.using(using).filter(bucket__gte=day, bucket__lt=day + DAY)._raw_delete(using)


def counted(since: datetime, until: datetime, using: str) -> rollups.Added:
    """Return what the records of a span add, summed by the database."""
    records = UsageRecord.objects.using(using).filter(created_at__gte=since, created_at__lt=until)
    # The beginning of a time's text is its hour, in both databases.
    records = records.annotate(hour=Left(Cast("created_at", TextField()), rollups.HOUR_CHARACTERS))
    added = rollups.Added()
    for hour, account, asked, kind, subject, teams, *others in grouped(records, "hour", *GROUPS).iterator(2000):
        token, error, batched, *total = others
        group = (hour, account, asked, kind, subject, _encode(teams).decode(), token, error, bool(batched))
        added.calls[group] = [int(amount) for amount in total]
    answered = records.filter(error_class="")
    for measure, column in ((UsageTime.LATENCY, "latency_us"), (UsageTime.FIRST_TOKEN, "ttft_us")):
        timed = answered.exclude(**{column: None}).annotate(slot=Slot(column))
        slots: Any = timed.values_list("hour", "account", "model_asked", "slot").annotate(n=Count("pk")).order_by()
        for hour, account, asked, slot, calls in slots:
            added.times[(hour, account, asked, measure, slot)] = calls
    for key in added.keys:
        valued = records.annotate(value=Left(MetadataValue(key), rollups.VALUE_CHARACTERS)).filter(value__gt="")
        for hour, account, value, *total in (
            valued.values_list("hour", "account", "value").annotate(**amounts()).order_by()
        ):
            added.metadata[(hour, account, key, value)] = [int(amount) for amount in total]
    return added


def hours_between(
    since: datetime | None, until: datetime | None, using: str
) -> Iterator[tuple[tuple[Any, ...], list[int]]]:
    """Yield the sums of records by the hour, oldest first: its beginning, account, model, caller's type and name, and
    teams, with what they come to in the order of ``SUMS``."""
    ends = UsageRecord.objects.using(using).aggregate(first=Min("created_at"), last=Max("created_at"))
    if ends["first"] is None:
        return
    begun = rollups.floor(max(since or ends["first"], ends["first"]))
    past = min(until or ends["last"] + MICROSECOND, ends["last"] + MICROSECOND)
    while begun < past:
        sums: dict[tuple[Any, ...], list[int]] = {}
        ended = min(begun + WINDOW, past)
        for (hour, account, asked, *caller), total in counted(max(begun, since or begun), ended, using).calls.items():
            moment = datetime.fromisoformat(f"{hour}:00").replace(tzinfo=UTC)
            key = (moment, account, rollups.model_name(account, asked), *caller[:3])
            sums[key] = list(map(operator.add, sums.get(key, [0] * len(SUMS)), total))
        yield from sorted(sums.items())
        begun = ended


def grouped(records: "QuerySet[Any]", *columns: str) -> "QuerySet[Any, Any]":
    """Return rows of columns, whether their records are of a batch, and their sums."""
    batched = ExpressionWrapper(~Q(batch_key=""), output_field=BooleanField())
    return records.values_list(*columns).annotate(batched=batched, **amounts()).order_by()


def amounts() -> dict[str, Any]:
    """Return what sums records as :meth:`usage.rollups.Added.count` does."""
    failed = ~Q(error_class="") | Q(status__gte=400)
    tokens = {name: Sum(name) for name in SUMS if name.endswith("_tokens")}
    counts = {
        "requests": Count("pk", filter=Q(attempt_number__lte=1)),
        "attempts": Count("pk"),
        "errors": Count("pk", filter=failed),
        "refused": Count("pk", filter=Q(status__gte=400, status__lt=500)),
        "unpriced": Count("pk", filter=Q(cost_pico=None)),
        "partly_priced": Count("pk", filter=~Q(price_gaps="")),
        "estimated": Count("pk", filter=Q(estimated=True)),
        "cost_high": Sum(F("cost_pico") / rollups.SPLIT, default=0),
        "cost_low": Sum(F("cost_pico") % rollups.SPLIT, default=0),
    }
    found = counts | tokens
    return {name: found[name] for name in SUMS}


def rebuild(using: str = DEFAULT_DB_ALIAS) -> int:
    """Make the sums of all days again whose records are there; return how many there are."""
    return sum(recount(day, using) for day in days(using))


def days(using: str = DEFAULT_DB_ALIAS) -> list[datetime]:
    """Return the days that can be counted again, newest first."""
    ends = UsageRecord.objects.using(using).aggregate(first=Min("created_at"), last=Max("created_at"))
    if ends["first"] is None:
        return []
    first, day = rollups.midnight(ends["first"]), rollups.midnight(ends["last"])
    first = max(first, folding.sealed_until(using) or first)
    found = []
    while day >= first:
        found.append(day)
        day -= DAY
    return found


def differences(day: datetime, using: str = DEFAULT_DB_ALIAS) -> list[str]:
    """Return what is not the same in the records of a day and in its sums, a sentence each; none: all is."""
    found, sum_all = [], {name: Sum(name) for name in SUMS}
    with folding.snapshot(using):
        records = UsageRecord.objects.using(using).filter(created_at__gte=day, created_at__lt=day + DAY)
        recorded = _combined(records.aggregate(**amounts()))
        sums = UsageSum.objects.using(using).filter(bucket__gte=day, bucket__lt=day + DAY)
        for cut in CUTS:
            for part in (cut.days,) if cut.detailed and day < folding.details_since() else (cut.hours, cut.days):
                summed = _combined(sums.filter(part__in=(part, cut.new)).aggregate(**sum_all))
                if cut is not METADATA and summed != recorded:
                    wrong = [f"{name} {summed[name]:,} for {recorded[name]:,}" for name in _wrong(summed, recorded)]
                    how = f"{', '.join(cut.dimensions)} by the {'hour' if part == cut.hours else 'day'}"
                    found.append(f"{day:%Y-%m-%d}, sums of {how}: {', '.join(wrong)}.")
        answered = records.filter(error_class="").count()
        times = UsageTime.objects.using(using).filter(bucket__gte=day, bucket__lt=day + DAY, measure=UsageTime.LATENCY)
        for part in (HOURS, DAYS):
            timed = times.filter(part__in=(part, NEW)).aggregate(n=Sum("calls", default=0))["n"]
            if timed != answered:
                found.append(f"{day:%Y-%m-%d}, durations: {timed:,} for {answered:,}.")
    return found


def _wrong(summed: dict[str, int], recorded: dict[str, int]) -> list[str]:
    return [name for name, amount in recorded.items() if summed[name] != amount]


def _combined(sums: dict[str, Any]) -> dict[str, int]:
    """Return sums with the cost in one piece: its parts may be split in several ways."""
    found = {name: int(sums[name] or 0) for name in SUMS}
    return found | {"cost_high": 0, "cost_low": found["cost_high"] * rollups.SPLIT + found["cost_low"]}
