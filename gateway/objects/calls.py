"""Calls over WebRTC and SIP as owned objects: claimed once, kept while a worker meters them, ended.

A call that no worker has kept for ``KEPT`` is due: a job hangs it up (``gateway.jobs.abandoned``).
"""

from datetime import timedelta

from django.db import IntegrityError, transaction

from accounts.database_clock import database_now
from gateway.models import NewObject, OwnedObject
from gateway.objects.job_kinds import REALTIME_CALL

KEEP_SECONDS = 10.0
KEPT = timedelta(seconds=30)
OVER = frozenset({404, 409, 410})
"""What an upstream says to the hang-up of a call that is over already."""


def claim(call: NewObject) -> bool:
    """Record a new call; return whether it is new: of several who accept one call, one succeeds."""
    try:
        with transaction.atomic():
            call.row(database_now()).save(force_insert=True)
    except IntegrityError:
        return False
    return True


def keep(account_name: str, call_id: str) -> bool:
    """Note that a worker still meters the call; return whether it goes on as far as the records know."""
    rows = OwnedObject.objects.named(account_name, call_id).alive().unfinished()
    return bool(rows.update(due_at=database_now() + KEPT))


def unclaim(account_name: str, call_id: str) -> None:
    """Remove the record of a call that was not accepted after all: another caller may accept it."""
    OwnedObject.objects.named(account_name, call_id).filter(kind=REALTIME_CALL.kind).delete()
