"""Manifests of virtual models over virtual models: applied in any order, exported, and refused when they lead back."""

import json
from typing import Any

import pytest
import yaml
from django.core.exceptions import ValidationError

from providers.manifests.apply import ManifestError, export_documents, to_yaml
from providers.models import Model, keep_former_name, stored_virtual_models
from providers.routing.compiled import compile_routing
from tests.providers.routing.test_nesting import priority
from tests.support.manifest_tools import SMALL, apply

pytestmark = pytest.mark.django_db

PLAIN = SMALL + "integrations:\n- {type: integration/model/openai, name: m, model_types: [chat]}\n"


def virtual(name: str, **models: dict[str, Any]) -> str:
    kind = "integration/model/virtual"
    made = [{"type": kind, "name": n, "model_types": ["chat"], "routing_config": c} for n, c in models.items()]
    return json.dumps({"type": "provider-account/virtual-model", "name": name, "integrations": made})


def exported() -> str:
    return to_yaml([one for one in export_documents() if one["type"].startswith("provider-account/")])


def test_they_are_applied_in_any_order_and_come_back_the_same() -> None:
    outer = virtual("a", outer=priority("b/middle", "openai-main/m"), leaf=priority("openai-main/m"))
    middle = virtual("b", middle=priority("a/leaf"))
    apply(outer, middle, PLAIN)
    text = exported()
    documents = {each["name"]: each for each in yaml.safe_load_all(text)}
    (config,) = [each["routing_config"] for each in documents["a"]["integrations"] if each["name"] == "outer"]
    assert config == priority("b/middle", "openai-main/m")
    assert not apply(text).changed
    Model.objects.all().delete()
    apply(text)
    assert exported() == text


def test_a_cycle_is_named_where_it_is_and_nothing_is_written() -> None:
    apply(virtual("a", one=priority("openai-main/m")), PLAIN)
    with pytest.raises(ManifestError) as caught:
        apply(virtual("a", one=priority("b/two")), virtual("b", two=priority("a/one", "openai-main/m")))
    said = str(caught.value)
    assert "a/one -> b/two -> a/one. Take one of them out." in said
    assert "routing" in said
    assert Model.objects.get(name="one").routing == priority("openai-main/m")
    assert not Model.objects.filter(name="two").exists()


def test_a_way_may_be_turned_around_at_once() -> None:
    apply(virtual("a", one=priority("b/two")), virtual("b", two=priority("openai-main/m")), PLAIN)
    apply(virtual("b", two=priority("a/one")), virtual("a", one=priority("openai-main/m")))
    assert Model.objects.get(name="two").routing == priority("a/one")


def test_another_fault_makes_no_more_of_targets() -> None:
    """With a fault nothing is saved: what would have been is there all the same."""
    with pytest.raises(ManifestError) as caught:
        apply(virtual("a", one=priority("a/two"), two=priority("openai-main/m")), PLAIN + "discount_percent: 200\n")
    assert "does not exist" not in str(caught.value)
    assert "no such model" not in str(caught.value)
    assert "discount_percent" in str(caught.value)


WIDE = [f"a/m{n}" for n in range(3)]
OPEN = PLAIN + "any_model: true\n"


def named(**models: Any) -> dict[str, dict[str, Any]]:
    """Virtual models of which the routing over all ``WIDE`` has 150 targets behind it."""
    return {**{name[2:]: priority(*(f"openai-main/m{each}" for each in range(50))) for name in WIDE}, **models}


def test_an_alias_leads_there_as_a_name_does() -> None:
    apply(virtual("a", **named(d=priority("a/c", "a/e"), c=priority("openai-main/m"), e=priority(*WIDE))), OPEN)
    moved = json.loads(virtual("a", **named(d=priority("a/c", "a/e"), new=priority(*WIDE), e=priority(*WIDE))))
    next(each for each in moved["integrations"] if each["name"] == "new")["aliases"] = ["c"]
    with pytest.raises(ManifestError) as caught:
        apply(json.dumps(moved), OPEN)
    assert "a/d would have 300 targets in all; at most 200." in str(caught.value)


def test_a_rename_that_keeps_the_old_name_is_judged_under_both() -> None:
    apply(virtual("a", **named(d=priority("a/c", "a/e"), c=priority("openai-main/m"), e=priority(*WIDE))), OPEN)
    model = Model.objects.get(name="c")
    model.name, model.routing = "new", priority(*WIDE)
    with pytest.raises(ValidationError, match="a/d would have 300 targets in all"):
        model.full_clean()
    model.routing = priority("openai-main/m")
    model.full_clean()
    model.save()
    keep_former_name(model.account, model, "c")
    Model.objects.get(name="d").full_clean()
    model.routing = priority("a/d")
    with pytest.raises(ValidationError, match="a/new -> a/d -> a/new"):
        model.full_clean()
    find = stored_virtual_models()
    found = find(compile_routing(priority("a/c")).targets[0])
    assert found is not None
    assert found.name == "a/new"
