"""What callers say of their calls: a rating from 1 to 5, and a comment, one of each caller for a call."""

import base64
import binascii
import json
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from django.db.models import QuerySet

from usage import id_times
from usage.conditions import BadQuery, is_text
from usage.models import Feedback

LOWEST, HIGHEST = 1, 5
COMMENT_CHARACTERS = 4000
METADATA_ENTRIES, METADATA_CHARACTERS = 64, 500


def target_of(body: Mapping[str, Any]) -> tuple[str, str]:
    """Return the trace and span that a body's ``target`` names: by ``feedbackTargetId``, or by both ids.

    Raises :class:`BadQuery`.
    """
    target = body.get("target")
    if isinstance(target, dict) and isinstance(target.get("feedbackTargetId"), str):
        try:
            target = json.loads(base64.b64decode(target["feedbackTargetId"], validate=True))
        except (ValueError, binascii.Error, RecursionError):
            target = None
    if isinstance(target, dict):
        trace_id, span_id = target.get("traceId"), target.get("spanId")
        if is_text(trace_id) and is_text(span_id) and (len(trace_id), len(span_id)) == (32, 16):
            return trace_id, span_id
    raise BadQuery('target must be {"feedbackTargetId": …} with the value of x-tfy-feedback-target-id.', "target")


def values_of(body: Mapping[str, Any], *, whole: bool) -> dict[str, Any]:
    """Return the columns that a body gives; a ``whole`` one must have a rating. Raises :class:`BadQuery`."""
    found: dict[str, Any] = {}
    if whole or "rating" in body:
        rating = body.get("rating")
        if isinstance(rating, bool) or not isinstance(rating, int) or not LOWEST <= rating <= HIGHEST:
            raise BadQuery(f"rating must be a whole number from {LOWEST} to {HIGHEST}.", "rating")
        found["rating"] = rating
    if "comment" in body:
        comment = body["comment"]
        if not isinstance(comment, str) or len(comment) > COMMENT_CHARACTERS or "\0" in comment:
            raise BadQuery(f"comment must be a string of at most {COMMENT_CHARACTERS} characters.", "comment")
        found["comment"] = comment
    if "metadata" in body:
        metadata = body["metadata"]
        if not isinstance(metadata, dict) or not _is_flat(metadata):
            raise BadQuery("metadata must be an object of short strings, numbers and booleans.", "metadata")
        found["metadata"] = metadata
    return found


def _is_flat(metadata: Mapping[str, Any]) -> bool:
    return len(metadata) <= METADATA_ENTRIES and all(
        isinstance(value, str | int | float | bool)
        and max(len(key), len(str(value))) <= METADATA_CHARACTERS
        and "\0" not in f"{key}{value}"
        for key, value in metadata.items()
    )


def of_calls(keys: Iterable[tuple[str, str]], using: str) -> dict[tuple[str, str], list[dict[str, Any]]]:
    """Return what was said of calls, by their trace and span."""
    wanted = set(keys)
    found: dict[tuple[str, str], list[dict[str, Any]]] = {}
    if not wanted:
        return found
    rows = Feedback.objects.using(using).filter(trace_id__in={trace_id for trace_id, _ in wanted}).order_by("pk")
    for row in rows:
        if (row.trace_id, row.span_id) in wanted:
            found.setdefault((row.trace_id, row.span_id), []).append(row.as_dict())
    return found


def is_call(records: "QuerySet[Any]", trace_id: str, span_id: str) -> bool:
    """Whether one of the records belongs to the call that trace and span name."""
    if trace_id.endswith(span_id):
        own = records.filter(trace_id="", request_id=f"req_{trace_id}")
        return bool(id_times.since(own, trace_id).exists())
    return bool(records.filter(trace_id=trace_id, request_id__endswith=span_id).exists())


def prune(before: datetime) -> int:
    """Delete what was said before ``before``; return how much that was."""
    return Feedback.objects.filter(created_at__lt=before)._raw_delete("default")
