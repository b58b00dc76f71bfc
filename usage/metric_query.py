"""The contract's ``metrics/query`` over usage records: aggregates, by groups and over time.

One row a call and attempt: virtual models have no rows of their own here, so nothing is counted twice.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from django.db import models
from django.db.models import Aggregate, Avg, Count, F, FloatField, Func, Max, Min, Q, QuerySet, Sum, Value
from django.db.models.functions import Cast

from usage.conditions import (
    FLAG,
    LIST,
    NUMBER,
    RESOLVED,
    BadQuery,
    Field,
    filters_of,
    metadata_value,
    moment,
    narrowed,
    with_metadata,
    with_models,
)
from usage.models import UsageRecord

MILLISECONDS, DOLLARS = 1000, 1e12
MOST_ROWS = 10_000
MOST_BUCKETS = 2000
UNITS: Final = {"second": 1, "minute": 60, "hour": 3600, "day": 86_400, "week": 604_800}
DATASOURCE = "modelMetrics"

COLUMNS: Final = {
    "modelName": Field(RESOLVED),
    "requestedModelName": Field("model_asked"),
    "providerModelName": Field("model_served"),
    "requestType": Field("operation"),
    "providerAccountType": Field("provider"),
    "providerAccountName": Field("account"),
    "createdBySubjectSlug": Field("subject_name"),
    "createdBySubjectType": Field("subject_type"),
    "errorCode": Field("error_class"),
    "errorType": Field("error_class"),
    "traceId": Field("request_id"),
    "team": Field("teams", LIST),
    "streaming": Field("stream", FLAG),
    "httpStatusCode": Field("status", NUMBER),
    "latencyMs": Field("latency_us", NUMBER, MILLISECONDS),
    "timeToFirstTokenMs": Field("ttft_us", NUMBER, MILLISECONDS),
    "inputTokens": Field("input_tokens", NUMBER),
    "outputTokens": Field("output_tokens", NUMBER),
    "cacheReadInputTokens": Field("cached_tokens", NUMBER),
    "reasoningTokens": Field("reasoning_tokens", NUMBER),
    "costInUSD": Field("cost_pico", NUMBER, DOLLARS),
}
"""What may be filtered by, grouped by (strings) and aggregated."""
SUBJECTS: Final = {"userEmail": "user", "virtualaccount": "virtualaccount"}
"""Groups that are the name of a subject of one type."""
PERCENTILE: Final = re.compile(r"p(\d{1,2})")


class Percentile(Aggregate):
    """The continuous percentile of a column: the value below which ``share`` of the values are, interpolated."""

    function = "PERCENTILE"
    output_field = FloatField()

    def __init__(self, column: str, share: float) -> None:
        super().__init__(Cast(column, FloatField()), Value(share))
        self._share = share

    def as_postgresql(self, compiler: Any, connection: Any, **context: Any) -> Any:
        """Write it as an ordered-set aggregate."""
        column, parameters = compiler.compile(self.source_expressions[0])
        return f"PERCENTILE_CONT(%s) WITHIN GROUP (ORDER BY {column})", [self._share, *parameters]


class SqlitePercentile:
    """The same for SQLite, which has none: registered for every connection (``usage.apps``)."""

    def __init__(self) -> None:
        self._values: list[float] = []
        self._share = 0.5

    def step(self, value: float | None, share: float) -> None:
        """Take a row's value."""
        self._share = share
        if value is not None:
            self._values.append(value)

    def finalize(self) -> float | None:
        """Return the percentile."""
        if not self._values:
            return None
        self._values.sort()
        place = self._share * (len(self._values) - 1)
        low = int(place)
        high = min(low + 1, len(self._values) - 1)
        return self._values[low] + (self._values[high] - self._values[low]) * (place - low)


