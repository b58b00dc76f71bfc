"""What a refused call is told."""

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
