"""Money: our integers agree with genai-prices to the last digit, discounts are exact, and nothing unknown is ever
free.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal, localcontext
from fractions import Fraction
from functools import cache
from typing import Any

import genai_prices
import pytest
from genai_prices.data import providers as listed_providers
from genai_prices.data_units import unit_data
from hypothesis import given
from hypothesis import strategies as st

from providers.pricing.public import private_price_fault, private_sheet, public_sheet
from providers.pricing.sheet import SECONDS_UNITS, PriceSheet, Rate, compile_sheet
from providers.pricing.units import UNIT_PRICES

DIMENSIONS = {name: unit["dimensions"].items() for name, unit in unit_data.items() if name != "requests"}
MODELS = [(provider.id, model.id) for provider in listed_providers for model in provider.models]
MODELS_WITH_TIERS = [
    (provider.id, model.id, {key: value})
    for provider in listed_providers
    for model in provider.models
    for variant in model.price_variants or ()
    for key, value in variant.when.items()
]
MOMENTS = st.datetimes(datetime(2024, 1, 1), datetime(2028, 1, 1), timezones=st.just(UTC))
PICO = Decimal("1e-12")

parts = st.dictionaries(st.sampled_from(sorted(DIMENSIONS)), st.integers(0, 10**6), max_size=12)
"""How much of each kind of unit was used, every kind counted apart."""


def reported(kinds: Mapping[str, int]) -> dict[str, int]:
    """Return the usage that a vendor would report: every general unit includes its special ones."""
    usage = {
        name: sum(count for kind, count in kinds.items() if dimensions <= DIMENSIONS[kind])
        for name, dimensions in DIMENSIONS.items()
    }
    return {name: count for name, count in usage.items() if count}


def our_units(usage: Mapping[str, int]) -> dict[str, int]:
    """Return a reported usage under our names, which count durations in milliseconds."""
    return {SECONDS_UNITS.get(name, name): count for name, count in usage.items()}


def library_cost(source: str, model: str, usage: Mapping[str, int], at: datetime, context: Any = None) -> int | None:
    """Return what genai-prices makes of it in pico-dollars; ``None`` when it refuses the combination."""
    values = {name: Decimal(n) / 1000 if name in SECONDS_UNITS else n for name, n in usage.items()}
    with localcontext() as exact:
        exact.prec = 60
        try:
            price = genai_prices.calc_price(
                genai_prices.Usage(**values),
                model,
                provider_id=source,
                genai_request_timestamp=at,
                price_context=context,
            )
        except (ValueError, LookupError):
            return None
        return int((price.total_price / PICO).quantize(Decimal(1), ROUND_HALF_EVEN))


def compare(source: str, model: str, usage: Mapping[str, int], at: datetime, context: Any = None) -> bool:
    """Compare our cost with the library's; return whether there was something to compare."""
    expected = library_cost(source, model, usage, at, context)
    sheet = public_sheet(source, model, at)
    if expected is None or sheet is None:
        return False
    if context:
        sheet = sheet.tier(next(iter(context.values())))
    cost = sheet.cost(our_units(usage))
    # What the library prices at zero because it has no price for any of it, is unpriced for us.
    assert cost == expected or (cost is None and expected == 0)
    return True


@given(st.sampled_from(MODELS), parts, MOMENTS)
def test_any_usage_of_any_model_costs_what_the_library_says(
    model: tuple[str, str], kinds: dict[str, int], at: datetime
) -> None:
    compare(*model, reported(kinds), at)


@given(st.sampled_from(MODELS_WITH_TIERS), parts, MOMENTS)
def test_service_tiers_cost_what_the_library_says(
    model: tuple[str, str, dict[str, str]], kinds: dict[str, int], at: datetime
) -> None:
    source, name, context = model
    compare(source, name, reported(kinds), at, context)


@pytest.mark.parametrize("source", ["openai", "google", "groq", "mistral", "deepseek", "together", "x-ai", "azure"])
def test_every_model_of_our_vendors_is_compared(source: str) -> None:
    at = datetime(2026, 11, 1, 12, tzinfo=UTC)
    kinds = {"input_text_tokens": 400_001, "cache_text_read_tokens": 333, "output_text_tokens": 77, "web_searches": 3}
    models = [model for provider, model in MODELS if provider == source]
    plain = [m for m in models if compare(source, m, reported(kinds), at)]
    priced = [m for m in models if public_sheet(source, m, at) is not None]
    assert plain
    assert set(plain) == set(priced)


