"""Re-rating: usage records get another price, and what they had before is kept.

A record, its hour's sum and the budgets that count it change in one transaction, so that they agree at any moment. A
record that changed meanwhile stays as it is.
"""

import uuid
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from django.db import models, transaction
from django.utils import timezone

from usage import rollups, rows
from usage.models import Rerating, UsageRecord
from usage.records import AttemptRecord
from usage.words import money

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND: Final = timedelta(microseconds=1)
GAPS_CHARACTERS: Final = 200
COST_MAX: Final = 2**63 - 1
STORED_AS: Final = {attempt: column for column, attempt in rows.RENAMED.items()}
PRICED: Final = ("cost_pico", "price_version", "price_gaps")

RECOUNTED: list[Callable[[Sequence[tuple[rows.Columns, rows.Columns]], str], None]] = []
"""What else counts costs: called in the transaction that changes records, with the columns of each before and after."""


@dataclass(frozen=True, slots=True)
class Price:
    """What a record costs: pico-dollars (``None``: unpriced), by which price, and what that leaves out."""

    cost_pico: int | None
    version: str
    gaps: str


@dataclass(frozen=True, slots=True)
class Change:
    """A record that costs ``before``, and shall cost ``after``."""

    record: uuid.UUID
    at: datetime
    """The record's time."""
    before: Price
    after: Price


def price_of(record: UsageRecord | AttemptRecord) -> Price:
    """Return what a record costs now."""
    cost = record.cost_pico
    bounded = cost if cost is None or abs(cost) <= COST_MAX else None  # a wrong sum is worse than none
    return Price(bounded, record.price_version, record.price_gaps[:GAPS_CHARACTERS])


def attempt_of(record: UsageRecord) -> AttemptRecord:
    """Return a row of the table in the form that the spool has."""
    values = {name: getattr(record, STORED_AS.get(name, name)) for name in AttemptRecord.__struct_fields__}
    values["attempt_id"] = str(record.id)
    values["started_at"] = (record.created_at - EPOCH) // MICROSECOND
    return AttemptRecord(**values)


def change(changes: Iterable[Change], run: uuid.UUID, reason: str, using: str = "default") -> int:
    """Change what records cost, and keep what they did; return how many changed. Raises ``django.db.Error``.

    The changes are made together or not at all. ``run`` groups what can be taken back together.
    """
    wanted = {each.record: each for each in changes}
    if not wanted:
        return 0
    now = timezone.now()
    with transaction.atomic(using=using):
        found = _between(wanted.values(), using).filter(pk__in=wanted)
        locked = found.order_by("pk").select_for_update()
        records = [record for record in locked if price_of(record) == wanted[record.pk].before]
        pairs: list[tuple[rows.Columns, rows.Columns]] = []
        for record in records:
            before = _columns(record)
            after = wanted[record.pk].after
            record.cost_pico, record.price_version, record.price_gaps = after.cost_pico, after.version, after.gaps
            pairs.append((before, _columns(record)))
        if not records:
            return 0
        _between(wanted.values(), using).bulk_update(records, PRICED)
        kept = [_kept(wanted[record.pk], record, run, reason, now) for record in records]
        Rerating.objects.using(using).bulk_create(kept)
        rollups.adjust(pairs, using)
        for recounted in RECOUNTED:
            recounted(pairs, using)
    return len(records)


def _between(changes: Iterable[Change], using: str) -> "models.QuerySet[UsageRecord]":
    """Return the records of the days of ``changes``: the database need not look for their ids in others."""
    times = [change.at for change in changes]
    return UsageRecord.objects.using(using).filter(created_at__gte=min(times), created_at__lte=max(times))


def _columns(record: UsageRecord) -> rows.Columns:
    return rows.Columns(rows.row(attempt_of(record)))


def _kept(change: Change, record: UsageRecord, run: uuid.UUID, reason: str, now: datetime) -> Rerating:
    before, after = change.before, change.after
    return Rerating(
        run=run,
        record=record.pk,
        record_at=record.created_at,
        rated_at=now,
        reason=reason,
        cost_pico=before.cost_pico,
        price_version=before.version,
        price_gaps=before.gaps,
        new_cost_pico=after.cost_pico,
        new_price_version=after.version,
        new_price_gaps=after.gaps,
    )


def undone(run: uuid.UUID, using: str = "default") -> list[Change]:
    """Return the changes that take a run back."""
    return [
        Change(
            kept.record,
            kept.record_at,
            Price(kept.new_cost_pico, kept.new_price_version, kept.new_price_gaps),
            Price(kept.cost_pico, kept.price_version, kept.price_gaps),
        )
        for kept in Rerating.objects.using(using).filter(run=run).order_by("pk")
    ]


def runs(limit: int, using: str = "default") -> list[dict[str, Any]]:
    """Return the newest runs, a dict each: ``run``, ``reason``, ``at``, ``records``, and what they cost ``before`` and
    ``after`` in pico-dollars."""
    summed = (
        Rerating.objects.using(using)
        .values("run", "reason")
        .annotate(
            at=models.Min("rated_at"),
            records=models.Count("pk"),
            before=models.Sum("cost_pico"),
            after=models.Sum("new_cost_pico"),
        )
    )
    newest: Any = summed.order_by("-at")[:limit]
    return [*newest]


def earlier_costs(records: Iterable[UsageRecord], using: str = "default") -> dict[uuid.UUID, list[str]]:
    """Return what records cost before they were rated again, oldest first, a sentence each; most have none."""
    found: dict[uuid.UUID, list[str]] = {}
    ids = [record.pk for record in records]
    for kept in Rerating.objects.using(using).filter(record__in=ids).order_by("pk"):
        by = f" by {kept.price_version}" if kept.price_version else ""
        sentence = f"{money(kept.cost)}{by} until {kept.rated_at:%Y-%m-%d %H:%M} UTC ({kept.reason})"
        found.setdefault(kept.record, []).append(sentence)
    return found
