"""The audit log: who changed what, from where, from which value to which. Entries are added, and never changed or
removed.

Every model that announces itself (``accounts.changes.Announced``) is audited by its ``save``, by bulk writes and by
deletions, in the same transaction; so the console, the commands and manifests leave the same entries. What does not
change a row (a download, a cancelled job) is recorded by :func:`note`. Secrets appear as "set" or "none" only, and
values are bounded.
"""

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from django.apps import apps
from django.db import models
from fernet_fields import DecryptionError

from accounts.acting import actor

SECRETS = frozenset({"credentials", "extra_headers_json", "seal", "password", "channel_address", "channel_secret"})
# What changes by itself, or says nothing that another field does not.
IGNORED = frozenset(
    {
        "id",
        "created_at",
        "updated_at",
        "last_login",
        "last_used_at",
        "date_joined",
        "key",
        "prefix",
        "digest",
        "seal",
        "version",
        "counted_version",
        "changed_by",
    }
)
VALUE_CHARACTERS = 200
MOST_FIELDS = 40
ENTRIES_AT_ONCE = 100
"""A bulk write of more rows than this leaves one entry."""
UNREADABLE = "unreadable"
NAMES = {
    "credentials": "key",
    "extra_headers_json": "extra headers",
    "channel_address": "address",
    "channel_secret": "secret",
    "base_url": "base URL",
    "is_active": "active",
    "is_staff": "staff status",
    "is_superuser": "superuser status",
    "is_auditor": "auditor",
    "revoked_at": "revocation",
    "expires_at": "expiry",
}
TYPE_NAMES = {
    "accounts.membership": "membership",
    "providers.grant": "role",
    "providers.modelsubject": "narrowed access",
}

Values = dict[str, Any]


class AuditEntry(models.Model):
    """One event. Names are text, so that an entry outlives what it names.

    ``changes`` maps a field to its old and its new value as text; ``account`` and ``team`` are the names of the
    provider account and the team that the object belongs to, whose managers may see the entry.
    """

    class Action(models.TextChoices):
        ADDED = "added"
        CHANGED = "changed"
        REMOVED = "removed"
        DID = "did"

    created_at = models.DateTimeField("time", auto_now_add=True, db_index=True)
    actor = models.CharField(max_length=254, blank=True, db_index=True)
    source = models.CharField(max_length=16)
    detail = models.CharField(max_length=64, blank=True)
    action = models.CharField(max_length=16, choices=Action)
    object_type = models.CharField(max_length=64)
    object_id = models.CharField(max_length=64, blank=True)
    object_name = models.CharField(max_length=300)
    account = models.CharField(max_length=64, blank=True)
    team = models.CharField(max_length=64, blank=True)
    changes = models.JSONField(default=dict)
    note = models.CharField(max_length=500, blank=True)

    class Meta:
        ordering = ["-id"]
        verbose_name = "audit entry"
        verbose_name_plural = "audit log"
        indexes = [
            models.Index(fields=["object_type", "object_id"], name="audit_object"),
            models.Index(fields=["account", "-id"], name="audit_account"),
            models.Index(fields=["team", "-id"], name="audit_team"),
        ]

    @property
    def sentence(self) -> str:
        """The event in one sentence."""
        who = self.actor or ("Gatehouse" if self.source == "system" else f"a {self.source}")
        what = f"{type_name(self.object_type)} {self.object_name}" if self.object_id else self.object_name
        said = "; ".join(_said(name, *pair) for name, pair in self.changes.items())
        match self.action:
            case "added":
                text = f"{who} added {what}" + (f" ({said})" if said else "")
            case "changed":
                text = f"{who} changed {what}" + (f": {said}" if said else "")
            case "removed":
                text = f"{who} removed {what}"
            case _:
                return f"{who} {self.note} ({what})"
        return f"{text}. {self.note}" if self.note else text

    def __str__(self) -> str:
        return self.sentence


def type_name(label: str) -> str:
    """Return a model's name as pages write it."""
    if label in TYPE_NAMES:
        return TYPE_NAMES[label]
    try:
        return str(apps.get_model(label)._meta.verbose_name)
    except LookupError:
        return label


def _said(name: str, old: str, new: str) -> str:
    label = NAMES.get(name, name.replace("_", " "))
    if name in SECRETS:
        return f"{label} {'cleared' if new == 'none' else 'set' if old == 'none' else 'replaced'}"
    if not old:
        return f"{label}: {new}"
    return f"{label}: {old} → {new or 'none'}"


def stored(instance: models.Model, using: str | None, fields: Iterable[str] | None = None) -> Values | None:
    """Return the values that the database holds of ``instance``'s row; ``None`` when the row is new."""
    return None if instance._state.adding else row_values(type(instance), instance.pk, using, fields)


def row_values(
    model: type[models.Model], key: Any, using: str | None = None, fields: Iterable[str] | None = None
) -> Values | None:
    """Return the values of the row with this primary key, :data:`UNREADABLE` for secrets of another encryption key;
    ``None`` without a row."""
    row = model._base_manager.using(using).filter(pk=key)
    names = [field.attname for field in _audited(model) if fields is None or _named(field, fields)]
    try:
        return row.values("pk", *names).first()
    except DecryptionError:
        found = row.values("pk", *(name for name in names if name not in SECRETS)).first()
        return None if found is None else found | dict.fromkeys(SECRETS.intersection(names), UNREADABLE)