def test_the_price_is_the_one_of_its_day() -> None:
    units = {"input_tokens": 1_000_000}
    before = public_sheet("openai", "o3", datetime(2025, 6, 9, 23, 59, tzinfo=UTC))
    after = public_sheet("openai", "o3", datetime(2025, 6, 10, tzinfo=UTC))
    assert before is not None
    assert after is not None
    assert (before.cost(units), after.cost(units)) == (10 * 10**12, 2 * 10**12)
    assert before.valid_until == datetime(2025, 6, 10, tzinfo=UTC).timestamp()
    assert after.valid_until is None or after.valid_until > before.valid_until


@cache
def changing_models() -> list[tuple[str, str]]:
    moments = [datetime(2024, 1, 1, tzinfo=UTC), datetime(2025, 6, 1, 3, tzinfo=UTC)]
    return [m for m in MODELS if any((s := public_sheet(*m, at)) and s.valid_until for at in moments)]


@given(st.data(), MOMENTS, st.floats(0, 0.999))
def test_a_sheet_holds_until_it_says(data: st.DataObject, at: datetime, part: float) -> None:
    source, model = data.draw(st.sampled_from(changing_models()))
    sheet = public_sheet(source, model, at)
    assert sheet is not None
    until = sheet.valid_until or at.timestamp() + 10**7
    later = at + timedelta(seconds=(until - at.timestamp()) * part)
    again = public_sheet(source, model, later)
    assert again is not None
    assert again.rates == sheet.rates
    assert {name: v.rates for name, v in again.variants.items()} == {n: v.rates for n, v in sheet.variants.items()}


def test_tiers_hold_for_the_whole_call() -> None:
    sheet = private_sheet({"input_mtok": {"base": "1", "tiers": [{"start": 100, "price": "2"}]}, "output_mtok": 10})
    assert sheet.cost({"input_tokens": 100, "output_tokens": 1}) == 100 * 10**6 + 10**7
    assert sheet.cost({"input_tokens": 101, "output_tokens": 1}) == 101 * 2 * 10**6 + 10**7


amounts = st.decimals(0, 1000, places=6).map(str)
specs = st.fixed_dictionaries(
    {"input_mtok": amounts, "output_mtok": amounts},
    optional={
        "cache_read_mtok": amounts,
        "input_audio_mtok": amounts,
        "audio_hours": amounts,
        "web_searches_kcount": amounts,
        "image": amounts,
    },
).map(
    lambda spec: spec | ({"cache_audio_read_mtok": "3"} if {"cache_read_mtok", "input_audio_mtok"} <= set(spec) else {})
)
discounts = st.integers(0, 10_000)


@given(specs, parts, discounts, st.integers(0, 5))
def test_a_discount_is_exact(spec: dict[str, str], kinds: dict[str, int], discount: int, images: int) -> None:
    sheet = private_sheet(spec)
    units = our_units(reported(kinds)) | ({"images": images} if images else {})
    # A sheet of one, priced in whole pico-dollars by its whole unrounded cost: Fractions all the way.
    whole = exact_cost(sheet, units)
    expected = round(whole * (10_000 - discount) / 10_000)  # Python rounds half to even
    assert sheet.cost(units, discount) in ({None, expected} if expected == 0 else {expected})
    assert sheet.cost(units, discount, (1, 2)) in ({None, 0} if expected == 0 else set()) | {
        round(whole * (10_000 - discount) / 20_000)
    }


def exact_cost(sheet: PriceSheet, units: Mapping[str, int]) -> Fraction:
    """Return the unrounded cost in pico-dollars, by counting every kind of unit at the price of its closest rate."""
    total = Fraction(0)
    dimensions = {SECONDS_UNITS.get(name, name): items for name, items in DIMENSIONS.items()}
    leaf: dict[str, int] = {}
    for unit in sorted(sheet.rates, key=lambda unit: -len(dimensions.get(unit, ()))):
        inner = [other for other in leaf if unit in dimensions and dimensions[unit] <= dimensions.get(other, set())]
        leaf[unit] = units.get(unit, 0) - sum(leaf[other] for other in inner)
        total += leaf[unit] * sheet.rates[unit].base
    return total * 10**12


