"""Budgets' counters: at any time what the records say, to the last digit, on SQLite and PostgreSQL."""

import threading
import uuid
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from django.db import connections
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from accounts.models import AuditEntry, Change, Team
from providers.models import Alias, Model, ProviderAccount, keep_former_name
from rules import compiled, spending
from rules.models import BudgetCounter, Rule
from tests.support import databases
from tests.support.usage_factory import attempt
from usage import ratings, rows
from usage.models import Rerating, SumsState, UsageHour, UsageRecord, UsageSum, UsageTime

TABLES = (
    ProviderAccount,
    Model,
    Alias,
    Team,
    Change,
    AuditEntry,
    UsageRecord,
    UsageHour,
    UsageSum,
    UsageTime,
    SumsState,
    Rerating,
    Rule,
    BudgetCounter,
)


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path, django_db_blocker: Any) -> Iterator[str]:
    with (
        django_db_blocker.unblock(),
        databases.opened("spending_under_test", request.param, tmp_path, *TABLES) as alias,
    ):
        yield alias
        spending._rules.pop(alias, None)


def budget(database: str, name: str, **columns: Any) -> Rule:
    effect = columns.pop("effect", {"limits": {"cost_per_day": 1, "tokens_per_month": 100}})
    rule = Rule(form="tenant-budget-config", name=name, effect=effect, **columns)
    rule.save(using=database)
    return rule


def store(database: str, *changes: dict[str, Any]) -> None:
    lines = [msgspec.json.encode(attempt(**{"model_resolved": "openai-main/gpt-4o-mini", **one})) for one in changes]
    assert rows.store(lines, database, lambda: None) == []


def held(database: str, name: str) -> dict[tuple[str, str], tuple[int, int]]:
    rule = Rule.objects.using(database).get(name=name)
    found = [one for one in spending.held_now(using=database) if one.place.rule_id == rule.pk]
    return {(one.place.period, one.place.entity): (one.cost, one.tokens) for one in found if one.cost or one.tokens}


CALLS = st.lists(
    st.fixed_dictionaries(
        {
            "subject_name": st.sampled_from(["a@x.com", "b@x.com"]),
            "teams": st.sampled_from([[], ["eng"], ["eng", "ops"]]),
            "cost_pico": st.one_of(st.none(), st.integers(0, 10**15)),
            "input_tokens": st.integers(0, 1000),
            "metadata": st.sampled_from([{}, {"env": "prod"}]),
            "decision": st.sampled_from([{}, {"reserved_pico": 5}]),
        }
    ),
    max_size=12,
)


@given(CALLS, CALLS)
@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_counters_are_what_the_records_say(database: str, before: Any, after: Any) -> None:
    """For budgets that were there before the records, that came between, and that were changed between."""
    for table in (BudgetCounter, UsageRecord, UsageSum, UsageTime, Rerating, Rule):
        table.objects.using(database).all().delete()
    budget(database, "first", effect={"limits": {"cost_per_day": 1}, "per": ["team"]})
    changed = budget(database, "changed", when={"subjects": {"in": ["team:eng"]}})
    if before:
        store(database, *before)
    budget(database, "later", effect={"limits": {"tokens_per_week": 1}, "per": ["metadata.env"]})
    changed.when = {"subjects": {"in": ["user:a@x.com"]}}
    changed.save(using=database)
    later = Rule.objects.using(database).values_list("pk", flat=True)
    spending.rebuild(later, database)
    if after:
        store(database, *after)
    count, differing = spending.compare(database)
    assert differing == []
    assert count == len([one for one in spending.held_now(using=database) if one.cost or one.tokens])


def test_what_counts_where(database: str) -> None:
    budget(database, "team", effect={"limits": {"cost_per_day": 1}, "per": ["team"]})
    budget(database, "narrow", when={"subjects": {"in": ["user:a@x.com"]}, "models": {"in": ["m/x"]}})
    store(
        database,
        {"subject_name": "a@x.com", "teams": ["eng", "ops"], "cost_pico": 70, "input_tokens": 3, "output_tokens": 4},
        {"subject_name": "a@x.com", "teams": [], "cost_pico": 5, "model_resolved": "m/x", "input_tokens": 1},
        {"subject_name": "a@x.com", "teams": ["eng"], "cost_pico": None, "decision": {"reserved_pico": 9}},
    )
    assert {place: one[0] for place, one in held(database, "team").items()} == {("day", "eng"): 79, ("day", "ops"): 70}
    assert held(database, "narrow") == {("day", ""): (5, 21), ("month", ""): (5, 21)}


def test_a_record_that_comes_twice_counts_once(database: str) -> None:
    budget(database, "b")
    one = attempt(cost_pico=11, input_tokens=1, output_tokens=1, attempt_id="018f0000-0000-7000-8000-000000000001")
    for _ in range(2):
        assert rows.store([msgspec.json.encode(one)], database, lambda: None) == []
    assert held(database, "b")["day", ""] == (11, 2)


def test_sums_larger_than_64_bits(database: str) -> None:
    budget(database, "b")
    store(database, *({"cost_pico": 2**63 - 1} for _ in range(3)))
    assert held(database, "b")["day", ""][0] == 3 * (2**63 - 1)


