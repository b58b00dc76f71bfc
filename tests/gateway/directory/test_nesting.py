"""Virtual models over virtual models in the snapshot: resolved whenever an account on the way changes."""

import logging
import time
from dataclasses import replace
from typing import Any

import pytest

from gateway.directory.accounts import account_snapshots
from gateway.directory.directory import Directory
from gateway.directory.nesting import nest, nest_rules
from providers.models import Alias, Model, ProviderAccount
from providers.snapshot import AccountSnapshot, ByName
from rules import compiled
from rules.models import RateLimit, RoutingRule
from tests.providers.routing.test_nesting import priority

pytestmark = pytest.mark.django_db


@pytest.fixture
def accounts() -> dict[str, ProviderAccount]:
    made = {name: ProviderAccount.objects.create(kind="openai", name=name) for name in ("x", "y")}
    made |= {name: ProviderAccount.objects.create(kind="virtual-model", name=name) for name in ("v", "w")}
    for name in ("x", "y"):
        Model.objects.create(account=made[name], name="m", model_types=["chat"])
    virtual(made["w"], "inner", priority("x/m", "y/m"))
    virtual(made["v"], "outer", priority("w/inner", {"target": "y/m", "override_params": {"seed": 1}}))
    return made


def virtual(account: ProviderAccount, name: str, routing: dict[str, Any]) -> Model:
    return Model.objects.create(account=account, name=name, model_types=["chat"], routing=routing)


def ways(accounts: ByName[AccountSnapshot], name: str = "outer") -> list[str]:
    routing = accounts["v"].models[name].routing
    assert routing is not None
    return [f"{leaf.way}{' !' if leaf.fault else ''}" for leaf in routing.leaves]


def test_the_outer_one_follows_the_inner_one(accounts: dict[str, ProviderAccount]) -> None:
    found = account_snapshots({})
    assert ways(found) == ["w/inner -> x/m", "w/inner -> y/m", "y/m"]
    assert nest(found) is found, "nothing changed"
    inner = Model.objects.get(name="inner")
    inner.routing = priority("y/m")
    inner.save()
    later = account_snapshots(found, {accounts["w"].pk})
    assert ways(later) == ["w/inner -> y/m", "y/m"]
    assert later["v"].models["outer"] is later["v"].upstream_ids["outer"]
    assert later["x"] is found["x"]
    Model.objects.filter(name="inner").update(enabled=False)
    assert ways(account_snapshots(later, {accounts["w"].pk})) == ["w/inner -> y/m !", "y/m"]
    inner.delete()
    assert ways(account_snapshots(later, {accounts["w"].pk})) == ["w/inner", "y/m"]


def test_former_names_lead_there(accounts: dict[str, ProviderAccount]) -> None:
    ProviderAccount.objects.filter(name="w").update(name="renamed")
    Alias.objects.create(account=accounts["w"], name="w")
    Alias.objects.create(account=accounts["v"], name="former", model=Model.objects.get(name="outer"))
    found = account_snapshots({})
    assert ways(found) == ["renamed/inner -> x/m", "renamed/inner -> y/m", "y/m"]
    assert ways(found, "former") == ways(found)


def test_only_what_leads_to_a_change_is_resolved_anew(accounts: dict[str, ProviderAccount]) -> None:
    other = virtual(accounts["v"], "other", priority("v/beside"))
    virtual(accounts["v"], "beside", priority("x/m"))
    first = account_snapshots({})
    other.routing = priority("v/outer")
    other.save()
    later = account_snapshots(first, {accounts["v"].pk})
    assert later["v"].models["outer"].routing is first["v"].models["outer"].routing
    assert ways(later, "other") == ["v/outer -> w/inner -> x/m", "v/outer -> w/inner -> y/m", "v/outer -> y/m"]
    Model.objects.filter(name="inner").update(routing=priority("y/m"))
    last = account_snapshots(later, {accounts["w"].pk})
    assert ways(last, "other") == ["v/outer -> w/inner -> y/m", "v/outer -> y/m"]
    assert last["v"].models["beside"].routing is first["v"].models["beside"].routing


