"""Batches that Gatehouse runs itself, through the same pipeline as live calls: where a provider has no batches, or on
demand.
"""

import secrets
from datetime import datetime, timedelta
from typing import Any

from gateway.call.call import Call
from gateway.call.errors import InvalidRequest
from gateway.call.request import InferenceRequest
from gateway.managed.fields import check_metadata, check_window, expiry_seconds
from gateway.managed.input import Summary
from gateway.models import NewObject
from gateway.objects.job_kinds import BATCH
from gateway.objects.records import new_object
from providers.snapshot import AccountSnapshot

PREFIX = "batch_gh"
HEADER = b"x-gatehouse-batch"
OUTPUT_EXPIRY = "output_expires_after"
WINDOW = timedelta(hours=24)


def is_own(object_id: str) -> bool:
    """Whether an id is that of a batch that Gatehouse runs."""
    return object_id.startswith(PREFIX)


def wanted(request: InferenceRequest) -> bool:
    """Whether a request asks for a batch of Gatehouse's own; raise :class:`InvalidRequest` for a word that is not
    known.
    """
    word = request.raw_headers.get(HEADER, b"").decode("latin1").strip().lower()
    if word not in ("", "native", "managed"):
        raise InvalidRequest("x-gatehouse-batch is 'native' or 'managed'.", param="x-gatehouse-batch")
    return word == "managed"


def runs_here(request: InferenceRequest, account: AccountSnapshot) -> bool:
    """Whether a new batch on the account is Gatehouse's to run."""
    return wanted(request) or BATCH.ability not in account.vendor.abilities


def check(asked: dict[str, Any]) -> None:
    """Raise :class:`InvalidRequest` for fields of a new batch that the vendor would refuse."""
    check_window(asked.get("completion_window"))
    check_metadata(asked.get("metadata"))
    expiry_seconds(asked.get(OUTPUT_EXPIRY), OUTPUT_EXPIRY)


def new_batch(
    call: Call, account: AccountSnapshot, asked: dict[str, Any], summary: Summary, now: datetime
) -> NewObject:
    """Return the record of a new batch, due at once, as ``asked`` for in fields that :func:`check` let pass."""
    batch_id = f"{PREFIX}{secrets.token_hex(16)}"
    origin = {
        "request_id": call.request_id,
        "token_prefix": call.caller.prefix,
        "models": summary.models,
        "lines": summary.lines,
        "endpoint": summary.endpoint,
        "output_lifetime": expiry_seconds(asked.get(OUTPUT_EXPIRY), OUTPUT_EXPIRY),
    }
    public = sorted(set(summary.models.values()))
    return new_object(
        call.caller,
        account.name,
        BATCH.kind,
        batch_id,
        model_name=public[0] if len(public) == 1 else "",
        metadata=call.options.metadata,
        state="in_progress",
        data={"body": batch_body(batch_id, asked, summary, now), "origin": origin},
        due_in=timedelta(),
    )


def batch_body(batch_id: str, asked: dict[str, Any], summary: Summary, now: datetime) -> dict[str, Any]:
    """Return OpenAI's object for a batch that begins now."""
    moments = dict.fromkeys(
        ("finalizing_at", "completed_at", "failed_at", "expired_at", "cancelling_at", "cancelled_at")
    )
    return {
        "id": batch_id,
        "object": "batch",
        "endpoint": summary.endpoint,
        "errors": None,
        "input_file_id": asked["input_file_id"],
        "completion_window": asked["completion_window"],
        "status": "in_progress",
        "output_file_id": None,
        "error_file_id": None,
        "created_at": int(now.timestamp()),
        "in_progress_at": int(now.timestamp()),
        "expires_at": int((now + WINDOW).timestamp()),
        **moments,
        "request_counts": {"total": summary.lines, "completed": 0, "failed": 0},
        "metadata": asked.get("metadata"),
    }
