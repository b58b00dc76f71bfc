"""``manage.py simulate``: what rules of a file would have done to calls that were recorded."""

import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser

from accounts.command import GatehouseCommand
from accounts.words import counted
from gateway.limits.simulation import Replayed, replay
from providers.manifests.apply import ManifestError
from rules import compiled
from rules.manifests.proposed import proposed_rules
from rules.references import missing
from usage.models import UsageRecord
from usage.report import moment
from usage.words import money_of_pico

SHOWN = 20
COLUMNS = (
    "id",
    "created_at",
    "subject_type",
    "subject_name",
    "teams",
    "token_prefix",
    "account",
    "model_asked",
    "model_resolved",
    "metadata",
    "input_tokens",
    "output_tokens",
    "cost_pico",
    "latency_us",
)


class Command(GatehouseCommand):
    """Replay; nothing is changed."""

    help = (
        "Run recorded calls through the rate limits and budgets of a file, and print who would have been refused. "
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
        found = replay(rules, _records(since))
        for line in _lines(
            found, [rule.label for index in (rules.limits, rules.budgets) for rule in index.rules.values()]
        ):
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


def _records(since: Any) -> Iterator[dict[str, Any]]:
    # What was refused does not count as a call; what comes from other attempts of a call was admitted with it.
    rows = UsageRecord.objects.filter(created_at__gte=since, attempt_number=1).exclude(status=429, upstream_status=0)
    yield from rows.order_by("created_at", "id").values(*COLUMNS).iterator(2000)


def _lines(found: Replayed, labels: list[str]) -> Iterator[str]:
    saved = f"which would have saved {money_of_pico(found.saved)}"
    yield f"{counted(found.calls, 'call')}; {found.refused:,} would have been refused, {saved}."
    for label in labels:
        refused, audited = found.by_rule[label], found.audited[label]
        said = f"refuses {refused:,}" if not audited else f"would refuse {audited:,} (audit)"
        yield f"rule {label}: counts {counted(found.matched[label], 'call')}, {said}"
    for caller, count in found.by_caller.most_common(SHOWN):
        yield f"caller {caller}: {count:,} refused"
