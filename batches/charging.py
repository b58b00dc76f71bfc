"""What a batch cost: a usage record for each line of its output, under a key that follows from account, batch and line.

A line is charged once, whichever worker counts it and however often: the record's id is the key. Lines that failed cost
nothing."""

import hashlib
import logging
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import msgspec
from django.db import DEFAULT_DB_ALIAS

from accounts.words import counted
from gateway.access.model_names import SNAPSHOT
from gateway.billing import pricing
from gateway.billing import usage as metering
from gateway.directory.accounts import unlisted_model
from gateway.managed.input import ENDPOINTS
from gateway.models import OwnedObject
from gateway.telemetry import meter
from gateway.telemetry.tracer import charged
from providers.snapshot import AccountSnapshot, ModelSnapshot, Target
from usage import id_times, rows
from usage.models import UsageRecord
from usage.records import AttemptRecord

logger = logging.getLogger("batches")

LINE_IDS = uuid.UUID("0b7f1f2a-6a0e-4a7e-9d53-2c4e8a7d5b11")
CHUNK_LINES = 500
MAX_LINE_KEY = 200
LINE_DIGITS = 16
# What a line's usage is filed under, by what its endpoint needs of a model.
OPERATIONS = {
    "chat": "chat",
    "completion": "text_completion",
    "responses": "responses",
    "embedding": "embeddings",
    "moderation": "moderation",
    "image": "image_generation",
}


class Response(msgspec.Struct):
    """What the upstream answered to a line."""

    status_code: int = 0
    request_id: str | None = None
    body: msgspec.Raw = msgspec.Raw(b"null")


class Line(msgspec.Struct):
    """A line of an output file."""

    custom_id: str = ""
    response: Response | None = None


class Named(msgspec.Struct):
    """The model that an answer names."""

    model: str | None = None


_line = msgspec.json.Decoder(Line)
_fields = msgspec.json.Decoder(dict[str, msgspec.Raw])
_named = msgspec.json.Decoder(Named)
_encode = msgspec.json.Encoder().encode


@dataclass(slots=True)
class Charged:
    """What was counted: ``lines`` of the file, of them ``paid``, and ``unreadable``."""

    lines: int = 0
    paid: int = 0
    unreadable: int = 0


def charge_lines(
    row: OwnedObject, account: AccountSnapshot, lines: Iterable[bytes], after_chunk: Callable[[], None]
) -> Charged:
    """Write the usage records of a batch's output, ``CHUNK_LINES`` at a time, with ``after_chunk()`` after each.

    Raises ``django.db.Error`` when the database is unavailable. What was stored before stays, and is skipped next time.
    """
    billing = BatchBilling(row, account)
    charged, chunk = Charged(), list[AttemptRecord]()
    for text in lines:
        if not text.strip():
            continue
        charged.lines += 1
        record = billing.record(text)
        if record is None:
            charged.unreadable += 1
            continue
        charged.paid += record.status == 200
        chunk.append(record)
        if len(chunk) >= CHUNK_LINES:
            _store(row, chunk)
            chunk.clear()
            after_chunk()
    _store(row, chunk)
    return charged


