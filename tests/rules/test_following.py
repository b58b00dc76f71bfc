"""Targets go with an account that is renamed, and no new account takes the place of one that is gone."""

import pytest
from django.core.exceptions import ValidationError

from gateway.doctor.account_checks import check_targets
from providers.manifests.apply import ManifestError
from providers.models import Model, ProviderAccount
from rules.models import Budget, RoutingRule
from tests.providers.manifests.test_nested import virtual
from tests.providers.routing.test_nesting import priority
from tests.support.manifest_tools import apply

pytestmark = pytest.mark.django_db

ACCOUNT = """
name: %s
type: provider-account/openai
auth_data: {type: none}
integrations:
- {type: integration/model/openai, name: m, model_types: [chat]}
"""
RULES = """
type: gateway-load-balancing-config
name: spread
rules:
- id: one
  type: weight-based-routing
  load_balance_targets: [{target: first/m, weight: 1}]
---
type: gateway-fallback-config
name: backup
rules:
- id: two
  fallback_models: [{target: first/m}]
"""


def test_targets_follow_an_account_that_is_renamed() -> None:
    mirror = {"target": "first/m", "percent": 1}
    apply(ACCOUNT % "first", virtual("smart", z=priority("first/m", mirror=mirror)), RULES)
    effect = {"limits": {"cost_per_day": 1}, "cheaper": {"from_percent": 80, "target": "first/m"}}
    Budget.objects.create(form="tenant-budget-config", name="b", effect=effect)
    account = ProviderAccount.objects.get(name="first")
    account.name = "second"
    account.full_clean()
    account.save()
    mirror["target"] = "second/m"
    assert Model.objects.get(name="z").routing == priority("second/m", mirror=mirror)
    one, two = RoutingRule.objects.order_by("name")
    assert one.effect["routing"]["load_balance_targets"] == [{"target": "second/m", "weight": 1}]
    assert two.effect["fallback"]["models"] == [{"target": "second/m"}]
    assert Budget.objects.get().effect["cheaper"]["target"] == "second/m"
    assert not list(check_targets())
    assert apply(ACCOUNT % "first").changed, "the old name is free, and nothing leads to its new account"


def test_no_new_account_takes_the_place_of_one_that_is_gone() -> None:
    apply(ACCOUNT % "first", ACCOUNT % "other", virtual("smart", z=priority("first/m")), RULES)
    ProviderAccount.objects.filter(name="first").delete()
    assert len(list(check_targets())) == 3
    said = "the virtual model smart/z, the routing rule backup/two, the routing rule spread/one still names"
    with pytest.raises(ValidationError, match=said):
        ProviderAccount(name="first", kind="openai").full_clean()
    renamed = ProviderAccount.objects.get(name="other")
    renamed.name = "first"
    with pytest.raises(ValidationError, match=said):
        renamed.full_clean()
    with pytest.raises(ManifestError, match=said):
        apply(ACCOUNT % "first")
    with pytest.raises(ManifestError, match="the virtual model smart/z still names"):
        apply(ACCOUNT % "first", RULES)
    assert not ProviderAccount.objects.filter(name="first").exists()
    apply(ACCOUNT % "first", virtual("smart", z=priority("first/m")), RULES)
    assert not list(check_targets())
