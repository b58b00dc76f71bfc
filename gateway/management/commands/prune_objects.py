"""``manage.py prune_objects``: forget the owners of objects whose time is over."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError

from accounts.command import GatehouseCommand
from accounts.words import counted
from gateway.jobs.retention import BATCH, prune_objects


class Command(GatehouseCommand):
    help = (
        "Delete the ownership records of responses older than GATEHOUSE_OBJECT_RETENTION_DAYS, of deleted objects "
        "as old, of objects that expired at the upstream, and answers that were kept for a day for their idempotency "
        "keys. Safe to run while serving."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--batch", type=int, default=BATCH, help=f"records a transaction ({BATCH})")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["batch"] < 1:
            raise CommandError("--batch has to be at least 1.", returncode=2)
        deleted = sum(prune_objects(batch=options["batch"]))
        self.stdout.write(f"Deleted {counted(deleted, 'record')} of objects whose time is over.")
