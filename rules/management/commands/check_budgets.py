"""``manage.py check_budgets``: prove the budgets' counters equal to the usage records."""

from typing import Any

from django.core.management.base import CommandError, CommandParser

from accounts.command import GatehouseCommand
from accounts.words import counted
from rules import spending
from rules.compiled import SEPARATOR
from rules.models import Rule
from usage.words import money_of_pico


class Command(GatehouseCommand):
    """Compare, and with ``--fix`` sum again."""

    help = (
        "Compare what budgets hold in their present periods with the usage records, to the last digit. Exits with 1 "
        "when they differ. Records that are stored meanwhile wait."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--fix", action="store_true", help="sum the budgets that differ again")

    def handle(self, *args: Any, **options: Any) -> None:
        spending.rebuild(spending.uncounted())
        count, differing = spending.compare()
        names = {rule.pk: str(rule) for rule in Rule.objects.all()}
        for one in differing:
            place = one.place
            entity = f" for {' and '.join(place.entity.split(SEPARATOR))}" if place.entity else ""
            self.stdout.write(
                f"{names.get(place.rule_id, place.rule_id)}, {place.period} from {place.start}{entity}: counted "
                f"{_said(one.counted)}, recorded {_said(one.recorded)}"
            )
        agreeing = count - len(differing)
        self.stdout.write(f"{agreeing} counter{'s' * (agreeing != 1)} agree{'s' * (agreeing == 1)} with the records.")
        if differing and options["fix"]:
            spending.rebuild({one.place.rule_id for one in differing})
            self.stdout.write(f"{len(differing)} summed again.")
        elif differing:
            raise CommandError(f"{len(differing)} differ. Run it with --fix to sum them again.")


def _said(amounts: tuple[int, int]) -> str:
    cost, tokens = amounts
    return f"{money_of_pico(cost)} and {counted(tokens, 'token')}"