class BatchBilling:
    """Makes the usage records of one batch's lines."""

    def __init__(self, row: OwnedObject, account: AccountSnapshot) -> None:
        self._row = row
        self._account = account
        self._origin: dict[str, Any] = row.data.get("origin") or {}
        self._targets: dict[str, Target] = {}
        self._base = self._base_record()

    def record(self, text: bytes) -> AttemptRecord | None:
        """Return the usage record of an output line; ``None`` when it can't be read."""
        try:
            line = _line.decode(text)
            response = line.response or Response()
            fields = _fields.decode(response.body) if response.status_code == 200 else {}
            model = (_named.decode(response.body).model or "") if fields else ""
        except (ValueError, RecursionError):
            return None
        target = self._target(model)
        record = msgspec.structs.replace(
            self._base,
            attempt_id=line_id(self._row, line.custom_id),
            request_id=(response.request_id or self._row.object_id)[:64],
            model_asked=target.model.public_name,
            model_served=target.model.upstream_id,
            status=response.status_code,
            upstream_status=response.status_code,
            batch_line=line_key(line.custom_id),
            bytes_out=len(text),
            units={},
        )
        if not fields:
            record.error_class, record.cost_pico = "upstream_error", 0
            return record
        metering.read_fields(record, fields)
        pricing.price_batch_line(record, target)
        return record

    def _base_record(self) -> AttemptRecord:
        row, origin = self._row, self._origin
        subject_type, _, subject_id = row.owner_key.partition(":")
        endpoint = str(origin.get("endpoint") or row.data.get("body", {}).get("endpoint") or "")
        return AttemptRecord(
            attempt_id="",
            request_id="",
            started_at=int(ended_at(row).timestamp() * 1_000_000),
            subject_type=subject_type,
            subject_id=int(subject_id or 0),
            subject_name=row.owner_name,
            token_id=row.token_id,
            token_prefix=str(origin.get("token_prefix", "")),
            teams=list(origin.get("teams", [])),
            account=row.account_name,
            provider=self._account.provider,
            operation=OPERATIONS.get(ENDPOINTS.get(endpoint, ""), "batch"),
            endpoint=endpoint.removeprefix("/v1/")[:64],
            metadata={**row.metadata, **origin.get("tags", {})},
            object_id=row.object_id,
            batch_key=batch_key(row),
        )

    def _target(self, served: str) -> Target:
        """Return what a line is priced by: the model that the input named, not the snapshot that answered."""
        if served not in self._targets:
            self._targets[served] = Target(self._account, self._model(served))
        return self._targets[served]

    def _model(self, served: str) -> ModelSnapshot:
        asked: dict[str, str] = self._origin.get("models") or {}
        base = SNAPSHOT.sub("", served)
        name = (
            next(iter(asked)) if len(asked) == 1 else next((each for each in (served, base) if each in asked), served)
        )
        public = asked.get(name, "").removeprefix(f"{self._account.name}/")
        listed = self._account.models.get(public) or self._account.upstream_ids.get(name.lower())
        if listed is not None:
            return listed if listed.upstream_id == name else replace(listed, upstream_id=name)
        return unlisted_model(self._account, name)


def batch_key(row: OwnedObject) -> str:
    """Return the key that all usage records of a batch share."""
    return f"{row.account_name}/{row.object_id}"[:200]


def line_id(row: OwnedObject, custom_id: str) -> str:
    """Return the id of a line's usage record: always the same one."""
    return str(uuid.uuid5(LINE_IDS, f"{row.account_name}/{row.object_id}/{custom_id}"))


def line_key(custom_id: str) -> str:
    """Return what identifies a line in the usage records: its custom id, a long one cut, with a digest of the whole."""
    if len(custom_id) <= MAX_LINE_KEY:
        return custom_id
    digest = hashlib.sha256(custom_id.encode("utf-8", "replace")).hexdigest()[:LINE_DIGITS]
    return f"{custom_id[: MAX_LINE_KEY - LINE_DIGITS - 1]}~{digest}"


def ended_at(row: OwnedObject) -> datetime:
    """Return when a batch ended, as its body says; else when it was made. Never the present: a record stays the
    same."""
    body = row.data.get("body") or {}
    for name in ("completed_at", "cancelled_at", "expired_at", "failed_at", "created_at"):
        moment = body.get(name)
        if isinstance(moment, int | float) and moment > 0:
            return datetime.fromtimestamp(moment, tz=row.created_at.tzinfo)
    return row.created_at


def _store(row: OwnedObject, chunk: list[AttemptRecord]) -> None:
    if not chunk:
        return
    # What was counted before a crash is not counted again, also where the provider reports another end by now;
    # the job's lease lets no one else charge the batch meanwhile.
    since = min(row.created_at, ended_at(row)) - id_times.SLACK
    found = UsageRecord.objects.filter(pk__in=[record.attempt_id for record in chunk], created_at__gte=since)
    stored = {str(pk) for pk in found.values_list("pk", flat=True)}
    new = [record for record in chunk if record.attempt_id not in stored]
    if rejected := rows.store([_encode(record) for record in new], DEFAULT_DB_ALIAS):
        logger.error("Batch %s: %s can't be stored.", row.object_id, counted(len(rejected), "usage record"))
    for record in new:
        meter.attempt_ended(record, record.model_asked)
        charged(record)
