"""``manage.py prune_request_log``: delete the bodies of calls that are older than the retention."""

from argparse import ArgumentParser
from datetime import UTC, datetime, timedelta
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError
from django.db import DatabaseError

from accounts.command import GatehouseCommand
from accounts.words import counted
from usage.pruning import BODY_BATCH, prune_bodies


class Command(GatehouseCommand):
    help = (
        "Delete logged bodies older than GATEHOUSE_REQUEST_LOG_RETENTION_DAYS, a batch at a time; 0 days delete all. "
        "Safe to run while serving."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--days", type=int, help="keep this many days instead of what the setting says")
        parser.add_argument("--batch", type=int, default=BODY_BATCH, help=f"rows a transaction ({BODY_BATCH})")

    def handle(self, *args: Any, **options: Any) -> None:
        days = settings.REQUEST_LOG_RETENTION_DAYS if options["days"] is None else options["days"]
        if days < 0 or options["batch"] < 1:
            raise CommandError("--days has to be at least 0, --batch at least 1.", returncode=2)
        try:
            deleted = sum(prune_bodies(datetime.now(UTC) - timedelta(days=days), options["batch"]))
        except DatabaseError:
            raise
        except Exception as error:  # each storage has errors of its own
            raise CommandError(f"The store of the bodies can't be used: {error}. Their rows are deleted.") from None
        self.stdout.write(f"Deleted the bodies of {counted(deleted, 'call')} older than {counted(days, 'day')}.")
