"""When ids of ours were made, as their digits say: a look-up by id then needs a few days of the records, not all."""

from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

from django.db.models import QuerySet

from usage.models import UsageRecord

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
LAST_MILLISECOND: Final = 10**14  # in the year 5138
SLACK: Final = timedelta(days=1)
"""How far a record's time may be from its id's: both are of one clock, which may have been set in between."""
PREFIX: Final = "req_"

Records = QuerySet[UsageRecord]


def made_at(text: str) -> datetime | None:
    """Return when a UUIDv7 was made; ``None`` for another id. A request's begins with ``req_``."""
    try:
        found = UUID(text.removeprefix(PREFIX))
    except ValueError:
        return None
    milliseconds = found.int >> 80
    return (
        EPOCH + timedelta(milliseconds=milliseconds) if found.version == 7 and milliseconds < LAST_MILLISECOND else None
    )


def since(records: Records, text: str) -> Records:
    """Return ``records``, which a request's or an attempt's id names, without looking at earlier days.

    What a request leads to may follow months later, so that later days count. All days do where that finds nothing: a
    provider's id may look like one of ours.
    """
    made = made_at(text)
    if made is None:
        return records
    near = records.filter(created_at__gte=made - SLACK)
    return near if near.exists() else records


def around(records: Records, attempt: UUID) -> Records:
    """Return ``records``, which an attempt's id names, looking at its day first."""
    made = made_at(attempt.hex)
    if made is None:
        return records
    near = records.filter(created_at__gte=made - SLACK, created_at__lt=made + SLACK)
    return near if near.exists() else records
