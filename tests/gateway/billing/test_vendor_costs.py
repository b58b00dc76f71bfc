"""What two vendors' usage costs, to the last digit: reasoning beside the completion, and cache hits by another name."""

from typing import Any

import msgspec
import pytest

from gateway.billing import pricing, usage
from providers.pricing.current import fixed_prices
from providers.pricing.private import private_sheet
from providers.snapshot import ModelSnapshot, Target
from tests.support.snapshots import account
from usage.records import AttemptRecord

XAI = {
    "prompt_tokens": 11,
    "completion_tokens": 143,
    "total_tokens": 914,
    "completion_tokens_details": {"reasoning_tokens": 760},
}
DEEPSEEK = {"prompt_tokens": 1000, "completion_tokens": 10, "total_tokens": 1010, "prompt_cache_hit_tokens": 900}
GROK_3_MINI = {"input_mtok": "0.3", "cache_read_mtok": "0.075", "output_mtok": "0.5"}
DEEPSEEK_CHAT_AT_NIGHT = {"input_mtok": "0.135", "cache_read_mtok": "0.035", "output_mtok": "0.55"}


@pytest.mark.parametrize(
    ("semantics", "said", "prices", "pico"),
    [
        ("xai", XAI, GROK_3_MINI, 454_800_000),
        ("deepseek", DEEPSEEK, DEEPSEEK_CHAT_AT_NIGHT, 50_500_000),
        ("openai", {**DEEPSEEK, "prompt_cache_hit_tokens": 0}, DEEPSEEK_CHAT_AT_NIGHT, 140_500_000),
    ],
)
def test_the_cost_of_what_is_reported(semantics: str, said: dict[str, Any], prices: dict[str, str], pico: int) -> None:
    model = ModelSnapshot("acme", "m", "m", frozenset({"chat"}), prices=fixed_prices(private_sheet(prices)))
    record = AttemptRecord("1", "req_1", 0)
    usage.read_usage(record, msgspec.json.encode(said), semantics)
    pricing.price(record, Target(account(), model))
    assert (record.cost_pico, record.price_gaps) == (pico, "")
