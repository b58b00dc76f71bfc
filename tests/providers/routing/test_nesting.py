"""Virtual models over virtual models: what comes of a target on the way to it, and which configurations are refused."""

import random
from collections.abc import Mapping
from dataclasses import replace
from time import process_time
from typing import Any

import pytest

from providers.routing.compiled import RoutedTarget, Routing, compile_routing
from providers.routing.nesting import MOST_DEPTH, MOST_LEAVES, MOST_STEPS, TOO_MANY, Find, Inner, nested, nested_target
from providers.routing.targets import Known, target_faults


def priority(*targets: str | dict[str, Any], **fields: Any) -> dict[str, Any]:
    """A configuration by priority over ``targets``."""
    made = [{"target": each} if isinstance(each, str) else each for each in targets]
    listed = [{"priority": number, **target} for number, target in enumerate(made)]
    return {"type": "priority-based-routing", "load_balance_targets": listed, **fields}


def find_among(models: Mapping[str, dict[str, Any]], disabled: str = "", types: tuple[str, ...] = ("chat",)) -> Find:
    compiled = {name: compile_routing(config) for name, config in models.items()}

    def find(target: RoutedTarget) -> Inner | None:
        routing = compiled.get(target.name)
        if routing is None:
            return None
        return Inner(target.name, target.name != disabled, frozenset(types), routing)

    return find


def resolved(models: Mapping[str, dict[str, Any]], name: str, **more: Any) -> Routing:
    routing = nested(compile_routing(models[name]), find_among(models, **more), name)
    assert len(routing.leaves) <= MOST_LEAVES
    return routing


def test_a_target_is_what_the_outer_one_says_over_what_the_inner_one_says() -> None:
    inner = {
        "target": "x/m",
        "override_params": {"temperature": 0.1, "seed": 1},
        "headers_override": {"set": {"X-Team": "inner", "x-kept": "1"}, "remove": ["x-outer", "x-gone"]},
        "retry_config": {"attempts": 1, "delay": 50, "on_status_codes": ["500"]},
        "fallback_status_codes": ["500"],
        "metadata_match": {"env": "prod"},
        "sla_cutoff": {"time_to_first_token_ms": 100, "time_per_output_token_ms": 5},
    }
    outer = {
        "target": "v/inner",
        "override_params": {"temperature": 0.9},
        "headers_override": {"set": {"x-team": "outer", "x-outer": "2"}, "remove": ["X-Kept"]},
        "retry_config": {"attempts": 3},
        "metadata_match": {"region": "eu"},
        "sla_cutoff": {"time_to_first_token_ms": 900},
    }
    routing = resolved({"v/outer": priority(outer, "y/m"), "v/inner": priority(inner)}, "v/outer")
    leaf, plain = routing.leaves
    assert (leaf.name, leaf.via, leaf.way) == ("x/m", ("v/inner",), "v/inner -> x/m")
    assert {name: bytes(value) for name, value in leaf.params.items()} == {"temperature": b"0.9", "seed": b"1"}
    assert leaf.set_headers == (("x-team", "outer"), ("x-outer", "2"))
    assert leaf.removed_headers == {"x-gone", "x-kept"}
    assert (leaf.retries, leaf.delay, leaf.retry_statuses) == (3, 0.1, {429, 500, 502, 503}), "a whole, not by parts"
    assert leaf.fallback_statuses == {500}, "the outer one says nothing of it"
    assert dict(leaf.metadata) == {"env": "prod", "region": "eu"}
    assert leaf.sla == (900, 5)
    assert (plain.name, plain.via, plain.params) == ("y/m", (), {})


def test_what_an_inner_model_is_not_for_and_what_is_disabled_reaches_its_targets() -> None:
    models = {"v/a": priority("v/b", "z/m"), "v/b": priority("v/c"), "v/c": priority("x/m")}
    leaf, plain = resolved(models, "v/a", disabled="v/b").leaves
    assert leaf.via == ("v/b", "v/c")
    assert leaf.fault == "is reached through v/b, which is disabled"
    assert leaf.model_types == {"chat"}
    assert (plain.fault, plain.model_types) == ("", None)


def test_what_leads_back_or_is_too_deep_is_left_out_alone() -> None:
    models = {"v/a": priority("v/b", "x/m"), "v/b": priority("v/a", "y/m")}
    first, second, third = resolved(models, "v/a").leaves
    assert first.fault == "leads back to itself: v/a -> v/b -> v/a"
    assert [(each.name, each.fault) for each in (second, third)] == [("y/m", ""), ("x/m", "")]
    chain = {f"v/{n}": priority(f"v/{n + 1}", "x/m") for n in range(MOST_DEPTH + 2)}
    deep, *others = resolved(chain, "v/0").leaves
    assert deep.fault == "is nested more than 5 deep: v/0 -> v/1 -> v/2 -> v/3 -> v/4 -> v/5"
    assert {each.fault for each in others} == {""}


