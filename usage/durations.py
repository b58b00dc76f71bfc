"""Percentiles of how long calls took, from counts of slots of durations: see :mod:`usage.rollups`.

A slot reaches from one bound to the next, which is 9 % more, and values are taken to be spread evenly in it: so a
percentile is off by 9 % at most. One caller's are those of their newest calls.
"""

import math
from bisect import bisect_right
from collections import Counter
from dataclasses import dataclass
from typing import Final

import msgspec
from django.db.models import Count, Q

from usage.recounting import Slot
from usage.rollups import BOUNDS, SHORTEST_US
from usage.sum_query import Parts, Span, records_of, times_within
from usage.sums_table import UsageTime

SAMPLE: Final = 2000
"""How many of one caller's calls are looked at."""
COLUMNS: Final = {UsageTime.LATENCY: "latency_us", UsageTime.FIRST_TOKEN: "ttft_us"}
_decode: Final = msgspec.json.Decoder(dict[int, int]).decode
CALLER: Final = frozenset({"subject_type", "subject_name"})


@dataclass(frozen=True, slots=True)
class Durations:
    """How many answered calls took how long: ``slots`` and their counts."""

    slots: Counter[int]

    @property
    def calls(self) -> int:
        """How many were counted."""
        return self.slots.total()

    def percentile(self, percent: float) -> int | None:
        """Return the duration in microseconds that ``percent`` of the calls did not exceed; ``None`` without calls."""
        rank, before = max(1, math.ceil(self.calls * percent / 100)), 0
        for slot, count in sorted(self.slots.items()):
            if before + count >= rank:
                return _within(slot, (rank - before - 0.5) / count)
            before += count
        return None


def durations(span: Span, parts: Parts, measure: int) -> Durations:
    """Return the durations of a span's answered calls, of the newest :data:`SAMPLE` where parts are one caller's.

    Of someone with accounts of their own, those of the accounts.
    """
    shared = tuple(part for part in parts if not part.dimensions & CALLER)
    found: Counter[int] = Counter()
    for part in shared or parts:
        if span.exact:
            timed = records_of(span, part).filter(error_class="").exclude(**{COLUMNS[measure]: None})
            found.update(dict(timed.values_list(Slot(COLUMNS[measure])).annotate(n=Count("pk")).order_by()))
        elif shared:
            times = UsageTime.objects.filter(part.condition, times_within(span), measure=measure)
            for slots in times.values_list("slots", flat=True):
                found.update(_decode(slots))
        else:
            newest = records_of(span, part).filter(~Q(**{COLUMNS[measure]: None}), error_class="")
            values = newest.order_by("-created_at").values_list(COLUMNS[measure], flat=True)[:SAMPLE]
            found.update(bisect_right(BOUNDS, value) for value in values)
    return Durations(found)


def _within(slot: int, share: float) -> int:
    """Return the duration at a share of the way through a slot."""
    if slot == 0:
        return round(SHORTEST_US * share)
    low = BOUNDS[slot - 1]
    high = BOUNDS[min(slot, len(BOUNDS) - 1)]
    return round(low * (high / low) ** share)
