"""The contract's legacy manifests of routing: applied verbatim, exported, and applied again with nothing to do."""

import pytest
import yaml

from accounts.models import Team, VirtualAccount
from providers.manifests.apply import ManifestError, export_documents, to_yaml
from providers.models import Model, ProviderAccount
from rules import compiled
from rules.models import RoutingRule, Rule
from tests.support.manifest_tools import apply, done

pytestmark = pytest.mark.django_db

SPREAD = """
name: loadbalancing-config
type: gateway-load-balancing-config
rules:
- id: gpt4-weight
  type: weight-based-routing
  when:
    subjects: ["user:a@x.com", "team:eng", "virtualaccount:app"]
    models: [openai-main/gpt-4o]
    metadata: {env: production}
  load_balance_targets:
  - target: azure/gpt-4o
    weight: 70
    retry_config: {attempts: 2, delay: 100, on_status_codes: ["429", "500"]}
    fallback_status_codes: ["429", "500", "502", "503"]
    fallback_candidate: true
    override_params: {temperature: 0.5, max_tokens: 800}
    headers_override: {set: {x-team: search}, remove: [x-old]}
    metadata_match: {region: eu}
  - target: openai-main/gpt-4o-mini
    weight: 30
  sticky_routing: {ttl_seconds: 3600, session_identifiers: [{source: headers, key: x-session}]}
- id: latency
  type: latency-based-routing
  when: {models: [openai-main/gpt-4o-mini]}
  load_balance_targets:
  - target: openai-main/gpt-4o
  - target: azure/gpt-4o
- id: priority
  type: priority-based-routing
  when: {}
  load_balance_targets:
  - target: azure/gpt-4o
    priority: 0
    sla_cutoff: {time_per_output_token_ms: 50, time_to_first_token_ms: 800.5}
  - target: openai-main/gpt-4o
    priority: 1
    fallback_candidate: false
  mirror: {target: openai-main/gpt-4o-mini, percent: 2.5}
"""
FALLBACK = """
name: model-fallback-config
type: gateway-fallback-config
rules:
- id: openai-to-azure
  when:
    subjects: ["virtual-account:app", "team:eng"]
    models: [openai-main/gpt-4o]
    metadata: {tier: gold}
    response_status_codes: [429, 500, 503]
  fallback_models:
  - target: azure/gpt-4o
    override_params: {temperature: 0.9, max_tokens: 800}
  - target: openai-main/gpt-4o-mini
- id: rest
  when: {models: [openai-main/gpt-4o-mini]}
  fallback_models:
  - target: azure/gpt-4o
"""


@pytest.fixture(autouse=True)
def _names() -> None:
    for account, names in (("openai-main", ("gpt-4o", "gpt-4o-mini")), ("azure", ("gpt-4o",))):
        row = ProviderAccount.objects.create(kind="openai", name=account)
        for name in names:
            Model.objects.create(account=row, name=name, model_types=["chat"])
    Team.objects.create(name="eng")
    VirtualAccount.objects.create(name="app")


def exported() -> str:
    forms = ("gateway-load-balancing-config", "gateway-fallback-config")
    return to_yaml([one for one in export_documents() if one["type"] in forms])


def test_they_go_around_word_for_word() -> None:
    plan = apply(SPREAD, FALLBACK)
    assert plan.count("add") == 5
    assert [note for note in plan.notes if "user 'a@x.com'" not in note] == []
    text = exported()
    spread, fallback = yaml.safe_load_all(text)
    wanted_spread, wanted_fallback = yaml.safe_load(SPREAD), yaml.safe_load(FALLBACK)
    del wanted_spread["rules"][2]["when"]  # an empty one is left out
    assert [dict(rule, when=None) for rule in spread["rules"]] == [
        dict(rule, when=None) for rule in wanted_spread["rules"]
    ]
    assert spread["rules"][0]["when"]["subjects"] == wanted_spread["rules"][0]["when"]["subjects"]
    first = wanted_fallback["rules"][0]
    first["when"]["subjects"][0] = "virtualaccount:app"
    first["when"]["response_status_codes"] = ["429", "500", "503"]
    assert fallback["rules"][0]["fallback_models"] == first["fallback_models"]
    assert fallback["rules"][0]["when"]["response_status_codes"] == first["when"]["response_status_codes"]
    assert not apply(text).changed
    Rule.objects.all().delete()
    apply(text)
    assert exported() == text