def test_a_stored_bomb_is_no_burden(accounts: dict[str, ProviderAccount], caplog: pytest.LogCaptureFixture) -> None:
    """50 targets on each of four levels: 6.25 million, had each its own."""
    behind = {"a": "x/m", **{level: f"v/{chr(ord(level) - 1)}" for level in "bcd"}}
    routings = {
        level: priority(*(f"{over}{n if level > 'a' else ''}" for n in range(50))) for level, over in behind.items()
    }
    rows = [(f"{level}{n}", routings[level]) for level in "abc" for n in range(50)] + [("d", routings["d"])]
    v = accounts["v"]
    Model.objects.bulk_create(Model(account=v, name=n, model_types=["chat"], routing=r) for n, r in rows)
    with caplog.at_level(logging.ERROR):
        found = account_snapshots({})
    made = [model.routing for model in found["v"].models.values() if model.routing is not None]
    assert sum(len(routing.leaves) for routing in made) < 200 * len(made)
    assert set(ways(found, "d")) == {f"v/c{n} !" for n in range(50)}
    assert "A target of the virtual model v/d is left out: v/c0 is not used: with it there would be" in caplog.text
    stored = {name: replace(model, routing=model.routing.stored) for name, model in found["v"].models.items()}
    began = time.process_time()
    nest(ByName({**found, "v": replace(found["v"], models=ByName(stored, {}))}, {}))
    assert time.process_time() - began < 1.5
    assert nest(found) is found


def test_a_cycle_that_two_made_at_once_is_said_and_left_out(
    accounts: dict[str, ProviderAccount], caplog: pytest.LogCaptureFixture
) -> None:
    Model.objects.filter(name="inner").update(routing=priority("v/outer", "x/m"))
    with caplog.at_level(logging.ERROR):
        found = account_snapshots({})
    assert ways(found) == ["w/inner -> v/outer !", "w/inner -> x/m", "y/m"]
    said = "A target of the virtual model v/outer is left out: w/inner -> v/outer leads back to itself: "
    assert f"{said}v/outer -> w/inner -> v/outer." in caplog.text


def test_routing_rules_reach_them_and_follow(accounts: dict[str, ProviderAccount]) -> None:
    spread = {"routing": priority("v/outer", "x/m")}
    RoutingRule.objects.create(form="gateway-load-balancing-config", group="g", name="s", effect=spread)
    fallback = {"fallback": {"models": [{"target": "w/inner"}]}}
    RoutingRule.objects.create(form="gateway-fallback-config", group="g", name="f", effect=fallback)
    found = account_snapshots({})
    rules = nest_rules(compiled.load(), found)
    assert rules is not None
    assert nest_rules(rules, found) is rules
    routes = {rule.name: rule.route for rule in rules.routes.rules.values()}
    assert routes["s"] is not None
    assert routes["f"] is not None
    assert [leaf.way for leaf in routes["s"].leaves] == [
        "v/outer -> w/inner -> x/m",
        "v/outer -> w/inner -> y/m",
        "v/outer -> y/m",
        "x/m",
    ]
    assert [leaf.way for leaf in routes["f"].leaves] == ["w/inner -> x/m", "w/inner -> y/m"]


def test_a_start_says_which_ways_lead_back_and_which_rules_fit_no_call(
    accounts: dict[str, ProviderAccount], caplog: pytest.LogCaptureFixture
) -> None:
    Model.objects.filter(name="inner").update(routing=priority("v/outer", "x/m"))
    RateLimit.objects.create(
        form="tenant-rate-limit-config/model",
        name="dead",
        when={"models": {"in": ["x/gone"]}},
        effect={"limits": {"requests_per_day": 1}},
    )
    with caplog.at_level(logging.WARNING):
        Directory().refresh()
    assert "v/outer -> w/inner -> v/outer." in caplog.text
    assert "Rule dead names what is not there: model 'x/gone'. It can fit no call." in caplog.text


def test_a_target_that_may_not_be_followed_is_logged_when_it_is_new(
    accounts: dict[str, ProviderAccount], caplog: pytest.LogCaptureFixture
) -> None:
    """Old releases stored such ones."""

    def logged() -> list[str]:
        said = [line.partition(": ")[0] for line in caplog.messages if "previous_response_id" in line]
        caplog.clear()
        return said

    def spread(name: str) -> None:
        effect = {"routing": priority(barred("v/outer"))}
        RoutingRule.objects.create(form="gateway-load-balancing-config", group="g", name=name, effect=effect)

    def barred(target: str) -> dict[str, Any]:
        return {"target": target, "override_params": {"previous_response_id": "resp_1"}}

    virtual(accounts["w"], "old", priority(barred("x/m")))
    virtual(accounts["v"], "beyond", priority("w/old"))
    spread("first")
    directory = Directory()
    directory.refresh()
    model, rule = (f"A target of the {kind} is left out" for kind in ("virtual model w/old", "routing rule g/first"))
    assert logged() == [model, rule]
    for name in ("w", "x", "v"):
        ProviderAccount.objects.get(name=name).save()
        directory.refresh()
    assert logged() == []
    virtual(accounts["w"], "newer", priority(barred("v/outer")))
    spread("second")
    directory.refresh()
    assert logged() == [said.replace("old", "newer").replace("first", "second") for said in (model, rule)]
