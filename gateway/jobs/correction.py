"""Corrections: what was charged when it was begun, and failed later, is taken back by a usage record of its own.

The record has the call's own columns, with the counts and the cost of the original below zero, so that every sum comes
to what the vendor bills. It counts as an attempt with an error, not as another request. Its id follows from account and
object, and it is stored with the end of the job's lease: no number of workers, crashes or repeats makes a second one.
"""

import uuid

from accounts.database_clock import database_now
from gateway.jobs.charge import CHARGE_IDS, store_with_release
from gateway.jobs.engine import NotYet
from gateway.jobs.leases import Lease
from gateway.jobs.upstream import Answer, Upstream
from gateway.models import OwnedObject
from usage import id_times
from usage.decisions import VIA
from usage.models import UsageRecord
from usage.records import AttemptRecord

COPIED = (
    "request_id",
    "subject_type",
    "subject_id",
    "subject_name",
    "token_id",
    "token_prefix",
    "teams",
    "account",
    "provider",
    "model_asked",
    "model_served",
    "operation",
    "endpoint",
    "status",
    "service_tier",
    "price_version",
    "metadata",
)
COUNTS = tuple(name for name in AttemptRecord.__struct_fields__ if name.endswith("_tokens"))


def finish(lease: Lease, answer: Answer, upstream: Upstream | None) -> None:
    """Take back what was charged for a job that failed; leave the charge of one that did not."""
    records = [] if answer.state != "failed" else corrections(lease.row, answer)
    store_with_release(lease, records, answer)


def lost(lease: Lease, answer: Answer) -> None:
    """Leave the charge of a job whose end is not known."""
    store_with_release(lease, [], answer)


def corrections(row: OwnedObject, answer: Answer) -> list[AttemptRecord]:
    """Return the record that takes back what beginning a job cost: none where it cost nothing, or nothing known.

    Raises :class:`~gateway.jobs.engine.NotYet` while that record waits in a spool.
    """
    attempt_id = str(uuid.uuid5(CHARGE_IDS, f"{row.account_name}/{row.object_id}/correction"))
    request_id = row.data["request_id"]
    attempts = id_times.since(UsageRecord.objects.filter(request_id=request_id, account=row.account_name), request_id)
    if attempts.filter(pk=attempt_id).exists():
        return []
    begun = attempts.filter(upstream_status__range=(200, 299))
    original = begun.order_by("attempt_number").last()
    if original is None:
        raise NotYet("The usage record of the call that began it is not in the database yet.")
    if not original.cost_pico:
        return []
    return [
        AttemptRecord(
            **{name: getattr(original, name) for name in COPIED},
            **{name: -getattr(original, name) for name in COUNTS},
            attempt_id=attempt_id,
            started_at=int(database_now().timestamp() * 1_000_000),
            attempt_number=original.attempt_number + 1,
            upstream_status=answer.status,
            error_class=f"{row.kind}_{answer.state}"[:40],
            units={name: -count for name, count in original.units.items()},
            cost_pico=-original.cost_pico,
            object_id=row.object_id,
            decision={VIA: original.decision[VIA]} if original.decision.get(VIA) else {},
        )
    ]
