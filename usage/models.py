"""What happened: one row per attempt."""

from decimal import Decimal

from django.db import models

from usage.export_table import ExportedFile
from usage.feedback_table import Feedback
from usage.logged_calls import LoggedCall
from usage.old_hours import UsageHour
from usage.rerating_table import Rerating
from usage.sums_table import SumsState, UsageSum, UsageTime

__all__ = [
    "PICO",
    "ExportedFile",
    "Feedback",
    "LoggedCall",
    "Rerating",
    "SumsState",
    "UsageHour",
    "UsageRecord",
    "UsageSum",
    "UsageTime",
]

PICO = Decimal("1e-12")


class UsageRecord(models.Model):
    """One attempt to have a call answered by one target, as ``usage.records.AttemptRecord`` describes it.

    Rows are written by the ledger only, in bulk; only their price may change later (``usage.ratings``). No column
    refers to another table: names are text, so history survives deletions. Costs are whole pico-dollars (1e-12 USD);
    ``NULL`` means unpriced.
    """

    id = models.UUIDField("attempt", primary_key=True, editable=False)
    created_at = models.DateTimeField("time")
    request_id = models.CharField(max_length=64)
    subject_type = models.CharField(max_length=16)
    subject_id = models.BigIntegerField()
    subject_name = models.CharField("who", max_length=254)
    token_id = models.BigIntegerField()
    token_prefix = models.CharField("token", max_length=16)
    teams = models.JSONField()
    account = models.CharField(max_length=64)
    provider = models.CharField(max_length=40)
    model_asked = models.CharField("model", max_length=300)
    model_served = models.CharField(max_length=300)
    operation = models.CharField(max_length=40)
    endpoint = models.CharField(max_length=64)
    stream = models.BooleanField()
    attempt_number = models.IntegerField("attempt")
    status = models.IntegerField()
    upstream_status = models.IntegerField()
    error_class = models.CharField("error", max_length=40)
    latency_us = models.BigIntegerField()
    ttft_us = models.BigIntegerField(null=True)
    input_tokens = models.IntegerField()
    cached_tokens = models.IntegerField()
    cache_write_tokens = models.IntegerField()
    output_tokens = models.IntegerField()
    reasoning_tokens = models.IntegerField()
    audio_input_tokens = models.IntegerField()
    audio_output_tokens = models.IntegerField()
    image_input_tokens = models.IntegerField()
    image_output_tokens = models.IntegerField()
    units = models.JSONField()
    service_tier = models.CharField(max_length=24)
    price_version = models.CharField(max_length=40)
    price_gaps = models.CharField(max_length=200)
    cost_pico = models.BigIntegerField("cost", null=True)
    metadata = models.JSONField()
    client_gone = models.BooleanField()
    bytes_in = models.BigIntegerField()
    bytes_out = models.BigIntegerField()
    upstream_request_id = models.CharField(max_length=200)
    object_id = models.CharField(max_length=200)
    batch_key = models.CharField(max_length=200)
    batch_line = models.CharField(max_length=200)
    error_message = models.CharField(max_length=500, default="", db_default="")
    estimated = models.BooleanField(default=False, db_default=False)
    trace_id = models.CharField(max_length=32, default="", db_default="")
    model_resolved = models.CharField(max_length=365, default="", db_default="")
    decision = models.JSONField(default=dict, db_default=models.Value({}, models.JSONField()))

    class Meta:
        verbose_name = "request"
        indexes = [
            models.Index(fields=["created_at"], name="usage_time"),
            models.Index(fields=["subject_name", "created_at"], name="usage_subject_time"),
            models.Index(fields=["account", "created_at"], name="usage_account_time"),
            models.Index(fields=["model_asked", "created_at"], name="usage_model_time"),
            models.Index(fields=["request_id"], name="usage_request"),
            models.Index(fields=["created_at"], name="usage_error_time", condition=~models.Q(error_class="")),
            models.Index(fields=["trace_id"], name="usage_trace", condition=~models.Q(trace_id="")),
            models.Index(fields=["batch_key"], name="usage_batch", condition=~models.Q(batch_key="")),
        ]

    @property
    def cost(self) -> Decimal | None:
        """The cost in US dollars, exact; ``None``: unpriced."""
        return None if self.cost_pico is None else self.cost_pico * PICO

    def __str__(self) -> str:
        return f"{self.model_asked} {self.status} ({self.id})"
