"""Usage records in partitions by day, as they are some weeks after ``partition_usage``."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

from django.db import connections

from usage import partitioning, partitions


def partition_by_day(alias: str, now: datetime | None = None) -> None:
    """Partition the table as if that was done 20 days ago: what is stored now goes into a day's partition."""
    now = now or datetime.now(UTC)
    partitioning.partition(now - timedelta(days=20), alias, lambda said: None)
    partitions.tend(now, alias)


def partition_names(alias: str) -> list[str]:
    """Return the names of the partitions, without what they have in common."""
    layout = partitions.read(alias)
    assert layout is not None
    return [part.name.removeprefix(f"{partitions.TABLE}_") for part in layout.partitions]


def elsewhere(alias: str, work: Callable[[], object]) -> None:
    """Do ``work`` in a thread, and so with a connection of its own; raise what it raises."""

    def run() -> None:
        try:
            work()
        finally:
            connections[alias].close()

    with ThreadPoolExecutor(1) as pool:
        pool.submit(run).result()