def test_a_target_with_more_behind_it_than_there_is_room_for_is_left_out_as_a_whole() -> None:
    inner = {f"v/{n}": priority(*many(n)) for n in range(4)} | {"v/4": priority("y/m")}
    leaves = resolved({"v/a": priority(*inner, "x/m"), **inner}, "v/a").leaves
    assert [(leaf.way, leaf.fault) for leaf in leaves if not leaf.via] == [("v/3", TOO_MANY), ("x/m", "")]
    assert len(leaves) == 3 * 50 + 3
    assert leaves[-2].way == "v/4 -> y/m"


def many(number: int) -> list[str]:
    return [f"x/m{number}-{each}" for each in range(50)]


def test_a_stored_bomb_makes_little_work() -> None:
    """Ways that double and more on every level, and without an end: nothing of them is made before it is counted."""
    models = {f"v/{level}{n}": priority(*bomb_targets(level)) for level in "abcd" for n in range(50)}
    asked: list[str] = []
    find = find_among({**models, "v/e": priority()})

    def noted(target: RoutedTarget) -> Inner | None:
        asked.append(target.name)
        return find(target)

    top = nested(compile_routing(models["v/d0"]), noted, "v/d0")
    assert {leaf.fault for leaf in top.leaves} == {TOO_MANY}
    assert len(top.leaves) == 50
    assert len(asked) < 100 + MOST_STEPS
    part = resolved(models, "v/b0").leaves
    assert [len(part), sum(not leaf.fault for leaf in part)] == [3 * 50 + 47, 3 * 50]
    empty = {f"w/{n}": priority(*[f"w/{n + 1}"] * 50) for n in range(3)} | {"w/3": priority()}
    assert {leaf.fault for leaf in resolved(empty, "w/0").leaves} == {TOO_MANY}


def bomb_targets(level: str) -> list[str]:
    return [f"v/{chr(ord(level) - 1)}{n}" for n in range(50)] if level > "a" else [f"x/m{n}" for n in range(50)]


def test_it_is_resolved_anew_when_an_inner_one_changes() -> None:
    models = {"v/a": priority("v/b", "x/m"), "v/b": priority("y/m")}
    once = resolved(models, "v/a")
    assert nested(once, find_among(models), "v/a") == once
    find = find_among(models)
    twice = nested(once, find, "v/a")
    assert nested(twice, find, "v/a") is twice, "nothing on the way changed"
    changed = nested(once, find_among({**models, "v/b": priority("z/m", "y/m")}), "v/a")
    assert [leaf.name for leaf in changed.leaves] == ["z/m", "y/m", "x/m"]
    plain = nested(once, find_among({}), "v/a")
    assert [(leaf.name, leaf.via) for leaf in plain.leaves] == [("v/b", ()), ("x/m", ())]
    assert plain.leaves is plain.targets
    alone = nested_target(once.targets[0], find_among(models))
    assert alone.inner is not None
    assert [leaf.way for leaf in alone.inner.leaves] == ["v/b -> y/m"]
    assert nested_target(alone, find_among({})).inner is None


def test_the_least_bound_of_retries_holds_where_the_outer_one_has_none() -> None:
    inner = {"v/b": priority("y/m", retry_budget={"percent": 20}), "v/c": priority("z/m", retry_budget={"percent": 5})}
    assert resolved({"v/a": priority("v/b", "v/c"), **inner}, "v/a").retry_bound == 0.05
    own = priority("v/b", "v/c", retry_budget={"percent": 50})
    assert resolved({"v/a": own, **inner}, "v/a").retry_bound == 0.5


# --- what is refused when it is saved ---------------------------------------------------------------------------


def known(targets: Mapping[str, list[str]], *models: str) -> Known:
    names = {*targets, "x/m", "y/m", *models}
    return Known({"v": True, "x": False, "y": False, "open": False}, names, {"open"}, targets)


