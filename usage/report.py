"""What was used and what it cost, by whom or what: sums of usage records, exact to the last digit.

Costs are summed as whole pico-dollars. SQLite's sum of integers ends at 64 bits, about nine million dollars, so the
whole and the rest of a million are summed apart and put together here.
"""

import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from django.db.models import Aggregate, Count, F, Func, Q, QuerySet, Sum, TextField, Value
from django.db.models.functions import Cast, Left
from django.db.models.sql.compiler import SQLCompiler

from usage.models import UsageRecord
from usage.rollups import model_name

GROUPS: Final = {
    "user": ("subject_type", "subject_name"),
    "team": ("teams",),
    "account": ("account",),
    "model": ("account", "model_asked"),
    "provider": ("provider",),
    "operation": ("operation",),
    "token": ("token_prefix",),
    "day": ("day",),
}
"""What records can be grouped by, and the columns that hold it. ``metadata.KEY`` comes on top."""
METADATA: Final = "metadata."
SPANS: Final = {"m": 60, "h": 3600, "d": 86_400, "w": 604_800}
SPLIT: Final = 1_000_000

Key = tuple[str | None, ...]


@dataclass(slots=True)
class Sums:
    """The sums of some records. ``requests`` counts first attempts: a call that was tried again counts once.

    ``cost_pico`` is in 1e-12 USD, over the records that have a cost; ``unpriced`` counts those that have none,
    ``partly_priced`` those whose cost leaves something out, ``estimated`` those whose usage is an estimate of ours.
    """

    requests: int = 0
    attempts: int = 0
    errors: int = 0
    input_tokens: int = 0
    cached_tokens: int = 0
    cache_write_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0
    unpriced: int = 0
    partly_priced: int = 0
    estimated: int = 0
    cost_pico: int = 0

    def add(self, other: "Sums") -> None:
        """Add ``other`` to this."""
        for name in NAMES:
            setattr(self, name, getattr(self, name) + getattr(other, name))

    @property
    def cost(self) -> str:
        """The cost in US dollars, exact, with twelve decimals."""
        return f"{Decimal(self.cost_pico).scaleb(-12):f}"

    def as_dict(self) -> dict[str, Any]:
        """Return the sums as the report's JSON has them, the cost as a decimal text."""
        return {name: getattr(self, name) for name in NAMES if name != "cost_pico"} | {
            "cost": self.cost,
            "currency": "USD",
        }


NAMES: Final = tuple(entry.name for entry in fields(Sums))


@dataclass(slots=True)
class Report:
    """Rows of sums by what they are grouped by; ``None`` in a key means that the records have none of it."""

    since: datetime | None
    until: datetime | None
    group_by: list[str]
    rows: list[tuple[Key, Sums]] = field(default_factory=list)
    total: Sums = field(default_factory=Sums)

    def as_dict(self) -> dict[str, Any]:
        """Return the report as ``{"since", "until", "group_by", "rows": [{…}], "total": {…}}``."""
        return {
            "since": self.since.isoformat() if self.since else None,
            "until": self.until.isoformat() if self.until else None,
            "group_by": self.group_by,
            "rows": [dict(zip(self.group_by, key, strict=True)) | sums.as_dict() for key, sums in self.rows],
            "total": self.total.as_dict(),
        }


def report(
    group_by: list[str], since: datetime | None = None, until: datetime | None = None, using: str = "default"
) -> Report:
    """Sum the records from ``since`` up to, without, ``until``. Raises ``ValueError`` for an unknown group.

    A record of someone in two teams counts under each of them; in the total it counts once.
    """
    result = Report(since, until, group_by)
    rows: defaultdict[Key, Sums] = defaultdict(Sums)
    for row in _summed(group_by, since, until, using):
        sums = Sums(**{name: row[name] or 0 for name in NAMES if name != "cost_pico"})
        sums.cost_pico = (row["cost_high"] or 0) * SPLIT + (row["cost_low"] or 0)
        result.total.add(sums)
        for key in _keys(group_by, row):
            rows[key].add(sums)
    if group_by:
        by_time = "day" in group_by
        result.rows = sorted(
            rows.items(), key=lambda item: (0 if by_time else -item[1].cost_pico, [part or "" for part in item[0]])
        )
    return result