def test_they_are_compiled_as_they_say() -> None:
    apply(SPREAD, FALLBACK)
    rules = compiled.load()
    assert rules
    assert not rules.counts
    routes = {rule.label: rule.route for rule in rules.routes.rules.values()}
    weighted = routes["loadbalancing-config/gpt4-weight"]
    assert weighted is not None
    assert weighted.routing is not None
    assert [(each.name, each.weight) for each in weighted.routing.targets] == [
        ("azure/gpt-4o", 70.0),
        ("openai-main/gpt-4o-mini", 30.0),
    ]
    assert weighted.routing.sticky == (("headers", "x-session"),)
    fallback = routes["model-fallback-config/openai-to-azure"]
    assert fallback is not None
    assert fallback.statuses == {429, 500, 503}
    assert set(fallback.fallbacks[0].params) == {"temperature", "max_tokens"}


def test_what_others_write_is_passed_over_and_said() -> None:
    more = SPREAD.replace("    weight: 30\n", "    weight: 30\n    timeout_ms: 500\n").replace(
        "rules:\n", "model_configs:\n- {model: openai-main/gpt-4o}\nrules:\n", 1
    )
    notes = " ".join(apply(more).notes)
    assert "timeout_ms: passed over" in notes
    assert "model_configs: passed over" in notes


def test_targets_that_can_not_answer_are_said() -> None:
    smart = ProviderAccount.objects.create(kind="virtual-model", name="smart")
    virtual = FALLBACK.replace("- target: azure/gpt-4o\n", "- target: smart/chat\n")
    notes = apply(virtual).notes
    assert any("Rule model-fallback-config/rest" in note and "model 'smart/chat'" in note for note in notes), notes
    assert "It can fit no call." in " ".join(note for note in notes if "rest" in note)
    Model.objects.create(account=smart, name="chat", model_types=["chat"])
    assert not [note for note in apply(virtual).notes if "rest" in note], "a virtual model may be one"
    mirrored = SPREAD.replace("target: openai-main/gpt-4o-mini, percent", "target: smart/chat, percent")
    assert any("mirror 'smart/chat' (a virtual model can't be one)" in note for note in apply(mirrored).notes)


@pytest.mark.parametrize(
    ("old", "new", "place"),
    [
        ("weight: 70", "weight: -1", "rules[0].load_balance_targets[0].weight"),
        ("target: azure/gpt-4o\n    weight", "target: gpt-4o\n    weight", "rules[0].load_balance_targets[0].target"),
        ("type: latency-based-routing", "type: random", "rules[1].type"),
        ("id: latency", "id: gpt4-weight", "rules[1].id"),
        ("percent: 2.5", "percent: 200", "rules[2].mirror.percent"),
        ("response_status_codes: [429", "response_status_codes: [200", "rules[0].when.response_status_codes"),
        ("    override_params: {temperature: 0.9", "    retries: {a: 0.9", "rules[0].fallback_models[0].retries"),
    ],
)
def test_a_fault_is_named_where_it_is(old: str, new: str, place: str) -> None:
    source = SPREAD if old in SPREAD else FALLBACK
    with pytest.raises(ManifestError) as caught:
        apply(source.replace(old, new, 1))
    assert place in str(caught.value)


def test_a_rule_that_the_configuration_lost_is_removed() -> None:
    apply(FALLBACK)
    assert done(apply(FALLBACK[: FALLBACK.index("- id: rest")])) == ["- rule model-fallback-config/rest"]
    assert RoutingRule.objects.count() == 1
