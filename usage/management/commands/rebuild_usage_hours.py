"""``manage.py rebuild_usage_hours``: make the sums by the hour again from the records."""

from typing import Any

from django.core.management.base import BaseCommand

from accounts.words import counted
from usage.rollups import rebuild


class Command(BaseCommand):
    help = "Recompute the hourly sums that the console's pages read from the usage records. Writers wait meanwhile."

    def handle(self, *args: Any, **options: Any) -> None:
        self.stdout.write(f"Made {counted(rebuild(), 'row')} of sums.")
