"""What budgets hold according to the ledger: counters that are written in the transaction that stores usage records.

So a counter and the records never differ: each record counts once, when it is stored, for every budget that fits it
(of a configuration with several, too: the first decides, all are charged). A new or changed budget is summed from the
records; the lock that both take lets no record in between. :func:`compare` proves the counters against the records.
"""

import hashlib
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final

import msgspec
from django.db import DEFAULT_DB_ALIAS, connections, transaction
from django.db.models import F
from django.utils import timezone

from rules import compiled, periods
from rules.asked import Asked, asked_by
from rules.compiled import SEPARATOR, CompiledRule, RuleSet
from rules.models import BUDGET_FORMS, BudgetCounter, Rule
from rules.shape import PERIODS
from usage.decisions import VIA, way_of
from usage.rollups import SPLIT, model_name

logger = logging.getLogger("rules")

TABLE: Final = BudgetCounter._meta.db_table
COLUMNS: Final = (
    "key",
    "rule_id",
    "period",
    "start",
    "entity",
    "cost_high",
    "cost_low",
    "tokens",
    "version",
    "updated_at",
)
CHUNK: Final = 50
ENTITY_CHARACTERS: Final = 400
RESERVED: Final = "reserved_pico"
"""The entry of a record's decision that counts where the record itself has no price: what the call could cost."""

_object = msgspec.json.Decoder(dict[str, Any])
_names = msgspec.json.Decoder(list[str])


@dataclass(frozen=True, slots=True)
class Place:
    """Where something is counted: a budget, a period of it and an entity."""

    rule_id: int
    period: str
    start: date
    entity: str

    @property
    def key(self) -> str:
        """The counter's key."""
        text = SEPARATOR.join((str(self.rule_id), self.period, self.start.isoformat(), self.entity))
        return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


@dataclass(frozen=True, slots=True)
class Held:
    """What the ledger holds in a place: pico-dollars and tokens. ``version`` grows with every write."""

    place: Place
    cost: int
    tokens: int
    version: int


Sums = dict[Place, list[int]]
Listener = Callable[[Sequence[Held], Sequence[str]], None]
LISTENERS: list[Listener] = []
"""Called after a commit, in the thread that stored: with the counters that changed, and the ids of the attempts."""

_rules: dict[str, RuleSet] = {}


def entity_name(entity: tuple[str, ...]) -> str:
    """Return an entity as counters name it."""
    return SEPARATOR.join(entity)[:ENTITY_CHARACTERS]


def places(rule: CompiledRule, asked: Asked, day: date) -> Iterator[Place]:
    """Yield where a call of ``day`` counts for a budget."""
    counted = rule.periods
    for entity in rule.entities(asked):
        for period in counted:
            yield Place(rule.id, period, periods.start_of(period, day), entity_name(entity))


# --- as records are stored ---


def count(records: Sequence[Mapping[str, Any]], using: str) -> None:
    """Add records (columns by name, as the ledger writes them) to the counters.

    Call it in the transaction that stored them, with records that were not there before.
    """
    rules = _current_rules(using)
    sums: Sums = {}
    if rules.budgets.rules:
        for record in records:
            _add_record(rules, record, sums)
    held = write(sums, using) if sums else []
    if LISTENERS:
        ids = [str(record["id"]) for record in records]
        transaction.on_commit(lambda: _tell(held, ids), using=using)


def _tell(held: Sequence[Held], ids: Sequence[str]) -> None:
    for listener in LISTENERS:
        listener(held, ids)


def _current_rules(using: str) -> RuleSet:
    """Return the rules as the database has them now.

    The lock comes first: :func:`rebuild` takes one that excludes it, so that a record is either in the sum that it
    makes, or counted by what it knows.
    """
    if connections[using].vendor == "postgresql":
        with connections[using].cursor() as cursor:
            cursor.execute(f"LOCK TABLE {TABLE} IN ROW EXCLUSIVE MODE")
    known = _rules.get(using)
    if known is None or known.revision != compiled.current_revision(using):
        known = _rules[using] = compiled.load(using=using)
    return known


def recount(changed: Sequence[tuple[Mapping[str, Any], Mapping[str, Any]]], using: str) -> None:
    """Bring the counters of present periods in step with records that changed: columns by name, before and after.

    Call it in the transaction that changed them.
    """
    rules = _current_rules(using)
    sums: Sums = {}
    for before, after in changed:
        (old, had), (new, has) = _amounts(before), _amounts(after)
        _add(rules, after, new - old, has - had, sums)
    present = present_starts()
    held = write({place: total for place, total in sums.items() if place.start in present}, using)
    transaction.on_commit(lambda: _tell(held, []), using=using)


def _add_record(rules: RuleSet, record: Mapping[str, Any], sums: Sums) -> None:
    _add(rules, record, *_amounts(record), sums)


