"""The kinds of alerts: what each measures, from usage records, budgets, the spool and the models. One row each."""

import socket
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from django.db.models import Count, F, Q, QuerySet, Sum, TextField, Value
from django.db.models.fields.json import KT
from django.db.models.functions import Concat

from providers.models import Model, virtual_names
from rules.used import used_now
from usage import recovery
from usage.decisions import ARROW, VIA
from usage.ledger import spool_directory
from usage.metric_query import Percentile
from usage.models import PICO, UsageRecord
from usage.rollups import model_name

ALL, ACCOUNT, MODEL = "all", "account", "model"
EVERYTHING = "all calls"
FAILED: Final = Q(client_gone=False) & (
    Q(status__gte=500) | (~Q(error_class="") & Q(status__lt=400)) | Q(upstream_status__in=(401, 403, 408, 429))
)
"""Attempts that the provider or the gateway failed; what callers did wrong does not count."""
KEY_REFUSED: Final = Q(upstream_status__in=(401, 403))
COLUMNS: Final = {ALL: (), ACCOUNT: ("account",), MODEL: ("account", "model_asked", "model_resolved")}


@dataclass(frozen=True, slots=True)
class Question:
    """What an alert asks: of the last ``minutes``, counted apart ``per`` account or model, ``only`` of some."""

    threshold: float
    minutes: int
    least_calls: int
    per: str
    only: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Reading:
    """What was measured of one subject, as a number and in a sentence."""

    subject: str
    value: float
    said: str


@dataclass(frozen=True, slots=True)
class AlertKind:
    """A kind of alert. ``unit`` is that of its threshold, ``usual`` a threshold to begin with.

    ``below``: it is raised by values up to the threshold, not from it on. ``own_host``: it is about the machine that
    measures.
    """

    label: str
    unit: str
    usual: float
    measure: Callable[[Question, datetime], Iterable[Reading]]
    per: tuple[str, ...] = (ALL,)
    below: bool = False
    own_host: bool = False


# --- what records say -------------------------------------------------------------------------------------------------
def _records(asked: Question, now: datetime) -> "QuerySet[UsageRecord]":
    records = UsageRecord.objects.filter(created_at__gte=now - timedelta(minutes=asked.minutes), attempt_number__gte=1)
    if asked.only:
        named = Q(account__in=asked.only) | Q(model_asked__in=asked.only) | Q(model_resolved__in=asked.only)
        virtual = virtual_names().intersection(asked.only)
        if virtual:
            records = records.annotate(
                way=Concat(Value(ARROW), KT(f"decision__{VIA}"), Value(ARROW), output_field=TextField())
            )
            for name in virtual:
                named |= Q(way__contains=f"{ARROW}{name}{ARROW}")
        records = records.filter(named)
    return records


def _by_subject(
    records: "QuerySet[UsageRecord]", per: str, join: Callable[[Any, Any], Any], **aggregates: Any
) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield the aggregates of each subject; ``join`` makes one of those of a model's several spellings."""
    found: dict[str, dict[str, Any]] = {}
    groups = records.annotate(whole=Value(1)).values("whole", *COLUMNS[per]).annotate(**aggregates).order_by()
    for row in groups:
        subject = _subject(row, per)
        values = {name: row[name] or 0 for name in aggregates}
        if subject in found:
            values = {name: join(values[name], found[subject][name]) for name in values}
        found[subject] = values
    yield from sorted(found.items())


def _subject(row: Mapping[str, Any], per: str) -> str:
    if per == MODEL:
        return row["model_resolved"] or model_name(row["account"], row["model_asked"])
    return row["account"] if per == ACCOUNT else EVERYTHING


def _add(left: Any, right: Any) -> Any:
    return left + right


def _error_rate(asked: Question, now: datetime) -> Iterator[Reading]:
    counts = {"calls": Count("pk"), "failed": Count("pk", filter=FAILED)}
    for subject, row in _by_subject(_records(asked, now), asked.per, _add, **counts):
        if row["calls"] >= asked.least_calls:
            share = row["failed"] * 100 / row["calls"]
            said = f"{share:.1f} % of {row['calls']} calls failed within {asked.minutes} minutes"
            yield Reading(subject, share, f"{subject}: {said}.")


