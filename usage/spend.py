"""Spend and traffic over time, by what they are grouped by, from the sums by the hour.

Nothing here walks the records.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

import msgspec
from django.db.models import F, Q, QuerySet, Sum
from django.db.models.functions import TruncDay

from usage.models import PICO
from usage.rollups import SPLIT, SUMS, UsageHour, floor

__all__ = ["GROUPS", "Row", "Span", "Totals", "floor", "last", "rows", "top", "totals"]

GROUPS: Final = {
    "model": "model",
    "account": "account",
    "team": "teams",
    "user": "subject_name",
    "application": "subject_name",
}
"""What can be grouped by, and the column that holds it.

People and applications differ by the kind of caller.
"""
OTHER: Final = "Other"
NONE: Final = "(none)"
HOURS_SHOWN: Final = 49
"""Ranges of more hours than this are shown by the day."""


@dataclass(slots=True)
class Totals:
    """Sums over some hours. ``cost_pico`` is in 1e-12 USD and leaves out the ``unpriced`` attempts."""

    requests: int = 0
    attempts: int = 0
    errors: int = 0
    refused: int = 0
    unpriced: int = 0
    partly_priced: int = 0
    input_tokens: int = 0
    cached_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0
    cost_pico: int = 0

    def add(self, other: "Totals") -> None:
        """Add ``other`` to this."""
        for name in NAMES:
            setattr(self, name, getattr(self, name) + getattr(other, name))

    @property
    def cost(self) -> Decimal:
        """The cost in US dollars, exact."""
        return self.cost_pico * PICO

    @property
    def tokens(self) -> int:
        """Input and output tokens."""
        return self.input_tokens + self.output_tokens


NAMES: Final = tuple(entry.name for entry in fields(Totals))


@dataclass(frozen=True, slots=True)
class Span:
    """Whole hours from ``start`` up to, without, ``end``."""

    start: datetime
    end: datetime

    @property
    def by_day(self) -> bool:
        """Whether it is shown by the day."""
        return self.end - self.start > timedelta(hours=HOURS_SHOWN)

    @property
    def before(self) -> "Span":
        """The span of the same length before it."""
        return Span(self.start - (self.end - self.start), self.start)

    def steps(self) -> list[datetime]:
        """Return the beginnings of the hours or days that it is shown by."""
        step = timedelta(days=1) if self.by_day else timedelta(hours=1)
        first = self.start.replace(hour=0) if self.by_day else self.start
        found = []
        while first < self.end:
            found.append(first)
            first += step
        return found


@dataclass(slots=True)
class Row:
    """One entry of what is grouped by: its sums, those of the span before, and the share of each step."""

    name: str
    totals: Totals = field(default_factory=Totals)
    before: Totals = field(default_factory=Totals)
    steps: dict[datetime, Totals] = field(default_factory=lambda: defaultdict(Totals))


def last(hours: int, now: datetime) -> Span:
    """Return the span of the last ``hours`` hours, the current one among them."""
    end = floor(now) + timedelta(hours=1)
    return Span(end - timedelta(hours=hours), end)


def hours_of(span: Span, narrowed: Q) -> "QuerySet[UsageHour]":
    """Return the hours of a span that ``narrowed`` leaves."""
    return UsageHour.objects.filter(narrowed, hour__gte=span.start, hour__lt=span.end)


def totals(span: Span, narrowed: Q) -> Totals:
    """Return the sums of the span."""
    return _totals(hours_of(span, narrowed).aggregate(**{name: Sum(name) for name in SUMS}))


def rows(span: Span, group: str, narrowed: Q) -> list[Row]:
    """Return a row for each model, account, team, user or application, by cost. Raises ``KeyError`` for another group.

    What someone in two teams used counts under each of them.
    """
    column = GROUPS[group]
    found: dict[str, Row] = {}
    kinds = {"user": Q(subject_type="user"), "application": Q(subject_type="virtualaccount")}
    chosen = narrowed & kinds.get(group, Q())
    sums = {name: Sum(name) for name in SUMS}
    # By the step already there: a month has 720 hours, and as many rows for each name.
    step = TruncDay("hour", tzinfo=UTC) if span.by_day else F("hour")
    stepped = hours_of(span, chosen).annotate(step=step)
    for values in stepped.values(column, "step").annotate(**sums).order_by():
        amount = _totals(values)
        for name in _names(values[column], group):
            row = found.setdefault(name, Row(name))
            row.totals.add(amount)
            row.steps[values["step"]].add(amount)
    for values in hours_of(span.before, chosen).values(column).annotate(**sums).order_by():
        for name in _names(values[column], group):
            if name in found:
                found[name].before.add(_totals(values))
    return sorted(found.values(), key=lambda row: (-row.totals.cost_pico, -row.totals.requests, row.name))


def top(found: list[Row], count: int, by: str = "cost_pico") -> list[Row]:
    """Return the ``count`` largest rows and, where there are more, the rest as one row."""
    ordered = sorted(found, key=lambda row: (-getattr(row.totals, by), row.name))
    if len(ordered) <= count + 1:
        return ordered
    rest = Row(OTHER)
    for row in ordered[count:]:
        rest.totals.add(row.totals)
        rest.before.add(row.before)
        for step, amount in row.steps.items():
            rest.steps[step].add(amount)
    return [*ordered[:count], rest]


def _names(value: str, group: str) -> Iterable[str]:
    if group != "team":
        return (value or NONE,)
    return dict.fromkeys(msgspec.json.decode(value)) or (NONE,)


def _totals(values: dict[str, Any]) -> Totals:
    cost = (values["cost_high"] or 0) * SPLIT + (values["cost_low"] or 0)
    return Totals(**{name: values[name] or 0 for name in NAMES if name != "cost_pico"}, cost_pico=int(cost))
