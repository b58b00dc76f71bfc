"""How full limits are, for the metrics: the fullest entity of each, for as long as that holds."""

from collections.abc import Iterator

import pytest

from gateway.limits import metrics
from gateway.limits.checks import Asked, Check, Outcome
from gateway.telemetry.series import Counts
from gateway.telemetry.shared import Gauges, _merge
from rules.compiled import PICO, RuleSet, load
from rules.models import Budget, RateLimit
from rules.shape import BUDGET_UNITS, LIMIT_UNITS

pytestmark = pytest.mark.django_db
RPM, COST = LIMIT_UNITS["requests_per_minute"], BUDGET_UNITS["cost_per_day"]


@pytest.fixture
def rules() -> Iterator[RuleSet]:
    RateLimit(
        form="tenant-rate-limit-config/model", name="rpm", effect={"limits": {RPM.name: 10}, "per": ["user"]}
    ).save()
    Budget(form="tenant-budget-config", name="daily", effect={"limits": {COST.name: 5}}).save()
    rules = load()
    metrics.gauges(rules)
    yield rules
    metrics.gauges(None)


def see(rules: RuleSet, entity: str, used: int) -> None:
    """A call of ``entity`` that saw its rate limit and the budget so full."""
    (limit,), (budget,) = rules.limits.rules.values(), rules.budgets.rules.values()
    checks = [Check(limit, RPM, 10, f"r:{entity}", entity), Check(budget, COST, 5 * PICO, "b", "")]
    asked = [Asked(check, 1, check.key) for check in checks]
    metrics._take_in(Counts(10), asked, [Outcome(True, used), Outcome(True, PICO)])


def test_the_fullest_entity_counts_until_its_window_has_passed(rules: RuleSet, monkeypatch: pytest.MonkeyPatch) -> None:
    key = ("rpm", RPM.name, "enforce")
    see(rules, "ada", 8)
    see(rules, "bob", 2)
    found = metrics.gauges(rules)
    assert (found["gatehouse_rate_limit_used_ratio"], found["gatehouse_rate_limit_remaining"]) == ({key: 0.8}, {key: 2})
    see(rules, "ada", 3)
    assert metrics.gauges(rules)["gatehouse_rate_limit_remaining"] == {key: 7}
    see(rules, "bob", 12)
    found = metrics.gauges(rules)
    assert (found["gatehouse_rate_limit_used_ratio"], found["gatehouse_rate_limit_remaining"]) == ({key: 1.2}, {key: 0})
    now = metrics.time.time()
    monkeypatch.setattr(metrics.time, "time", lambda: now + 61)
    found = metrics.gauges(rules)
    assert "gatehouse_rate_limit_remaining" not in found
    assert found["gatehouse_budget_remaining"] == {("daily", COST.name, "enforce"): 4.0}


def test_other_rules_begin_anew(rules: RuleSet) -> None:
    see(rules, "ada", 8)
    assert metrics.gauges(load()) == {}


def test_many_rules_are_one_beyond_the_bound(rules: RuleSet, settings) -> None:
    settings.METRICS_MAX_ROWS = 0
    see(rules, "ada", 8)
    assert set(metrics.gauges(rules)["gatehouse_rate_limit_remaining"]) == {("other", RPM.name, "enforce")}


def test_processes_are_merged() -> None:
    merged: Gauges = {}
    for ratio in (0.2, 0.9, 0.5):
        _merge(merged, {"gatehouse_budget_used_ratio": {("a",): ratio}, "gatehouse_budget_remaining": {("a",): ratio}})
        _merge(merged, {"gatehouse_workers": {(): 1}})
    assert merged == {
        "gatehouse_budget_used_ratio": {("a",): 0.9},
        "gatehouse_budget_remaining": {("a",): 0.2},
        "gatehouse_workers": {(): 3},
    }
