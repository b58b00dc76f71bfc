"""Pages of usage records, newest first, without counting: each page is found from the record where the last one
ended.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from heapq import merge
from itertools import islice
from uuid import UUID

from django.db.models import Q, QuerySet

from accounts.numbers import whole_number
from usage.models import UsageRecord

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
LAST_MICROSECOND = 10**17  # in the year 5138
Records = QuerySet[UsageRecord]


@dataclass(frozen=True, slots=True)
class Cursor:
    """A place in the list: the time and the id of a record. As text: microseconds since 1970, a dash, the id."""

    time: datetime
    id: UUID

    @classmethod
    def of(cls, record: UsageRecord) -> "Cursor":
        """Return the place of ``record``."""
        return cls(record.created_at, record.id)

    @classmethod
    def parse(cls, text: str) -> "Cursor":
        """Return the place that ``text`` names; raise ``ValueError`` when it names none."""
        micros, _, hexes = text.partition("-")
        since = whole_number(micros, LAST_MICROSECOND)
        if since is None:
            raise ValueError("not a place in the list")
        return cls(EPOCH + timedelta(microseconds=since), UUID(hexes))

    def __str__(self) -> str:
        since = self.time - EPOCH
        micros = (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds
        return f"{micros}-{self.id.hex}"

    def older(self) -> Q:
        """The condition for records that come after this one in the list."""
        return Q(created_at__lte=self.time) & ~Q(created_at=self.time, id__gte=self.id)

    def newer(self) -> Q:
        """The condition for records that come before this one in the list."""
        return Q(created_at__gte=self.time) & ~Q(created_at=self.time, id__lte=self.id)


@dataclass(frozen=True, slots=True)
class Page:
    """Some records, newest first, and whether there are others on either side."""

    records: list[UsageRecord]
    has_newer: bool
    has_older: bool


def fetch(parts: list[Records], size: int, before: Cursor | None = None, after: Cursor | None = None) -> Page:
    """Return ``size`` records older than ``before``, or newer than ``after``, or the newest.

    ``parts`` are disjoint query sets whose records are put in one order: a set for each account lets the database walk
    an index for each instead of sorting them all.
    """
    if after is not None:
        found = _take([part.filter(after.newer()) for part in parts], size + 1, newest_first=False)
        return Page(found[:size][::-1], has_newer=len(found) > size, has_older=True)
    older = parts if before is None else [part.filter(before.older()) for part in parts]
    found = _take(older, size + 1, newest_first=True)
    return Page(found[:size], has_newer=before is not None, has_older=len(found) > size)


def walk(parts: list[Records], limit: int, chunk: int = 2000) -> Iterator[UsageRecord]:
    """Yield at most ``limit`` records, newest first, reading ``chunk`` at a time."""
    before = None
    while limit > 0:
        page = fetch(parts, min(chunk, limit), before)
        yield from page.records
        if not page.has_older:
            return
        limit -= len(page.records)
        before = Cursor.of(page.records[-1])


def _take(parts: list[Records], count: int, *, newest_first: bool) -> list[UsageRecord]:
    order = ("-created_at", "-id") if newest_first else ("created_at", "id")
    found = [list(part.order_by(*order)[:count]) for part in parts]
    if len(found) == 1:
        return found[0]
    ordered = merge(*found, key=lambda record: (record.created_at, record.id), reverse=newest_first)
    return list(islice(ordered, count))
