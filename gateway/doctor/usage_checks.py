"""Checks of usage records: their exports, their sums and their partitions."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from django.conf import settings

from accounts.database_clock import database_now
from accounts.words import counted
from gateway.doctor.findings import ERROR, WARNING, Finding
from usage import partitioning, partitions, recounting, scheduled_exports

SUMMED_DAYS = 2


def check_exports() -> Iterator[Finding]:
    """Days that the schedule could not export."""
    if not settings.EXPORT_STORAGE:
        return
    if failed := scheduled_exports.failed(datetime.now(UTC)):
        yield Finding(
            "exports",
            ERROR,
            f"{counted(len(failed), 'file')} can't be exported, first {failed[0].name}: {failed[0].fault}",
            "Check GATEHOUSE_EXPORT_STORAGE and its options; manage.py scheduled_exports --run tries again.",
        )


def check_sums() -> Iterator[Finding]:
    """Whether the console's sums of the last days are those of the records."""
    for day in recounting.days()[:SUMMED_DAYS]:
        if found := recounting.differences(day):
            yield Finding(
                "sums", ERROR, f"They differ from the records: {found[0]}", "Run manage.py usage_sums --rebuild."
            )


def check_partitions() -> Iterator[Finding]:
    """Whether the days to come have partitions, and the server the locks that partitions need."""
    layout = partitions.read()
    if layout is None:
        return
    now = database_now()
    if layout.bounded is not None:
        yield Finding(
            "partitions",
            WARNING,
            f"manage.py partition_usage was stopped halfway: records after {layout.bounded:%Y-%m-%d} would be refused.",
            "Run it again.",
        )
    if not layout.partitioned:
        return
    if (now + timedelta(days=1)).date() in layout.missing(now):
        yield Finding(
            "partitions",
            ERROR,
            "Usage records have no partition for tomorrow.",
            "Does a worker run? Its log says why it makes none. manage.py partition_usage makes them.",
        )
    if few := partitioning.too_few_locks():
        what, _, action = few.partition(". ")
        yield Finding("partitions", WARNING, f"{what}.", action)
