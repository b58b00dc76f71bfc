"""Counters and histograms by label values, as rows of whole numbers: what one process, or several together, counted.

A table has labels and columns. A row is one list of integers: the sums first, then of each histogram the counts of its
buckets and the sum of its values. So rows of several processes add up element by element.
"""

from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass, field

Key = tuple[str, ...]
Rows = dict[Key, list[int]]
OTHER = "other"


@dataclass(frozen=True, slots=True)
class Histogram:
    """A histogram: ``bounds`` are the inclusive upper bounds of its buckets, in the unit of its values."""

    name: str
    bounds: tuple[int, ...]


@dataclass(frozen=True)
class Table:
    """A kind of row. ``open_labels`` have values that callers choose: they are capped."""

    name: str
    labels: tuple[str, ...]
    sums: tuple[str, ...]
    histograms: tuple[Histogram, ...] = ()
    open_labels: frozenset[str] = frozenset()
    places: Mapping[str, int] = field(init=False)
    """Where each column of a row begins."""
    width: int = field(init=False)

    def __post_init__(self) -> None:
        places = {name: place for place, name in enumerate(self.sums)}
        width = len(self.sums)
        for histogram in self.histograms:
            places[histogram.name] = width
            width += len(histogram.bounds) + 2
        object.__setattr__(self, "places", places)
        object.__setattr__(self, "width", width)

    def observe(self, row: list[int], histogram: Histogram, value: int) -> None:
        """Count ``value`` into a histogram of ``row``."""
        place, size = self.places[histogram.name], len(histogram.bounds)
        row[place + bisect_left(histogram.bounds, value)] += 1
        row[place + size + 1] += value


class Counts:
    """The rows of all tables. ``limit`` bounds the rows of a table; what is beyond has ``other`` in its open labels."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.tables: dict[str, Rows] = {}

    def row(self, table: Table, key: Key) -> list[int]:
        """Return the row of ``key``, new ones with zeros."""
        rows = self.tables.setdefault(table.name, {})
        found = rows.get(key)
        if found is not None:
            return found
        if len(rows) >= self.limit:
            pairs = zip(table.labels, key, strict=True)
            key = tuple(OTHER if name in table.open_labels else value for name, value in pairs)
        return rows.setdefault(key, [0] * table.width)

    def add(self, other: Mapping[str, Rows]) -> None:
        """Add the rows of another process."""
        for name, rows in other.items():
            mine = self.tables.setdefault(name, {})
            for key, values in rows.items():
                row = mine.get(key)
                if row is None or len(row) != len(values):  # another version's row can't be added to
                    mine[key] = list(values)
                else:
                    mine[key] = [left + right for left, right in zip(row, values, strict=True)]
