"""``manage.py rerate``: price usage records again, by the prices that are configured now, and keep what they cost."""

import json
import sys
import uuid
from argparse import ArgumentParser
from datetime import UTC, datetime, timedelta
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError

from accounts.command import GatehouseCommand
from accounts.printable import printable
from accounts.words import counted
from gateway.jobs.upstream import AccountGone
from gateway.reconciliation.rerating import CHUNK, Found, Rating, Sums
from providers.lookup import find_account
from usage.models import PICO
from usage.ratings import change, runs, undone
from usage.report import moment
from usage.rollups import floor

WRONG_ARGUMENTS = 2
LISTED_RUNS = 50


class Command(GatehouseCommand):
    help = (
        "Price the usage records of an account again, by the prices and the discount that are configured now; a price "
        "that changes on a day counts as of each call's end. It only says what would change, unless --apply is given. "
        "What records cost before is kept, and --undo takes a run back. Sums, reports and budgets follow. Safe to run "
        "while serving. Ends with 2 for wrong arguments, 1 when it fails; what was changed before stays, and the same "
        "command goes on."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        what = parser.add_mutually_exclusive_group(required=True)
        what.add_argument("--account", help="the provider account whose records are meant")
        what.add_argument("--undo", metavar="RUN", help="give the records of a run the costs that they had before")
        what.add_argument("--list", action="store_true", help=f"show the last {LISTED_RUNS} runs")
        parser.add_argument("--since", help="24h, 7d, 2w, or an ISO date or time in UTC; needed with --account")
        parser.add_argument("--until", default="0h", help="the same; records from then on are left out (now)")
        parser.add_argument("--model", action="append", default=[], help="only this model's (repeatable)")
        parser.add_argument("--unpriced", action="store_true", help="only records without a price")
        parser.add_argument("--reason", default="", help="why, for the run's entry; at most 200 characters")
        parser.add_argument("--apply", action="store_true", help="change the records")
        parser.add_argument("--json", action="store_true", help="print JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["list"]:
            self._list(as_json=options["json"])
        elif options["undo"]:
            self._undo(options)
        else:
            self._rate(options)

    def _rate(self, options: dict[str, Any]) -> None:
        since, until = _range(options)
        try:
            rating = Rating(find_account(options["account"]).name)
        except ValueError as error:
            raise CommandError(str(error), returncode=WRONG_ARGUMENTS) from None
        except AccountGone as error:
            raise CommandError(str(error)) from None
        run, found, changed = uuid.uuid4(), Found(), 0
        wanted = rating.wanted(since, until, options["model"], unpriced=options["unpriced"])
        for changes in rating.changes(wanted, found):
            if options["apply"] and changes:
                changed += change(changes, run, options["reason"] or f"rerate --account {options['account']}"[:200])
            self._progress(f"{counted(found.looked_at, 'record')} looked at")
        self._progress("", end="\n")
        report = _report(found, str(run) if changed else None, changed)
        if options["json"]:
            self.stdout.write(json.dumps(report, ensure_ascii=False, indent=2))
        else:
            self._print(found, str(run), changed, applied=options["apply"])

    def _undo(self, options: dict[str, Any]) -> None:
        try:
            run = uuid.UUID(options["undo"])
        except ValueError:
            raise CommandError("--undo: give a run as --list shows it.", returncode=WRONG_ARGUMENTS) from None
        changes = undone(run)
        if not changes:
            raise CommandError(f"The run {run} does not exist. --list shows the last ones.", returncode=WRONG_ARGUMENTS)
        back, changed = uuid.uuid4(), 0
        if options["apply"]:
            for start in range(0, len(changes), CHUNK):
                changed += change(changes[start : start + CHUNK], back, options["reason"] or f"undo of {run}")
                self._progress(f"{changed:,} of {counted(len(changes), 'record')}")
            self._progress("", end="\n")
        if options["json"]:
            said = {"run": str(back) if changed else None, "records": len(changes), "changed": changed}
            self.stdout.write(json.dumps(said))
        elif options["apply"]:
            rest = len(changes) - changed
            later = f" {counted(rest, 'record')} were rated again or deleted since, and stay." if rest else ""
            self.stdout.write(f"{counted(changed, 'record')} cost what they did before; run {back}.{later}")
        else:
            self.stdout.write(f"{counted(len(changes), 'record')} would cost what they did before. --apply does it.")

    def _list(self, *, as_json: bool) -> None:
        found = [
            {
                "run": str(entry["run"]),
                "at": entry["at"].isoformat(),
                "records": entry["records"],
                "before_usd": _dollars(entry["before"]),
                "after_usd": _dollars(entry["after"]),
                "reason": entry["reason"],
            }
            for entry in runs(LISTED_RUNS)
        ]
        if as_json:
            self.stdout.write(json.dumps(found, ensure_ascii=False, indent=2))
            return
        for entry in found:
            self.stdout.write(
                f"{entry['run']}  {entry['at'][:19]}  {counted(entry['records'], 'record')}  ${entry['before_usd']} -> "
                f"${entry['after_usd']}  {printable(entry['reason'])}"
            )
        if not found:
            self.stderr.write("No records were rated again yet.")

    def _print(self, found: Found, run: str, changed: int, *, applied: bool) -> None:
        total = Sums()
        for (day, model), sums in sorted(found.sums.items()):
            if sums.changed:
                self.stdout.write(f"{day} {printable(model)}: {_said(sums)}")
            for name in Sums.__slots__:
                setattr(total, name, getattr(total, name) + getattr(sums, name))
        self.stdout.write(f"In all: {_said(total)}")
        for reason, count in found.left.most_common():
            self.stdout.write(f"Left as they are: {counted(count, 'record')}: {reason}.")
        if applied:
            self.stdout.write(f"Changed {counted(changed, 'record')}; run {run}." if changed else "Nothing changed.")
        elif total.changed:
            self.stdout.write("Nothing was changed: --apply does it.")

    def _progress(self, text: str, end: str = "") -> None:
        if sys.stderr.isatty():
            self.stderr.write(f"\r{text:<60}", ending=end)


def _range(options: dict[str, Any]) -> tuple[datetime, datetime]:
    """Return from when until when; never records that retention is about to delete, whose sums are gone already."""
    now = datetime.now(UTC)
    if not options["since"]:
        raise CommandError("--since is needed, for example --since 2026-11-01.", returncode=WRONG_ARGUMENTS)
    if len(options["reason"]) > 200:
        raise CommandError("--reason: at most 200 characters.", returncode=WRONG_ARGUMENTS)
    try:
        since, until = moment(options["since"], now), moment(options["until"], now)
    except ValueError as error:
        raise CommandError(str(error), returncode=WRONG_ARGUMENTS) from None
    if since >= until:
        raise CommandError("--since must lie before --until.", returncode=WRONG_ARGUMENTS)
    kept = floor(now - timedelta(days=settings.USAGE_RETENTION_DAYS)) + timedelta(hours=1)
    return max(since, kept), until


def _said(sums: Sums) -> str:
    difference = sums.after - sums.before
    said = f"{sums.changed:,} of {counted(sums.records, 'record')}: ${_dollars(sums.before)} -> ${_dollars(sums.after)}"
    said += f" ({'+' if difference >= 0 else '-'}${_dollars(abs(difference))})"
    if sums.unpriced_before:
        said += f"; unpriced {sums.unpriced_before:,} -> {sums.unpriced_after:,}"
    return said


def _report(found: Found, run: str | None, changed: int) -> dict[str, Any]:
    return {
        "run": run,
        "changed": changed,
        "left": dict(found.left),
        "rows": [
            {
                "day": day.isoformat(),
                "model": model,
                "records": sums.records,
                "changes": sums.changed,
                "before_usd": _dollars(sums.before),
                "after_usd": _dollars(sums.after),
                "unpriced_before": sums.unpriced_before,
                "unpriced_after": sums.unpriced_after,
            }
            for (day, model), sums in sorted(found.sums.items())
        ],
    }


def _dollars(pico: Any) -> str:
    return f"{(int(pico or 0) * PICO).normalize():f}"