@given(specs, parts, st.sampled_from(sorted(DIMENSIONS)), st.integers(1, 10**6))
def test_using_more_never_costs_less(spec: dict[str, str], kinds: dict[str, int], kind: str, more: int) -> None:
    sheet = private_sheet(spec)
    less = sheet.cost(our_units(reported(kinds))) or 0
    grown = dict(kinds) | {kind: kinds.get(kind, 0) + more}
    assert (sheet.cost(our_units(reported(grown))) or 0) >= less


@given(specs, parts, parts)
def test_two_calls_cost_what_one_call_of_both_costs(spec: dict[str, str], a: dict[str, int], b: dict[str, int]) -> None:
    sheet = private_sheet(spec)
    both = {kind: a.get(kind, 0) + b.get(kind, 0) for kind in a.keys() | b.keys()}
    costs = [sheet.cost(our_units(reported(kinds))) or 0 for kinds in (a, b, both)]
    assert abs(costs[0] + costs[1] - costs[2]) <= 1  # each is rounded once


@given(specs, st.dictionaries(st.sampled_from(sorted(DIMENSIONS)), st.integers(-(10**30), 10**30)))
def test_whatever_an_upstream_reports_it_is_neither_an_error_nor_negative(
    spec: dict[str, str], usage: dict[str, int]
) -> None:
    cost = private_sheet(spec).cost(our_units(usage))
    assert cost is None or cost >= 0
    private_sheet(spec).gaps(our_units(usage))


def test_rounding_is_half_to_even_and_happens_once() -> None:
    sheet = compile_sheet("test", {"input_tokens": Rate(Fraction(1, 2 * 10**12)), "output_tokens": Rate(Fraction(0))})
    assert [sheet.cost({"input_tokens": n}) for n in (1, 3, 5, 7)] == [0, 2, 2, 4]
    third = compile_sheet("test", {"input_tokens": Rate(Fraction(1, 3 * 10**12))})
    assert [third.cost({"input_tokens": n}) for n in (1, 2, 3, 3000)] == [0, 1, 1, 1000]


def test_tokens_of_two_priced_kinds_are_billed_once() -> None:
    sheet = private_sheet({"input_mtok": 1, "cache_read_mtok": "0.5", "input_audio_mtok": 10, "output_mtok": 2})
    usage = {"input_tokens": 9, "cache_read_tokens": 4, "input_audio_tokens": 3, "cache_audio_read_tokens": 2}
    # Two cached audio tokens at the higher price, one more of audio, two more cached, four of plain text.
    assert sheet.cost(usage) == (2 * 10 + 1 * 10 + 4 * 1) * 10**6 + 2 * 500_000


def test_contradictions_are_billed_as_far_as_they_are_known() -> None:
    sheet = private_sheet({"input_mtok": 1, "cache_read_mtok": "0.5", "output_mtok": 2})
    assert sheet.cost({"input_tokens": 10, "cache_read_tokens": 40}) == 20 * 10**6
    assert sheet.cost({"input_audio_tokens": 10}) == 10 * 10**6
    assert sheet.cost({"cache_audio_read_tokens": 10}) == 5 * 10**6


