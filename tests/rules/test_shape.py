"""Faults of rules as the console's forms may write them, where JSON may hold anything."""

from typing import Any

import pytest

from rules.shape import faults_of

UNTIL = "2099-01-01T00:00:00Z"


@pytest.mark.parametrize(
    ("part", "path"),
    [
        ({"raises": [{"limits": {"cost_per_day": 2}, "until": UNTIL, "values": "a@x.com"}]}, ".raises[0].values"),
        ({"raises": [{"limits": {"cost_per_day": 2}, "until": UNTIL, "values": []}]}, ".raises[0].values"),
        ({"raises": [{"limits": {"cost_per_day": 2}, "until": "tomorrow"}]}, ".raises[0].until"),
        ({"cheaper": {"from_percent": 0, "target": "a/m"}}, ".cheaper.from_percent"),
        ({"cheaper": {"from_percent": 80, "target": "m"}}, ".cheaper.target"),
        ({"cheaper": "a/m"}, ".cheaper"),
        ({"overrides": [{"values": [1], "limits": {"cost_per_day": 2}}]}, ".overrides[0].values"),
        (
            {"alerts": {"thresholds": [75], "notification_target": [{"type": ["email"]}]}},
            ".alerts.notification_target[0].type",
        ),
    ],
)
def test_a_fault_is_named_where_it_is(part: dict[str, Any], path: str) -> None:
    effect = {"limits": {"cost_per_day": 1}, "per": ["user"], **part}
    assert [where for where, _ in faults_of("tenant-budget-config", "enforce", {}, effect)] == [f"effect{path}"]


def test_a_raise_for_some_or_for_all_has_no_fault() -> None:
    one = {"limits": {"cost_per_day": 2}, "until": UNTIL}
    effect = {"limits": {"cost_per_day": 1}, "per": ["user"], "raises": [one, {**one, "values": ["a@x.com"]}]}
    assert faults_of("tenant-budget-config", "enforce", {}, effect) == []
