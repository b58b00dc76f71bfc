"""Whose price counts when the vendor answers with another model's name."""

import dataclasses
from typing import Any

import pytest

from gateway.billing import pricing
from gateway.billing.usage import REPORTED
from gateway.pipeline.records import served_target
from providers.pricing.current import fixed_prices, public_prices
from providers.pricing.private import private_sheet
from providers.snapshot import ModelSnapshot, Target
from tests.support.snapshots import account
from usage.records import AttemptRecord

OWN = fixed_prices(private_sheet({"input_mtok": "1", "output_mtok": "2"}))
CHAT = frozenset({"chat"})


@pytest.mark.parametrize(
    ("prices", "served", "whose"),
    [
        (OWN, "/models/llama.gguf", "mine"),
        (OWN, "gpt-4o-2024-11-20", "mine"),
        (OWN, "other-upstream", "other"),
        (OWN, "", "mine"),
        (public_prices("openai", "gpt-4o-mini"), "gpt-4o", "gpt-4o"),
        (public_prices("openai", "gpt-4o-mini"), "m", "mine"),
        (public_prices("openai", "gpt-4o-mini"), "unpriced-upstream", "unpriced"),
        (None, "gpt-4o", "gpt-4o"),
        (None, "m", "m"),
    ],
)
def test_an_own_price_holds_whatever_the_server_calls_the_model(prices: object, served: str, whose: str) -> None:
    mine = ModelSnapshot("acme", "mine", "my-deployment", CHAT, prices=prices)  # type: ignore[arg-type]
    other = ModelSnapshot("acme", "other", "other-upstream", CHAT)
    unpriced = ModelSnapshot("acme", "unpriced", "unpriced-upstream", CHAT)
    models = {"my-deployment": mine, "other-upstream": other, "unpriced-upstream": unpriced}
    holder = dataclasses.replace(account(), upstream_ids=models)
    record = AttemptRecord("1", "req_1", 0, model_served=served)
    assert served_target(record, Target(holder, mine)).model.name == whose


@pytest.mark.parametrize(
    ("served", "known", "gaps"),
    [("m", {}, "model_served"), ("gpt-4o", {}, ""), ("m", {"price_version": REPORTED, "cost_pico": 7}, "")],
)
def test_a_name_that_no_list_has_is_a_gap_beside_the_price(served: str, known: dict[str, Any], gaps: str) -> None:
    mine = ModelSnapshot("acme", "mine", "my-deployment", CHAT, prices=public_prices("openai", "gpt-4o-mini"))
    record = AttemptRecord("1", "req_1", 0, model_served=served, input_tokens=1000, **known)
    pricing.price(record, served_target(record, Target(account(), mine)))
    assert (record.cost_pico is not None, record.price_gaps, record.model_served) == (True, gaps, served)
