"""``manage.py usage_sums``: compare the sums that pages read with the usage records, or make them again."""

from argparse import ArgumentParser
from datetime import UTC, datetime
from typing import Any

from django.core.management.base import CommandError

from accounts.command import GatehouseCommand
from accounts.words import counted
from usage import folding, handover, recounting
from usage.report import moment
from usage.rollups import midnight

WRONG_ARGUMENTS, DIFFERENT = 2, 3


class Command(GatehouseCommand):
    help = (
        "Compare the sums that the console reads with the usage records, day by day (UTC), newest first; --rebuild "
        "makes those of days that differ again, --all of every day. Days of which retention deleted records are left "
        "alone: their sums are all that is left. Safe to run while serving. Ends with 3 when something differs, 2 for "
        "wrong arguments and before 'manage.py migrate', 1 when the database fails."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--since", default="all", help="24h, 7d, 2w, or an ISO date in UTC; 'all' (all)")
        parser.add_argument("--rebuild", action="store_true", help="make the sums of days that differ again")
        parser.add_argument("--all", action="store_true", help="with --rebuild: of every day, without comparing first")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["all"] and not options["rebuild"]:
            raise CommandError("--all goes with --rebuild.", returncode=WRONG_ARGUMENTS)
        now = datetime.now(UTC)
        try:
            since = None if options["since"] == "all" else midnight(moment(options["since"], now))
        except ValueError as error:
            raise CommandError(str(error), returncode=WRONG_ARGUMENTS) from None
        handover.take_over()
        days = [day for day in recounting.days() if since is None or day >= since]
        wrong = [] if options["all"] else self._compared(days)
        if not options["rebuild"]:
            if wrong:
                raise CommandError(
                    f"Sums differ from the records on {counted(len(wrong), 'day')}. See --rebuild.",
                    returncode=DIFFERENT,
                )
            self.stdout.write(f"The sums of {counted(len(days), 'day')} agree with the records.")
            return
        made = sum(recounting.recount(day) for day in (days if options["all"] else wrong))
        folding.fold_all()
        self.stdout.write(f"Made the sums of {counted(made, 'day')} again.")

    def _compared(self, days: list[datetime]) -> list[datetime]:
        wrong = []
        for day in days:
            if found := recounting.differences(day):
                wrong.append(day)
                self.stdout.write("\n".join(found))
        return wrong
