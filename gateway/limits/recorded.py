"""Recorded calls, for trying rules on them, and what came of that in words."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any, Final

from accounts.words import counted
from gateway.billing import pricing
from gateway.directory.accounts import account_snapshots, unlisted_model
from gateway.limits.simulation import Replayed, replay
from providers.snapshot import Target
from rules.compiled import RuleSet
from rules.spending import GROUPED
from usage.models import UsageRecord
from usage.records import AttemptRecord
from usage.words import money_of_pico

SHOWN: Final = 20
COLUMNS: Final = (
    "id",
    "created_at",
    *GROUPED,
    "operation",
    "units",
    "cost_pico",
    "latency_us",
    *pricing.TOKEN_FIELDS,
)


def replay_recorded(rules: RuleSet, since: datetime, most: int | None = None) -> Replayed:
    """Run the calls that were recorded since a moment through rules: the last ``most`` of them, or all."""
    # What was refused does not count as a call; what comes from other attempts of a call was admitted with it.
    rows = UsageRecord.objects.filter(created_at__gte=since, attempt_number=1).exclude(status=429, upstream_status=0)
    if most is not None:
        newest = rows.order_by("-created_at", "-id").values(*COLUMNS)[:most]
        return replay(rules, reversed(list(newest)), price_at())
    return replay(rules, rows.order_by("created_at", "id").values(*COLUMNS).iterator(2000), price_at())


def price_at() -> Callable[[Mapping[str, Any], str], int | None]:
    """Return what says what a record would have cost at a model of today, in pico-dollars."""
    accounts = account_snapshots({})

    def price(record: Mapping[str, Any], name: str) -> int | None:
        account_name, _, model_name = name.partition("/")
        account = accounts.get(account_name)
        if account is None:
            return None
        model = account.models.get(model_name)
        if model is None and account.any_model:
            model = unlisted_model(account, model_name)
        if model is None:
            return None
        used = {field: record[field] for field in pricing.TOKEN_FIELDS}
        priced = AttemptRecord("", "", 0, operation=record["operation"], units=record["units"], **used)
        pricing.price(priced, Target(account, model))
        return priced.cost_pico

    return price


def said(found: Replayed, rules: RuleSet) -> Iterator[str]:
    """Yield what came of a replay, a line each: all calls, each rule, those who were refused most."""
    yield (
        f"{counted(found.calls, 'call')}; {found.refused:,} would have been refused and {found.moved.total():,} moved "
        f"to a cheaper target, which would have saved {money_of_pico(found.saved)}."
    )
    for label in _labels(rules):
        refused, audited, moved = found.by_rule[label], found.audited[label], found.moved[label]
        ending = f"refuses {refused:,}" if not audited else f"would refuse {audited:,} (audit)"
        ending += f", moves {moved:,}" if moved else ""
        yield f"rule {label}: counts {counted(found.matched[label], 'call')}, {ending}"
    for caller, count in found.by_caller.most_common(SHOWN):
        yield f"caller {caller}: {count:,} refused"


def _labels(rules: RuleSet) -> Iterable[str]:
    return (rule.label for index in (rules.limits, rules.budgets) for rule in index.rules.values())
