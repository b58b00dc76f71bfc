"""The order of targets: by weight, session, speed, priority and complexity, and behind the others those that fail."""

from collections import Counter
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from gateway.routing import order, plan
from gateway.routing.complexity import tier_of
from gateway.routing.health import Health, Sample
from providers.routing.compiled import compile_routing
from providers.snapshot import ModelSnapshot
from providers.vendors import VENDORS


@pytest.fixture(autouse=True)
def health(monkeypatch: pytest.MonkeyPatch) -> Health:
    fresh = Health()
    monkeypatch.setattr(order, "health", fresh)
    return fresh


def call(
    metadata: dict[str, str] | None = None,
    headers: dict[bytes, bytes] | None = None,
    door: str = "openai",
    **fields: Any,
) -> Any:
    return SimpleNamespace(
        operation=SimpleNamespace(door=door),
        caller=SimpleNamespace(key="user:1"),
        options=SimpleNamespace(metadata=metadata or {}),
        session_headers=headers or {},
        body=SimpleNamespace(fields={name: msgspec.Raw(msgspec.json.encode(each)) for name, each in fields.items()}),
    )


def names(config: dict[str, Any], of: Any = None) -> list[str]:
    routing = compile_routing(config)
    return [target.model for target in order.ordered(routing, routing.targets, of or call())]


def weighted(*weights: float, **more: Any) -> dict[str, Any]:
    targets = [{"target": f"x/m{number}", "weight": weight} for number, weight in enumerate(weights)]
    return {"type": "weight-based-routing", "load_balance_targets": targets, **more}


def test_weights_are_shares() -> None:
    first = Counter(names(weighted(70, 20, 10, 0))[0] for _ in range(4000))
    assert first["m3"] == 0
    assert abs(first["m0"] - 2800) < 200
    assert abs(first["m1"] - 800) < 160
    assert abs(first["m2"] - 400) < 120


def test_a_target_without_weight_is_the_last_resort() -> None:
    assert {names(weighted(1, 0))[1] for _ in range(50)} == {"m1"}


def test_a_session_stays_where_it_is() -> None:
    sticky = {"ttl_seconds": 60, "session_identifiers": [{"source": "headers", "key": "X-Session"}]}
    config = weighted(50, 50, sticky_routing=sticky)
    chosen = set()
    for session in range(40):
        headers = {b"x-session": b"s%d" % session}
        first = {names(config, call(headers=headers))[0] for _ in range(5)}
        assert len(first) == 1
        chosen |= first
    assert chosen == {"m0", "m1"}
    assert {names(config)[0] for _ in range(60)} == {"m0", "m1"}, "a call without a session is drawn"


def test_priorities_and_failures(health: Health) -> None:
    targets = [{"target": f"x/m{number}", "priority": number} for number in range(3)]
    config = {"type": "priority-based-routing", "load_balance_targets": targets}
    assert names(config) == ["m0", "m1", "m2"]
    now = order.monotonic()
    assert not health.of("x/m0").note_failure(500, now, None)
    assert names(config) == ["m0", "m1", "m2"], "one failure is not enough"
    assert health.of("x/m0").note_failure(500, now + 1, None)
    assert names(config) == ["m1", "m2", "m0"]
    assert health.of("x/m1").note_failure(401, now, None), "a refused key is enough"
    assert names(config) == ["m2", "m0", "m1"]
    assert health.of("x/m0").note_success(Sample(now, None, None))
    assert names(config) == ["m0", "m2", "m1"]


def test_a_target_that_asks_for_no_rest_gets_half_a_minute(health: Health) -> None:
    target = health.of("x/m")
    for now in (100.0, 101.0):
        target.note_failure(429, now, None)
    assert (target.usable(130.9), target.usable(131.0)) == (False, True)


def test_a_rest_ends_with_one_probe(health: Health) -> None:
    target = health.of("x/m")
    target.note_failure(429, 100.0, 5.0)
    target.note_failure(429, 101.0, 5.0)
    assert not target.usable(105.0)
    assert target.usable(106.5)
    health.begin_probe("x/m", 106.5)
    assert not target.usable(107.0), "another call is the probe"
    target.note_failure(429, 108.0, 60.0)
    assert not target.usable(160.0)
    assert target.usable(168.5)


def test_what_no_virtual_model_names_is_forgotten(health: Health, monkeypatch: pytest.MonkeyPatch) -> None:
    model = ModelSnapshot("x", "m0", "m0", frozenset())
    routing = compile_routing(weighted(1, 1))  # m1 is gone
    virtual = ModelSnapshot("smart", "chat", "", frozenset(), routing=routing)
    accounts = {
        "x": SimpleNamespace(name="x", vendor=VENDORS["openai"], models={"m0": model}, any_model=False),
        "smart": SimpleNamespace(name="smart", vendor=VENDORS["virtual-model"], models={"chat": virtual}),
    }
    monkeypatch.setattr(plan, "health", health)
    monkeypatch.setattr(plan.state, "directory", SimpleNamespace(accounts=accounts, rules=None), raising=False)
    kept, gone = health.of("x/m0"), health.of("x/m1")
    plan.forget_targets()
    assert health.of("x/m1") is not gone
    assert health.of("x/m0") is kept


