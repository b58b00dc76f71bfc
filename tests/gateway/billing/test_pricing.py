"""Prices of attempts: from a record's usage and the target's sheet to a cost, a gap, or neither."""

import dataclasses
from typing import Any

import pytest

from gateway.billing import pricing
from gateway.billing.usage import REPORTED
from providers.dialects.usage import OUTSIDE
from providers.pricing.current import fixed_prices, public_prices
from providers.pricing.private import private_sheet
from providers.snapshot import ModelSnapshot, Target
from tests.support.snapshots import account
from usage.records import AttemptRecord


def target(name: str = "gpt-4o-mini", **more: Any) -> Target:
    model = ModelSnapshot("acme", name, name, frozenset({"chat"}), prices=public_prices("openai", name))
    return Target(account(**more), model)


def private(**prices: str) -> Target:
    model = ModelSnapshot("acme", "m", "m", frozenset({"chat"}), prices=fixed_prices(private_sheet(prices)))
    return Target(account(), model)


def record(**used: Any) -> AttemptRecord:
    return AttemptRecord("1", "req_1", 0, **used)


def priced(made: AttemptRecord, where: Target, **options: Any) -> AttemptRecord:
    pricing.price(made, where, **options)
    return made


def test_tokens_at_the_lists_price() -> None:
    made = priced(record(input_tokens=1000, cached_tokens=400, output_tokens=10), target())
    assert made.cost_pico == 600 * 150_000 + 400 * 75_000 + 10 * 600_000
    assert made.price_version.startswith("genai-prices/")
    assert made.price_gaps == ""


def test_a_discount() -> None:
    made = priced(record(input_tokens=1000), target(discount_bp=1250))
    assert made.cost_pico == 1000 * 150_000 * 7 // 8


def test_a_service_tier_of_the_list() -> None:
    where = target("o3")
    standard = priced(record(input_tokens=1000), where).cost_pico
    flex = priced(record(input_tokens=1000, service_tier="flex"), where).cost_pico
    assert standard is not None
    assert flex == standard // 2


def test_a_line_of_a_batch_costs_half_at_openai_and_nothing_less_elsewhere() -> None:
    live = priced(record(input_tokens=1000), target()).cost_pico
    line = record(input_tokens=1000)
    pricing.price_batch_line(line, target())
    assert live is not None
    assert (line.cost_pico, line.service_tier) == (live // 2, "batch")


@pytest.mark.parametrize(
    ("made", "where"),
    [
        (record(), target()),
        (record(input_tokens=10), target("a-model-that-no-list-has")),
        (record(units={"web_searches": 1}), private(input_mtok="1")),
    ],
    ids=["no usage", "no price", "nothing of it priced"],
)
def test_unknown_is_not_free(made: AttemptRecord, where: Target) -> None:
    assert priced(made, where).cost_pico is None


def test_what_has_no_price_beside_what_has_is_a_gap() -> None:
    made = priced(record(input_tokens=1000, units={"web_searches": 2}), private(input_mtok="1"))
    assert (made.cost_pico, made.price_gaps) == (1_000_000_000, "web_searches")


@pytest.mark.parametrize(
    ("operation", "prices", "gaps"),
    [
        ("responses", {"input_mtok": "1", "output_mtok": "1"}, "images:low:1024x1024"),
        ("background_response", {"input_mtok": "1", "output_mtok": "1"}, "images:low:1024x1024"),
        ("responses", {"input_mtok": "1", "output_mtok": "1", "image": "0.02"}, ""),
        ("image_generation", {"input_mtok": "1", "output_mtok": "1"}, ""),
    ],
)
def test_images_that_a_tool_made_need_a_price(operation: str, prices: dict[str, str], gaps: str) -> None:
    """Images that are the work itself are paid by their tokens, where they have no price of their own."""
    made = record(operation=operation, input_tokens=1000, output_tokens=5, units={"images:low:1024x1024": 1})
    assert priced(made, private(**prices)).price_gaps == gaps
    assert made.cost_pico is not None


def test_images_whose_stream_broke_off_before_their_usage_have_no_price() -> None:
    """Nothing says how many tokens they had: that is unpriced, not cheap."""
    made = record(operation="image_generation", stream=True, upstream_status=200, units={"images:low:1024x1024": 2})
    assert priced(made, target("gpt-image-1")).cost_pico is None


def test_a_gap_of_the_usage_stays() -> None:
    made = priced(record(input_tokens=1000, price_gaps=OUTSIDE, units={"web_searches": 1}), private(input_mtok="1"))
    assert made.price_gaps == f"{OUTSIDE},web_searches"


def test_a_reported_cost_is_not_worked_out_again() -> None:
    made = priced(record(input_tokens=1000, cost_pico=7, price_version=REPORTED), target())
    assert made.cost_pico == 7


def test_free_models_cost_nothing_even_without_usage() -> None:
    assert priced(record(), target("omni-moderation-latest")).cost_pico == 0


def test_what_is_waived_was_never_used() -> None:
    made = record(input_tokens=5, output_tokens=6, audio_output_tokens=2, units={"web_searches": 1})
    pricing.waive(made)
    assert (made.input_tokens, made.output_tokens, made.audio_output_tokens, made.units) == (0, 0, 0, {})
    assert made.cost_pico == 0


def test_billed_units_leave_zeros_out() -> None:
    units = pricing.billed_units(record(input_tokens=3, image_output_tokens=4, units={"requests": 1, "pages": 0}))
    assert units == {"input_tokens": 3, "output_image_tokens": 4, "requests": 1}


def test_the_sheet_of_the_moment_is_the_models_own() -> None:
    where = target()
    other = dataclasses.replace(where.model, prices=None)
    assert priced(record(input_tokens=1), Target(where.account, other)).cost_pico is None
