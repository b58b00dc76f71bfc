"""Queries of sums: for a span and some dimensions, the rows of the smallest cut that has them.

Of whole days the sums by the day, at the edges those by the hour, and what is not folded yet. Where a cut has none by
the hour any more, and for a span of minutes, records are summed, under the same names.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from django.db.models import Case, F, Q, QuerySet, Sum, TextField, Value, When
from django.db.models.functions import Cast, Concat, Left

from usage import rollups
from usage.folding import details_since, sealed_until
from usage.metric_query import Bucket
from usage.models import UsageRecord
from usage.recounting import amounts
from usage.report import MetadataValue
from usage.rollups import floor
from usage.sums_table import CUTS, DAYS, HOURS, METADATA, SUMS, Cut, UsageSum

HOURS_SHOWN: Final = 49
"""Ranges of more hours than this are shown by the day."""
MINUTES: Final = timedelta(minutes=5)
"""The steps of a span of minutes."""
DAY_CHARACTERS, HOUR_CHARACTERS = 10, 13
DAY: Final = timedelta(days=1)
HOUR: Final = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Span:
    """Whole hours from ``start`` up to, without, ``end``; or ``exact`` moments, which records are read for."""

    start: datetime
    end: datetime
    exact: bool = False

    @property
    def by_day(self) -> bool:
        """Whether it is shown by the day."""
        return self.end - self.start > HOURS_SHOWN * HOUR

    @property
    def before(self) -> "Span":
        """The span of the same length before it."""
        return Span(self.start - (self.end - self.start), self.start, self.exact)

    @property
    def step(self) -> timedelta:
        """How long the steps are that it is shown by."""
        return MINUTES if self.exact else DAY if self.by_day else HOUR

    def steps(self) -> list[datetime]:
        """Return the beginnings of the steps that it is shown by."""
        first = self.start.replace(hour=0) if self.by_day else self.start
        if self.exact:
            first = datetime.fromtimestamp(first.timestamp() // MINUTES.seconds * MINUTES.seconds, UTC)
        found = []
        while first < self.end:
            found.append(first)
            first += self.step
        return found


def last(hours: int, now: datetime) -> Span:
    """Return the span of the last ``hours`` hours, the current one among them; of one hour, to the moment."""
    if hours == 1:
        return Span(now - HOUR, now, exact=True)
    end = floor(now) + HOUR
    return Span(end - timedelta(hours=hours), end)


@dataclass(frozen=True, slots=True)
class Part:
    """Some of what happened: a condition on sums, the dimensions that it names, and the key of metadata that it has a
    value of, if any."""

    condition: Q = field(default_factory=Q)
    dimensions: frozenset[str] = frozenset()
    key: str = ""


Parts = tuple[Part, ...]
"""Parts that have nothing in common, to be added up."""
ALL: Final[Parts] = (Part(),)


def narrowed(parts: Parts, condition: Q, *dimensions: str) -> Parts:
    """Return the parts, each narrowed."""
    return tuple(Part(part.condition & condition, part.dimensions | set(dimensions), part.key) for part in parts)


def with_metadata(parts: Parts, key: str) -> Parts:
    """Return what has a value under a key of metadata, in ``meta_value``."""
    return tuple(Part(part.condition, part.dimensions | {"meta_key", "meta_value"}, key) for part in parts)


def sums_of(
    span: Span, part: Part, columns: tuple[str, ...], sums: tuple[str, ...] = SUMS, *, stepped: bool = False
) -> Iterator[tuple[Any, ...]]:
    """Yield rows of ``columns``, the step when ``stepped`` (see :func:`step_at`), and ``sums``, some of ``SUMS``.

    The same columns may come several times, to be added up.
    """
    if span.exact or (part.key and not part.dimensions <= set(METADATA.dimensions)):
        yield from _summed(records_of(span, part, columns), span, columns, sums, stepped=stepped)
        return
    cut = smallest({*columns, *part.dimensions})
    summed, unsummed = _ranges(cut, span)
    chosen = UsageSum.objects.filter(part.condition, summed)
    chosen = chosen.filter(meta_key=part.key) if part.key else chosen
    yield from _summed(chosen, span, columns, sums, stepped=stepped)
    for start, end in unsummed:
        yield from _summed(records_of(Span(start, end), part, columns), span, columns, sums, stepped=stepped)


def _summed(
    chosen: "QuerySet[Any]", span: Span, columns: tuple[str, ...], sums: tuple[str, ...], *, stepped: bool
) -> Iterator[tuple[Any, ...]]:
    of_records = chosen.model is UsageRecord
    names, added = list(columns), amounts() if of_records else {name: Sum(name) for name in SUMS}
    if stepped:
        # The beginning of a time's text, in both databases, costs less than their functions for days.
        moment = Cast("created_at" if of_records else "bucket", TextField())
        text = Left(moment, DAY_CHARACTERS if span.by_day else HOUR_CHARACTERS)
        chosen = chosen.annotate(step=Bucket(MINUTES.seconds) if span.exact else text)
        names.append("step")
    # Something constant to group by makes one row out of the whole, like any other.
    groups = chosen.annotate(whole=Value(1)).values("whole", *names).order_by()
    found = {f"sum_{name}": added[name] for name in sums}
    yield from groups.annotate(**found).values_list(*names, *found)


def step_at(span: Span, step: Any) -> datetime:
    """Return the beginning of a step as :func:`sums_of` has it."""
    if span.exact:
        return datetime.fromtimestamp(step * MINUTES.seconds, UTC)
    return datetime.fromisoformat(step if span.by_day else f"{step}:00").replace(tzinfo=UTC)


def smallest(dimensions: set[str]) -> Cut:
    """Return the cut with the fewest rows that has all of these dimensions."""
    return next(cut for cut in CUTS if dimensions <= set(cut.dimensions))


def times_within(span: Span) -> Q:
    """Return the condition for the counts of durations of a span."""
    return _ranges(Cut((), HOURS, DAYS), span)[0]


def _ranges(cut: Cut, span: Span) -> tuple[Q, list[tuple[datetime, datetime]]]:
    """Return the condition for a cut's rows of a span, and of which times at its edges records are summed."""
    start, end = span.start, span.end
    if start.hour or end.hour:
        start, end = _whole_where_records_are_gone(start, end)
    first, past = rollups.midnight(start), rollups.midnight(end)
    first = first if first == start else first + DAY
    hours = [(start, first), (past, end)] if first < past else [(start, end)]
    days = [(first, past)] if first < past else []
    unsummed = []
    if cut.detailed:
        since = details_since()
        unsummed = [(begun, min(ended, since)) for begun, ended in hours if begun < min(ended, since)]
        hours = [(max(begun, since), ended) for begun, ended in hours]
    found = Q(pk__in=[])
    for part, ranges in ((cut.days, days), (cut.hours, hours), (cut.new, days + hours)):
        for begun, ended in ranges:
            if begun < ended:
                found |= Q(part=part, bucket__gte=begun, bucket__lt=ended)
    return found, unsummed