@pytest.mark.parametrize(
    ("targets", "config", "words"),
    [
        ({}, priority("x/m", "open/anything"), ""),
        ({"v/b": ["x/m"]}, priority("v/b", "y/m"), ""),
        ({}, priority("nowhere/m"), "nowhere/m: the provider account 'nowhere' does not exist."),
        ({}, priority("v/none"), "v/none: the account has no such model."),
        ({}, priority("v/a"), "v/a: the virtual models lead back to themselves: v/a -> v/a."),
        ({"v/b": ["v/c"], "v/c": ["x/m", "v/a"]}, priority("v/b"), "v/a -> v/b -> v/c -> v/a. Take one of them out."),
        ({"v/b": ["v/c"], "v/c": ["v/b"]}, priority("v/b"), "v/b -> v/c -> v/b"),
        ({"v/b": ["x/m"]}, priority("x/m", mirror={"target": "v/b", "percent": 5}), "v/b: a virtual model can't be"),
        (
            {"v/1": ["v/2"], "v/2": ["v/a"], "v/b": ["v/c"], "v/c": ["v/d"], "v/d": ["x/m"]},
            priority("v/b"),
            "v/1 -> v/2 -> v/a -> v/b -> v/c -> v/d: at most 5 virtual models may follow one another.",
        ),
        (
            {"v/b": many(0), "v/out": ["v/a", "x/m"]},
            priority(*(f"v/b{n}" for n in range(4))),
            "v/out would have 201 targets in all; at most 200.",
        ),
    ],
)
def test_faults(targets: dict[str, list[str]], config: dict[str, Any], words: str) -> None:
    targets = {**targets, **{f"v/b{n}": many(n) for n in range(4)}}
    found = target_faults("v/a", config, known(targets))
    assert (words in " ".join(found)) if words else not found, found


def test_former_names_lead_where_calls_would_go() -> None:
    targets = {"v/d": ["old/c"], "v/cc": ["x/m"], "v/live": ["x/m"]}
    former = {"former_accounts": {"old": "v", "x": "v"}, "former_models": {"v/c": "v/cc", "v/live": "v/cc"}}
    there = replace(known(targets), **former)
    said = [target_faults("v/cc", priority(target), there) for target in ("v/d", "old/d", "v/c", "old/live")]
    assert ["".join(faults).partition(":")[0] for faults in said] == ["v/d", "v/d", "v/cc", ""]
    assert "v/cc -> v/d -> v/cc" in said[1][0]
    wide = priority(*(f"v/b{n}" for n in range(5)))
    there = replace(there, targets={**targets, **{f"v/b{n}": many(n) for n in range(5)}}, models=there.models | B)
    assert target_faults("v/cc", wide, there) == [
        "v/cc would have 250 targets in all; at most 200.",
        "v/d would have 250 targets in all; at most 200.",
    ]
    assert not target_faults("v/live", priority("old/c"), there)
    renamed = there.renamed("v/cc", "v/new")
    assert "v/d would have 250" in target_faults("v/new", wide, renamed)[1], "whoever named it by either name"


B = {f"v/b{n}" for n in range(5)} | {"x/m"} | {f"x/m{n}-{each}" for n in range(5) for each in range(50)}


def test_a_bomb_that_is_stored_is_judged_in_a_moment() -> None:
    graph = {f"v/{level}{n}": bomb_targets(level) for level in "abcdefgh" for n in range(50)}
    began = process_time()
    first, *_ = target_faults("v/a0", priority("x/m"), known(graph))
    assert process_time() - began < 1
    assert "at most 200" in first


def test_random_configurations_are_refused_just_when_one_leads_back() -> None:
    """What passes is resolved without a fault, and what is refused for its way has one."""
    random.seed(7)
    seen = {True: 0, False: 0}
    for _ in range(400):
        names = [f"v/{n}" for n in range(random.randint(1, 5))]
        models = {name: priority(*random.sample([*names, "x/m", "y/m"], random.randint(1, 2))) for name in names}
        graph = {name: [each["target"] for each in config["load_balance_targets"]] for name, config in models.items()}
        refused = bool(target_faults("v/0", models["v/0"], known(graph)))
        faulty = any(leaf.fault for leaf in resolved(models, "v/0").leaves)
        seen[refused] += 1
        assert refused == faulty, models
    assert min(seen.values()) > 40


def test_a_virtual_target_chooses_no_organization() -> None:
    """Its own targets' accounts may be of others: their organization is not for who names the virtual model."""
    inner = {"target": "x/m", "headers_override": {"set": {"openai-project": "theirs"}}}
    headers = {"set": {"OpenAI-Organization": "org", "x-team": "a"}, "remove": ["openai-project"]}
    models = {"v/a": priority({"target": "v/b", "headers_override": headers}), "v/b": priority(inner)}
    (fault,) = target_faults("v/a", models["v/a"], known({"v/b": ["x/m"]}))
    assert "can't set or remove OpenAI-Organization, openai-project" in fault
    (leaf,) = resolved(models, "v/a").leaves
    assert leaf.set_headers == (("openai-project", "theirs"), ("x-team", "a"))


def test_what_names_objects_bars_all_that_is_behind_it() -> None:
    outer = {"target": "v/b", "override_params": {"previous_response_id": "resp_1"}}
    models = {"v/a": priority(outer, "y/m"), "v/b": priority("x/m")}
    barred, free = resolved(models, "v/a").leaves
    assert "previous_response_id names an object" in barred.barred
    assert free.barred == ""
