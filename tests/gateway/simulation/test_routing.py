"""``simulate`` of routing: which calls would have gone where, what that would have cost, and what can't be said."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError
from django.utils import timezone

from providers.models import Model, ProviderAccount
from tests.gateway.management.test_rules_commands import ADA, said, store

pytestmark = pytest.mark.django_db

MINI, DEAR, OTHER = "openai-main/gpt-4o-mini", "openai-main/gpt-4o", "azure/gpt-4o"
BOB = "bob@example.com"
GPT_4O = 2_500_000_000 + 200_000_000
"""What 1,000 input and 20 output tokens cost at gpt-4o, in pico-dollars."""


@pytest.fixture(autouse=True)
def _names() -> None:
    main = ProviderAccount.objects.create(kind="openai", name="openai-main")
    azure = ProviderAccount.objects.create(kind="openai", name="azure")
    for account, names in ((main, ("gpt-4o-mini", "gpt-4o")), (azure, ("gpt-4o", "unpriced"))):
        for name in names:
            Model.objects.create(account=account, name=name, upstream_id=name, model_types=["chat"])


def recorded(*calls: dict[str, Any]) -> None:
    """Store calls of yesterday, a second apart, of gpt-4o unless they say otherwise."""
    began = timezone.now().replace(hour=12, minute=0, second=0) - timedelta(days=1)
    moment = int(began.timestamp() * 1_000_000)
    usual = {"model_asked": DEAR, "model_resolved": DEAR, "cached_tokens": 0, "cost_pico": GPT_4O}
    store(*({"started_at": moment + n * 1_000_000, **usual, **call} for n, call in enumerate(calls)))


def spread(*targets: dict[str, Any], kind: str = "priority-based-routing", **rule: Any) -> dict[str, Any]:
    made = {"id": "r", "type": kind, "when": {"models": [DEAR]}, "load_balance_targets": list(targets), **rule}
    return {"type": "gateway-load-balancing-config", "name": "g", "rules": [made]}


def virtual(**models: dict[str, Any]) -> dict[str, Any]:
    kind = "integration/model/virtual"
    made = [{"type": kind, "name": n, "model_types": ["chat"], "routing_config": c} for n, c in models.items()]
    return {"type": "provider-account/virtual-model", "name": "smart", "integrations": made}


def priority(*targets: str, **fields: Any) -> dict[str, Any]:
    listed = [{"target": target, "priority": number} for number, target in enumerate(targets)]
    return {"type": "priority-based-routing", "load_balance_targets": listed, **fields}


@pytest.fixture
def simulated(tmp_path: Path) -> Any:
    def simulated(*manifests: dict[str, Any]) -> str:
        file = tmp_path / "rules.yaml"
        file.write_text("\n---\n".join(json.dumps(each) for each in manifests))
        return said("simulate", "-f", str(file), "--since", "7d")

    return simulated


def test_a_rule_moves_calls_and_says_what_that_saves(simulated: Any) -> None:
    recorded({}, {}, {"subject_name": BOB}, {"model_asked": MINI, "model_resolved": MINI, "cost_pico": 1})
    text = simulated(spread({"target": MINI}))
    # 1,000 and 20 tokens are 150 µ$ and 12 µ$ at gpt-4o-mini, 2,500 µ$ and 200 µ$ at gpt-4o.
    cost = "for $0.000486 instead of $0.0081 ($0.007614 saved)"
    assert f"routing is for 3 calls; 3 would have gone elsewhere, {cost}." in text
    assert f"rule g/r: 3 calls from {DEAR} to {MINI}, {cost}" in text
    assert f"caller {ADA}: 2 calls would have gone elsewhere" in text
    assert f"caller {BOB}: 1 call would have gone elsewhere" in text
    assert "Assumed: every target answers" in text
    assert "routing is for" not in simulated(spread({"target": MINI}, mode="audit"))
    metadata = spread({"target": MINI, "metadata_match": {"env": "prod"}}, {"target": OTHER, "priority": 1})
    assert f"3 calls from {DEAR} to {OTHER}, for $0.0081 instead of $0.0081" in simulated(metadata)


def test_limits_and_budgets_count_calls_where_they_would_have_gone(simulated: Any) -> None:
    recorded(*[{}] * 4)
    limit = {
        "type": "tenant-rate-limit-config/model",
        "name": "few",
        "when": {"models": {"in": [MINI]}},
        "limits": {"requests_per_hour": 1},
        "applies_to": {"type": "aggregate"},
        "mode": "enforce",
    }
    text = simulated(spread({"target": MINI}), limit)
    assert "rule few: counts 4 calls, refuses 3" in text


def test_weights_are_drawn_the_same_each_time(simulated: Any) -> None:
    recorded(*[{}] * 60)
    manifest = spread({"target": MINI, "weight": 50}, {"target": DEAR, "weight": 50}, kind="weight-based-routing")
    text = simulated(manifest)
    moved = int(text.split(" would have gone elsewhere")[0].rsplit(" ", 1)[1])
    assert 15 < moved < 45
    assert simulated(manifest) == text


def test_failures_of_the_call_itself_are_known(simulated: Any) -> None:
    """A target that failed in that call is taken to fail again; one that was not asked to answer."""
    failed = {"status": 503, "error_class": "upstream_error", "cost_pico": 0, "input_tokens": 0, "output_tokens": 0}
    shared = {"request_id": "req_two"}
    recorded(
        failed,
        {**failed, "status": 400},
        {**failed, **shared},
        {**shared, "attempt_number": 2, "model_resolved": OTHER, "account": "azure"},
    )
    fallback = {
        "type": "gateway-fallback-config",
        "name": "b",
        "rules": [{"id": "f", "when": {"models": [DEAR]}, "fallback_models": [{"target": OTHER}]}],
    }
    text = simulated(fallback)
    assert "rule b/f: 1 call that failed would have been answered" in text
    assert f"rule b/f: 1 call from {DEAR} to {OTHER}" in text
    assert f"not judged: what 1 call would have cost at {OTHER}: no price, or no tokens as they failed" in text
    assert "routing is for 1 call; 1 would have gone elsewhere." in text, "a 400 is the call's answer"
    text = simulated(virtual(chat=priority(DEAR)), spread({"target": DEAR}))
    assert "rule g/r: 1 call that did not fail would fail: no target is left" in text


def test_what_has_no_price_is_not_judged(simulated: Any) -> None:
    recorded({}, {})
    text = simulated(spread({"target": "azure/unpriced"}))
    assert "routing is for 2 calls; 2 would have gone elsewhere." in text
    assert "not judged: what 2 calls would have cost at azure/unpriced: no price" in text


def test_what_calls_say_and_unknown_speeds_are_not_guessed(simulated: Any) -> None:
    recorded({}, {"model_asked": MINI, "model_resolved": MINI, "latency_us": 100}, {"latency_us": 90_000}, {})
    tiers = [{"target": MINI, "tier": "simple"}, {"target": DEAR, "tier": "complex"}]
    text = simulated(spread(*tiers, kind="complexity-based-routing"))
    assert "not judged: where 3 calls would have gone: complexity-based-routing goes by what calls say" in text
    text = simulated(spread({"target": MINI}, {"target": DEAR}, kind="latency-based-routing"))
    why = f"how quick {MINI} was: no answer of it is recorded in the 20 minutes before"
    assert f"not judged: where 1 call would have gone: {why}" in text
    assert f"rule g/r: 2 calls from {DEAR} to {MINI}" in text, "by then the quick one is known"


def test_a_proposed_virtual_model_is_tried_on_calls_of_its_name(simulated: Any) -> None:
    recorded({"model_asked": "smart/chat"}, {"model_asked": "smart/chat", "operation": "embeddings"}, {})
    stored = ProviderAccount.objects.create(kind="virtual-model", name="smart")
    for name in ("chat", "other"):
        Model.objects.create(account=stored, name=name, model_types=["chat"], routing=priority(DEAR))
    text = simulated(virtual(chat=priority("smart/inner", DEAR), inner=priority(MINI)))
    assert "routing is for 2 calls; 1 would have gone elsewhere" in text
    assert "virtual model smart/chat: 1 call that did not fail would fail: no target is left" in text
    assert f"virtual model smart/chat: 1 call from {DEAR} to {MINI}" in text
    assert Model.objects.get(name="chat").routing == priority(DEAR), "nothing is written"
    assert "routing is for" not in simulated(virtual(unasked=priority(MINI)))
    with pytest.raises(CommandError, match="lead back to themselves: smart/a -> smart/a"):
        simulated(virtual(a=priority("smart/a")))


def test_a_cheaper_target_may_be_a_virtual_model(simulated: Any) -> None:
    recorded(*[{"cost_pico": 3 * 10**9}] * 4)
    stored = ProviderAccount.objects.create(kind="virtual-model", name="smart")
    Model.objects.create(account=stored, name="cheap", model_types=["chat"], routing=priority(MINI))
    budget = {
        "type": "tenant-budget-config",
        "name": "thrifty",
        "limits": {"cost_per_day": 0.01},
        "applies_to": {"type": "aggregate"},
        "mode": "enforce",
        "cheaper": {"from_percent": 50, "target": "smart/cheap"},
    }
    text = simulated(budget)
    assert "0 would have been refused and 2 moved to a cheaper target, which would have saved $0.005676." in text


def test_rules_of_an_inner_virtual_model_count_calls_of_the_outer_one(simulated: Any) -> None:
    recorded(*[{"model_asked": "smart/outer", "decision": {"via": "smart/inner"}}] * 3, {"model_asked": "smart/outer"})
    limit = {
        "type": "tenant-rate-limit-config/model",
        "name": "few",
        "when": {"models": {"in": ["smart/inner"]}},
        "limits": {"requests_per_hour": 1},
        "applies_to": {"type": "aggregate"},
        "mode": "enforce",
    }
    inner = ProviderAccount.objects.create(kind="virtual-model", name="smart")
    for name, target in (("inner", MINI), ("outer", DEAR)):
        Model.objects.create(account=inner, name=name, model_types=["chat"], routing=priority(target))
    assert "2 would have been refused" in simulated(limit)
    text = simulated(limit, virtual(outer=priority("smart/inner"), inner=priority(MINI)))
    assert "3 would have been refused" in text