def _whole_where_records_are_gone(start: datetime, end: datetime) -> tuple[datetime, datetime]:
    """Return a span without parts of days whose records were deleted: both ends move to the beginning of their day."""
    sealed = sealed_until() or start
    return rollups.midnight(start) if start < sealed else start, rollups.midnight(end) if end < sealed else end


def records_of(span: Span, part: Part, columns: tuple[str, ...] = ()) -> "QuerySet[UsageRecord]":
    """Return the records of a span under the names that sums have."""
    records = UsageRecord.objects.filter(created_at__gte=span.start, created_at__lt=span.end)
    full = Q(model_asked="") | Q(account="") | Q(model_asked__startswith=Concat(F("account"), Value("/")))
    named: dict[str, Any] = {
        "model": Case(
            When(full, then=F("model_asked")),
            default=Concat(F("account"), Value("/"), F("model_asked")),
            output_field=TextField(),
        ),
        "token": F("token_prefix"),
        "outcome": F("error_class"),
        "batch": Case(When(batch_key="", then=Value("")), default=Value("batch"), output_field=TextField()),
    }
    needed = {*columns, *part.dimensions}
    found = records.annotate(**{name: value for name, value in named.items() if name in needed}).filter(part.condition)
    if not part.key:
        return found
    value = Left(MetadataValue(part.key), rollups.VALUE_CHARACTERS)
    return found.annotate(meta_value=value).filter(meta_value__gt="")