def saved(instance: models.Model, before: Values | None, using: str | None) -> None:
    """Record that ``instance`` was saved; ``before`` is what :func:`stored` returned.

    Nothing changed, nothing recorded.
    """
    names = [f.attname for f in _audited(type(instance)) if f.attname in instance.__dict__]
    after = {name: instance.__dict__[name] for name in names if before is None or name in before}
    entry = _entry(instance, before, after)
    if entry is not None:
        entry.save(using=using)


def added(instances: list[Any], using: str | None) -> None:
    """Record rows that were added in bulk."""
    if len(instances) > ENTRIES_AT_ONCE:
        first = instances[0]
        summary = _blank(first, AuditEntry.Action.ADDED)
        summary.object_id, summary.object_name = "", _many(type(first), len(instances), summary.account)
        summary.save(using=using)
        return
    made = [
        _entry(one, None, {f.attname: one.__dict__.get(f.attname) for f in _audited(type(one))}) for one in instances
    ]
    AuditEntry.objects.using(using).bulk_create([entry for entry in made if entry is not None])


def updated(model: type[models.Model], before: list[Values], using: str | None) -> None:
    """Record a bulk change of the rows whose values were ``before``."""
    old = {values["pk"]: values for values in before}
    entries = []
    for instance in model._base_manager.using(using).filter(pk__in=old).defer(*_secrets_of(model)):
        values = old[instance.pk]
        now = {name: instance.__dict__[name] for name in values if name in instance.__dict__}
        entry = _entry(instance, {name: values[name] for name in now}, now)
        if entry is not None:
            entries.append(entry)
    AuditEntry.objects.using(using).bulk_create(entries)


def many_updated(model: type[models.Model], count: int, fields: Iterable[str], using: str | None) -> None:
    """Record a bulk change of more rows than are named one by one."""
    AuditEntry.objects.using(using).create(
        **_actor(),
        action=AuditEntry.Action.CHANGED,
        object_type=model._meta.label_lower,
        object_name=_many(model, count),
        note=f"Fields: {', '.join(fields)}."[:500],
    )


def _many(model: type[models.Model], count: int, account: str = "") -> str:
    return f"{count} {model._meta.verbose_name_plural}" + (f" of {account}" if account else "")


def values_of(queryset: "models.QuerySet[Any]", fields: Iterable[str]) -> list[Values]:
    """Return what a bulk change of ``fields`` is about to replace, secrets left aside."""
    names = [f.attname for f in _audited(queryset.model) if _named(f, fields) and f.attname not in SECRETS]
    return list(queryset.order_by().values("pk", *names)) if names else []


def removed(instance: models.Model, using: str | None) -> None:
    """Record that ``instance`` was deleted."""
    _blank(instance, AuditEntry.Action.REMOVED).save(using=using)


def note(instance: models.Model, text: str, *, account: str = "") -> None:
    """Record what was done with ``instance`` that changed no row of ours: ``text`` follows the actor's name."""
    entry = _blank(instance, AuditEntry.Action.DID)
    entry.account, entry.note = account or entry.account, text[:500]
    entry.save()


def _entry(instance: models.Model, before: Values | None, after: Values) -> AuditEntry | None:
    changes: dict[str, tuple[str, str]] = {}
    for field in _audited(type(instance)):
        name = field.attname
        if name not in after or len(changes) >= MOST_FIELDS:
            continue
        old = before.get(name) if before is not None else None
        if before is None and (field.is_relation or after[name] == field.get_default()):
            continue  # what it belongs to is in its name
        if old != after[name]:
            changes[field.name] = (_shown(field, old), _shown(field, after[name]))
    if before is not None and not changes:
        return None
    entry = _blank(instance, AuditEntry.Action.ADDED if before is None else AuditEntry.Action.CHANGED)
    entry.changes = changes
    return entry


def _blank(instance: Any, action: AuditEntry.Action) -> AuditEntry:
    account, team = instance.audit_place() if hasattr(instance, "audit_place") else ("", "")
    name = instance.audit_name() if hasattr(instance, "audit_name") else str(instance)
    return AuditEntry(
        **_actor(),
        action=action,
        object_type=instance._meta.label_lower,
        object_id=str(instance.pk or "")[:64],
        object_name=name[:300],
        account=account[:64],
        team=team[:64],
    )


def _actor() -> dict[str, str]:
    who = actor()
    return {"actor": who.name[:254], "source": who.source, "detail": who.detail[:64]}


def _shown(field: Any, value: Any) -> str:
    if field.attname in SECRETS:
        return UNREADABLE if value == UNREADABLE else "set" if value else "none"
    if value is None:
        return ""
    if isinstance(value, datetime):
        return f"{value.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
    if field.is_relation:
        related = field.related_model._base_manager.filter(pk=value).defer(*_secrets_of(field.related_model)).first()
        value = str(related) if related is not None else f"number {value}"
    text = json.dumps(value, ensure_ascii=False, default=str) if isinstance(value, Mapping | list) else str(value)
    return text if len(text) <= VALUE_CHARACTERS else f"{text[:VALUE_CHARACTERS]}…"


def _audited(model: type[models.Model]) -> list[Any]:
    return [field for field in model._meta.concrete_fields if field.name not in IGNORED]


def _secrets_of(model: type[models.Model]) -> list[str]:
    return [field.name for field in model._meta.concrete_fields if field.name in SECRETS]


def _named(field: Any, names: Iterable[str]) -> bool:
    return field.name in names or field.attname in names