class Bucket(Func):
    """The number of the interval of ``seconds`` since 1970 that a record's time lies in."""

    output_field = models.BigIntegerField()

    def __init__(self, seconds: int) -> None:
        super().__init__(F("created_at"))
        self._seconds = int(seconds)

    def as_sqlite(self, compiler: Any, connection: Any, **context: Any) -> Any:
        """Write it for SQLite, whose times are strings. The number is in the text: rows are grouped by this."""
        column, parameters = compiler.compile(self.source_expressions[0])
        return f"(CAST(UNIXEPOCH({column}) AS INTEGER) / {self._seconds})", parameters

    def as_postgresql(self, compiler: Any, connection: Any, **context: Any) -> Any:
        """Write it for PostgreSQL."""
        column, parameters = compiler.compile(self.source_expressions[0])
        return f"(FLOOR(EXTRACT(EPOCH FROM {column}))::bigint / {self._seconds})", parameters


def query_metrics(records: "QuerySet[UsageRecord]", query: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    """Return the data points of ``records``, which are those that the caller may see. Raises :class:`BadQuery`."""
    source = query.get("datasource", DATASOURCE)
    if source != DATASOURCE:
        raise BadQuery(f"datasource {source!r} is not supported. Valid value: {DATASOURCE}.", "datasource")
    kind = query.get("type", "distribution")
    if kind not in ("distribution", "timeseries"):
        raise BadQuery("type must be distribution or timeseries.", "type")
    if not query.get("startTs"):
        raise BadQuery("startTs is missing: a time like 2026-11-26T12:00:00Z.", "startTs")
    began = moment(query["startTs"], "startTs")
    ended = moment(query["endTs"], "endTs") if query.get("endTs") else now
    chosen = with_models(records.filter(created_at__gte=began, created_at__lt=ended))
    chosen = _filtered(chosen, query)
    seconds = _interval(query, ended - began) if kind == "timeseries" else 0
    chosen, groups = _grouped(chosen, query.get("groupBy") or [])
    aggregates = _aggregates(query.get("aggregations") or [])
    values = [column for _, column in groups]
    if seconds:
        chosen = chosen.annotate(bucket=Bucket(seconds))
        values.append("bucket")
    rows = chosen.annotate(whole=Value(1)).values("whole", *values).order_by(*values)
    found = rows.annotate(total=Count("pk"), **{name: each for name, (each, _) in aggregates.items()})[:MOST_ROWS]
    return {"data": {"dataPoints": [_point(row, groups, aggregates, seconds) for row in found]}}


def _point(
    row: Mapping[str, Any], groups: list[tuple[str, str]], aggregates: Mapping[str, Any], seconds: int
) -> dict[str, Any]:
    point: dict[str, Any] = {}
    if seconds:
        at = datetime.fromtimestamp(row["bucket"] * seconds, UTC)
        point = {"startTimestamp": _iso(at), "endTimestamp": _iso(at + timedelta(seconds=seconds))}
    point["total"] = row["total"]
    for name, (_, scale) in aggregates.items():
        value = row[name]
        point[name] = value / scale if value is not None and scale != 1 else value
    return point | {name: row[column] or None for name, column in groups}


def _filtered(records: "QuerySet[UsageRecord]", query: Mapping[str, Any]) -> "QuerySet[UsageRecord]":
    for number, given in enumerate(filters_of(query)):
        name, operator, value = str(given.get("fieldName")), str(given.get("operator")), given.get("value")
        if given.get("metadataKey"):
            records, field = with_metadata(records, given["metadataKey"], number)
            records = narrowed(records, number, field, operator, value)
        elif name in ("virtualModelName", "virtualModel"):
            if operator != "IS_NULL":
                raise BadQuery("virtualModelName takes IS_NULL only: every row is of a model.", f"filters[{number}]")
            records = records if value is not False else records.none()
        elif name == "isFailure":
            failed = ~Q(error_class="") | Q(status__gte=400)
            records = records.filter(failed if (value is not False) == (operator == "EQUAL") else ~failed)
        elif name in SUBJECTS:
            records = narrowed(
                records.filter(subject_type=SUBJECTS[name]), number, Field("subject_name"), operator, value
            )
        elif name in COLUMNS:
            records = narrowed(records, number, COLUMNS[name], operator, value)
        else:
            valid = ", ".join([*COLUMNS, *SUBJECTS, "isFailure", "virtualModelName"])
            raise BadQuery(f"{name!r} can't be filtered by. Valid names: {valid}.", f"filters[{number}].fieldName")
    return records


def _grouped(records: "QuerySet[UsageRecord]", given: Any) -> "tuple[QuerySet[UsageRecord], list[tuple[str, str]]]":
    """Return the records, and pairs of a group's key in data points and its column."""
    if not isinstance(given, list) or len(given) > 5:
        raise BadQuery("groupBy must be a list of at most five names.", "groupBy")
    groups = []
    for number, each in enumerate(given):
        name = f"metadata.{each['metadataKey']}" if isinstance(each, dict) and each.get("metadataKey") else str(each)
        if name.startswith("metadata."):
            key = name.removeprefix("metadata.")
            value = metadata_value(key, f"groupBy[{number}]")
            records = records.annotate(**{f"group_{number}": value})
            groups.append((key, f"group_{number}"))
        elif name in SUBJECTS:
            records = records.filter(subject_type=SUBJECTS[name])
            groups.append(("createdBySubjectSlug", "subject_name"))
        elif (name in COLUMNS and COLUMNS[name].kind not in (NUMBER, LIST)) or name == "httpStatusCode":
            groups.append((name, COLUMNS[name].column))
        else:
            valid = [key for key, field in COLUMNS.items() if field.kind not in (NUMBER, LIST)]
            names = ", ".join([*valid, "httpStatusCode", *SUBJECTS, "metadata.KEY"])
            raise BadQuery(
                f"{name!r} can't be grouped by. Valid names: {names}.",
                f"groupBy[{number}]",
            )
    return records, groups


def _aggregates(given: Any) -> dict[str, tuple[Aggregate, float]]:
    """Return aggregates by their key in data points, each with what its value is divided by."""
    if not isinstance(given, list) or len(given) > 20 or not all(isinstance(each, dict) for each in given):
        raise BadQuery("aggregations must be a list of at most 20 objects.", "aggregations")
    found: dict[str, tuple[Aggregate, float]] = {}
    for number, each in enumerate(given):
        kind, name = str(each.get("type")), str(each.get("column"))
        field = COLUMNS.get(name)
        if field is None:
            raise BadQuery(
                f"{name!r} is not a column. Valid names: {', '.join(COLUMNS)}.", f"aggregations[{number}].column"
            )
        aggregate = _aggregate(kind, field)
        if aggregate is None:
            types = "count, countDistinct" + (", sum, avg, min, max, p50 to p99" if field.kind == NUMBER else "")
            raise BadQuery(f"{kind!r} can't be used for {name}. Valid types: {types}.", f"aggregations[{number}].type")
        scale = 1 if kind.startswith("count") else field.scale
        found[f"{kind}{name[0].upper()}{name[1:]}"] = aggregate, scale
    return found


def _aggregate(kind: str, field: Field) -> Aggregate | None:
    if kind == "count":
        return Count(field.column)
    if kind == "countDistinct" and field.kind != LIST:
        return Count(field.column, distinct=True)
    if field.kind != NUMBER:
        return None
    if percentile := PERCENTILE.fullmatch(kind):
        return Percentile(field.column, int(percentile[1]) / 100)
    if kind == "sum":
        return Sum(Cast(field.column, FloatField()) if field.column == "cost_pico" else F(field.column))
    plain: dict[str, type[Aggregate]] = {"avg": Avg, "min": Min, "max": Max}
    return plain[kind](field.column) if kind in plain else None


def _interval(query: Mapping[str, Any], whole: timedelta) -> int:
    given = query.get("interval") or f"{query.get('intervalInSeconds', 0)} second"
    found = re.fullmatch(r"([1-9]\d{0,8}) (second|minute|hour|day|week)s?", str(given))
    if found is None:
        raise BadQuery('interval must be like "5 minute", "1 hour" or "1 day".', "interval")
    seconds = int(found[1]) * UNITS[found[2]]
    if whole.total_seconds() / seconds > MOST_BUCKETS:
        raise BadQuery(f"That makes more than {MOST_BUCKETS} intervals. Ask for a longer interval.", "interval")
    return seconds


def _iso(at: datetime) -> str:
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
