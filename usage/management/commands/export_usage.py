"""``manage.py export_usage``: usage records, or bills in FOCUS' form, as files for other systems."""

import sys
from argparse import ArgumentParser
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError

from accounts.command import GatehouseCommand
from accounts.words import counted
from usage.export_formats import FORMS, write
from usage.parquet import fault
from usage.report import moment

WRONG_ARGUMENTS = 2


class Command(GatehouseCommand):
    help = (
        "Write usage records as CSV, JSON lines or Parquet, or bills by the hour as CSV in the form of FOCUS 1.2, "
        "oldest first. "
        "It reads a part at a time, however many there are. Ends with 2 for wrong arguments "
        "and before 'manage.py migrate', 1 when the database fails."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--format", choices=tuple(FORMS), default="csv", help="form (csv)")
        parser.add_argument("--since", default="30d", help="24h, 7d, 2w, or an ISO date or time in UTC; 'all' (30d)")
        parser.add_argument("--until", help="the same; records from then on are left out")
        parser.add_argument("--account", default="", help="only this provider account's")
        parser.add_argument("--output", default="-", metavar="FILE", help="where to (standard output)")

    def handle(self, *args: Any, **options: Any) -> None:
        now = datetime.now(UTC)
        try:
            since = None if options["since"] == "all" else moment(options["since"], now)
            until = moment(options["until"], now) if options["until"] else None
            if options["format"] == "parquet" and (why := fault()):
                raise ValueError(why)
        except ValueError as error:
            raise CommandError(str(error), returncode=WRONG_ARGUMENTS) from None
        try:
            if options["output"] == "-":
                number = write(options["format"], sys.stdout.buffer, since, until, options["account"])
            else:
                draft = Path(f"{options['output']}.part")
                with draft.open("wb") as file:
                    number = write(options["format"], file, since, until, options["account"])
                draft.replace(options["output"])  # a reader never finds half of it
        except BrokenPipeError:
            raise  # who reads standard output has enough: manage.py ends quietly
        except OSError as error:
            where = "Standard output" if options["output"] == "-" else options["output"]
            raise CommandError(f"{where} can't be written ({error.strerror}).") from None
        self.stderr.write(f"{counted(number, 'row')}.")
