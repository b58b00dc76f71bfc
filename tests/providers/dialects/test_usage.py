"""What vendors mean by usage: the counts, the gaps, and the price that follows."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.billing.usage import read_fields
from providers.dialects import usage
from providers.vendors import VENDORS
from usage.records import AttemptRecord

XAI = {
    "prompt_tokens": 11,
    "completion_tokens": 143,
    "total_tokens": 914,
    "completion_tokens_details": {"reasoning_tokens": 760},
}
DEEPSEEK = {"prompt_tokens": 1000, "completion_tokens": 50, "total_tokens": 1050, "prompt_cache_hit_tokens": 900}


def read(given: dict[str, Any], semantics: str = "openai") -> usage.Counts:
    counts = usage.read(json.dumps(given).encode(), semantics)
    assert counts is not None
    return counts


@pytest.mark.parametrize(
    ("semantics", "given", "expected"),
    [
        ("xai", XAI, {"input": 11, "output": 903, "reasoning": 760, "outside": 0}),
        ("xai", {**XAI, "total_tokens": 154}, {"input": 11, "output": 143, "reasoning": 760, "outside": 0}),
        ("xai", {**XAI, "total_tokens": None}, {"output": 903}),
        # The same numbers from a server that says nothing else: what is outside is exactly the reasoning.
        ("openai", XAI, {"output": 903, "reasoning": 760, "outside": 0}),
        ("deepseek", DEEPSEEK, {"input": 1000, "cached": 900, "output": 50}),
        (
            "google",
            {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 115},
            {"output": 105, "reasoning": 100, "outside": 0},
        ),
        ("openai", {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 20}, {"output": 5, "outside": 5}),
        ("openai", {"prompt_tokens": 10, "completion_tokens": 5}, {"outside": 0}),
        ("openrouter", {"prompt_tokens": 1, "completion_tokens": 1, "cost": 0.00014}, {"cost_pico": 140_000_000}),
        ("openai", {"prompt_tokens": 1, "completion_tokens": 1, "cost": 0.00014}, {"cost_pico": None}),
        (
            "openai",
            {"prompt_tokens": 9, "completion_tokens": 2, "num_search_queries": 3},
            {"units": {"web_searches": 3}},
        ),
        ("openai", {"total_tokens": 8}, {"input": 8, "output": 0}),
        ("openai", {"prompt_tokens": -5, "completion_tokens": -1}, {"input": 0, "output": 0}),
    ],
)
def test_counts(semantics: str, given: dict[str, Any], expected: dict[str, Any]) -> None:
    counts = read(given, semantics)
    assert {name: getattr(counts, name) for name in expected} == expected


@pytest.mark.parametrize(
    "odd",
    [
        {"completion_tokens_details": {"reasoning_tokens": "3"}},
        {"completion_tokens_details": "none"},
        {"prompt_tokens_details": {"cached_tokens": [1]}},
        {"total_tokens": "twelve"},
        {"cost": "free"},
        {"seconds": True},
    ],
)
def test_one_odd_field_discards_no_other(odd: dict[str, Any]) -> None:
    counts = read({"prompt_tokens": 11, "completion_tokens": 7, **odd})
    assert (counts.input, counts.output) == (11, 7)


@pytest.mark.parametrize("raw", [b"null", b"[]", b'"x"', b"{", b"3"])
def test_what_is_not_a_usage_object(raw: bytes) -> None:
    assert usage.read(raw) is None


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(sorted(usage.Usage.__struct_fields__)), inner, max_size=5)
        ),
        max_leaves=8,
    )
)
def test_nothing_that_a_vendor_writes_raises(value: Any) -> None:
    counts = usage.read(json.dumps(value).encode(), "xai")
    assert counts is None or min(counts.input, counts.output, counts.cached, counts.outside) >= 0


def test_every_vendor_has_known_semantics() -> None:
    known = {"openai", "xai", "deepseek", "google", "openrouter", "anthropic", "gemini", "cohere"}
    assert {vendor.usage for vendor in VENDORS.values()} <= known


def record_of(fields: dict[str, Any], semantics: str = "openai", operation: str = "chat") -> AttemptRecord:
    record = AttemptRecord("1", "req_1", 0, model_served="gpt-4o-mini", operation=operation)
    encoded = {name: json.dumps(value).encode() for name, value in fields.items()}
    assert read_fields(record, encoded, semantics)  # type: ignore[arg-type]
    return record


@pytest.mark.parametrize(
    ("answered", "served"),
    [
        ("gpt-4o-mini", "gpt-4o-mini"),
        ("gpt-4o-mini-2024-07-18", "gpt-4o-mini"),
        ("openai/gpt-4o-mini", "gpt-4o-mini"),
        ("o1-pro", "o1-pro"),
        ("gpt-4o", "gpt-4o"),
    ],
)
def test_another_model_that_answered_is_recorded(answered: str, served: str) -> None:
    assert record_of({"model": answered, "usage": {"prompt_tokens": 1, "completion_tokens": 1}}).model_served == served


def test_a_transcription_that_reports_its_duration_only() -> None:
    record = record_of({"text": "hi", "duration": 12.34}, operation="transcription")
    assert record.units == {"input_audio_ms": 12340}


def test_a_total_that_nothing_explains_is_a_gap() -> None:
    record = record_of({"usage": {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 20}})
    assert record.price_gaps == "tokens_outside_usage"
