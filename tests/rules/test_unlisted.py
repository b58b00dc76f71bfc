"""Names that no one listed: of which models that rules name they may be variants, and what rules make of them."""

from typing import Any

import pytest

from providers.models import Model, ProviderAccount
from rules import compiled
from rules.asked import Asked, asked_by
from rules.compiled import RuleIndex, RuleSet, compile_rule
from rules.unlisted import NamedModels
from tests.rules.test_compiled import rule

NAMED = NamedModels(["a/gpt-4o", "a/gpt-4o-mini", "a/openai/o3", "b/gpt-4o", "a/", "nothing", "a/~"])


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("gpt-4o-fast", ["a/gpt-4o"]),
        ("gpt-4o,x", ["a/gpt-4o"]),
        ("x,gpt-4o", ["a/gpt-4o"]),
        ("~gpt-4o", ["a/gpt-4o"]),
        ("GPT_4O:nitro", ["a/gpt-4o"]),
        ("models/gpt-4o@x", ["a/gpt-4o"]),
        ("gpt-4o", ["a/gpt-4o"]),
        ("gpt-4o-2024-08-06", ["a/gpt-4o"]),
        ("gpt-4o-mini", ["a/gpt-4o-mini"]),
        ("gpt-4o-mini-2024-07-18", ["a/gpt-4o-mini"]),
        ("gpt-4o-mini-fast", ["a/gpt-4o-mini", "a/gpt-4o"]),
        ("gpt-4o-mini,gpt-4o", ["a/gpt-4o-mini", "a/gpt-4o"]),
        ("azure/o3-fast", ["a/openai/o3"]),
        ("gpt-4o-audio-preview", []),
        ("gpt-4", []),
        ("gpt-4on", []),
        ("xgpt-4o", []),
        ("", []),
        ("~", []),
    ],
)
def test_what_a_name_may_mean(name: str, expected: list[str]) -> None:
    assert list(NAMED.meant_by(("a", "former"), name, "openai")) == expected


def test_another_account_and_one_without_a_price_list() -> None:
    assert NAMED.meant_by(("c",), "gpt-4o-fast", "openai") == ()
    assert NAMED.meant_by(("c", "b"), "gpt-4o-fast", "openai") == ("b/gpt-4o",)
    assert NAMED.meant_by(("b",), "gpt-4o-mini", "") == ("b/gpt-4o",)


def variant(name: str = "a/gpt-4o-fast", of: tuple[str, ...] = ("a/gpt-4o",)) -> Asked:
    options: dict[str, Any] = {"models": (name,), "accounts": ("a",), "metadata": {}, "variant_of": of}
    return asked_by("user", "a@x.com", (), token="gh-1", **options)


@pytest.mark.parametrize(
    ("when", "fits"),
    [
        ({"models": {"in": ["a/gpt-4o"]}}, True),
        ({"models": {"in": ["a/gpt-4o"]}, "subjects": {"in": ["user:a@x.com"]}}, True),
        ({"models": {"in": ["a/gpt-4o-fast"]}}, True),
        ({"models": {"in": ["a/o3"]}}, False),
        ({"models": {"not_in": ["a/gpt-4o"]}}, True),
        ({"models": {"not_in": ["a/gpt-4o-fast"]}}, False),
        ({"models": {"in": ["a/gpt-4o"], "not_in": ["a/gpt-4o-fast"]}}, False),
    ],
)
def test_a_rule_counts_variants_and_leaves_out_what_it_names(when: dict[str, Any], fits: bool) -> None:
    assert bool(RuleIndex([compile_rule(rule(when=when))]).fitting(variant())) is fits


@pytest.mark.parametrize(
    ("when", "overrides", "entity"),
    [
        ({"models": {"in": ["a/gpt-4o", "a/o3"]}}, [], "a/gpt-4o"),
        ({"models": {"in": ["a/gpt-4o", "a/gpt-4o-fast"]}}, [], "a/gpt-4o-fast"),
        ({}, [{"values": ["a/gpt-4o"], "limits": {"requests_per_minute": 1}}], "a/gpt-4o"),
        ({}, [], "a/gpt-4o-fast"),
    ],
)
def test_variants_share_the_counter_of_the_model_that_the_rule_names(
    when: dict[str, Any], overrides: list[Any], entity: str
) -> None:
    effect = {"limits": {"requests_per_minute": 5}, "per": ["model", "user"], "overrides": overrides}
    found = compile_rule(rule(when=when, effect=effect))
    assert found.entities(variant()) == [(entity, "a@x.com")]
    assert found.limits_of((entity, "a@x.com"), 0)["requests_per_minute"] == (1 if overrides else 5)


@pytest.mark.django_db
def test_only_open_accounts_have_variants_and_only_of_what_is_not_listed() -> None:
    named = rule(when={"models": {"in": ["open/gpt-4o", "shut/gpt-4o"]}})
    account = ProviderAccount.objects.create(name="open", kind="openai", any_model=True)
    ProviderAccount.objects.create(name="shut", kind="openai")
    before = compiled.current_revision()

    def variants(name: str) -> tuple[str, ...]:
        rules: RuleSet = compiled.load([named])
        return rules.variants(name.partition("/")[0], name)

    assert variants("open/gpt-4o-fast") == ("open/gpt-4o",)
    assert variants("shut/gpt-4o-fast") == variants("gone/gpt-4o-fast") == variants("") == ()
    Model.objects.create(account=account, name="gpt-4o-fast", upstream_id="x", model_types=["chat"])
    assert compiled.current_revision() != before
    assert variants("open/gpt-4o-fast") == ()
