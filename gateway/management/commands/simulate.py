"""``manage.py simulate``: what rules and virtual models of a file would have done to calls that were recorded."""

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser

from accounts.command import GatehouseCommand
from gateway.simulation import recorded
from gateway.simulation.words import said
from providers.manifests.apply import ManifestError
from rules import compiled
from rules.manifests.proposed import Proposed, proposed_in
from rules.references import Names, missing
from usage.report import moment


class Command(GatehouseCommand):
    """Replay; nothing is changed."""

    help = (
        "Run recorded calls through the rate limits, budgets, routing rules and virtual models of a file, and print "
        "who would be refused or moved, and at what cost. Nothing is written. Without -f the stored rules are used."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "-f", "--file", action="append", default=[], dest="files", help="manifests of rules and virtual models"
        )
        parser.add_argument("--since", default="7d", help="since when: 12h, 7d, 4w, or an ISO date or time in UTC (7d)")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            since = moment(options["since"], datetime.now(UTC))
        except ValueError as error:
            raise CommandError(str(error), returncode=2) from None
        proposed = self._proposed(options["files"]) if options["files"] else None
        rules = compiled.load(proposed.rules if proposed is not None else None)
        virtual = proposed.virtual if proposed is not None else []
        if not rules and not virtual:
            raise CommandError("There are no rules and no virtual models to simulate.")
        for line in said(recorded.replay_recorded(rules, since, virtual=virtual), rules):
            self.stdout.write(line)

    def _proposed(self, files: list[str]) -> Proposed:
        try:
            sources = [(name, Path(name).read_text(encoding="utf-8")) for name in files]
            proposed = proposed_in(sources, os.environ)
        except OSError as error:
            raise CommandError(f"{error.filename}: {error.strerror}.") from None
        except ManifestError as error:
            raise CommandError(str(error)) from None
        names = Names()
        names.models |= {model.public_name for model in proposed.virtual}
        for found in missing(proposed.rules, names):
            self.stderr.write(f"note: {found}", style_func=str)
        return proposed
