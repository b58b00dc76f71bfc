"""What the answer to a refused call says."""

import pytest

from gateway.limits.checks import Outcome
from gateway.limits.refusal import refusal
from tests.gateway.limits.test_memory import asks
from tests.gateway.policies.test_policies import call_to


@pytest.mark.parametrize(("unit", "ends"), [("cost_per_day", True), ("cost_per_lifetime", False)])
def test_a_budget_that_is_for_ever_names_no_moment(unit: str, ends: bool) -> None:
    error = refusal(call_to("m"), [asks(10, 1, unit)], [Outcome(False, 10)], [0], b"")
    assert ("retry-after" in error.headers) is ends
    assert error.headers["x-should-retry"] == "false"
    assert (error.details["budget"]["resets_at"] is not None) is ends
    assert ("Ask the operator for more." in error.message) is not ends


def test_small_amounts_are_told_apart() -> None:
    """Rounded to six decimals, a call could use just what the budget has."""
    error = refusal(call_to("m"), [asks(20_000_000, 20_800_000, "cost_per_day")], [Outcome(False, 0)], [0], b"")
    assert "$0.00 of $0.00002 a day are used or reserved, and this call could use $0.0000208." in error.message