def _slow(column: str, what: str) -> Callable[[Question, datetime], Iterator[Reading]]:
    def measure(asked: Question, now: datetime) -> Iterator[Reading]:
        good = _records(asked, now).filter(status__lt=400, error_class="", **{f"{column}__isnull": False})
        values = {"calls": Count("pk"), "p95": Percentile(column, 0.95)}
        for subject, row in _by_subject(good, asked.per, max, **values):
            if row["calls"] >= asked.least_calls:
                milliseconds = row["p95"] / 1000
                said = f"one call in twenty took {milliseconds:,.0f} ms or more {what}"
                yield Reading(subject, milliseconds, f"{subject}: {said}.")

    return measure


def _spend_rate(asked: Question, now: datetime) -> Iterator[Reading]:
    for subject, row in _by_subject(_records(asked, now), asked.per, _add, cost=Sum("cost_pico")):
        rate = float(int(row["cost"]) * PICO) * 60 / asked.minutes
        yield Reading(subject, rate, f"{subject}: ${rate:,.2f} an hour are spent.")


def _failing_key(asked: Question, now: datetime) -> Iterator[Reading]:
    refused = _records(asked, now).filter(KEY_REFUSED)
    for subject, row in _by_subject(refused, ACCOUNT, _add, calls=Count("pk")):
        said = f"the provider refused the key {row['calls']} times within {asked.minutes} minutes"
        yield Reading(subject, row["calls"], f"{subject}: {said}.")


# --- what else there is -----------------------------------------------------------------------------------------------
def _budget_used(asked: Question, now: datetime) -> Iterator[Reading]:
    for used in used_now(now.timestamp()):
        if asked.only and used.rule.label not in asked.only and used.rule.name not in asked.only:
            continue
        whom = f" of {' and '.join(used.entity)}" if used.entity else ""
        subject = f"{used.rule.label}{whom}, {used.unit}"
        yield Reading(subject, used.percent, f"The budget {subject}: {used.percent:.0f} % are used.")


def _spool(asked: Question, now: datetime) -> Iterator[Reading]:
    folder, host = spool_directory(), socket.gethostname()
    megabytes = recovery.held_bytes(folder) / 2**20 if folder.exists() else 0.0
    yield Reading(host, megabytes, f"{host}: {megabytes:,.1f} MB of usage records wait for the database.")


def _shutdown(asked: Question, now: datetime) -> Iterator[Reading]:
    models = Model.objects.filter(enabled=True, account__enabled=True, deprecated_on__isnull=False)
    models = models.filter(deprecated_on__lte=now.date() + timedelta(days=asked.threshold))
    for name, account, day in models.values_list("name", "account__name", "deprecated_on").order_by(F("deprecated_on")):
        full = f"{account}/{name}"
        if day and (not asked.only or account in asked.only or full in asked.only):
            yield Reading(full, (day - now.date()).days, f"{full} is shut down on {day}. Move its callers.")


BY_CALL: Final = (ALL, ACCOUNT, MODEL)
KINDS: Final = {
    "error_rate": AlertKind("Error rate", "percent of calls", 10, _error_rate, BY_CALL),
    "latency_p95": AlertKind("Latency, 95th percentile", "ms", 30_000, _slow("latency_us", "in all"), BY_CALL),
    "first_token_p95": AlertKind(
        "Time to first token, 95th percentile", "ms", 5_000, _slow("ttft_us", "to the first token"), BY_CALL
    ),
    "spend_rate": AlertKind("Spend rate", "US dollars an hour", 100, _spend_rate, BY_CALL),
    "budget_used": AlertKind("Budget used", "percent of the limit", 90, _budget_used),
    "failing_key": AlertKind("Key refused by the provider", "calls", 3, _failing_key, (ACCOUNT,)),
    "spool": AlertKind("Usage records that wait", "MB", 50, _spool, own_host=True),
    "model_shutdown": AlertKind("Model shuts down", "days ahead", 30, _shutdown, (MODEL,), below=True),
}
