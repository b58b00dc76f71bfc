"""What vendors add by region: which addresses and models, and what it makes of a cost."""

import dataclasses

import pytest

from gateway.billing import pricing
from providers.pricing.current import public_prices
from providers.pricing.surcharges import surcharge_bp
from providers.regions import OPENAI_REGIONS
from providers.snapshot import ModelSnapshot, Target
from tests.support.snapshots import account
from usage.records import AttemptRecord

EU = "https://eu.api.openai.com/v1"


@pytest.mark.parametrize(
    ("model", "surcharged"),
    [
        ("gpt-5.4", True),
        ("gpt-5.4-mini-2026-03-17", True),
        ("gpt-6-sol", True),
        ("gpt-realtime-2.1", True),
        ("gpt-image-2", True),
        ("gpt-5.3-codex", False),
        ("gpt-5-mini", False),
        ("gpt-5", False),
        ("gpt-4o-mini", False),
        ("o4-mini", False),
        ("gpt-realtime-2025-08-28", False),
        ("gpt-realtime", False),
        ("gpt-image-1.5", False),
        ("text-embedding-3-small", False),
        ("ft:gpt-4o-mini-2024-07-18:acme::x", False),
    ],
)
def test_openais_models(model: str, surcharged: bool) -> None:
    assert surcharge_bp("openai", EU, model) == (1000 if surcharged else 0)


def test_openais_addresses() -> None:
    charged = {label: surcharge_bp("openai", url, "gpt-6-sol") for url, label in OPENAI_REGIONS}
    assert charged.pop("Default") == 0
    assert set(charged.values()) == {1000}
    assert len(charged) >= 2


@pytest.mark.parametrize(
    "url",
    [
        "https://api.openai.com/v1",
        "https://eu.api.openai.com.evil.example/v1",
        "https://proxy.example/eu.api.openai.com/v1",
        "http://127.0.0.1:9000/v1",
    ],
)
def test_other_addresses_cost_what_the_list_says(url: str) -> None:
    assert surcharge_bp("openai", url, "gpt-6-sol") == 0


@pytest.mark.parametrize(
    ("host", "model", "expected"),
    [
        ("europe-west1-aiplatform.googleapis.com", "anthropic/claude-sonnet-4-5@20250929", 1000),
        ("aiplatform.eu.rep.googleapis.com", "claude-opus-5-5", 1000),
        ("aiplatform.googleapis.com", "claude-opus-5-5", 0),
        ("europe-west1-aiplatform.googleapis.com", "claude-sonnet-4@20250514", 0),
        ("europe-west1-aiplatform.googleapis.com", "google/gemini-3.8-flash", 0),
    ],
)
def test_claude_on_vertex(host: str, model: str, expected: int) -> None:
    assert surcharge_bp("google-vertex", f"https://{host}/v1/x", model) == expected


@pytest.mark.parametrize(("discount", "surcharge", "factor"), [(0, 1000, 1.1), (-1000, 0, 1.1), (1000, 1000, 0.99)])
def test_a_cost_with_surcharge_and_discount(discount: int, surcharge: int, factor: float) -> None:
    model = ModelSnapshot("acme", "m", "gpt-4o-mini", frozenset(), prices=public_prices("openai", "gpt-4o-mini"))
    costs = []
    for own, bp in ((model, 0), (dataclasses.replace(model, surcharge_bp=surcharge), discount)):
        record = AttemptRecord("1", "req_1", 0, input_tokens=1000, output_tokens=1000)
        pricing.price(record, Target(account(discount_bp=bp), own))
        costs.append(record.cost_pico)
    assert costs[0] == 1000 * 150_000 + 1000 * 600_000
    assert costs[1] == round(costs[0] * factor)
