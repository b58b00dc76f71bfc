"""Manifests of channels and alerts: ``gatehouse-channel`` and ``gatehouse-alert``. Secrets are variables."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, Final

from alerts.channels import CHANNELS, address_fault, secret_fault
from alerts.kinds import KINDS
from alerts.models import PER, SEVERITIES, Alert, Channel
from providers.manifests.kinds import ManifestKind, add
from providers.manifests.people import Run, changed_fields
from providers.manifests.place import Place, Secret, escape
from providers.manifests.plan import Change
from providers.manifests.values import (
    AS_LIST,
    Entry,
    Fields,
    Flag,
    Required,
    RequiredNumber,
    SecretString,
    String,
    Whole,
    one_of,
)

CHANNEL, ALERT = "gatehouse-channel", "gatehouse-alert"
SECRETS: Final = {"address": "channel_address", "secret": "channel_secret"}
USUAL: Final[dict[str, Any]] = {"minutes": 10, "least_calls": 20, "severity": "warning"}
"""What an alert's manifest may leave out, and what it means then."""


class ChannelFields(Fields):
    """``type: gatehouse-channel``."""

    type: Any
    name: Required
    kind: Annotated[Required, one_of(CHANNELS)]
    address: SecretString | None = None
    secret: SecretString | None = None
    enabled: Flag = True


class AlertFields(Fields):
    """``type: gatehouse-alert``. ``per`` left out is the first that its kind knows."""

    type: Any
    name: Required
    kind: Annotated[Required, one_of(KINDS)]
    threshold: RequiredNumber
    minutes: Whole = USUAL["minutes"]
    least_calls: Whole = USUAL["least_calls"]
    per: Annotated[String, one_of(PER)] = ""
    only: Annotated[list[Entry], AS_LIST] = []
    severity: Annotated[String, one_of(SEVERITIES)] = USUAL["severity"]
    channels: Annotated[list[Entry], AS_LIST] = []
    enabled: Flag = True


@dataclass(slots=True)
class Asked:
    """What a manifest asks for, and where."""

    where: Place
    fields: Any


def _read(place: Place, manifest: Any) -> tuple[str, Asked]:
    return manifest.name, Asked(place, manifest)


# --- channels ---
def _write_channel(run: Run, asked: Asked) -> None:
    fields = asked.fields
    row = Channel.objects.filter(name=fields.name).first() or Channel(name=fields.name, kind=fields.kind)
    new, moved = row.pk is None, row.kind != fields.kind
    changes = changed_fields(row, {"kind": fields.kind, "enabled": fields.enabled})
    values: dict[str, Secret | None] = {"address": fields.address, "secret": fields.secret}
    for name, column in SECRETS.items():
        given, stored = values[name], getattr(row, column)
        value = "" if given is None else stored if given.value is None else given.value
        if value != stored:
            setattr(row, column, value)
            changes.append(Change(column, note="changed" if value and stored else "added" if value else "removed"))
        if given is not None and given.value is None and (not stored or moved):
            asked.where.get(name).fault(f"the environment variable {given.variable} is not set, and nothing is stored.")
    moved = moved or any(change.field == "channel_address" for change in changes)
    if moved and not new and row.channel_secret and (fields.secret is None or fields.secret.value is None):
        asked.where.get("secret").fault("must be given again with another address, which it may not be sent to.")
    for name, fault in (
        ("address", address_fault(row.kind, row.channel_address)),
        ("secret", secret_fault(row.kind, row.channel_secret)),
    ):
        if fault and not run.reading.faults:
            asked.where.get(name).fault(fault)
    _save(run, asked.where, row, changes)


def _export_channels() -> list[dict[str, Any]]:
    found = []
    for row in Channel.objects.order_by("name"):
        stem = re.sub(r"[^A-Z0-9]", "_", row.name.upper())
        made: dict[str, Any] = {"type": CHANNEL, "name": escape(row.name), "kind": row.kind}
        for name, column in SECRETS.items():
            if getattr(row, column):
                made[name] = f"${{CHANNEL_{stem}_{name.upper()}}}"
        if not row.enabled:
            made["enabled"] = False
        found.append(made)
    return found


# --- alerts ---
def _write_alert(run: Run, asked: Asked) -> None:
    given = asked.fields
    fields = {
        "kind": given.kind,
        "threshold": float(given.threshold),
        "minutes": given.minutes,
        "least_calls": given.least_calls,
        "per": given.per or KINDS[given.kind].per[0],
        "only": given.only,
        "severity": given.severity,
        "channels": given.channels,
        "enabled": given.enabled,
    }
    row = Alert.objects.filter(name=given.name).first() or Alert(name=given.name)
    _save(run, asked.where, row, changed_fields(row, fields))


def _export_alerts() -> list[dict[str, Any]]:
    found = []
    for row in Alert.objects.order_by("name"):
        made: dict[str, Any] = {"type": ALERT, "name": escape(row.name), "kind": row.kind}
        made["threshold"] = int(row.threshold) if row.threshold.is_integer() else row.threshold
        made |= {name: getattr(row, name) for name, usual in USUAL.items() if getattr(row, name) != usual}
        if row.per != KINDS[row.kind].per[0]:
            made["per"] = row.per
        made |= {
            name: [escape(one) for one in getattr(row, name)] for name in ("only", "channels") if getattr(row, name)
        }
        if not row.enabled:
            made["enabled"] = False
        found.append(made)
    return found


# --- both ---
Row = Channel | Alert


def _write(rows: type[Row], write: Callable[[Run, Asked], None], run: Run, wanted: list[Asked], prune: bool) -> None:
    for one in wanted:
        if one.fields.name and one.fields.kind:
            write(run, one)
    if prune:
        for row in rows.objects.exclude(name__in={one.fields.name for one in wanted}).order_by("name"):
            run.plan.add("remove", _kind(row), row.name)
            if not run.reading.faults:
                row.delete()


def _save(run: Run, where: Place, row: Row, changes: list[Change]) -> None:
    new = row.pk is None
    if new or changes:
        run.save(row, where)
    run.plan.add("add" if new else "change" if changes else "keep", _kind(row), row.name, *(() if new else changes))


def _kind(row: Row) -> str:
    return str(row._meta.verbose_name)


add(ManifestKind(CHANNEL, ChannelFields, _read, partial(_write, Channel, _write_channel), _export_channels))
add(ManifestKind(ALERT, AlertFields, _read, partial(_write, Alert, _write_alert), _export_alerts))
