"""Recorded calls, for trying rules and routing on them."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any, Final

from gateway.billing import pricing
from gateway.directory.accounts import account_snapshots, unlisted_model
from gateway.directory.nesting import nest_rules
from gateway.simulation.proposed import with_virtual_models
from gateway.simulation.replay import Replayed, replay
from gateway.simulation.routes import Routes
from providers.models import Model
from providers.snapshot import AccountSnapshot, ByName, Target
from rules.compiled import RuleSet
from rules.spending import GROUPED
from usage.models import UsageRecord
from usage.records import AttemptRecord

BROKEN: Final = 502
"""The status that an answer counts as which ended with an error although it began well."""
ENDING: Final = (
    "model_resolved",
    "account",
    "decision",
    "status",
    "error_class",
    "client_gone",
    "cost_pico",
    "latency_us",
)
"""What is asked of a call's later attempts, beside its tokens."""
COLUMNS: Final = (
    "id",
    "created_at",
    "request_id",
    *(name for name in GROUPED if name not in ENDING),
    *ENDING,
    "operation",
    "units",
    "ttft_us",
    "batch_key",
    *pricing.TOKEN_FIELDS,
)
Record = Mapping[str, Any]


def replay_recorded(
    rules: RuleSet, since: datetime, most: int | None = None, virtual: Iterable[Model] = ()
) -> Replayed:
    """Run the calls that were recorded since a moment through rules and proposed virtual models: the last ``most`` of
    them, or all."""
    virtual = list(virtual)
    accounts = with_virtual_models(account_snapshots({}), virtual)
    nested = nest_rules(rules, accounts) or rules
    routes = Routes(accounts, nested, proposed={model.public_name for model in virtual})
    # What was refused does not count as a call.
    rows = UsageRecord.objects.filter(created_at__gte=since, attempt_number=1).exclude(status=429, upstream_status=0)
    if most is None:
        firsts: Iterable[Record] = rows.order_by("created_at", "id").values(*COLUMNS).iterator(2000)
    else:
        firsts = list(reversed(rows.order_by("-created_at", "-id").values(*COLUMNS)[:most]))
        since = firsts[0]["created_at"] if firsts else since
    return replay(nested, _calls(firsts, _later(since)), price_at(accounts), routes)


def _later(since: datetime) -> Mapping[str, list[Record]]:
    """Return the attempts behind the first one, by request: few calls have any."""
    found: dict[str, list[Record]] = {}
    rows = UsageRecord.objects.filter(created_at__gte=since, attempt_number__gt=1).order_by("attempt_number", "id")
    for row in rows.values("request_id", *ENDING, *pricing.TOKEN_FIELDS).iterator(2000):
        found.setdefault(row["request_id"], []).append(row)
    return found


def _calls(firsts: Iterable[Record], later: Mapping[str, list[Record]]) -> Iterator[Record]:
    """Yield a record for each call: of its first attempt, with the end of its last one, the cost of all, and the
    targets whose ``failures`` are known, with their statuses."""
    for first in firsts:
        attempts = [first, *later.get(first["request_id"], ())]
        last = attempts[-1]
        failures = {each["model_resolved"]: _status(each) for each in attempts if _failed(each)}
        if not _failed(last):
            failures.pop(last["model_resolved"], None)
        costs = [each["cost_pico"] for each in attempts]
        yield {
            **first,
            **{name: last[name] for name in (*ENDING, *pricing.TOKEN_FIELDS)},
            "status": _status(last),
            "latency_us": sum(each["latency_us"] for each in attempts),
            "cost_pico": None if None in costs else sum(costs),
            "failures": failures,
            "attempts": len(attempts),
        }


def _failed(attempt: Record) -> bool:
    return (attempt["status"] >= 400 or bool(attempt["error_class"])) and not attempt["client_gone"]


def _status(attempt: Record) -> int:
    return BROKEN if _failed(attempt) and attempt["status"] < 400 else int(attempt["status"])


def price_at(accounts: ByName[AccountSnapshot]) -> Callable[[Record, str], int | None]:
    """Return what says what a record would have cost at a model of today, in pico-dollars."""

    def price(record: Record, name: str) -> int | None:
        account_name, _, model_name = name.partition("/")
        account: AccountSnapshot | None = accounts.get(account_name)
        if account is None or account.vendor.virtual:
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
