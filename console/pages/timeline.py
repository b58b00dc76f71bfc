"""The timeline of a request, from what its records hold: policies, attempts, first and last output, and why each next
one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from usage import words
from usage.decisions import VIA
from usage.models import UsageRecord

LONGEST_BEFORE = timedelta(hours=1)
"""No call waits longer before its first attempt: a greater distance means that the id was not given at its start."""
LEAST_WIDTH = 0.4


@dataclass(frozen=True, slots=True)
class Bar:
    """A part of the timeline: from ``left`` for ``width`` per cent of the whole, ``first`` per cent of it until the
    first output.
    """

    left: float
    width: float
    first: float


def received_at(request_id: str) -> datetime | None:
    """Return when a request came in, to the millisecond: ids of ours are UUIDs of version 7; ``None``: another's id."""
    digits = request_id.removeprefix("req_").replace("-", "")
    if len(digits) != 32 or digits[12] != "7":
        return None
    try:
        return datetime.fromtimestamp(int(digits[:12], 16) / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        return None


def timeline(records: Sequence[UsageRecord]) -> dict[str, Any]:
    """Return the steps of a request whose records are given in the order of their attempts: ``steps``, and ``took``.

    A step has ``title``, ``at`` (since the request came), ``took``, ``colour``, ``notes`` and a :class:`Bar`.
    """
    first = records[0]
    came = received_at(first.request_id)
    known = came is not None and timedelta(0) <= first.created_at - came <= LONGEST_BEFORE
    start = came if came is not None and known else first.created_at
    end = max(record.created_at + timedelta(microseconds=record.latency_us) for record in records)
    whole = max((end - start).total_seconds(), 1e-6)
    before = first.created_at - start
    steps = [
        {
            "title": "Authentication and policies",
            "at": words.duration(0),
            "took": words.duration(_micros(before)) if known else "",
            "colour": "bad" if first.attempt_number == 0 else "good",
            "notes": [] if first.attempt_number else [f"Refused before any attempt: {ending_of(first)}."],
            "bar": _bar(0, before.total_seconds(), 0, whole) if known else None,
        }
    ]
    attempts = [record for record in records if record.attempt_number]
    followed: list[UsageRecord | None] = [*attempts[1:], None]
    for record, following in zip(attempts, followed, strict=False):  # refused ones have no attempt at all
        steps.append(_attempt(record, following, start, whole))
    return {"steps": steps, "took": words.duration(_micros(end - start))}


def _attempt(record: UsageRecord, following: UsageRecord | None, start: datetime, whole: float) -> dict[str, Any]:
    offset = record.created_at - start
    took = record.latency_us / 1e6
    first = (record.ttft_us or 0) / record.latency_us * 100 if record.latency_us else 0
    said = record.error_message if following else ""  # the last one's words are those of the whole request
    via = record.decision.get(VIA)
    notes = (
        f"Reached through {via}." if via else "",
        _ending(record),
        said,
        _outputs(record, offset),
        _next(record, following),
    )
    return {
        "title": f"Attempt {record.attempt_number} at {target_of(record)}",
        "at": words.duration(_micros(offset)),
        "took": words.duration(record.latency_us),
        "colour": "good" if not record.error_class else "warn" if following else "bad",
        "notes": [text for text in notes if text],
        "bar": _bar(offset.total_seconds(), took, min(first, 100), whole),
    }


def target_of(record: UsageRecord) -> str:
    """Return where an attempt went: the model's public name, or else the account with the vendor's name for it."""
    return record.model_resolved or "/".join(part for part in (record.account, record.model_served) if part)


def ending_of(record: UsageRecord) -> str:
    """Return a record's status and kind of error as one text: ``200``, ``429 rate_limit_exceeded``, ``timeout``."""
    return " ".join(str(part) for part in (record.status or "", record.error_class) if part) or "no answer"


def _ending(record: UsageRecord) -> str:
    said = f"It ended with {ending_of(record)}"
    upstream = record.upstream_status
    if not upstream:
        return f"{said}; the provider sent no status."
    return f"{said}; the provider answered {upstream}." if upstream != record.status else f"{said}."


def _outputs(record: UsageRecord, offset: timedelta) -> str:
    last = f"the last byte at {words.duration(_micros(offset) + record.latency_us)}"
    if record.ttft_us is None:
        return f"{last[0].upper()}{last[1:]}." if not record.error_class else ""
    return f"First output at {words.duration(_micros(offset) + record.ttft_us)}, {last}."


def _next(record: UsageRecord, following: UsageRecord | None) -> str:
    if following is None:
        return "The client left before the answer was complete." if record.client_gone else ""
    why = f"because of {ending_of(record)}"
    if target_of(following) == target_of(record):
        return f"Tried again at the same target {why}."
    return f"Went on to {target_of(following)} {why}."


def _bar(offset: float, took: float, first: float, whole: float) -> Bar:
    left = min(max(offset, 0) / whole * 100, 100 - LEAST_WIDTH)
    return Bar(round(left, 2), round(max(min(took / whole * 100, 100 - left), LEAST_WIDTH), 2), round(first, 2))


def _micros(span: timedelta) -> int:
    return int(span.total_seconds() * 1_000_000)
