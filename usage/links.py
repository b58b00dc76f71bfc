"""Where the console shows what a record is part of."""

from django.urls import reverse

from usage.models import UsageRecord


def request_link(record: UsageRecord) -> str:
    """Return the address of the page of the record's request; the record's own where no request id is known."""
    if record.request_id:
        return reverse("admin:request", args=[record.request_id])
    return reverse("admin:usage_usagerecord_change", args=[record.pk])
