"""Usage records beside an invoice, by model and day."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, Final

from django.db.models import Count, Q, Sum, Value

from gateway.reconciliation.invoices import Asked, Line
from usage.metric_query import Bucket
from usage.models import PICO, UsageRecord

DAY_SECONDS: Final = 86_400
DATED: Final = re.compile(r"[-@](?:\d{4}-\d{2}-\d{2}|\d{8})$")
"""The day at the end of a model's version: the invoice may name it where the record does not, or the other way."""


@dataclass(slots=True)
class Sums:
    """Costs in US dollars and tokens; ``tokens`` says whether an invoice has any."""

    cost: Decimal = Decimal(0)
    input_tokens: int = 0
    output_tokens: int = 0
    unpriced: int = 0
    tokens: bool = False


@dataclass(slots=True)
class Row:
    """One model's day: what was recorded, and what is billed."""

    recorded: Sums = field(default_factory=Sums)
    invoiced: Sums = field(default_factory=Sums)

    @property
    def drift(self) -> Decimal:
        """How many US dollars more are recorded than billed."""
        return self.recorded.cost - self.invoiced.cost

    @property
    def percent(self) -> float | None:
        """The drift in percent of what is billed; none where nothing is."""
        return float(self.drift / self.invoiced.cost * 100) if self.invoiced.cost else None

    def is_far(self, threshold: float, least: Decimal) -> bool:
        """Whether it drifts by more than ``threshold`` percent and at least ``least`` US dollars."""
        return abs(self.drift) >= least and (self.percent is None or abs(self.percent) > threshold)

    def add(self, other: "Row") -> None:
        """Add another row."""
        for mine, theirs in ((self.recorded, other.recorded), (self.invoiced, other.invoiced)):
            mine.cost += theirs.cost
            mine.input_tokens += theirs.input_tokens
            mine.output_tokens += theirs.output_tokens
            mine.unpriced += theirs.unpriced
            mine.tokens = mine.tokens or theirs.tokens


Rows = dict[tuple[date, str], Row]


def plain_name(model: str) -> str:
    """Return a model's name as both sides have it: without its account, its version's day and capitals."""
    return DATED.sub("", model.strip().lower())


def compare(account: str, asked: Asked, lines: Iterable[Line]) -> Rows:
    """Return the days and models of an account, in order."""
    rows: Rows = {}
    for line in lines:
        sums = rows.setdefault((line.day, plain_name(line.model)), Row()).invoiced
        sums.cost += line.cost
        sums.input_tokens += line.input_tokens or 0
        sums.output_tokens += line.output_tokens or 0
        sums.tokens = sums.tokens or line.input_tokens is not None
    _add_records(account, asked, rows)
    return dict(sorted(rows.items()))


def _add_records(account: str, asked: Asked, rows: Rows) -> None:
    began, ended = (datetime(day.year, day.month, day.day, tzinfo=UTC) for day in (asked.since, asked.until))
    records = UsageRecord.objects.filter(account=account, created_at__gte=began, created_at__lt=ended)
    groups = records.filter(attempt_number__gte=1).annotate(day=Bucket(DAY_SECONDS), whole=Value(1))
    summed = (
        groups.values("whole", "day", "model_served", "model_asked")
        .annotate(
            pico=Sum("cost_pico"),
            given=Sum("input_tokens"),
            made=Sum("output_tokens"),
            unpriced=Count("pk", filter=Q(cost_pico=None)),
        )
        .order_by()
    )
    for record in summed:
        day = datetime.fromtimestamp(record["day"] * DAY_SECONDS, UTC).date()
        name = record["model_served"] or record["model_asked"].removeprefix(f"{account}/")
        sums = rows.setdefault((day, plain_name(name)), Row()).recorded
        sums.cost += int(record["pico"] or 0) * PICO
        sums.input_tokens += record["given"]
        sums.output_tokens += record["made"]
        sums.unpriced += record["unpriced"]


def total_of(rows: Rows) -> Row:
    """Return the sum of all rows."""
    total = Row()
    for row in rows.values():
        total.add(row)
    return total


def as_dict(row: Row) -> dict[str, Any]:
    """Return a row for JSON: amounts in US dollars as exact strings."""
    tokens = row.invoiced.tokens
    return {
        "recorded_usd": _exact(row.recorded.cost),
        "invoiced_usd": _exact(row.invoiced.cost),
        "drift_usd": _exact(row.drift),
        "drift_percent": None if row.percent is None else round(row.percent, 4),
        "recorded_input_tokens": row.recorded.input_tokens,
        "invoiced_input_tokens": row.invoiced.input_tokens if tokens else None,
        "recorded_output_tokens": row.recorded.output_tokens,
        "invoiced_output_tokens": row.invoiced.output_tokens if tokens else None,
        "unpriced_calls": row.recorded.unpriced,
    }


def _exact(amount: Decimal) -> str:
    return format(amount.normalize(), "f")
