"""``manage.py export_usage``: usage records, or bills in FOCUS' form, as files for other systems."""

import json
import sys
from argparse import ArgumentParser
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

from django.core.management.base import CommandError

from accounts.command import GatehouseCommand
from accounts.words import counted
from usage.exports import HEADER, plain_rows, write_csv
from usage.focus import COLUMNS, focus_rows
from usage.models import UsageRecord
from usage.report import moment

WRONG_ARGUMENTS = 2
CHUNK = 2000


class Command(GatehouseCommand):
    help = (
        "Write usage records as CSV or JSON lines, or bills by the hour as CSV in the form of FOCUS 1.2, oldest first. "
        "It reads a part at a time, however many there are. Ends with 2 for wrong arguments "
        "and before 'manage.py migrate', 1 when the database fails."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--format", choices=("csv", "jsonl", "focus"), default="csv", help="form (csv)")
        parser.add_argument("--since", default="30d", help="24h, 7d, 2w, or an ISO date or time in UTC; 'all' (30d)")
        parser.add_argument("--until", help="the same; records from then on are left out")
        parser.add_argument("--account", default="", help="only this provider account's")
        parser.add_argument("--output", default="-", metavar="FILE", help="where to (standard output)")

    def handle(self, *args: Any, **options: Any) -> None:
        now = datetime.now(UTC)
        try:
            since = None if options["since"] == "all" else moment(options["since"], now)
            until = moment(options["until"], now) if options["until"] else None
        except ValueError as error:
            raise CommandError(str(error), returncode=WRONG_ARGUMENTS) from None
        try:
            if options["output"] == "-":
                number = self._write(sys.stdout, since, until, options)
            else:
                draft = Path(f"{options['output']}.part")
                with draft.open("w", encoding="utf-8", newline="") as file:
                    number = self._write(file, since, until, options)
                draft.replace(options["output"])  # a reader never finds half of it
        except BrokenPipeError:
            raise  # who reads standard output has enough: manage.py ends quietly
        except OSError as error:
            where = "Standard output" if options["output"] == "-" else options["output"]
            raise CommandError(f"{where} can't be written ({error.strerror}).") from None
        self.stderr.write(f"{counted(number, 'row')}.")

    def _write(self, out: IO[str], since: datetime | None, until: datetime | None, options: dict[str, Any]) -> int:
        """Write the rows; return how many there were."""
        if options["format"] == "focus":
            number = write_csv(out, COLUMNS, focus_rows(since, until, options["account"]))
        else:
            rows = plain_rows(_records(since, until, options["account"]))
            number = write_csv(out, HEADER, rows) if options["format"] == "csv" else _write_lines(out, rows)
        out.flush()  # a full disk is reported now, not at the interpreter's end
        return number


def _write_lines(out: IO[str], rows: Iterable[Mapping[str, Any]]) -> int:
    number = 0
    for row in rows:
        out.write(json.dumps(row, ensure_ascii=False, separators=(",", ":")) + "\n")
        number += 1
    return number


def _records(since: datetime | None, until: datetime | None, account: str) -> Iterator[UsageRecord]:
    records = UsageRecord.objects.order_by("created_at", "id")
    if since is not None:
        records = records.filter(created_at__gte=since)
    if until is not None:
        records = records.filter(created_at__lt=until)
    return (records.filter(account=account) if account else records).iterator(CHUNK)
