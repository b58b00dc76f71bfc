"""``manage.py rebuild_usage_hours``: make the sums by the hour again from the records."""

from typing import Any

from accounts.command import GatehouseCommand
from accounts.words import counted
from usage.rollups import rebuild


class Command(GatehouseCommand):
    help = "Recompute the hourly sums that the console's pages read from the usage records. Writers wait meanwhile."

    def handle(self, *args: Any, **options: Any) -> None:
        self.stdout.write(f"Made {counted(rebuild(), 'row')} of sums.")