def test_old_failures_do_not_count(health: Health) -> None:
    target = health.of("x/m")
    target.note_failure(500, 0.0, None)
    assert not target.note_failure(500, 121.0, None)
    assert target.note_failure(500, 122.0, None)


def test_the_fastest_first_and_unknown_ones_before(health: Health) -> None:
    config = {"type": "latency-based-routing", "load_balance_targets": [{"target": f"x/m{n}"} for n in range(3)]}
    now = order.monotonic()
    for name, token_ms in (("x/m0", 50.0), ("x/m1", 10.0)):
        for _ in range(5):
            health.of(name).note_success(Sample(now, 100.0, token_ms))
    assert names(config) == ["m2", "m1", "m0"]
    health.of("x/m2").note_success(Sample(now, 100.0, 200.0))
    assert names(config) == ["m1", "m0", "m2"]


def test_a_missed_sla_moves_a_target_back(health: Health) -> None:
    targets = [
        {"target": "x/m0", "priority": 0, "sla_cutoff": {"time_to_first_token_ms": 300}},
        {"target": "x/m1", "priority": 1},
    ]
    config = {"type": "priority-based-routing", "load_balance_targets": targets}
    now = order.monotonic()
    for _ in range(2):
        health.of("x/m0").note_success(Sample(now, 900.0, 1.0))
    assert names(config) == ["m0", "m1"], "two samples say little"
    health.of("x/m0").note_success(Sample(now, 900.0, 1.0))
    assert names(config) == ["m1", "m0"]


def test_only_candidates_are_fallbacks() -> None:
    targets = [
        {"target": "x/m0", "priority": 0},
        {"target": "x/m1", "priority": 1, "fallback_candidate": False},
        {"target": "x/m2", "priority": 2},
    ]
    assert names({"type": "priority-based-routing", "load_balance_targets": targets}) == ["m0", "m2"]


@pytest.mark.parametrize(
    ("fields", "tier"),
    [
        ({"messages": [{"role": "user", "content": "What is the capital of France?"}]}, "simple"),
        ({"messages": [{"role": "user", "content": "Refactor this function."}]}, "medium"),
        ({"messages": [{"role": "user", "content": "hi"}], "tools": [{"type": "function"}]}, "medium"),
        ({"input": "Prove the theorem step by step. " + "x" * 3000}, "complex"),
        ({"messages": [{"role": "user", "content": "y " * 7000}]}, "complex"),
        ({"door": "gemini", "contents": [{"parts": [{"text": "Refactor this function."}]}]}, "medium"),
        ({"door": "anthropic", "system": "Prove it.", "messages": [{"role": "user", "content": "hi"}]}, "medium"),
    ],
)
def test_tiers(fields: dict[str, Any], tier: str) -> None:
    assert tier_of(call(**fields)) == tier
    targets = [{"target": f"x/{each}", "tier": each} for each in ("complex", "simple", "medium")]
    found = names({"type": "complexity-based-routing", "load_balance_targets": targets}, call(**fields))
    assert found[0] == tier
    assert sorted(found) == ["complex", "medium", "simple"]


def test_the_least_busy_is_first(health: Health) -> None:
    config = {"type": "least-busy-routing", "load_balance_targets": [{"target": f"x/m{n}"} for n in range(3)]}
    for name in ("x/m0", "x/m0", "x/m1"):
        health.began(name)
    assert names(config) == ["m2", "m1", "m0"]
    health.ended("x/m0")
    health.ended("x/m0")
    health.ended("x/m0")  # one too many
    health.began("x/m2")
    assert names(config)[0] == "m0"
    assert health.of("x/m0").running == 0


def test_a_prompt_that_begins_alike_stays_with_one_target() -> None:
    """The key of a provider's cache: tools and system prompt, whatever is asked then."""
    config = weighted(
        *[1] * 8,
        sticky_routing={"ttl_seconds": 600, "session_identifiers": [{"source": "prompt", "key": "prefix"}]},
    )
    long = [{"role": "system", "content": "x" * 5_000}]
    asked = [names(config, call(messages=[*long, {"role": "user", "content": str(n)}]))[0] for n in range(20)]
    assert len(set(asked)) == 1
    others = {names(config, call(messages=[{"role": "system", "content": str(n) * 5_000}]))[0] for n in range(40)}
    assert len(others) > 3
    short = {names(config, call(messages=[{"role": "user", "content": "hi"}]))[0] for n in range(60)}
    assert len(short) > 3, "what no provider keeps needs no home"


def test_a_prompts_own_key_is_a_session() -> None:
    config = weighted(
        *[1] * 8,
        sticky_routing={"ttl_seconds": 600, "session_identifiers": [{"source": "prompt", "key": "prompt_cache_key"}]},
    )
    assert len({names(config, call(prompt_cache_key="k"))[0] for _ in range(20)}) == 1
    assert len({names(config, call())[0] for _ in range(60)}) > 3
