"""Taking over from releases that kept one table of sums by the hour, ``UsageHour``, which they wrote themselves.

While servers of such a release still run beside this one, the records that they store have no new rows of sums. But
each adds to a row of ``UsageHour``. Such rows are what is left to do: the day of each is counted again from its
records, and the row gets another key in the same transaction. So the next record of an old server makes a row that is
found again, and the pages of old servers go on to see what they wrote.
"""

import hashlib
from datetime import datetime
from itertools import islice
from typing import Final

from django.db import DEFAULT_DB_ALIAS, OperationalError, transaction
from django.db.models import CharField, F, QuerySet, Value
from django.db.models.functions import Cast, Concat

from usage import folding, recounting, rollups
from usage.old_hours import UsageHour
from usage.sums_table import SUMS as ALL_SUMS

TAKEN: Final = "taken:"
SERIALIZATION_FAILURE: Final = "40001"
DIGITS_END: Final = "g"
"""Keys of old releases are hexadecimal digits, which sort before this."""
DIMENSIONS: Final = ("account", "model", "subject_type", "subject_name", "teams")
SUMS: Final = (
    *("requests", "attempts", "errors", "refused", "unpriced", "partly_priced", "input_tokens", "cached_tokens"),
    *("output_tokens", "reasoning_tokens", "cost_high", "cost_low"),
)


def left(using: str = DEFAULT_DB_ALIAS) -> "QuerySet[UsageHour]":
    """Return the rows whose records are not in the sums yet."""
    return UsageHour.objects.using(using).filter(key__lt=DIGITS_END)


def take_over(using: str = DEFAULT_DB_ALIAS) -> int:
    """Count the days again whose records old servers stored; return how many there were.

    A day that an old server writes at the same moment is left for the next time. Raises ``django.db.Error``.
    """
    days = sorted({rollups.midnight(hour) for hour in left(using).values_list("hour", flat=True).distinct()})
    return sum(_take(day, using) for day in reversed(days))


def _take(day: datetime, using: str) -> int:
    try:
        with folding.alone(using, wait=True):
            rows = left(using).filter(hour__gte=day, hour__lt=day + folding.DAY)
            if not rows.update(key=Concat(Value(TAKEN), Cast(F("pk"), CharField(max_length=20)))):
                return 0  # another process took them over while this one waited
            recounting.recount_now(day, using)
    except OperationalError as error:
        if getattr(error.__cause__, "sqlstate", "") != SERIALIZATION_FAILURE:
            raise
        return 0
    return 1


def give_back(using: str = DEFAULT_DB_ALIAS) -> None:
    """Fill the table of old releases from the records, for going back to one."""
    with transaction.atomic(using=using):
        UsageHour.objects.using(using).all()._raw_delete(using)
        found = recounting.hours_between(None, None, using)
        while some := [_old_row(*key, total=total) for key, total in islice(found, 1000)]:
            UsageHour.objects.using(using).bulk_create(some)


def _old_row(hour: datetime, *dimensions: str, total: list[int]) -> UsageHour:
    sums = {name: amount for name, amount in zip(ALL_SUMS, total, strict=True) if name in SUMS}
    return UsageHour(key=_key(hour, *dimensions), hour=hour, **dict(zip(DIMENSIONS, dimensions, strict=True)), **sums)


def _key(hour: datetime, *dimensions: str) -> str:
    """Return the key that old releases give to such a row."""
    text = "\x1f".join([f"{hour:%Y-%m-%d %H}:00:00", *dimensions])
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