@pytest.mark.parametrize(
    ("model", "units", "dollars"),
    [
        ("dall-e-2", {"images": 2}, "0.04"),
        ("dall-e-2", {"images:256x256": 10}, "0.16"),
        ("dall-e-3", {"images:standard:1024x1792": 1}, "0.08"),
        ("dall-e-3", {"images:1024x1792:hd": 1}, "0.12"),
        ("dall-e-3", {"images:hd": 1}, "0.08"),
        ("dall-e-3", {"images": 1}, "0.04"),
        ("tts-1", {"input_characters": 1_000_000}, "15"),
        ("tts-1-hd-1106", {"input_characters": 1000}, "0.03"),
        ("whisper-1", {"audio_ms": 60_000}, "0.006"),
        ("whisper-1", {"input_audio_ms": 90_000, "audio_ms": 90_000}, "0.009"),
        ("gpt-transcribe", {"input_audio_ms": 3_600_000}, "0.27"),
        ("sora-2-pro", {"video_seconds:1024x1792": 8}, "4"),
        ("sora-2-2025-12-08", {"video_seconds:720x1280": 8}, "0.8"),
        ("gpt-image-1", {"input_tokens": 100, "input_image_tokens": 60, "output_tokens": 1000, "images": 1}, "0.0408"),
        ("omni-moderation-latest", {"input_tokens": 10}, "0"),
        ("text-moderation-stable", {}, "0"),
        ("ft:gpt-4o-mini-2024-07-18:acme::abc", {"input_tokens": 1_000_000}, "0.3"),
        ("gpt-4o-mini-2024-07-18", {"input_tokens": 1_000_000}, "0.15"),
        ("gpt-4o-mini-tts-2025-12-15", {"input_tokens": 1_000_000}, "0.6"),
    ],
)
def test_published_prices(model: str, units: dict[str, int], dollars: str) -> None:
    sheet = public_sheet("openai", model)
    assert sheet is not None
    assert sheet.cost(units) == int(Decimal(dollars) / PICO)
    assert sheet.gaps(units) == ()


def test_every_unit_price_is_a_whole_number_of_pico_dollars() -> None:
    assert all(prices for models in UNIT_PRICES.values() for prices in models.values())
    for source, models in UNIT_PRICES.items():
        for model, prices in models.items():
            sheet = public_sheet(source, model)
            assert sheet is not None
            for unit, price in prices.items():
                assert sheet.cost({unit: 1}) == Decimal(price) / PICO, (model, unit)


@pytest.mark.parametrize(
    ("source", "model"), [("", "gpt-4o"), ("openai", ""), ("openai", "no-such-model"), ("no", "x")]
)
def test_what_is_not_listed_has_no_sheet(source: str, model: str) -> None:
    assert public_sheet(source, model) is None


def test_use_without_any_price_is_unpriced_and_no_use_costs_nothing() -> None:
    sheet = private_sheet({"input_mchars": 15})
    assert sheet.cost({"input_tokens": 5, "output_tokens": 7}) is None
    assert sheet.cost({}) == 0
    assert sheet.cost({"input_tokens": 0}) == 0
    assert private_sheet({"input_mtok": 0, "output_mtok": 0}).cost({"input_tokens": 5}) == 0
    assert private_sheet({"request": "0.01"}).cost({}) == 10**10


def test_what_has_no_price_beside_what_has_is_named() -> None:
    sheet = public_sheet("openai", "gpt-4o-mini")
    assert sheet is not None
    assert sheet.gaps({"input_tokens": 5, "output_tokens": 5, "output_reasoning_tokens": 3, "web_searches": 1}) == ()
    assert sheet.gaps({"input_tokens": 5, "code_executions": 2, "images": 1, "audio_ms": 5}) == ("code_executions",)
    assert private_sheet({"input_mtok": 1}).gaps({"input_tokens": 1, "output_tokens": 1}) == ("output_tokens",)
    assert private_sheet({"input_mtok": 1}).gaps({"input_tokens": 1, "output_tokens": 0}) == ()


def test_the_batch_tier_and_unknown_tiers() -> None:
    sheet = public_sheet("openai", "gpt-4o-mini")
    assert sheet is not None
    units = {"input_tokens": 1_000_000}
    assert sheet.tier("batch").cost(units) == 75 * 10**9
    assert sheet.tier("priority").cost(units) == 25 * 10**10
    assert sheet.tier("default").cost(units) == sheet.tier("no such tier").cost(units) == sheet.cost(units)


def test_the_version_says_where_a_price_comes_from() -> None:
    listed, unit = public_sheet("openai", "gpt-4o"), public_sheet("openai", "dall-e-3")
    assert listed is not None
    assert unit is not None
    assert listed.version == f"genai-prices/{genai_prices.__version__}"
    assert unit.version == "openai-pricing/2026-01"
    first, same, other = [
        private_sheet(s) for s in ({"request": 1, "image": 2}, {"image": 2, "request": 1}, {"image": 3})
    ]
    assert first.version == same.version != other.version
    assert first.version.startswith("private/")


