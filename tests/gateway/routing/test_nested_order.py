"""The order of the targets of a virtual model whose targets are virtual models: each level by its own type."""

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from gateway.routing import order
from gateway.routing.health import Health
from providers.routing.compiled import Routing, compile_routing
from providers.routing.nesting import nested
from tests.gateway.routing.test_order import call, health, weighted  # noqa: F401 - a fixture
from tests.providers.routing.test_nesting import find_among, priority, resolved


def names(routing: Routing, left: set[str] | None = None, prices: dict[str, int] | None = None, of: Any = None) -> list:
    leaves = [leaf for leaf in routing.leaves if left is None or leaf.model in left]
    priced = [replace(leaf, price=(prices or {}).get(leaf.model, leaf.price)) for leaf in leaves]
    return [target.model for target in order.ordered(routing, priced, of or call())]


def inner_weighted(**more: Any) -> Routing:
    """Of ten calls seven go to v/inner, of which m0 gets four fifths."""
    targets = [{"target": "v/inner", "weight": 70}, {"target": "x/plain", "weight": 30}]
    models = {
        "v/outer": {"type": "weight-based-routing", "load_balance_targets": targets, **more},
        "v/inner": weighted(80, 20),
    }
    return resolved(models, "v/outer")


def test_weights_are_multiplied() -> None:
    routing = inner_weighted()
    first = Counter(names(routing)[0] for _ in range(4000))
    assert abs(first["m0"] - 2240) < 200
    assert abs(first["m1"] - 560) < 140
    assert abs(first["plain"] - 1200) < 180


def test_an_inner_models_targets_follow_one_another() -> None:
    routing = inner_weighted()
    assert {names(routing)[1] for _ in range(60) if names(routing)[0] == "m0"} >= {"m1"}
    seen = {tuple(names(routing)) for _ in range(200)}
    assert seen == {("m0", "m1", "plain"), ("m1", "m0", "plain"), ("plain", "m0", "m1"), ("plain", "m1", "m0")}


def test_a_session_of_the_outer_one_stays_with_the_inner_one() -> None:
    sticky = {"ttl_seconds": 60, "session_identifiers": [{"source": "metadata", "key": "s"}]}
    routing, chosen = inner_weighted(sticky_routing=sticky), set()
    for session in range(40):
        of = call(metadata={"s": str(session)})
        first = {names(routing, of=of)[0] == "plain" for _ in range(5)}
        assert len(first) == 1
        chosen |= first
    assert chosen == {True, False}


def test_priorities_of_priorities_and_failures(health: Health) -> None:  # noqa: F811
    models = {"v/a": priority("v/b", "x/m2"), "v/b": priority("x/m0", "x/m1")}
    routing = resolved(models, "v/a")
    assert names(routing) == ["m0", "m1", "m2"]
    health.of("x/m0").note_failure(401, order.monotonic(), None)
    assert names(routing) == ["m1", "m2", "m0"], "what fails is behind all others, of every level"
    health.of("x/m1").note_failure(401, order.monotonic(), None)
    assert names(routing) == ["m2", "m0", "m1"]
    assert names(routing, left={"m1", "m2"}) == ["m2", "m1"]


def test_an_inner_model_counts_as_the_target_that_it_would_ask_first(health: Health) -> None:  # noqa: F811
    models = {
        "v/load": {"type": "least-busy-routing", "load_balance_targets": [{"target": "v/b"}, {"target": "x/m2"}]},
        "v/cost": {"type": "cost-based-routing", "load_balance_targets": [{"target": "v/b"}, {"target": "x/m2"}]},
        "v/b": priority("x/m0", "x/m1"),
    }
    health.began("x/m0")
    health.began("x/m0")
    health.began("x/m2")
    assert names(resolved(models, "v/load")) == ["m2", "m0", "m1"]
    health.began("x/m2")
    health.began("x/m2")
    assert names(resolved(models, "v/load")) == ["m0", "m1", "m2"]
    assert names(resolved(models, "v/cost"), prices={"m0": 5, "m1": 1, "m2": 3}) == ["m2", "m0", "m1"]


@pytest.mark.parametrize(("candidate", "wanted"), [(True, ["m2", "m0", "m1"]), (False, ["m2"])])
def test_who_is_no_candidate_stays_out_with_all_of_its_targets(candidate: bool, wanted: list[str]) -> None:
    inner = {"target": "v/b", "priority": 1, "fallback_candidate": candidate}
    models = {"v/a": priority({"target": "x/m2", "priority": 0}, inner), "v/b": priority("x/m0", "x/m1")}
    assert names(resolved(models, "v/a")) == wanted
    first = {"v/a": priority({**inner, "priority": 0}, {"target": "x/m2", "priority": 1}), "v/b": models["v/b"]}
    assert names(resolved(first, "v/a")) == ["m0", "m1", "m2"], "chosen first, its own targets follow"


def test_without_nesting_nothing_is_grouped() -> None:
    routing = compile_routing(priority("x/m0", "x/m1"))
    assert nested(routing, find_among({}), "v/a") is routing
