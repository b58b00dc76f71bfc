"""Calls over WebRTC and SIP that no worker meters any more, because it died or lost the upstream: they are hung up."""

from accounts.database_clock import database_now
from gateway.jobs.leases import Lease
from gateway.jobs.upstream import Answer, Upstream, upstream_of
from gateway.objects.calls import OVER
from gateway.objects.job_kinds import REALTIME_CALL
from gateway.objects.store import mark_deleted
from providers.upstream.sync_client import Refused

STATE = "abandoned"


def hang_up(lease: Lease) -> None:
    """Hang an abandoned call up. Raises ``AccountGone``, ``Unreachable`` and ``Refused``: it is tried again then."""
    row = lease.row
    with upstream_of(row.account_name, even_disabled=True) as upstream:
        try:
            upstream.command(f"{REALTIME_CALL.address(row.object_id)}/hangup")
        except Refused as error:
            if error.status not in OVER:
                raise
    if lease.release(None, state=STATE, updated_at=database_now()):
        mark_deleted(row.object_id, row.account_name)


def finish(lease: Lease, answer: Answer, upstream: Upstream | None) -> None:
    """Hang up a call that is to end now."""
    hang_up(lease)


def lost(lease: Lease, answer: Answer) -> None:
    """Leave a call that can't be hung up: its account is gone, or the upstream has not answered for days."""
    lease.release(None, state=STATE, fault=answer.fault[:300])