FAULTS = [
    ([], "Give prices"),
    ({}, "Give prices"),
    ({"input_token": 1}, "'input_token' is not a valid price. Did you mean input_mtok"),
    ({"prompt_tokens": 1}, "Did you mean input_mtok"),
    ({"qqq": 1}, "Common ones: input_mtok, output_mtok"),
    ({"input_mtok": "-1"}, "input_mtok: '-1' is not a price"),
    ({"input_mtok": "NaN"}, "is not a price"),
    ({"input_mtok": "Infinity"}, "is not a price"),
    ({"input_mtok": True}, "is not a price"),
    ({"input_mtok": None}, "is not a price"),
    ({"input_mtok": "a dollar"}, "is not a price"),
    ({"input_mtok": "1e-400"}, "more than 18 decimals"),
    ({"input_mtok": "1e400"}, "is not a price"),
    ({"audio_hours": {"base": 1, "tiers": []}}, "only prices per tokens may have tiers"),
    ({"input_mtok": {"base": 1}}, "write tiers as"),
    ({"input_mtok": {"base": 1, "tiers": [5]}}, "a tier is"),
    ({"input_mtok": {"base": 1, "tiers": [{"start": "5", "price": 1}]}}, "not a number of tokens"),
    ({"input_mtok": {"base": 1, "tiers": [{"start": 5, "price": 1}, {"start": 5, "price": 2}]}}, "rising numbers"),
    ({"audio_hours": 1, "audio_minute": 1}, "audio_minute: the price of audio_ms is given twice"),
    ({"image": []}, "at least one price"),
    ({"image": [{"size": "1024x1024"}]}, "an entry is"),
    ({"image": [{"size": "a:b", "price": 1}]}, "without a colon"),
    ({"image": [{"price": 1}, {"price": 2}]}, "given twice"),
    ({"request": 1, "changes": {}}, "changes: give a list"),
    ({"request": 1, "changes": [{"request": 2}]}, "'from' is a day like 2027-01-01"),
    ({"request": 1, "changes": [{"from": "soon", "request": 2}]}, "not 'soon'"),
    ({"request": 1, "changes": [{"from": 2027, "request": 2}]}, "not 2027"),
    ({"request": 1, "changes": [{"from": "2027-01-01"}]}, "Give prices in US dollars"),
    ({"request": 1, "changes": [{"from": "2027-01-01", "reqest": 2}]}, "Did you mean request"),
    ({"changes": [{"from": "2027-01-01", "request": 2}]}, "Give prices in US dollars"),
    (
        {"request": 1, "changes": [{"from": "2027-01-02", "request": 2}, {"from": "2027-01-01", "request": 3}]},
        "each with a later 'from'",
    ),
]


@pytest.mark.parametrize(("spec", "message"), FAULTS)
def test_a_bad_private_price_is_refused_with_the_reason(spec: Any, message: str) -> None:
    assert message in (private_price_fault(spec) or "")
    with pytest.raises(ValueError, match=re.escape(message)):
        private_sheet(spec)


@pytest.mark.parametrize(
    ("spec", "units", "dollars"),
    [
        ({"input_mtok": 0.15, "output_mtok": Decimal("0.60")}, {"input_tokens": 10**6, "output_tokens": 10**6}, "0.75"),
        ({"audio_minute": "0.006"}, {"audio_ms": 30_000}, "0.003"),
        ({"audio_hours": "0.36"}, {"input_audio_ms": 60_000}, "0.006"),
        ({"request": "0.002"}, {"input_tokens": 9}, "0.002"),
        ({"request": "0.002"}, {"requests": 5}, "0.01"),
        ({"video_second": [{"size": "1280x720", "price": 1}, {"price": 2}]}, {"video_seconds:1280x720": 4}, "4"),
        ({"image": [{"quality": "hd", "price": 1}, {"price": 2}]}, {"images:hd:1024x1024": 4}, "4"),
        ({"image": [{"quality": "hd", "price": 1}, {"price": 2}]}, {"images:low:1024x1024": 4}, "8"),
        ({"image": "0.04"}, {"images:hd:1024x1024": 2}, "0.08"),
        ({"input_document_kpages": 1, "code_executions_kcount": 30}, {"input_document_pages": 5}, "0.005"),
    ],
)
def test_private_prices(spec: dict[str, Any], units: dict[str, int], dollars: str) -> None:
    assert private_price_fault(spec) is None
    assert private_sheet(spec).cost(units) == int(Decimal(dollars) / PICO)
