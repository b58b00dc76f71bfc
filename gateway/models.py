"""Objects that belong to a caller: responses, conversations, files, batches, jobs and whatever else an upstream
keeps."""

import json
import re
from datetime import datetime, timedelta
from typing import Any, Self

import msgspec
from django.db import models
from django.db.models.functions import Concat, Now, Substr
from django.utils import timezone
from fernet_fields import EncryptedTextField

# Strings of a client or an upstream may hold what PostgreSQL's JSON can't: NUL characters, half of a surrogate pair.
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


class OwnedObjects(models.QuerySet["OwnedObject"]):
    """The records of objects: what is asked of them in many places. ``now`` is the present by the database's clock."""

    def named(self, account_name: str, object_id: str) -> Self:
        """An object by its id on an account, also one that was deleted."""
        return self.filter(account_name=account_name, object_id=object_id)

    def alive(self) -> Self:
        """Those that were not deleted."""
        return self.filter(deleted_at=None)

    def unfinished(self) -> Self:
        """Those that a job has something left to do for."""
        return self.filter(due_at__isnull=False)

    def free(self, now: datetime) -> Self:
        """Those that no worker has."""
        return self.filter(models.Q(lease_until=None) | models.Q(lease_until__lte=now))

    def due(self, now: datetime) -> Self:
        """Those that a worker may take now."""
        return self.free(now).filter(due_at__lte=now)

    def follow(self, old: str, new: str) -> None:
        """Give the objects of the account ``old`` its ``new`` name: they live at the vendor, whatever we call it.

        One that the new name has already, from an account that once bore it, stays.
        """
        there = self.filter(account_name=new, object_id=models.OuterRef("object_id"))
        rows = self.filter(account_name=old).exclude(models.Exists(there))
        model_name = Concat(models.Value(new), Substr("model_name", len(old) + 1))
        rows.filter(model_name__startswith=f"{old}/").update(model_name=model_name)
        rows.update(account_name=new)

    def timed(self) -> Self:
        """Let each have the moment when it was read as ``now``, by the database's clock."""
        return self.annotate(now=Now())


class OwnedObject(models.Model):
    """An upstream object and its owner. Written before the object's id reaches the client.

    Names of accounts, subjects and models are kept as strings, so a record outlives what it names. ``object_id`` is the
    upstream's own id, unique within an account. ``state`` is the upstream's last known status and ``data`` its last
    known body, for the kinds that are polled or listed from here. ``due_at`` says when a job polls it next; a claim
    sets ``lease_until``. All moments are the database's, so that processes with other clocks agree on them."""

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
    created_at = models.DateTimeField(default=timezone.now)
    updated_at = models.DateTimeField(default=timezone.now)
    expires_at = models.DateTimeField(null=True, blank=True)
    deleted_at = models.DateTimeField(null=True, blank=True)
    due_at = models.DateTimeField(null=True, blank=True)
    lease_until = models.DateTimeField(null=True, blank=True)
    failures = models.PositiveIntegerField(default=0)
    fault = models.CharField(max_length=300, blank=True, default="", help_text="Why the last poll of it failed")

    objects = OwnedObjects.as_manager()
    now: datetime

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


class KeptResponse(models.Model):
    """What a response holds that Gatehouse keeps itself, because its provider keeps none: packed JSON, encrypted.

    Its owner is in the row of its id among the owned objects (``gateway.objects.kept_responses``)."""

    object_id = models.CharField(max_length=200)
    account_name = models.CharField(max_length=64)
    content = EncryptedTextField()
    expires_at = models.DateTimeField(db_index=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["account_name", "object_id"], name="one_kept_response_per_id")]

    def __str__(self) -> str:
        return self.object_id


class KeptAnswer(models.Model):
    """The first answer to the calls of one owner with one idempotency key, encrypted; or, with ``leased_until``, the
    claim of the call that is to be answered (``gateway.objects.kept_answers``).

    ``scope`` is a digest of owner and key. ``size`` is what the sealed answer takes, 0 where its body is not kept."""

    scope = models.CharField(max_length=64, unique=True)
    owner_key = models.CharField(max_length=40, help_text="user:7 or virtualaccount:2")
    claim = models.CharField(max_length=32)
    leased_until = models.DateTimeField(null=True)
    expires_at = models.DateTimeField()
    size = models.PositiveBigIntegerField(default=0)
    about = models.BinaryField(null=True)
    body = models.BinaryField(null=True)

    class Meta:
        indexes = [models.Index(fields=["expires_at", "size"], name="kept_answer_expiry")]

    def __str__(self) -> str:
        return self.scope


class Owned(msgspec.Struct, gc=False):
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


class NewObject(msgspec.Struct, gc=False):
    """An object to be recorded. ``due_in`` lets a job poll it so long after it is.

    ``expires_at`` is a moment that the upstream gave, or a span that begins when the object is recorded.
    """

    object_id: str
    account_name: str
    kind: str
    owner_key: str
    owner_name: str
    team_keys: tuple[str, ...] = ()
    token_id: int = 0
    parent_id: str = ""
    model_name: str = ""
    metadata: dict[str, str] = {}
    state: str = ""
    data: dict[str, Any] = {}
    expires_at: datetime | timedelta | None = None
    due_in: timedelta | None = None

    def row(self, now: datetime) -> OwnedObject:
        """Return the table's row; ``now`` is the present by the database's clock."""
        values = {name: getattr(self, name) for name in COPIED}
        return OwnedObject(**values, **self.moments(now), team_keys=list(self.team_keys))

    def moments(self, now: datetime) -> dict[str, datetime | None]:
        """Return the row's moments, by column."""
        expires_at = now + self.expires_at if isinstance(self.expires_at, timedelta) else self.expires_at
        due_at = None if self.due_in is None else now + self.due_in
        return {"created_at": now, "updated_at": now, "expires_at": expires_at, "due_at": due_at}


COPIED = tuple(name for name in NewObject.__struct_fields__ if name not in ("team_keys", "expires_at", "due_in"))
"""What a row takes from a new object as it is."""