def _add(rules: RuleSet, record: Mapping[str, Any], cost: int, tokens: int, sums: Sums) -> None:
    if not cost and not tokens:
        return
    asked = asked_of(record, rules)
    day = date.fromisoformat(str(record["created_at"])[:10])
    for rule in rules.budgets.fitting(asked):
        for place in places(rule, asked, day):
            total = sums.setdefault(place, [0, 0])
            total[0] += cost
            total[1] += tokens


def _amounts(record: Mapping[str, Any]) -> tuple[int, int]:
    cost = record["cost_pico"]
    if cost is None:
        cost = _decoded(record["decision"]).get(RESERVED, 0)
    return int(cost), record["input_tokens"] + record["output_tokens"]


def asked_of(record: Mapping[str, Any], rules: RuleSet) -> Asked:
    """Return what ``rules`` see of a record, whose model and account they may know by other names."""
    asked = model_name(record["account"], record["model_asked"])
    model, account, names = record["model_resolved"] or asked, record["account"], rules.names
    metadata = _decoded(record["metadata"])
    teams = record["teams"]
    return asked_by(
        record["subject_type"],
        record["subject_name"],
        teams if isinstance(teams, list) else _names.decode(teams),
        token=record["token_prefix"],
        models=(model, *names.of_model(model), asked, *_way(record.get("decision"))),
        accounts=(account, *names.of_account(account)),
        metadata=metadata,
        variant_of=rules.variants(account, model),
    )


def _way(decision: Any) -> tuple[str, ...]:
    """Return the virtual models that led to a record's target; a decision is only decoded that has any."""
    return way_of(_decoded(decision)) if decision and VIA in decision else ()


