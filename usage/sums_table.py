"""The tables of sums: usage records added up by the hour and the day, in several cuts, so that pages read few rows.

A *cut* has some of the dimensions and sums over the others: the fewer it has, the fewer its rows. What was stored now
is a *new* row with all dimensions; :mod:`usage.folding` moves it into every cut. So the sums of a span are, at any
moment and in any cut, those of its days, of the hours at its edges, and of the rows that are still new.
"""

from dataclasses import dataclass
from typing import Final

from django.db import models

SUMS: Final = (
    "requests",
    "attempts",
    "errors",
    "refused",
    "unpriced",
    "partly_priced",
    "estimated",
    "input_tokens",
    "cached_tokens",
    "cache_write_tokens",
    "output_tokens",
    "reasoning_tokens",
    "cost_high",
    "cost_low",
)
CALL_DIMENSIONS: Final = (
    "account",
    "model",
    "subject_type",
    "subject_name",
    "teams",
    "token",
    "outcome",
    "batch",
)
DIMENSIONS: Final = (*CALL_DIMENSIONS, "meta_key", "meta_value")
NEW, NEW_METADATA, HOURS, DAYS = 0, 1, 2, 3
"""Parts of the tables: rows that are not folded yet (those of metadata apart), and of times by the hour and by the
day."""


@dataclass(frozen=True, slots=True)
class Cut:
    """Sums by some dimensions: the numbers of its parts, and the part that its rows come from.

    A ``detailed`` one has almost as many rows by the hour as there are records: it has those of the last days only.
    """

    dimensions: tuple[str, ...]
    hours: int
    days: int
    new: int = NEW
    detailed: bool = False


_CALLER: Final = ("subject_type", "subject_name")
MODELS: Final = Cut(("account", "model", "outcome", "batch"), 11, 12)
CALLERS: Final = Cut((*_CALLER, "teams", "token"), 21, 22)
ACCOUNT_CALLERS: Final = Cut(("account", *_CALLER, "teams", "token"), 31, 32, detailed=True)
WHOLE: Final = Cut(CALL_DIMENSIONS, 41, 42, detailed=True)
METADATA: Final = Cut(("account", "meta_key", "meta_value"), 51, 52, NEW_METADATA)
CUTS: Final = (MODELS, CALLERS, ACCOUNT_CALLERS, WHOLE, METADATA)
"""From few rows to many."""


class UsageSum(models.Model):
    """The sums of one hour or day (UTC; ``bucket`` is its beginning) of what has these values in one cut.

    Dimensions that a cut does not have are empty. ``model`` is ``account/model`` as it was asked for, ``teams`` the
    JSON list of the record, ``token`` the visible beginning of it, ``outcome`` the class of the error, empty for none,
    ``batch`` is ``batch`` for lines of batches. ``refused`` are errors that the caller made (4xx). The cost is
    ``cost_high`` million pico-dollars and ``cost_low`` pico-dollars: sums stay within 64 bits. New rows have no key.
    """

    key = models.UUIDField(null=True, unique=True, editable=False)
    part = models.SmallIntegerField()
    bucket = models.DateTimeField()
    account = models.CharField(max_length=64)
    model = models.CharField(max_length=365)
    subject_type = models.CharField(max_length=16)
    subject_name = models.CharField(max_length=254)
    teams = models.TextField()
    token = models.CharField(max_length=16)
    outcome = models.CharField(max_length=40)
    batch = models.CharField(max_length=8)
    meta_key = models.CharField(max_length=64)
    meta_value = models.CharField(max_length=200)
    requests = models.BigIntegerField()
    attempts = models.BigIntegerField()
    errors = models.BigIntegerField()
    refused = models.BigIntegerField()
    unpriced = models.BigIntegerField()
    partly_priced = models.BigIntegerField()
    estimated = models.BigIntegerField()
    input_tokens = models.BigIntegerField()
    cached_tokens = models.BigIntegerField()
    cache_write_tokens = models.BigIntegerField()
    output_tokens = models.BigIntegerField()
    reasoning_tokens = models.BigIntegerField()
    cost_high = models.BigIntegerField()
    cost_low = models.BigIntegerField()

    class Meta:
        indexes = [
            models.Index(fields=["part", "bucket"], name="usage_sum_time"),
            models.Index(fields=["part", "account", "bucket"], name="usage_sum_account"),
            models.Index(fields=["part", "model", "bucket"], name="usage_sum_model"),
            models.Index(fields=["part", "subject_name", "bucket"], name="usage_sum_subject"),
        ]

    def __str__(self) -> str:
        return f"{self.bucket:%Y-%m-%d %H} {self.subject_name} {self.model}"


class UsageTime(models.Model):
    """How many answered calls of one hour or day on one model took how long.

    ``measure`` is :data:`LATENCY` or :data:`FIRST_TOKEN`. ``slots`` are counts by the slots of durations of
    :data:`usage.rollups.BOUNDS`, as JSON: ``{"57": 3}``; ``calls`` is their sum. New rows have no key.
    """

    LATENCY, FIRST_TOKEN = 0, 1

    key = models.UUIDField(null=True, unique=True, editable=False)
    part = models.SmallIntegerField()
    bucket = models.DateTimeField()
    account = models.CharField(max_length=64)
    model = models.CharField(max_length=365)
    measure = models.SmallIntegerField()
    calls = models.BigIntegerField()
    slots = models.TextField(default="{}", db_default="{}")

    class Meta:
        indexes = [
            models.Index(fields=["part", "bucket"], name="usage_time_time"),
        ]

    def __str__(self) -> str:
        return f"{self.bucket:%Y-%m-%d %H} {self.model} {self.calls}"


class SumsState(models.Model):
    """One row: records from before ``sealed_until`` may be deleted, so their sums are never made again.

    Who changes folded sums locks the table first: one at a time.
    """

    id = models.SmallIntegerField(primary_key=True, default=1)
    sealed_until = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"sealed until {self.sealed_until}"
