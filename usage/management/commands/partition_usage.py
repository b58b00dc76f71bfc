"""``manage.py partition_usage``: keep usage records in a partition a day, or in one table again."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError
from django.db import DEFAULT_DB_ALIAS

from accounts.command import GatehouseCommand
from accounts.database_clock import database_now
from accounts.words import counted
from usage import partitioning, partitions
from usage.partitions import BEFORE, DEFAULT, Layout


class Command(GatehouseCommand):
    help = (
        "Keep usage records in a partition a day (PostgreSQL only), so that retention drops days instead of deleting "
        "rows. Safe to run while serving. Where it was done before, the partitions of the days ahead are made."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        what = parser.add_mutually_exclusive_group()
        what.add_argument("--undo", action="store_true", help="put all records into one table again")
        what.add_argument("--dry-run", action="store_true", help="only say whether it can be done")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            self._change(**options)
        except partitioning.Refused as reason:
            raise CommandError(str(reason), returncode=2) from None
        except partitions.Busy as reason:
            raise CommandError(f"{reason} Nothing was changed; try again.") from None

    def _change(self, *, undo: bool, dry_run: bool, **_options: Any) -> None:
        now = database_now(DEFAULT_DB_ALIAS)
        if dry_run:
            partitioning.check(now, DEFAULT_DB_ALIAS)
        elif undo:
            partitioning.undo(DEFAULT_DB_ALIAS)
        else:
            partitioning.partition(now, DEFAULT_DB_ALIAS, self.stdout.write)
            partitions.tend(now, DEFAULT_DB_ALIAS)
        layout = partitions.read(DEFAULT_DB_ALIAS)
        self.stdout.write(_described(layout) if layout is not None else "There is no such table.")


def _described(layout: Layout) -> str:
    """Return how the table is stored, in words."""
    if not layout.partitioned:
        return "Usage records are in one table."
    days = [part.since for part in layout.partitions if part.since is not None]
    also = [part.name for part in layout.partitions if part.name in (BEFORE, DEFAULT)]
    span = f" from {min(days):%Y-%m-%d} to {max(days):%Y-%m-%d}" if days else ""
    return f"Usage records are in partitions: {counted(len(days), 'day')}{span}, {', '.join(also)}."