def _decoded(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else _object.decode(value or "{}")


def write(sums: Sums, using: str) -> list[Held]:
    """Add sums to the counters; return what they hold afterwards."""
    rows = sorted((place.key, place, cost, tokens) for place, (cost, tokens) in sums.items())
    held: list[Held] = []
    by_key = {place.key: place for place in sums}
    now = connections[using].ops.adapt_datetimefield_value(timezone.now())
    for begin in range(0, len(rows), CHUNK):
        values: list[Any] = []
        chunk = rows[begin : begin + CHUNK]
        for key, place, cost, tokens in chunk:
            values += [key, place.rule_id, place.period, place.start.isoformat(), place.entity]
            values += [*divmod(cost, SPLIT), tokens, 1, now]
        with connections[using].cursor() as cursor:
            cursor.execute(_upsert(len(chunk)), values)
            for key, high, low, tokens, version in cursor.fetchall():
                held.append(Held(by_key[key], int(high) * SPLIT + int(low), int(tokens), int(version)))
    return held


def _upsert(rows: int) -> str:
    places = f"({', '.join(['%s'] * len(COLUMNS))})"
    values = ", ".join([places] * rows)
    added = ", ".join(f"{name} = {TABLE}.{name} + excluded.{name}" for name in COLUMNS[5:9])
    return (
        f"INSERT INTO {TABLE} ({', '.join(COLUMNS)}) VALUES {values} "  # noqa: S608 - our names
        f"ON CONFLICT (key) DO UPDATE SET {added}, updated_at = excluded.updated_at "
        "RETURNING key, cost_high, cost_low, tokens, version"
    )


# --- from the records ---


def rebuild(rule_ids: Iterable[int], using: str = DEFAULT_DB_ALIAS) -> int:
    """Sum the present periods of these budgets from the records, in one transaction; return how many counters there
    are.

    Records that are stored meanwhile wait.
    """
    wanted = list(rule_ids)
    with transaction.atomic(using=using):
        if connections[using].vendor == "postgresql":
            with connections[using].cursor() as cursor:
                cursor.execute(f"LOCK TABLE {TABLE} IN SHARE ROW EXCLUSIVE MODE")
        versions = dict(Rule.objects.using(using).filter(pk__in=wanted).values_list("pk", "version"))
        # Emptied, not deleted: a version never goes back, or workers would keep the older sum.
        rows = BudgetCounter.objects.using(using).filter(rule_id__in=wanted, start__in=present_starts())
        rows.update(cost_high=0, cost_low=0, tokens=0, version=F("version") + 1, updated_at=timezone.now())
        enabled = Rule.objects.using(using).filter(pk__in=wanted, enabled=True).select_related("team")
        rules = compiled.load(enabled, using)
        sums = summed(rules, using)
        held = write(sums, using)
        for pk, version in versions.items():
            Rule.objects.using(using).filter(pk=pk, version=version).quietly_update(counted_version=version)
    return len(held)


def uncounted() -> list[int]:
    """Return the budgets that were made or changed since they were last summed."""
    rows = Rule.objects.filter(form__in=BUDGET_FORMS, enabled=True).exclude(counted_version=F("version"))
    return list(rows.values_list("pk", flat=True))


def summed(rules: RuleSet, using: str = DEFAULT_DB_ALIAS) -> Sums:
    """Return what the records say that the present periods of these budgets hold."""
    today = timezone.now().date()
    counted = {period for rule in rules.budgets.rules.values() for period in rule.periods}
    sums: Sums = {}
    if not counted:
        return sums
    since = min(periods.start_of(period, today) for period in counted)
    for record, day, cost, tokens in _grouped(since, using):
        asked = asked_of(record, rules)
        for rule in rules.budgets.fitting(asked):
            for place in places(rule, asked, day):
                if place.start == periods.start_of(place.period, today):
                    total = sums.setdefault(place, [0, 0])
                    total[0] += cost
                    total[1] += tokens
    return {place: total for place, total in sums.items() if any(total)}


GROUPED: Final = (
    "subject_type",
    "subject_name",
    "teams",
    "token_prefix",
    "account",
    "model_asked",
    "model_resolved",
    "metadata",
)
"""What rules see of a record, beside the way to its target."""


def _grouped(since: date, using: str) -> Iterator[tuple[dict[str, Any], date, int, int]]:
    """Yield sums of the records since a day: what rules see of them, their day, cost and tokens."""
    postgres = connections[using].vendor == "postgresql"
    day = "to_char(created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD')" if postgres else "substr(created_at, 1, 10)"
    columns = [f"{name}::text" if postgres and name in ("teams", "metadata") else name for name in GROUPED]
    reserved = (
        f"(decision->>'{RESERVED}')::bigint" if postgres else f"CAST(json_extract(decision, '$.{RESERVED}') AS INTEGER)"
    )
    way = f"decision->>'{VIA}'" if postgres else f"json_extract(decision, '$.{VIA}')"
    columns.append(f"COALESCE({way}, '')")
    cost = f"COALESCE(cost_pico, {reserved}, 0)"
    statement = (
        f"SELECT {day}, {', '.join(columns)}, SUM({cost} / {SPLIT}), SUM({cost} %% {SPLIT}), "  # noqa: S608 - our names
        f"SUM(input_tokens + output_tokens) FROM usage_usagerecord WHERE created_at >= %s "
        f"GROUP BY {', '.join(str(n) for n in range(1, len(GROUPED) + 3))}"
    )
    with connections[using].cursor() as cursor:
        cursor.execute(statement, [f"{since.isoformat()} 00:00:00" + ("+00" if postgres else "")])
        for text, *values, way, high, low, tokens in cursor.fetchall():
            yield (
                {**dict(zip(GROUPED, values, strict=True)), "decision": {VIA: way}},
                date.fromisoformat(text),
                int(high) * SPLIT + int(low),
                int(tokens),
            )


def present_starts() -> set[date]:
    """Return the first days of the periods that go on now."""
    return {periods.start_of(period, timezone.now().date()) for period in PERIODS}


def held_now(since: datetime | None = None, using: str = DEFAULT_DB_ALIAS) -> list[Held]:
    """Return the counters of present periods; those written since a moment, when one is given."""
    today = timezone.now().date()
    rows = BudgetCounter.objects.using(using).filter(start__in=present_starts())
    if since is not None:
        rows = rows.filter(updated_at__gte=since)
    columns = ("rule_id", "period", "start", "entity", "cost_high", "cost_low", "tokens", "version")
    return [
        Held(Place(rule, period, start, entity), high * SPLIT + low, tokens, version)
        for rule, period, start, entity, high, low, tokens, version in rows.values_list(*columns)
        if start == periods.start_of(period, today)
    ]


@dataclass(frozen=True, slots=True)
class Difference:
    """A counter that is not what the records say."""

    place: Place
    counted: tuple[int, int]
    recorded: tuple[int, int]


def compare(using: str = DEFAULT_DB_ALIAS) -> tuple[int, list[Difference]]:
    """Compare the counters of present periods with the records, at one moment; return how many, and which differ."""
    with transaction.atomic(using=using):
        if connections[using].vendor == "postgresql":
            with connections[using].cursor() as cursor:
                cursor.execute(f"LOCK TABLE {TABLE} IN SHARE ROW EXCLUSIVE MODE")
        rules = compiled.load(using=using)
        recorded = {place: (cost, tokens) for place, (cost, tokens) in summed(rules, using).items()}
        known = rules.budgets.rules
        counted = {
            held.place: (held.cost, held.tokens)
            for held in held_now(using=using)
            if held.place.rule_id in known and (held.cost or held.tokens)
        }
    every = counted.keys() | recorded.keys()
    none = (0, 0)
    differing = [place for place in every if counted.get(place, none) != recorded.get(place, none)]
    found = [Difference(place, counted.get(place, none), recorded.get(place, none)) for place in differing]
    return len(every), sorted(found, key=lambda one: (one.place.rule_id, one.place.period, one.place.entity))
