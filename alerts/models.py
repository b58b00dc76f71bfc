"""Alerts as rows: what is watched, where notices go, and what was found."""

from datetime import UTC, datetime
from typing import Any, ClassVar

from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.utils import timezone
from fernet_fields import EncryptedTextField

from accounts.changes import Announced
from accounts.models import slug_validator
from alerts.kinds import KINDS, Question

MOST_MINUTES = 120
SECRET_COLUMNS = ("channel_address", "channel_secret")
NEVER = datetime(1970, 1, 1, tzinfo=UTC)
PER = {"all": "All together", "account": "Provider account", "model": "Model"}
SEVERITIES = ("critical", "error", "warning", "info")


class Channel(Announced):
    """Where notices go: ``alerts.channels`` has the kinds. ``address`` and ``secret`` are write-only everywhere."""

    name = models.CharField(max_length=64, unique=True, validators=[slug_validator])
    kind = models.CharField(max_length=16)
    channel_address = EncryptedTextField(blank=True, default="", editable=False)
    channel_secret = EncryptedTextField(blank=True, default="", editable=False)
    enabled = models.BooleanField(default=True)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class Alert(Announced):
    """A condition that is looked at all the time, and the channels that hear of it.

    ``only`` names accounts, models or budgets, none: all. ``channels`` are names. While ``silenced_until`` lies ahead
    nothing is sent.
    """

    name = models.CharField(max_length=64, unique=True, validators=[slug_validator])
    kind = models.CharField(max_length=24, choices=[(name, kind.label) for name, kind in KINDS.items()])
    threshold = models.FloatField(
        validators=[MinValueValidator(0)], help_text="In the kind's unit: percent, ms, US dollars an hour, MB or days."
    )
    minutes = models.PositiveIntegerField(
        "within minutes",
        default=10,
        validators=[MinValueValidator(1), MaxValueValidator(MOST_MINUTES)],
        help_text="The calls of so many minutes count.",
    )
    least_calls = models.PositiveIntegerField(
        default=20, help_text="Of fewer calls no rate of errors and no latency is judged."
    )
    per = models.CharField(
        "counted apart by", max_length=16, default="all", choices=list(PER.items()), help_text="One incident for each."
    )
    only = models.JSONField(default=list, blank=True)
    severity = models.CharField(max_length=16, default="warning", choices=[(one, one) for one in SEVERITIES])
    channels = models.JSONField(default=list, blank=True)
    enabled = models.BooleanField(default=True)
    silenced_until = models.DateTimeField(null=True, blank=True, help_text="Nothing is sent until then.")
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["name"]

    @property
    def question(self) -> Question:
        """What it asks."""
        return Question(self.threshold, self.minutes, self.least_calls, self.per, tuple(self.only))

    def is_silent(self, now: datetime) -> bool:
        """Whether nothing is sent at the moment."""
        return self.silenced_until is not None and self.silenced_until > now

    def clean(self) -> None:
        faults: dict[str, str] = {}
        for name in ("only", "channels"):
            value = getattr(self, name)
            if not isinstance(value, list) or not all(isinstance(one, str) and one.strip() for one in value):
                faults[name] = "Write a list of names."
        kind = KINDS.get(self.kind)
        if kind and self.per not in kind.per:
            if self.per != Alert._meta.get_field("per").get_default():
                faults["per"] = f"{kind.label} is counted by {' or '.join(PER[one].lower() for one in kind.per)} only."
            self.per = kind.per[0]
        if "channels" not in faults:
            there = set(Channel.objects.filter(name__in=self.channels).values_list("name", flat=True))
            missing = [name for name in self.channels if name not in there]
            if missing:
                faults["channels"] = f"These channels do not exist: {', '.join(missing)}. Add them first."
        if faults:
            raise ValidationError(faults)

    def __str__(self) -> str:
        return self.name


class Incident(models.Model):
    """An alert that was raised for a subject. There is one open one of each at most.

    ``seen_at`` is when it was last so; ``announced_at`` when notices were stored, empty while the alert is silent.
    Moments are the database's.
    """

    alert = models.ForeignKey(Alert, models.CASCADE, related_name="incidents")
    subject = models.CharField(max_length=400)
    value = models.FloatField()
    said = models.CharField("what", max_length=600)
    opened_at = models.DateTimeField(default=timezone.now)
    seen_at = models.DateTimeField(default=timezone.now)
    announced_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-id"]
        indexes = [models.Index(fields=["ended_at"], name="incident_ended")]
        constraints: ClassVar[Any] = [
            models.UniqueConstraint(
                fields=["alert", "subject"], condition=models.Q(ended_at=None), name="one_open_incident"
            )
        ]

    def __str__(self) -> str:
        return f"{self.alert}: {self.subject}"


class Turn(models.Model):
    """Whose turn it is to look: the process that moved ``until`` ahead. One row."""

    until = models.DateTimeField(default=NEVER)