def moment(text: str, now: datetime) -> datetime:
    """Return the moment that ``text`` names: ``30m``, ``24h``, ``7d`` or ``2w`` ago, or an ISO date or time (UTC).

    Raises ``ValueError`` when it names none.
    """
    span = re.fullmatch(r"(\d{1,6})([mhdw])", text)
    try:
        if span:
            return now - timedelta(seconds=int(span[1]) * SPANS[span[2]])
        found = datetime.fromisoformat(text)
        return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except (ValueError, OverflowError):  # or before the year 1
        raise ValueError(f"{text!r} is not a valid time. Write 24h, 7d, 2026-11-01 or 2026-11-01T12:00:00Z.") from None


class MetadataValue(Func):
    """The text under a key of the metadata. Django's own lookup takes a key of digits for a place in a list."""

    output_field = TextField()

    def __init__(self, key: str) -> None:
        super().__init__(F("metadata"), Value(key))
        self.path = f'$."{key}"'

    def as_sqlite(self, compiler: SQLCompiler, connection: Any, **context: Any) -> Any:
        """Write it for SQLite, by path; a quote in the key can't be part of one, and no key has it."""
        column = self.source_expressions[0]
        return Func(column, Value(self.path), function="JSON_EXTRACT").as_sql(compiler, connection)

    def as_postgresql(self, compiler: SQLCompiler, connection: Any, **context: Any) -> Any:
        """Write it for PostgreSQL, with its operator."""
        return self.as_sql(compiler, connection, template="(%(expressions)s)", arg_joiner=" ->> ", **context)


def _summed(
    group_by: list[str], since: datetime | None, until: datetime | None, using: str
) -> "QuerySet[UsageRecord, dict[str, Any]]":
    records = UsageRecord.objects.using(using)
    if since is not None:
        records = records.filter(created_at__gte=since)
    if until is not None:
        records = records.filter(created_at__lt=until)
    if "day" in group_by:
        # The day in UTC as text, which both databases begin a time's text with: a tenth of the cost of TruncDate's.
        records = records.annotate(day=Left(Cast("created_at", TextField()), 10))
    columns: list[str] = []
    for number, group in enumerate(group_by):
        if group.startswith(METADATA) and group != METADATA:
            records = records.annotate(**{f"metadata_{number}": MetadataValue(group.removeprefix(METADATA))})
            columns.append(f"metadata_{number}")
        elif group in GROUPS:
            columns += GROUPS[group]
        else:
            raise ValueError(f"{group!r} is not a valid group. Use {', '.join(GROUPS)} or {METADATA}KEY.")
    # Something constant to group by makes one row out of the whole, like any other.
    return records.annotate(whole=Value(1)).values("whole", *dict.fromkeys(columns)).annotate(**_sums()).order_by()


def _sums() -> dict[str, Aggregate]:
    tokens = {name: Sum(name) for name in NAMES if name.endswith("_tokens")}
    return {
        "requests": Count("pk", filter=Q(attempt_number__lte=1)),
        "attempts": Count("pk"),
        "errors": Count("pk", filter=~Q(error_class="") | Q(status__gte=400)),
        **tokens,
        "unpriced": Count("pk", filter=Q(cost_pico=None)),
        "partly_priced": Count("pk", filter=~Q(price_gaps="")),
        "estimated": Count("pk", filter=Q(estimated=True)),
        "cost_high": Sum(F("cost_pico") / SPLIT),
        "cost_low": Sum(F("cost_pico") % SPLIT),
    }


def _keys(group_by: list[str], row: dict[str, Any]) -> Iterator[Key]:
    """Yield the keys that a row counts under: one, or one for each team."""
    teams = row["teams"] or [None] if "team" in group_by else [None]
    for team in dict.fromkeys(teams):
        yield tuple(_part(group, number, row, team) for number, group in enumerate(group_by))


def _part(group: str, number: int, row: dict[str, Any], team: str | None) -> str | None:
    if group == "team":
        return team
    if group == "day":
        return str(row["day"])
    if group == "user":
        name = str(row["subject_name"]) or None
        return f"virtualaccount:{name}" if row["subject_type"] == "virtualaccount" else name
    if group == "model":
        return _model(row["account"], row["model_asked"])
    return row[f"metadata_{number}" if group.startswith(METADATA) else GROUPS[group][0]] or None


def _model(account: str, asked: str) -> str | None:
    """Return ``account/model``: a bare name, sent with the account's header, counts with the model's full name."""
    return model_name(account, asked) or None
