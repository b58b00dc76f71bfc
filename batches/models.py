"""The records of jobs and files, as the console shows them. The table is the gateway's: ``OwnedObject``."""

from typing import Any

from django.db import models
from django.utils import timezone

from gateway.models import OwnedObject

MAILTO = "mailto:"


class Job(OwnedObject):
    """A batch or a fine-tuning job."""

    class Meta:
        proxy = True
        verbose_name = "job"
        verbose_name_plural = "batches and jobs"

    @property
    def body(self) -> dict[str, Any]:
        """What the upstream last said of it."""
        return self.data.get("body") or {}

    def __str__(self) -> str:
        return self.object_id


class StoredFile(OwnedObject):
    """A file that an upstream keeps."""

    class Meta:
        proxy = True
        verbose_name = "file"

    @property
    def body(self) -> dict[str, Any]:
        """What the upstream last said of it."""
        return self.data.get("body") or {}

    def __str__(self) -> str:
        return self.object_id


class LineResult(models.Model):
    """The result of a line of a batch that Gatehouse runs. Stored before the line counts as done, deleted at the
    batch's end."""

    batch_id = models.CharField(max_length=200)
    number = models.PositiveIntegerField(help_text="The line's place in the input, from 1")
    ok = models.BooleanField()
    text = models.TextField(help_text="The line of the output or error file")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["batch_id", "number"], name="one_result_per_line")]

    def __str__(self) -> str:
        return f"{self.batch_id} {self.number}"


class Notice(models.Model):
    """The outbox: an event that is on its way. ``due_at`` is set until it is accepted, or given up. Its moments are
    the database's.

    ``to`` is the name of a channel (``alerts.models``) or ``mailto:`` and addresses; empty: the webhook of the
    settings.
    """

    event_id = models.CharField(max_length=64, unique=True)
    to = models.TextField(default="", db_default="")
    body = models.TextField()
    created_at = models.DateTimeField(default=timezone.now)
    due_at = models.DateTimeField(null=True, blank=True, db_index=True)
    delivered_at = models.DateTimeField(null=True, blank=True)
    attempts = models.PositiveIntegerField(default=0)
    fault = models.CharField(max_length=300, blank=True, default="")

    def __str__(self) -> str:
        return self.event_id
