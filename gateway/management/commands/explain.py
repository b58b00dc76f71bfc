"""``manage.py explain``: what would happen to a call, before it is made."""

from collections.abc import Iterator
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from accounts.models import Team, User, VirtualAccount
from providers.models import Model
from rules import compiled, periods, spending
from rules.compiled import PICO, Asked, CompiledRule, asked_by
from rules.shape import BUDGET_UNITS


class Command(BaseCommand):
    """Say which rules count a call of a caller to a model, and what budgets have left."""

    help = "Say which limits and budgets would count a call, and what is left of the budgets."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--as", required=True, dest="caller", help="an e-mail address, or virtualaccount:NAME")
        parser.add_argument("--model", required=True, help="account/model")
        parser.add_argument("--metadata", action="append", default=[], metavar="KEY=VALUE", help="may be repeated")

    def handle(self, *args: Any, **options: Any) -> None:
        asked = _asked(options["caller"], options["model"], dict(_pairs(options["metadata"])))
        rules = compiled.load()
        known = Model.objects.filter(account__name=asked.account, name=asked.model.partition("/")[2]).first()
        if known is None:
            self.stdout.write(f"The model {asked.model!r} is not listed; rules match its name all the same.")
        found = [*rules.limits.deciding(asked), *rules.budgets.deciding(asked)]
        charged = [rule for rule in rules.budgets.fitting(asked) if rule not in found]
        held = {(one.place.rule_id, one.place.period, one.place.entity): one for one in spending.held_now()}
        for rule in found:
            for line in _lines(rule, asked, held):
                self.stdout.write(line)
        for rule in charged:
            self.stdout.write(f"budget {rule.label}: is charged; another of its configuration decides")
        if not found:
            self.stdout.write("No rate limit and no budget counts such a call.")


def _lines(rule: CompiledRule, asked: Asked, held: dict[tuple[int, str, str], spending.Held]) -> Iterator[str]:
    now = timezone.now().timestamp()
    for values in rule.entities(asked):
        entity = f" for {' and '.join(value or '(none)' for value in values)}" if values else ""
        for name, limit in rule.limits_of(values, now).items():
            unit = BUDGET_UNITS.get(name)
            if unit is None:
                yield f"rate limit {rule.label} ({rule.mode}): {limit:,} {name}{entity}"
                continue
            one = held.get((rule.id, unit.period, spending.entity_name(values)))
            used = 0 if one is None else one.cost if unit.counts == "cost" else one.tokens
            money = unit.counts == "cost"
            end = periods.end_of(unit.period, periods.start_of(unit.period, timezone.now().date()))
            ends = "" if end == periods.NEVER else f", begins again in {(end - now) / 3600:,.1f} h"
            full = used >= limit and rule.mode != "audit"
            yield (
                f"budget {rule.label} ({rule.mode}): {_shown(used, money)} of {_shown(limit, money)} a {unit.period}"
                f"{entity}{ends}" + ("; a call would be refused" if full else "")
            )


def _asked(caller: str, model: str, metadata: dict[str, str]) -> Asked:
    account = model.partition("/")[0]
    if caller.startswith("virtualaccount:"):
        found = VirtualAccount.objects.filter(name=caller.partition(":")[2]).select_related("team").first()
        if found is None:
            raise CommandError(f"The virtual account {caller.partition(':')[2]!r} does not exist.")
        teams = [found.team.name] if found.team else []
        metadata = {**metadata, **found.tags}
        kind, name = "virtualaccount", found.name
    else:
        user = User.objects.filter(email=caller.strip().lower()).first()
        if user is None:
            raise CommandError(f"The user {caller!r} does not exist.")
        teams = list(Team.objects.filter(memberships__user=user).values_list("name", flat=True))
        kind, name = "user", user.email
    return asked_by(kind, name, teams, token="", models=(model,), accounts=(account,), metadata=metadata)


def _pairs(given: list[str]) -> Iterator[tuple[str, str]]:
    for pair in given:
        key, equals, value = pair.partition("=")
        if not equals or not key:
            raise CommandError("--metadata is KEY=VALUE.")
        yield key, value


def _shown(amount: int, money: bool) -> str:
    return f"${amount / PICO:,.6f}" if money else f"{amount:,} tokens"
