"""Objects that belong to somebody: responses, conversations, files, batches, jobs and whatever else an upstream keeps."""

import json
import re
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db import models

# Texts that a client or an upstream wrote may hold what PostgreSQL's JSON can't: NUL characters, and half of a surrogate pair.
_escapes = re.compile(r"\\\\|\\u0000|\\ud[89ab][0-9a-f]{2}\\ud[c-f][0-9a-f]{2}|\\ud[89a-f][0-9a-f]{2}")


class StorableJSON(json.JSONEncoder):
    """JSON that every database takes: without NUL characters, lone surrogates replaced."""

    def encode(self, o: Any) -> str:
        """Return ``o`` as JSON."""
        return _escapes.sub(_storable, super().encode(o))


def _storable(found: re.Match[str]) -> str:
    escape = found[0]
    if escape == "\\u0000":
        return ""
    return "\\ufffd" if len(escape) == 6 else escape


class OwnedObject(models.Model):
    """An upstream object and its owner. Written before the object's id reaches the client.

    Names of accounts, subjects and models are kept as text, so a record outlives what it names. ``object_id`` is the upstream's
    own id, unique within an account. ``state`` is the upstream's last known status and ``data`` its last known body, for
    the kinds that are polled or listed from here. ``due_at`` says when a job looks at it next; a claim sets ``lease_until``.
    """

    object_id = models.CharField(max_length=200)
    account_name = models.CharField(max_length=64)
    kind = models.CharField(max_length=32)
    owner_key = models.CharField(max_length=40, help_text="user:7 or virtualaccount:2")
    owner_name = models.CharField(max_length=254)
    team_keys = models.JSONField(default=list, help_text="The owner's teams when the object was made: team:3 …")
    token_id = models.BigIntegerField(default=0)
    parent_id = models.CharField(max_length=200, blank=True, default="")
    model_name = models.CharField(max_length=270, blank=True, default="", help_text="account/model, where one is known")
    metadata = models.JSONField(
        default=dict, blank=True, encoder=StorableJSON, help_text="x-tfy-metadata of the call that made it"
    )
    state = models.CharField(max_length=32, blank=True, default="")
    data = models.JSONField(default=dict, blank=True, encoder=StorableJSON)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)
    expires_at = models.DateTimeField(null=True, blank=True)
    deleted_at = models.DateTimeField(null=True, blank=True)
    due_at = models.DateTimeField(null=True, blank=True)
    lease_until = models.DateTimeField(null=True, blank=True)
    failures = models.PositiveIntegerField(default=0)
    fault = models.CharField(max_length=300, blank=True, default="", help_text="Why the last look at it failed")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["account_name", "object_id"], name="one_owner_per_object")]
        indexes = [
            models.Index(fields=["object_id"], name="object_by_id"),
            models.Index(fields=["owner_key", "kind", "-id"], name="object_by_owner"),
            models.Index(fields=["account_name", "kind", "-id"], name="object_by_account"),
            models.Index(fields=["due_at"], name="object_due", condition=models.Q(due_at__isnull=False)),
            models.Index(fields=["expires_at"], name="object_expiry", condition=models.Q(expires_at__isnull=False)),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.object_id}"


@dataclass(slots=True)
class Owned:
    """What is remembered of an object: whose it is, and where it lives."""

    object_id: str
    account_name: str
    kind: str
    owner_key: str
    team_keys: tuple[str, ...] = ()
    parent_id: str = ""
    model_name: str = ""
    owner_name: str = ""
    token_id: int = 0


@dataclass(slots=True)
class NewObject:
    """An object to be written down. ``due_at`` makes a job look at it."""

    object_id: str
    account_name: str
    kind: str
    owner_key: str
    owner_name: str
    team_keys: tuple[str, ...] = ()
    token_id: int = 0
    parent_id: str = ""
    model_name: str = ""
    metadata: dict[str, str] = field(default_factory=dict)
    state: str = ""
    data: dict[str, Any] = field(default_factory=dict)
    expires_at: datetime | None = None
    due_at: datetime | None = None

    def row(self) -> OwnedObject:
        """Return the table's row."""
        values = {name: getattr(self, name) for name in self.__slots__}  # type: ignore[attr-defined]
        return OwnedObject(**{**values, "team_keys": list(self.team_keys)})
