"""Parameters of chat as vendors and families take them, and the rows of vendors."""

import json

import msgspec
import pytest
from genai_prices.data import providers

from providers.dialects import chat
from providers.dialects.failures import DialectError
from providers.dialects.families import claude, effort_of, gemini
from providers.dialects.neutral import Settings
from providers.dialects.params import adapt
from providers.vendor_row import USAGE_SEMANTICS
from providers.vendors import VENDORS
from tests.support.dialect_cases import TALK_FIELDS, ask
from tests.support.openapi import assert_valid


@pytest.mark.parametrize(
    ("vendor", "model", "fields", "expected", "dropped"),
    [
        ("openai", "gpt-5", {"max_tokens": 5, "temperature": 0}, {"max_completion_tokens": 5}, ["temperature"]),
        (
            "openai",
            "o3-mini",
            {"max_tokens": 5, "parallel_tool_calls": True},
            {"max_completion_tokens": 5},
            ["parallel_tool_calls"],
        ),
        ("openai", "gpt-4o", {"max_tokens": 5, "temperature": 0}, {"max_tokens": 5, "temperature": 0}, []),
        ("openai", "gpt-4.1-mini", {"reasoning_effort": "low"}, {}, ["reasoning_effort"]),
        (
            "mistral-ai",
            "mistral-large",
            {"max_completion_tokens": 5, "seed": 1, "user": "u"},
            {"max_tokens": 5, "random_seed": 1},
            ["user"],
        ),
        ("groq", "llama", {"logprobs": True, "max_completion_tokens": 5}, {"max_completion_tokens": 5}, ["logprobs"]),
        ("xai", "grok-4", {"stop": ["x"], "reasoning_effort": "low"}, {}, ["stop", "reasoning_effort"]),
        ("deepseek", "deepseek-chat", {"max_tokens": 1, "max_completion_tokens": 2}, {"max_tokens": 1}, []),
        ("nobody", "anything", {"max_tokens": 5, "x": 1}, {"max_tokens": 5, "x": 1}, []),
    ],
)
def test_fields_for_a_vendor(vendor, model, fields, expected, dropped):
    assert adapt(fields, vendor=vendor, model=model) == (expected, dropped)
    raw = {name: msgspec.Raw(json.dumps(value).encode()) for name, value in fields.items()}
    changed, _ = adapt(raw, vendor=vendor, model=model)
    assert {name: json.loads(bytes(value)) for name, value in changed.items()} == expected
    if dropped:
        with pytest.raises(DialectError) as refused:
            adapt(fields, vendor=vendor, model=model, strict=True)
        assert (refused.value.param, refused.value.code) == (dropped[0], "unsupported_parameter")


def test_sampling_is_taken_by_those_that_do_not_reason():
    assert adapt({"temperature": 0}, vendor="openai", model="gpt-5.4", sampled=True) == ({"temperature": 0}, [])
    assert adapt({"temperature": 0}, vendor="openai", model="gpt-5", sampled=True) == ({}, ["temperature"])
    written = chat.write_request(
        ask(temperature=0, reasoning_effort="none"), Settings(model="gpt-5.4", vendor="openai")
    )
    assert (json.loads(written.body)["temperature"], written.dropped) == (0, [])


@pytest.mark.parametrize("kind", VENDORS)
def test_a_row_is_whole(kind):
    row = VENDORS[kind]
    assert row.usage in USAGE_SEMANTICS
    assert row.auth in ("key", "google", "entra")
    assert row.base_url == "" or row.base_url.startswith("https://")
    assert not row.base_url.endswith("/")
    assert row.price_source in {"", *(provider.id for provider in providers)}
    assert not row.drops & {old for old, _ in row.renames}


@pytest.mark.parametrize("kind", [kind for kind, row in VENDORS.items() if row.dialect == "openai"])
def test_a_full_request_for_each_row(kind):
    written = chat.write_request(chat.read_request(TALK_FIELDS), Settings(model="some-model", vendor=kind))
    body = json.loads(written.body)
    row = VENDORS[kind]
    assert_valid("CreateChatCompletionRequest", {**body, "messages": TALK_FIELDS["messages"]})
    assert not row.drops & body.keys()
    assert not {old for old, _ in row.renames} & body.keys()
    assert {"max_tokens", "max_completion_tokens"} & body.keys()
    assert ("stream_options" in body) is row.stream_usage
    lost = {name for name in TALK_FIELDS if name in row.drops}
    assert lost <= set(written.dropped)


def test_families_of_names_with_prefixes_and_dates():
    assert (
        claude("anthropic/claude-opus-4.5")
        == claude("claude-opus-4-5-20251101")
        == claude("us.anthropic.claude-opus-4-5-v1:0")
    )
    assert claude("claude-opus-4-20250514").output == claude("claude-opus-4-0").output == 32_000
    assert claude("claude-opus-5-20260724") == claude("claude-opus-5")
    assert not claude("claude-opus-5-5").forced
    assert claude("claude-sonnet-4@20250514").output == 64_000
    assert claude("some-other-model").manual
    assert gemini("models/gemini-2.5-pro").budget == (128, 32768)
    assert gemini("gemini-flash-latest").signed
    assert [effort_of(budget) for budget in (-1, 0, 500, 5000, 50_000)] == ["medium", "none", "low", "medium", "high"]
