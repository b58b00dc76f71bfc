"""Routing: every attempt of a virtual model's call says how its target does."""

from time import monotonic

from gateway.call.call import Call, CallAttempt
from gateway.routing.health import FAILED, Sample, health
from gateway.routing.keys import MOVING
from providers.upstream.headers import retry_after
from usage.records import AttemptRecord

BROKEN = 502


def settle(call: Call, attempt: CallAttempt) -> None:
    """Take an attempt into what is known of its target. What the caller or this server ended says nothing of it: had it
    been the target's probe, another call may be that at once.
    """
    if not call.plan.routed:
        return
    name, status = attempt.target.model.public_name, _status(attempt)
    health.ended(name)
    targets = _is_the_targets(call, attempt, status)
    if targets and status in FAILED:
        health.failed(name, status, retry_after(attempt.answer.headers.raw) if attempt.answer is not None else None)
    elif targets and attempt.record.upstream_status and status < 400:
        health.succeeded(name, _sample(attempt.record, monotonic()))
    elif attempt.probes:
        health.end_probe(name)


def _is_the_targets(call: Call, attempt: CallAttempt, status: int) -> bool:
    """Whether an attempt's end is its target's doing. A key that is refused is the key's where there is another."""
    if attempt.record.client_gone or call.ended_by is not None or call.body.fault is not None:
        return False
    return not (attempt.spare_key and status in MOVING)


def _status(attempt: CallAttempt) -> int:
    """Return the status that an attempt counts as: its answer's, that of an error inside it or of what ended it."""
    status = max(attempt.record.status, attempt.outcome)
    return BROKEN if attempt.record.error_class and status < 400 else status


def _sample(record: AttemptRecord, now: float) -> Sample:
    first = record.ttft_us / 1000 if record.ttft_us is not None else None
    whole, tokens = record.latency_us / 1000, record.output_tokens or 0
    if first is not None and tokens > 1:
        return Sample(now, first, (whole - first) / (tokens - 1), whole)
    return Sample(now, first, whole / tokens if tokens else None, whole)
