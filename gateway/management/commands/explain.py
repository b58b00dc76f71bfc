"""``manage.py explain``: what would happen to a call, before it is made."""

from collections.abc import Iterator
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError, CommandParser
from django.utils import timezone

from accounts.command import GatehouseCommand
from accounts.models import Team, User, VirtualAccount
from gateway.directory.accounts import account_snapshots
from gateway.directory.nesting import nest_rules
from gateway.routing.last_health import health_lines
from providers.models import Model
from providers.routing.compiled import RoutedTarget
from providers.routing.words import inner_lines, routing_lines
from providers.snapshot import AccountSnapshot, ByName
from rules import compiled, periods, spending
from rules.asked import Asked, asked_by
from rules.compiled import CompiledRule, RuleSet
from rules.shape import Unit
from usage.words import amount


class Command(GatehouseCommand):
    """Say which rules route and count a call of a caller to a model, and what budgets have left."""

    help = (
        "Say which rules would send a call elsewhere and count it, what is left of the budgets, and how the targets do."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--as", required=True, dest="caller", help="an e-mail address, or virtualaccount:NAME")
        parser.add_argument("--model", required=True, help="account/model")
        parser.add_argument("--metadata", action="append", default=[], metavar="KEY=VALUE", help="may be repeated")

    def handle(self, *args: Any, **options: Any) -> None:
        rules = compiled.load()
        asked = _asked(options["caller"], options["model"], dict(_pairs(options["metadata"])), rules)
        known = Model.objects.filter(account__name=asked.account, name=asked.model.partition("/")[2]).first()
        if known is None:
            self.stdout.write(f"The model {asked.model!r} is not listed; rules match its name all the same.")
        now = timezone.now().timestamp()
        counting = list(rules.counting(asked, now))
        deciding = rules.budgets.deciding(asked)
        held = {(one.place.rule_id, one.place.period, one.place.entity): one for one in spending.held_now()}
        for rule, values, unit, limit in counting:
            entity = f" for {' and '.join(value or '(none)' for value in values)}" if values else ""
            if unit.period:
                one = held.get((rule.id, unit.period, spending.entity_name(values)))
                self.stdout.write(_budget(rule, unit, limit, entity, one, now))
            else:
                self.stdout.write(f"rate limit {rule.label} ({rule.mode}): {limit:,} {unit.name}{entity}")
        for rule in rules.budgets.fitting(asked):
            if rule not in deciding:
                self.stdout.write(f"budget {rule.label}: is charged; another of its configuration decides")
        for line in _routing(rules, asked, known):
            self.stdout.write(line)
        if not counting:
            self.stdout.write("No rate limit and no budget counts such a call.")


def _routing(rules: RuleSet, asked: Asked, known: Model | None) -> Iterator[str]:
    """Yield where the model's own routing and routing rules would send a call, and how their targets do."""
    accounts = account_snapshots({})
    rules = nest_rules(rules, accounts) or rules
    virtual = known is not None and bool(known.routing)
    account = accounts.get(asked.account) if virtual else None
    routing = account.models[asked.model.partition("/")[2]].routing if account is not None else None
    if routing is not None:
        yield from routing_lines(f"virtual model {asked.model}", routing)
    yield from _routes(rules, asked, routed=routing is not None)
    leaves = [leaf for rule in rules.routes.fitting(asked) if rule.route is not None for leaf in rule.route.leaves]
    leaves += routing.leaves if routing is not None else ()
    yield from health_lines(_names(leaves, accounts), settings.REDIS_URL)


def _names(leaves: list[RoutedTarget], accounts: ByName[AccountSnapshot]) -> Iterator[str]:
    """Yield the present names of the targets: their health goes by those."""
    for leaf in leaves:
        account = accounts.get(leaf.account)
        model = account.models.get(leaf.model) if account is not None else None
        yield model.public_name if model is not None else leaf.name


def _routes(rules: RuleSet, asked: Asked, *, routed: bool) -> Iterator[str]:
    """Yield which routing rules hold for a call; ``routed``: its model is virtual, and keeps its own routing."""
    for rule in rules.routes.fitting(asked):
        route = rule.route
        assert route is not None  # they are the routing rules
        if route.routing is not None and not routed:
            routed = rule.mode != "audit"
            yield from routing_lines(f"routing rule {rule.label} ({rule.mode})", route.routing)
        elif route.fallbacks:
            names = ", ".join(target.name for target in route.fallbacks)
            statuses = ", ".join(map(str, sorted(route.statuses)))
            yield f"fallback rule {rule.label} ({rule.mode}): after {statuses} goes on to {names}"
            yield from inner_lines(route.fallbacks)


def _budget(rule: CompiledRule, unit: Unit, limit: int, entity: str, held: spending.Held | None, now: float) -> str:
    money = unit.counts == "cost"
    used = 0 if held is None else held.cost if money else held.tokens
    end = periods.end_of(unit.period, periods.start_of(unit.period, periods.day_of(now)))
    ends = "" if end == periods.NEVER else f", begins again in {(end - now) / 3600:,.1f} h"
    full = used >= limit and rule.mode != "audit"
    shown, most = (amount(each, is_money=money) for each in (used, limit))
    ending = _cheaper(rule, used, limit) + ("; a call would be refused" if full else "")
    return f"budget {rule.label} ({rule.mode}): {shown} of {most} a {unit.period}{entity}{ends}{ending}"


def _cheaper(rule: CompiledRule, used: int, limit: int) -> str:
    """Return where the budget sends calls that may go there, and from when on, with what is reserved left out."""
    if rule.cheaper is None:
        return ""
    percent, target = rule.cheaper
    if not limit or used * 100 >= percent * limit:
        return f"; calls {'would go' if rule.mode == 'audit' else 'go'} to {target} now, of those who may use it"
    return f"; from {percent:g}% on, or without room, calls go to {target}, of those who may use it"


def _asked(caller: str, model: str, metadata: dict[str, str], rules: RuleSet) -> Asked:
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
    return asked_by(
        kind,
        name,
        teams,
        token="",
        models=(model, *rules.names.of_model(model)),
        accounts=(account, *rules.names.of_account(account)),
        metadata=metadata,
        variant_of=rules.variants(account, model),
    )


def _pairs(given: list[str]) -> Iterator[tuple[str, str]]:
    for pair in given:
        key, equals, value = pair.partition("=")
        if not equals or not key:
            raise CommandError("--metadata is KEY=VALUE.")
        yield key, value
