"""``manage.py prune_usage``: delete usage records that are older than the retention."""

from argparse import ArgumentParser
from datetime import UTC, datetime, timedelta
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError

from accounts.command import GatehouseCommand
from accounts.words import counted
from usage import partitions
from usage.models import UsageRecord
from usage.pruning import BATCH, prune


class Command(GatehouseCommand):
    help = (
        "Delete usage records older than GATEHOUSE_USAGE_RETENTION_DAYS, a batch at a time, or whole days that have "
        "partitions. Safe to run while serving."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--days", type=int, help="keep this many days instead of what the setting says")
        parser.add_argument("--batch", type=int, default=BATCH, help=f"records a transaction ({BATCH})")
        parser.add_argument("--dry-run", action="store_true", help="only count")

    def handle(self, *args: Any, **options: Any) -> None:
        days = settings.USAGE_RETENTION_DAYS if options["days"] is None else options["days"]
        if days < 1 or options["batch"] < 1:
            raise CommandError("--days and --batch have to be at least 1.", returncode=2)
        before = datetime.now(UTC) - timedelta(days=days)
        if options["dry_run"]:
            count = UsageRecord.objects.filter(created_at__lt=before).count()
            self.stdout.write(f"{counted(count, 'record')} older than {counted(days, 'day')}.")
            return
        parts = partitions.names()
        deleted = sum(prune(before, options["batch"]))
        dropped = len(parts - partitions.names())
        also = f" and dropped {counted(dropped, 'partition')}" if dropped else ""
        self.stdout.write(f"Deleted {counted(deleted, 'record')}{also} older than {counted(days, 'day')}.")
