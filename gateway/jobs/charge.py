"""The usage records of deferred work: what it used, once it is over."""

import logging
import re
import uuid
from collections.abc import Mapping
from dataclasses import replace

import msgspec
from django.db import DEFAULT_DB_ALIAS, transaction

from accounts.database_clock import database_now
from gateway.billing import pricing
from gateway.billing import usage as metering
from gateway.directory.accounts import unlisted_model
from gateway.jobs.leases import Lease, LeaseLost
from gateway.jobs.upstream import AccountGone, Answer, Upstream, load_account
from gateway.models import OwnedObject
from gateway.objects.job_kinds import EVAL_RUN, RESPONSE, RUN
from gateway.pipeline.records import redact, served_target
from gateway.telemetry import meter
from gateway.telemetry.tracer import charged
from providers.snapshot import AccountSnapshot, Target
from usage import rows
from usage.decisions import VIA
from usage.records import AttemptRecord

logger = logging.getLogger("gateway.jobs")

SNAPSHOT = re.compile(r"-20\d\d-\d\d-\d\d\Z")
CHARGE_IDS = uuid.UUID("6f0d6a5e-3f57-4f4e-9b0c-5f1c2f6f2a10")
# kind: the operation, the endpoint and the beginning of the error of its usage record
RECORDED_AS = {
    RESPONSE.kind: ("background_response", "responses", "response"),
    RUN.kind: ("polled_run", "threads/{id}/runs", "run"),
    EVAL_RUN.kind: ("eval_run", "evals/{id}/runs", "run"),
}
_number = msgspec.json.Decoder(float | None)


def finish(lease: Lease, answer: Answer, upstream: Upstream | None) -> None:
    """Store what a job used, and that it is done: both or neither, and only once."""
    row = lease.row
    store_with_release(lease, charges(row, _target(row, upstream), answer), answer)


def lost(lease: Lease, answer: Answer) -> None:
    """Store that what a job used is not known."""
    finish(lease, answer, None)


def store_with_release(lease: Lease, records: list[AttemptRecord], answer: Answer) -> None:
    """Store usage records and give the job back as done, in one transaction; raise ``LeaseLost`` and store nothing
    else."""
    lines = [msgspec.json.encode(record) for record in records]
    with transaction.atomic():
        state = answer.state[:32] or "unknown"
        if not lease.release(None, state=state, fault=answer.fault[:300], updated_at=database_now()):
            raise LeaseLost
        if rows.store(lines, DEFAULT_DB_ALIAS, _no_pause):
            logger.error("A usage record of %s can't be stored.", lease.row.object_id)
    for record in records:
        meter.attempt_ended(record, record.model_asked)
        charged(record)


def charges(row: OwnedObject, target: Target | None, answer: Answer) -> list[AttemptRecord]:
    """Return the usage records of what is over: one, or of an eval's run one for each model that it says it used."""
    usages = _usages(answer.fields) if row.kind == EVAL_RUN.kind else []
    if not usages:
        return [charge(row, target, answer)]
    made = []
    for usage in usages:
        name = str(usage.get("model_name") or "")
        counted = {"usage": msgspec.Raw(msgspec.json.encode(_as_chat(usage)))}
        counted_answer = replace(answer, fields={**answer.fields, **counted})
        made.append(charge(row, _of_model(target, name), counted_answer, name))
    return made


def charge(row: OwnedObject, target: Target | None, answer: Answer, model: str = "") -> AttemptRecord:
    """Return the usage record of what is over: what its usage says, or unpriced when it says nothing.

    ``model`` is the vendor's name of the one that the record is about, where there may be several.
    """
    subject_type, _, subject_id = row.owner_key.partition(":")
    data = row.data
    operation, endpoint, error = RECORDED_AS[row.kind]
    record = AttemptRecord(
        attempt_id=str(uuid.uuid5(CHARGE_IDS, "/".join(filter(None, (row.account_name, row.object_id, model))))),
        request_id=str(data.get("request_id", "")),
        started_at=int(row.created_at.timestamp() * 1_000_000),
        subject_type=subject_type,
        subject_id=int(subject_id),
        subject_name=row.owner_name,
        token_id=row.token_id,
        token_prefix=str(data.get("token_prefix", "")),
        teams=list(data.get("teams", [])),
        account=row.account_name,
        provider=target.account.provider if target else "",
        model_asked=row.model_name,
        model_served=model or str(data.get("upstream_model", "")),
        operation=operation,
        endpoint=endpoint,
        status=200,
        upstream_status=answer.status,
        metadata={**row.metadata, **data.get("tags", {})},
        object_id=row.object_id,
        trace_id=str(data.get("trace_id", "")),
        decision={VIA: data[VIA]} if VIA in data else {},
    )
    if answer.state != "completed":
        record.error_class = f"{error}_{answer.state or 'unknown'}"[:40]
    began, ended = (_number_of(answer.fields, name) for name in ("created_at", "completed_at"))
    if began and ended:
        record.latency_us = max(0, int((ended - began) * 1_000_000))
    metering.read_fields(record, answer.fields)
    if target is not None:
        pricing.price(record, target if target.model.upstream_id else served_target(record, target))
        redact(record, target.account)
    return record


def _target(row: OwnedObject, upstream: Upstream | None) -> Target | None:
    """Return where a job ran and what its model costs now; ``None`` when the account is gone or can't be read."""
    try:
        account = upstream.account if upstream is not None else load_account(row.account_name, even_disabled=True)
    except AccountGone:
        return None
    return _target_on(account, row)


def _target_on(account: AccountSnapshot, row: OwnedObject) -> Target:
    upstream_model = str(row.data.get("upstream_model", ""))
    model = account.models.get(row.model_name.partition("/")[2]) or account.upstream_ids.get(upstream_model.lower())
    return Target(account, model or unlisted_model(account, upstream_model))


def _usages(fields: Mapping[str, msgspec.Raw]) -> list[dict[str, object]]:
    try:
        return msgspec.json.decode(fields.get("per_model_usage", b"[]"), type=list[dict[str, object]])
    except ValueError:
        return []


def _as_chat(usage: Mapping[str, object]) -> dict[str, object]:
    """Return a model's share of an eval's run as chat completions report what they used."""
    return {**usage, "prompt_tokens_details": {"cached_tokens": usage.get("cached_tokens")}}


def _of_model(target: Target | None, name: str) -> Target | None:
    """Return the target of the model that the vendor calls ``name``, or a dated snapshot of it."""
    if target is None:
        return None
    known = target.account.upstream_ids
    model = known.get(name.lower()) or known.get(SNAPSHOT.sub("", name.lower()))
    return Target(target.account, model or unlisted_model(target.account, name))


def _number_of(fields: Mapping[str, msgspec.Raw], name: str) -> float:
    try:
        return _number.decode(fields.get(name, b"null")) or 0.0
    except ValueError:
        return 0.0


def _no_pause() -> None:
    """One record is stored without giving way."""
