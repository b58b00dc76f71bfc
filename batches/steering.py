"""What an operator does with jobs, from the console and from the command: poll now, cancel, show what they cost."""

from collections.abc import Iterable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from django.db.models import Count, Q, Sum

from accounts.database_clock import database_now
from batches.charging import batch_key
from gateway.jobs.upstream import upstream_of
from gateway.managed import batches as own_batches
from gateway.models import OwnedObject
from gateway.objects import jobs
from gateway.objects.job_kinds import BATCH, STEERED
from usage.models import PICO, UsageRecord

# The moments that a job's body may have, in their order.
MOMENTS = (
    "created_at",
    "in_progress_at",
    "finalizing_at",
    "cancelling_at",
    "completed_at",
    "finished_at",
    "failed_at",
    "expired_at",
    "cancelled_at",
)


def poll_now(pks: Iterable[int]) -> int:
    """Let jobs be polled with the next sweep, also those that were given up; return how many."""
    rows = OwnedObject.objects.alive().filter(pk__in=list(pks), kind__in=STEERED)
    return rows.update(due_at=database_now(), lease_until=None, failures=0)


def cancel(row: OwnedObject) -> OwnedObject:
    """Cancel a job, at the upstream when it runs there; return its record as it is then. Raises what the upstream
    raises."""
    if own_batches.is_own(row.object_id):
        body = {**row.data["body"], "status": "cancelling", "cancelling_at": int(database_now().timestamp())}
        jobs.note(row.account_name, row.object_id, body)
        return OwnedObject.objects.get(pk=row.pk)
    with upstream_of(row.account_name) as upstream:
        answer = upstream.send(f"{STEERED[row.kind].address(row.object_id)}/cancel")
    jobs.note(row.account_name, row.object_id, answer.body)
    poll_now([row.pk])
    return OwnedObject.objects.get(pk=row.pk)


def costs_of(rows: Iterable[OwnedObject]) -> dict[int, dict[str, Any]]:
    """Return by key what batches cost so far: ``cost`` in US dollars, ``lines`` in the billing, ``unpriced`` of them.

    A line counts once, however many attempts it took.
    """
    keys = {batch_key(row): row.pk for row in rows if row.kind == BATCH.kind}
    sums = (
        UsageRecord.objects.filter(batch_key__in=keys)
        .values("batch_key")
        .annotate(
            pico=Sum("cost_pico"),
            lines=Count("batch_line", distinct=True),
            unpriced=Count("pk", filter=Q(cost_pico=None)),
        )
        .order_by()
    )
    return {
        keys[entry["batch_key"]]: {
            "cost": Decimal(entry["pico"] or 0) * PICO,
            "lines": entry["lines"],
            "unpriced": entry["unpriced"] and _unpriced_lines(entry["batch_key"]),
        }
        for entry in sums
    }


def _unpriced_lines(key: str) -> int:
    """Count a batch's lines without a price. An attempt that a kill interrupted has none; the line's success has."""
    good, unpriced = Q(status=200), Q(cost_pico=None)
    lines = UsageRecord.objects.filter(batch_key=key).values("batch_line").order_by()
    counted = lines.annotate(
        good=Count("pk", filter=good),
        good_unpriced=Count("pk", filter=good & unpriced),
        unpriced=Count("pk", filter=unpriced),
    )
    return counted.filter(Q(good_unpriced__gt=0) | Q(good=0, unpriced__gt=0)).count()


def history(row: OwnedObject) -> list[tuple[str, datetime]]:
    """Return the states that a job went through, with the moments in its body."""
    body = row.data.get("body") or {}
    return [
        (name.removesuffix("_at"), datetime.fromtimestamp(body[name], UTC))
        for name in MOMENTS
        if isinstance(body.get(name), int | float) and body[name] > 0
    ]


def progress(row: OwnedObject) -> tuple[int, int, int]:
    """Return of a batch how many lines are done, how many of them failed, and how many there are."""
    counts = (row.data.get("body") or {}).get("request_counts") or {}
    total = counts.get("total") or (row.data.get("origin") or {}).get("lines") or 0
    failed = counts.get("failed") or 0
    return (counts.get("completed") or 0) + failed, failed, total


def errors(row: OwnedObject) -> list[str]:
    """Return the errors in a job's body, a line each."""
    body = row.data.get("body") or {}
    listed = (body.get("errors") or {}).get("data") or []
    single = body.get("error") or {}
    found = [
        f"line {entry['line']}: {entry.get('message')}" if entry.get("line") else str(entry.get("message"))
        for entry in listed
    ]
    return [*found, *([str(single["message"])] if single.get("message") else [])]
