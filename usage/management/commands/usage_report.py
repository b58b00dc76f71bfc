"""``manage.py usage_report``: what was used and what it cost."""

import csv
import json
from argparse import ArgumentParser
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from django.core.management.base import CommandError

from accounts.command import GatehouseCommand
from accounts.printable import printable
from accounts.words import counted
from usage import recovery
from usage.exports import harmless
from usage.ledger import open_ledger, spool_directory
from usage.report import GROUPS, NAMES, Report, Sums, moment, report
from usage.words import money

SHOWN = ("requests", "errors", "input_tokens", "cached_tokens", "output_tokens", "unpriced", "estimated", "cost")
CSV_COLUMNS = (*(name for name in NAMES if name != "cost_pico"), "cost", "currency")
NONE = "(none)"
WRONG_ARGUMENTS = 2


class Command(GatehouseCommand):
    help = (
        "Sum the usage records: requests, errors, tokens and exact cost in US dollars. Under --group-by team a call of "
        "someone in two teams counts under each; in the total it counts once. Ends with 2 for wrong arguments "
        "and before 'manage.py migrate', 1 when the database fails."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--since", default="30d", help="30m, 24h, 7d, 2w, or an ISO date or time in UTC; 'all' (30d)"
        )
        parser.add_argument("--until", help="the same; records from then on are left out")
        parser.add_argument(
            "--group-by",
            action="append",
            default=[],
            metavar="GROUP",
            help=f"{', '.join(GROUPS)} or metadata.KEY; several by commas or by repeating it (account)",
        )
        form = parser.add_mutually_exclusive_group()
        form.add_argument("--json", action="store_true", help="print JSON, costs as decimal texts")
        form.add_argument("--csv", action="store_true", help="print CSV, the total not included")
        parser.add_argument(
            "--flush", action="store_true", help="first store the records that wait in this machine's spool"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        now = datetime.now(UTC)
        groups = [group.strip() for text in options["group_by"] for group in text.split(",") if group.strip()]
        try:
            since = None if options["since"] == "all" else moment(options["since"], now)
            until = moment(options["until"], now) if options["until"] else None
            if options["flush"]:
                store_waiting()
            found = report(list(dict.fromkeys(groups)) or ["account"], since, until)
        except ValueError as error:
            raise CommandError(str(error), returncode=WRONG_ARGUMENTS) from None
        if options["json"]:
            self.stdout.write(json.dumps(found.as_dict(), ensure_ascii=False, indent=2))
        elif options["csv"]:
            write_csv(found, self.stdout)
        else:
            self.stdout.write(table(found))
        waiting = 0 if options["flush"] else recovery.pending(spool_directory())
        if waiting:
            waiting_in = f"{counted(waiting, 'record')} in this machine's spool"
            self.stderr.write(f"Not in here yet: {waiting_in} (see --flush).")


def store_waiting() -> None:
    """Store what waits in the spools of this machine, of living processes and dead ones."""
    ledger = open_ledger()
    try:
        ledger.sweep()
    finally:
        ledger.spool.close()


def table(found: Report) -> str:
    """Return the report as a table for people, with a line for the total.

    Callers choose metadata and names of models.
    """
    lines = [[*map(printable, found.group_by), *(name.replace("_", " ") for name in SHOWN)]]
    lines += [[*(NONE if part is None else printable(part) for part in key), *_cells(sums)] for key, sums in found.rows]
    lines.append(["total", *[""] * (len(found.group_by) - 1), *_cells(found.total)])
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    texts = len(found.group_by)
    shown = [
        "  ".join(
            cell.ljust(width) if column < texts else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    ]
    rule = "-" * max(map(len, shown))
    since = found.since.strftime("%Y-%m-%d %H:%M") if found.since else "the beginning"
    until = found.until.strftime("%Y-%m-%d %H:%M") if found.until else "now"
    notes = [f"From {since} until {until}, UTC. Costs in US dollars."]
    if "team" in found.group_by:
        notes.append("A call of someone in two teams counts under each of them, and once in the total.")
    if found.total.unpriced:
        notes.append(f"Unpriced: {counted(found.total.unpriced, 'attempt')}, whose cost is not known and not in here.")
    if found.total.partly_priced:
        notes.append(
            f"{counted(found.total.partly_priced, 'attempt')} used something without a price beside what is in here."
        )
    return "\n".join([shown[0], rule, *shown[1:-1], rule, shown[-1], "", *notes])


def write_csv(found: Report, out: Any) -> None:
    """Write the rows as CSV with a header line."""
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([*found.group_by, *CSV_COLUMNS])
    for key, sums in found.rows:
        values = sums.as_dict()
        writer.writerow([*(harmless(part) for part in key), *(values[name] for name in CSV_COLUMNS)])


def _cells(sums: Sums) -> list[str]:
    counts = [f"{getattr(sums, name):,}" for name in SHOWN if name != "cost"]
    return [*counts, money(Decimal(sums.cost))]
