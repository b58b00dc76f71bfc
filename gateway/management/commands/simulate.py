"""``manage.py simulate``: what rules of a file would have done to calls that were recorded."""

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser

from accounts.command import GatehouseCommand
from gateway.limits import recorded
from providers.manifests.apply import ManifestError
from rules import compiled
from rules.manifests.proposed import proposed_rules
from rules.references import missing
from usage.report import moment


class Command(GatehouseCommand):
    """Replay; nothing is changed."""

    help = (
        "Run recorded calls through the rate limits and budgets of a file, and print who would be refused or moved. "
        "Nothing is written. Without -f the rules that are stored are used."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("-f", "--file", action="append", default=[], dest="files", help="manifests of rules")
        parser.add_argument("--since", default="7d", help="since when: 12h, 7d, 4w, or an ISO date or time in UTC (7d)")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            since = moment(options["since"], datetime.now(UTC))
        except ValueError as error:
            raise CommandError(str(error), returncode=2) from None
        rules = compiled.load(self._proposed(options["files"]) if options["files"] else None)
        if not rules.counts:
            raise CommandError("There are no rate limits or budgets to simulate.")
        for line in recorded.said(recorded.replay_recorded(rules, since), rules):
            self.stdout.write(line)

    def _proposed(self, files: list[str]) -> list[Any]:
        try:
            sources = [(name, Path(name).read_text(encoding="utf-8")) for name in files]
            rules = proposed_rules(sources, os.environ)
        except OSError as error:
            raise CommandError(f"{error.filename}: {error.strerror}.") from None
        except ManifestError as error:
            raise CommandError(str(error)) from None
        for found in missing(rules):
            self.stderr.write(f"note: {found}", style_func=str)
        return rules
