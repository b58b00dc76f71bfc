"""How much of each budget is used: the ledger's counters beside the limits that hold for them now."""

from collections.abc import Iterator
from dataclasses import dataclass

from rules import compiled, spending
from rules.compiled import PICO, SEPARATOR, CompiledRule
from rules.shape import BUDGET_UNITS
from rules.spending import Place


@dataclass(frozen=True, slots=True)
class Used:
    """A limit of a budget for one entity: ``used`` and ``limit`` in pico-dollars where ``money``, else in tokens."""

    rule: CompiledRule
    place: Place
    entity: tuple[str, ...]
    unit: str
    money: bool
    used: int
    limit: int

    @property
    def percent(self) -> float:
        """How much of the limit is used."""
        return self.used * 100 / self.limit

    def shown(self, amount: int) -> float:
        """Return an amount in US dollars, or tokens."""
        return amount / PICO if self.money else amount


def used_now(now: float) -> Iterator[Used]:
    """Yield every limit above zero of the enabled budgets that something was counted for; ``now`` in unix seconds."""
    budgets = compiled.load().budgets.rules
    for held in spending.held_now() if budgets else ():
        rule, place = budgets.get(held.place.rule_id), held.place
        if rule is None:
            continue
        entity = tuple(place.entity.split(SEPARATOR)) if place.entity else ()
        for name, limit in rule.limits_of(entity, now).items():
            unit = BUDGET_UNITS[name]
            if unit.period == place.period and limit:
                money = unit.counts == "cost"
                yield Used(rule, place, entity, name, money, held.cost if money else held.tokens, limit)
