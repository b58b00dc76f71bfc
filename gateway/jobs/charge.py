"""The usage records of deferred work: what it used, once it is over."""

import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, replace

import msgspec

from accounts.numbers import milliseconds
from gateway.billing import pricing
from gateway.billing import usage as metering
from gateway.directory.accounts import unlisted_model
from gateway.models import OwnedObject
from gateway.objects.deferred import EVAL_RUN, KINDS, RUNNING
from providers.snapshot import Target
from usage.records import AttemptRecord

SNAPSHOT = re.compile(r"-20\d\d-\d\d-\d\d\Z")
CHARGE_IDS = uuid.UUID("6f0d6a5e-3f57-4f4e-9b0c-5f1c2f6f2a10")
_text = msgspec.json.Decoder(str | None)
_number = msgspec.json.Decoder(float | None)


@dataclass(frozen=True, slots=True)
class Look:
    """What asking for a response brought: the upstream's ``status`` (0: none) and the response's fields, or a ``fault``."""

    status: int
    fields: Mapping[str, msgspec.Raw]
    fault: str = ""

    @property
    def state(self) -> str:
        """The response's own status, empty when there is none."""
        return _text_of(self.fields, "status")

    @property
    def over(self) -> bool:
        """Whether the response will not change any more."""
        return bool(self.state) and self.state not in RUNNING


def charges(row: OwnedObject, target: Target | None, look: Look) -> list[AttemptRecord]:
    """Return the usage records of what is over: one, or of an eval's run one for each model that it says it used."""
    told = _usages(look.fields) if row.kind == EVAL_RUN else []
    if not told:
        return [charge(row, target, look)]
    made = []
    for usage in told:
        name = str(usage.get("model_name") or "")
        counted = {"usage": msgspec.Raw(msgspec.json.encode(_as_chat(usage)))}
        made.append(charge(row, _of_model(target, name), replace(look, fields={**look.fields, **counted}), name))
    return made


def _usages(fields: Mapping[str, msgspec.Raw]) -> list[dict[str, object]]:
    try:
        return msgspec.json.decode(fields.get("per_model_usage", b"[]"), type=list[dict[str, object]])
    except ValueError:
        return []


def _as_chat(usage: Mapping[str, object]) -> dict[str, object]:
    """Return a model's share of an eval's run as chat completions tell what they used."""
    return {**usage, "prompt_tokens_details": {"cached_tokens": usage.get("cached_tokens")}}


def _of_model(target: Target | None, name: str) -> Target | None:
    """Return the target of the model that the vendor calls ``name``, or a dated snapshot of it."""
    if target is None:
        return None
    known = target.account.upstream_ids
    model = known.get(name.lower()) or known.get(SNAPSHOT.sub("", name.lower()))
    return Target(target.account, model or unlisted_model(target.account, name))


def charge(row: OwnedObject, target: Target | None, look: Look, model: str = "") -> AttemptRecord:
    """Return the usage record of what is over: what its usage says, or unpriced when it says nothing.

    ``model`` is the vendor's name of the one that the record is about, where there may be several.
    """
    subject_type, _, subject_id = row.owner_key.partition(":")
    data = row.data
    _, operation, endpoint, error = KINDS[row.kind]
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
        upstream_status=look.status,
        metadata={**row.metadata, **data.get("tags", {})},
        object_id=row.object_id,
    )
    if look.state != "completed":
        record.error_class = f"{error}_{look.state or 'unknown'}"[:40]
    began, ended = (_number_of(look.fields, name) for name in ("created_at", "completed_at"))
    if began and ended:
        record.latency_us = (milliseconds(ended - began) or 0) * 1000
    metering.read_fields(record, look.fields)
    if target is not None:
        pricing.price(record, target)
    return record


def _text_of(fields: Mapping[str, msgspec.Raw], name: str) -> str:
    try:
        return _text.decode(fields.get(name, b"null")) or ""
    except ValueError:
        return ""


def _number_of(fields: Mapping[str, msgspec.Raw], name: str) -> float:
    try:
        return _number.decode(fields.get(name, b"null")) or 0.0
    except ValueError:
        return 0.0
