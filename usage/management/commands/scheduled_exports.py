"""``manage.py scheduled_exports``: what the schedule exported, and to have it done now, or again."""

import json
from argparse import ArgumentParser
from datetime import UTC, date, datetime
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError

from accounts.command import GatehouseCommand
from accounts.printable import printable
from accounts.words import counted
from usage import words
from usage.models import ExportedFile
from usage.scheduled_exports import days, failed, forget, listed, run

WRONG_ARGUMENTS = 2


class Command(GatehouseCommand):
    help = (
        "List the files of days that the schedule wrote to GATEHOUSE_EXPORT_STORAGE, or write now what is due (--run). "
        "Safe to run while serving. Ends with 2 for wrong arguments or when no store is set, 1 when a file can't be "
        "written, or could not be."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--run", action="store_true", help="write what is due now")
        parser.add_argument("--again", action="append", default=[], metavar="DAY", help="write a day's files again")
        parser.add_argument("--limit", type=int, default=50, help="files to list (50)")
        parser.add_argument("--json", action="store_true", help="print JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        if not settings.EXPORT_STORAGE:
            raise CommandError("No store is set. Set GATEHOUSE_EXPORT_STORAGE.", returncode=WRONG_ARGUMENTS)
        if options["limit"] < 1:
            raise CommandError("--limit has to be at least 1.", returncode=WRONG_ARGUMENTS)
        for given in options["again"]:
            forget(self._day(given))
        if options["run"] or options["again"]:
            done, faults = run(self._written)
            self.stderr.write(f"{counted(done, 'file')} written, {counted(faults, 'file')} failed.")
        self._list(listed(options["limit"]), as_json=options["json"])
        if failed(datetime.now(UTC)):
            raise CommandError("Some files could not be written; the list says why.")

    def _day(self, given: str) -> date:
        """Return a day that the schedule still looks at."""
        try:
            day = date.fromisoformat(given)
        except ValueError:
            raise CommandError(f"--again: write a day like 2026-11-01, not {given!r}.", returncode=2) from None
        oldest = days(datetime.now(UTC))[0]
        if day < oldest:
            fix = f"It looks at days from {oldest} on (GATEHOUSE_EXPORT_DAYS). Use export_usage for older ones."
            raise CommandError(f"--again: {day} is before what the schedule looks at. {fix}", returncode=2)
        return day

    def _written(self, file: ExportedFile) -> None:
        said = printable(file.fault) if file.fault else f"{counted(file.rows, 'row')}, {words.size(file.size)}"
        self.stderr.write(f"{file.name}: {said}")

    def _list(self, files: list[dict[str, Any]], *, as_json: bool) -> None:
        if as_json:
            self.stdout.write(json.dumps(files, ensure_ascii=False, indent=2))
            return
        for file in files:
            said = (
                f"{counted(file['rows'], 'row')}, {words.size(file['bytes'])}, {(file['exported_at'] or 'never')[:19]}"
            )
            fault = f"  {printable(file['fault'])}" if file["fault"] else ""
            self.stdout.write(f"{file['name']}  {said}{fault}")
