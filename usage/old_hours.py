"""The sums by the hour of releases before the cuts of :mod:`usage.sums_table`; the next release drops them."""

from django.db import models


class UsageHour(models.Model):
    """The sums of one hour as releases before this one wrote them. Nothing reads them any more."""

    key = models.CharField(max_length=64, unique=True)
    hour = models.DateTimeField()
    account = models.CharField(max_length=64)
    model = models.CharField(max_length=365)
    subject_type = models.CharField(max_length=16)
    subject_name = models.CharField(max_length=254)
    teams = models.TextField()
    requests = models.BigIntegerField()
    attempts = models.BigIntegerField()
    errors = models.BigIntegerField()
    refused = models.BigIntegerField()
    unpriced = models.BigIntegerField()
    partly_priced = models.BigIntegerField()
    input_tokens = models.BigIntegerField()
    cached_tokens = models.BigIntegerField()
    output_tokens = models.BigIntegerField()
    reasoning_tokens = models.BigIntegerField()
    cost_high = models.BigIntegerField()
    cost_low = models.BigIntegerField()

    class Meta:
        indexes = [
            models.Index(fields=["hour"], name="usage_hour"),
            models.Index(fields=["account", "hour"], name="usage_hour_account"),
            models.Index(fields=["subject_name", "hour"], name="usage_hour_subject"),
        ]

    def __str__(self) -> str:
        return f"{self.hour:%Y-%m-%d %H} {self.subject_name} {self.model}"