def test_writers_and_a_rebuild_at_once_lose_and_double_nothing(database: str) -> None:
    """Records are stored by two threads while a budget is made and summed again and again."""
    budget(database, "always")
    stopping = threading.Event()
    errors: list[BaseException] = []

    def write() -> None:
        try:
            while not stopping.is_set():
                store(database, *({"cost_pico": 3} for _ in range(5)))
        except BaseException as error:  # the test's boundary: what a thread raises is what it found
            errors.append(error)
        finally:
            connections[database].close()

    writers = [threading.Thread(target=write) for _ in range(2)]
    for writer in writers:
        writer.start()
    try:
        for number in range(8):
            rule = budget(database, f"late-{number}")
            spending.rebuild([rule.pk], database)
    finally:
        stopping.set()
        for writer in writers:
            writer.join(30)
    assert not errors
    count, differing = spending.compare(database)
    assert (count, differing) == (18, [])


def test_a_spoiled_counter_is_found_and_summed_again(database: str) -> None:
    rule = budget(database, "b")
    store(database, {"cost_pico": 5})
    BudgetCounter.objects.using(database).update(cost_low=4, updated_at=timezone.now())
    _, differing = spending.compare(database)
    assert [(one.counted[0], one.recorded[0]) for one in differing] == [(4, 5), (4, 5)]
    before = {one.place: one.version for one in spending.held_now(using=database)}
    spending.rebuild([rule.pk], database)
    assert spending.compare(database)[1] == []
    assert all(one.version > before[one.place] for one in spending.held_now(using=database))


@pytest.mark.django_db
def test_former_names_of_a_record() -> None:
    account = ProviderAccount.objects.create(name="new", kind="openai")
    model = Model.objects.create(account=account, name="better", upstream_id="gpt-4o", model_types=["chat"])
    before = compiled.current_revision()
    keep_former_name(account, None, "old")
    keep_former_name(account, model, "good")
    assert compiled.current_revision() != before
    names = compiled.load().names
    assert names.of_account("new") == ("old",)
    assert names.of_model("new/better") == ("new/good", "old/better", "old/good")
    assert (names.of_account("other"), names.of_model("other/better"), names.of_model("")) == ((), (), ())


def test_a_budget_under_a_former_name_is_summed_like_it_is_counted(database: str) -> None:
    account = ProviderAccount.objects.using(database).create(name="new", kind="openai")
    Alias.objects.using(database).create(account=account, name="old")
    rule = budget(database, "b", when={"models": {"in": ["old/gpt-4o"]}})
    store(database, {"account": "new", "model_asked": "new/gpt-4o", "model_resolved": "new/gpt-4o", "cost_pico": 7})
    counted = held(database, "b")
    assert counted["day", ""][0] == 7
    spending.rebuild([rule.pk], database)
    assert held(database, "b") == counted


def test_a_period_that_only_a_raise_names_is_summed_whole(database: str) -> None:
    raises = [{"limits": {"cost_per_lifetime": 5}, "until": "2099-01-01T00:00:00Z"}]
    rule = budget(database, "b", effect={"limits": {"cost_per_day": 1}, "raises": raises})
    long_ago = int((timezone.now() - timedelta(days=2)).timestamp() * 1_000_000)
    store(database, {"cost_pico": 7, "started_at": long_ago}, {"cost_pico": 5})
    counted = held(database, "b")
    assert counted["lifetime", ""][0] == 12
    spending.rebuild([rule.pk], database)
    assert held(database, "b") == counted
    assert spending.compare(database)[1] == []


def test_a_variant_that_no_one_listed_is_summed_like_it_is_counted(database: str) -> None:
    ProviderAccount.objects.using(database).create(name="open", kind="openai", any_model=True)
    rule = budget(database, "b", when={"models": {"in": ["open/gpt-4o"]}})
    names = ("open/gpt-4o,x", "open/gpt-4o-mini")
    store(database, *({"account": "open", "model_asked": n, "model_resolved": n, "cost_pico": 7} for n in names))
    counted = held(database, "b")
    assert counted["day", ""][0] == 7
    spending.rebuild([rule.pk], database)
    assert held(database, "b") == counted


def test_calls_that_a_virtual_model_led_on_are_summed_like_they_are_counted(database: str) -> None:
    rule = budget(database, "b", when={"models": {"in": ["smart/x"]}})
    ways = ["smart/x", "smart/a -> smart/x", "", "smart/xx"]
    asked = {"account": "openai-main", "model_asked": "smart/outer", "cost_pico": 7}
    store(database, asked, *({**asked, "decision": {"via": way}} for way in ways))
    counted = held(database, "b")
    assert counted["day", ""][0] == 14
    spending.rebuild([rule.pk], database)
    assert held(database, "b") == counted
    assert spending.compare(database)[1] == []


def test_counters_follow_records_that_are_rated_again(database: str) -> None:
    budget(database, "all")
    month = timezone.now() - timedelta(days=31)
    store(database, {"cost_pico": 5}, {"cost_pico": None, "decision": {"reserved_pico": 100}})
    store(database, {"cost_pico": 5, "started_at": int(month.timestamp() * 1_000_000)})
    changes = [
        ratings.Change(record.pk, record.created_at, ratings.price_of(record), ratings.Price(7, "new", ""))
        for record in UsageRecord.objects.using(database)
    ]
    before = held(database, "all")
    assert ratings.change(changes, uuid.uuid4(), "a test", database) == 3
    assert [cost for (period, _), (cost, _) in held(database, "all").items() if period == "day"] == [14]
    assert spending.compare(database)[1] == []
    assert before != held(database, "all")
