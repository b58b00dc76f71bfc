"""Routing: every attempt of a virtual model's call says how its target does."""

import logging
import math
from contextlib import suppress
from time import monotonic

from gateway.call.call import Call, CallAttempt
from gateway.routing.health import FAILED, Sample, health
from usage.records import AttemptRecord

logger = logging.getLogger("gateway.routing")

UNREACHABLE = 503
BROKEN = 502


async def admit(call: Call) -> None:
    """Let everything pass: the plan was made where the model was resolved."""


def settle(call: Call, attempt: CallAttempt) -> None:
    """Take an attempt into what is known of its target. What the caller or this server ended says nothing of it."""
    record = attempt.record
    if call.plan.virtual is None or record.client_gone or call.ended_by is not None:
        return
    name = attempt.target.model.public_name
    target, status, now = health.of(name), _status(record), monotonic()
    if status in FAILED:
        if target.note_failure(status, now, _asked_rest(attempt)):
            logger.warning("The target %s of virtual models rests: it failed with %d.", name, status)
    elif status < 400 and target.note_success(_sample(record, now)):
        logger.warning("The target %s of virtual models is back.", name)


def _status(record: AttemptRecord) -> int:
    """Return the status that an attempt counts as: its own, or one for an answer that never came or broke off."""
    if not record.error_class:
        return record.status
    if not record.upstream_status:
        return UNREACHABLE
    return BROKEN if record.status < 400 else record.status


def _asked_rest(attempt: CallAttempt) -> float | None:
    """Return how many seconds the answer asks to stay away, ``None`` where it does not."""
    asked = attempt.answer.headers.get("retry-after") if attempt.answer is not None else None
    with suppress(ValueError, TypeError):
        seconds = float(asked or "")
        return seconds if math.isfinite(seconds) and seconds > 0 else None
    return None


def _sample(record: AttemptRecord, now: float) -> Sample:
    first = record.ttft_us / 1000 if record.ttft_us is not None else None
    whole, tokens = record.latency_us / 1000, record.output_tokens or 0
    if first is not None and tokens > 1:
        return Sample(now, first, (whole - first) / (tokens - 1))
    return Sample(now, first, whole / tokens if tokens else None)
