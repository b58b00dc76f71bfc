"""The pages of rate limits and budgets: faults beside their fields, names that are not there, teams' own budgets."""

import json
from datetime import timedelta
from typing import Any

import msgspec
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts.models import AuditEntry
from providers.models import Grant, Model, ProviderAccount
from rules.models import Budget, RateLimit, RoutingRule
from tests.console.conftest import Installation, form_data, messages
from tests.support.usage_factory import attempt
from usage import rows

ADD_LIMIT, ADD_BUDGET = reverse("admin:rules_ratelimit_add"), reverse("admin:rules_budget_add")
LIMIT = {
    "name": "few",
    "form": "tenant-rate-limit-config/model",
    "position": "0",
    "enabled": "on",
    "mode": "enforce",
    "limits": "requests_per_minute: 5\ntokens_per_day: 1000",
    "per": "user, metadata.env",
}


def test_a_limit_is_made_changed_and_recorded(installation: Installation, as_root: Client) -> None:
    assert as_root.get(ADD_LIMIT).status_code == 200
    data = {**LIMIT, "subjects_in": "user:mia@example.com\nteam:nowhere", "metadata": '{"env": {"in": ["prod"]}}'}
    answer = as_root.post(ADD_LIMIT, data, follow=True)
    assert "team 'nowhere'" in messages(answer)
    rule = RateLimit.objects.get()
    assert rule.effect == {
        "limits": {"requests_per_minute": 5, "tokens_per_day": 1000},
        "per": ["user", "metadata.env"],
    }
    assert rule.when["subjects"] == {"in": ["user:mia@example.com", "team:nowhere"]}
    assert rule.changed_by == "root@example.com"
    page = reverse("admin:rules_ratelimit_change", args=[rule.pk])
    changed: dict[str, Any] = {**form_data(as_root.get(page)), "limits": "requests_per_minute: 7"}
    as_root.post(page, changed)
    rule.refresh_from_db()
    assert rule.effect["limits"] == {"requests_per_minute": 7}
    assert rule.when["metadata"] == {"env": {"in": ["prod"]}}
    entries = AuditEntry.objects.filter(object_type="rules.ratelimit")
    assert [(entry.action, entry.actor) for entry in entries] == [
        ("changed", "root@example.com"),
        ("added", "root@example.com"),
    ]
    assert "few" in as_root.get(reverse("admin:rules_ratelimit_changelist")).content.decode()


def test_all_faults_stand_beside_their_fields(installation: Installation, as_root: Client) -> None:
    broken = {**LIMIT, "limits": "requests_per_minute: many\ncoins_per_day: 3", "per": "colour", "subjects_in": "mia"}
    answer = as_root.post(ADD_LIMIT, broken)
    faults = answer.context["adminform"].form.errors
    assert set(faults) == {"limits", "per", "subjects_in"}
    assert len(faults["limits"]) == 2
    assert not RateLimit.objects.exists()


def test_a_teams_manager_makes_budgets_of_that_team_only(installation: Installation, as_mia: Client) -> None:
    mine, other = installation.mine["team"], installation.other["team"]
    given = {"name": "own", "enabled": "on", "mode": "enforce", "limits": "cost_per_day: 2.5", "team": str(mine.pk)}
    assert as_mia.get(ADD_BUDGET).status_code == 200
    foreign = as_mia.post(ADD_BUDGET, {**given, "team": str(other.pk)})
    assert "team" in foreign.context["adminform"].form.errors
    sneaky = {**given, "form": "tenant-budget-config", "group": "x"}
    made = as_mia.post(ADD_BUDGET, sneaky)
    assert made.status_code == 302, made.context["adminform"].form.errors
    budget = Budget.objects.get(name="own")
    assert (budget.form, budget.team, budget.group) == ("team-budget-config", mine, "")
    assert budget.effect["limits"] == {"cost_per_day": 2.5}
    assert as_mia.get(ADD_LIMIT).status_code in (403, 404)
    AuditEntry.objects.get(object_type="rules.budget", object_id=str(budget.pk), team=mine.name)


def told(*targets: dict[str, Any]) -> str:
    """Return what the field of a budget's alerts holds for these targets."""
    return json.dumps({"thresholds": [80], "notification_target": targets})


OUTSIDE = {"type": "email", "to_emails": ["Mia@example.com", "thief@elsewhere.com", "mia@example.com,x@elsewhere.com"]}
CHANNEL = {"type": "pagerduty", "notification_channel": "ops"}


def test_a_teams_manager_has_people_of_the_installation_told_alone(installation: Installation, as_mia: Client) -> None:
    mine = installation.mine["team"]
    given = {"name": "own", "enabled": "on", "mode": "enforce", "limits": "cost_per_day: 2.5", "team": str(mine.pk)}
    for target, said in (
        (OUTSIDE, "no active user's here: mia@example.com,x@elsewhere.com, thief@elsewhere.com"),
        (CHANNEL, "Only superusers send notices to channels: ops."),
        ({**CHANNEL, "type": "email", "to_emails": ["mia@example.com"]}, "Only superusers"),
    ):
        answer = as_mia.post(ADD_BUDGET, {**given, "alerts": told(target)})
        assert said in answer.context["adminform"].form.errors["alerts"][0]
    assert not Budget.objects.filter(name="own").exists()
    people = told({"type": "email", "to_emails": ["Mia@Example.com", "paul@example.com"]}, {"type": "webhook"})
    assert as_mia.post(ADD_BUDGET, {**given, "alerts": people}).status_code == 302


def test_what_a_superuser_set_stays_when_the_manager_saves(
    installation: Installation, as_root: Client, as_mia: Client
) -> None:
    budget = installation.mine["budget"]
    page = reverse("admin:rules_budget_change", args=[budget.pk])
    as_root.post(page, {**form_data(as_root.get(page)), "alerts": told(OUTSIDE, CHANNEL)})
    saved = as_mia.post(page, {**form_data(as_mia.get(page)), "limits": "cost_per_day: 3"})
    assert saved.status_code == 302
    budget.refresh_from_db()
    assert budget.effect["limits"] == {"cost_per_day": 3}
    assert budget.effect["alerts"]["notification_target"] == [OUTSIDE, CHANNEL]
    other = told(OUTSIDE, {**CHANNEL, "notification_channel": "board"})
    answer = as_mia.post(page, {**form_data(as_mia.get(page)), "alerts": other})
    assert "channels: board." in answer.context["adminform"].form.errors["alerts"][0]


def recorded(*users: str) -> None:
    """Store a call of an hour ago of each of ``users``, which cost 1 m$."""
    moment = int((timezone.now() - timedelta(hours=1)).timestamp() * 1_000_000)
    made = [attempt(started_at=moment + n, subject_name=user, cost_pico=10**9) for n, user in enumerate(users)]
    assert rows.store([msgspec.json.encode(one) for one in made], "default", lambda: None) == []


def test_a_rule_is_tried_on_what_was_recorded_before_it_is_saved(installation: Installation, as_root: Client) -> None:
    recorded("zoe@example.com", "zoe@example.com", "zoe@example.com", "yan@example.com")
    page = as_root.get(ADD_LIMIT)
    what_if = page.context["what_if"]
    assert f'formaction="{what_if}"' in page.content.decode()
    whose = {"subjects_in": "user:zoe@example.com\nuser:yan@example.com"}
    data = {**LIMIT, **whose, "limits": "requests_per_hour: 1", "per": "user"}
    answer = as_root.post(what_if, data)
    shown = answer.context
    assert (shown["counted"], shown["refused"], shown["saved"]) == (4, 2, "$0.002")
    assert shown["callers"] == [("zoe@example.com", 2)]
    shown = answer.content.decode()
    assert "<td>zoe@example.com</td>" in shown
    assert not RateLimit.objects.exists()
    broken = as_root.post(what_if, {**data, "limits": "requests_per_hour: many"})
    assert broken.status_code == 422
    assert "Write a number" in broken.content.decode()


def test_a_stored_budget_is_tried_as_the_form_says_and_stays(installation: Installation, as_root: Client) -> None:
    recorded("zoe@example.com", "zoe@example.com")
    row = Budget(form="tenant-budget-config", name="daily", effect={"limits": {"cost_per_day": 5}})
    row.save()
    page = as_root.get(reverse("admin:rules_budget_change", args=[row.pk]))
    data = {**form_data(page), "limits": "cost_per_day: 0.0015", "mode": "audit"}
    data["subjects_in"] = "user:zoe@example.com"
    answer = as_root.post(page.context["what_if"], data)
    assert (answer.context["counted"], answer.context["refused"], answer.context["audits"]) == (2, 1, True)
    row.refresh_from_db()
    assert row.effect == {"limits": {"cost_per_day": 5}}


def test_who_may_not_edit_a_rule_may_not_try_it(installation: Installation, as_mia: Client) -> None:
    """A team's manager tries that team's budgets; whose calls others make is not theirs to learn."""
    recorded("zoe@example.com")
    mine, other = installation.mine["team"], installation.other["team"]
    assert as_mia.post(reverse("admin:what_if_rate_limit"), LIMIT).status_code == 403
    given = {"name": "own", "enabled": "on", "mode": "enforce", "limits": "cost_per_day: 0.0001", "team": str(mine.pk)}
    what_if = reverse("admin:what_if_budget")
    assert as_mia.post(what_if, given).context["counted"] == 0
    assert as_mia.post(what_if, {**given, "team": str(other.pk)}).status_code == 422
    foreign = Budget(form="tenant-budget-config", name="all", effect={"limits": {"cost_per_day": 5}})
    foreign.save()
    assert as_mia.post(f"{what_if}?rule={foreign.pk}", given).status_code == 404


def test_a_routing_rule_is_made_and_its_faults_are_named(installation: Installation, as_root: Client) -> None:
    add = reverse("admin:rules_routingrule_add")
    data = {"name": "spread", "form": "gateway-load-balancing-config", "group": "all", "position": "0"}
    data |= {"enabled": "on", "mode": "enforce", "models_in": installation.mine["model"].public_name}
    routing: dict[str, Any] = {"type": "weight-based-routing"}
    targets = [{"target": installation.mine["model"].public_name, "weight": -1}]
    broken = as_root.post(add, {**data, "routing": json.dumps({**routing, "load_balance_targets": targets})})
    (fault,) = [each for each in broken.context["adminform"].form.errors["routing"] if "weight" in each][:1]
    assert "load_balance_targets[0].weight" in fault
    targets[0]["weight"] = 1
    data["routing"] = json.dumps({**routing, "load_balance_targets": targets})
    recorded("zoe@example.com")
    tried = as_root.post(as_root.get(add).context["what_if"], {**data, "models_in": "openai-main/gpt-4o-mini"})
    assert "None of the 3 calls" in tried.content.decode(), "its model is on no account here"
    assert not RoutingRule.objects.exists()
    made = as_root.post(add, data)
    assert made.status_code == 302, made.context["adminform"].form.errors
    assert RoutingRule.objects.get().effect == {"routing": {**routing, "load_balance_targets": targets}}
    listed = as_root.get(reverse("admin:rules_routingrule_changelist")).content.decode()
    assert targets[0]["target"] in listed


def test_a_virtual_model_is_tried_before_it_is_saved(
    installation: Installation, as_root: Client, as_mia: Client
) -> None:
    """Its manager sees how many calls would have gone where; whose they are is for superusers."""
    target = installation.mine["model"].public_name
    Model.objects.create(account=installation.mine["account"], name="gpt-4o", model_types=["chat"])
    smart = ProviderAccount.objects.create(kind="virtual-model", name="smart")
    Grant.objects.create(account=smart, role="manager", user=installation.mia)
    routing = {"type": "priority-based-routing", "load_balance_targets": [{"target": "mine-openai/gpt-4o"}]}
    chat = Model.objects.create(account=smart, name="chat", model_types=["chat"], routing=routing)
    moment = int((timezone.now() - timedelta(hours=1)).timestamp() * 1_000_000)
    asked = {"model_asked": "smart/chat", "model_resolved": "mine-openai/gpt-4o", "subject_name": "zoe@example.com"}
    made = [attempt(started_at=moment + n, **asked) for n in range(3)]
    assert rows.store([msgspec.json.encode(one) for one in made], "default", lambda: None) == []
    address = reverse("admin:providers_model_change", args=[chat.pk])
    changed = {**routing, "load_balance_targets": [{"target": target}]}
    for client, sees in ((as_root, True), (as_mia, False)):
        page = client.get(address)
        data = {**form_data(page), "routing": json.dumps(changed)}
        shown = client.post(page.context["what_if"], data).content.decode()
        assert f"virtual model smart/chat: 3 calls from mine-openai/gpt-4o to {target}" in shown
        assert "Assumed: every target answers" in shown
        assert ("zoe@example.com" in shown) is sees
    chat.refresh_from_db()
    assert chat.routing == routing
    plain = reverse("admin:providers_model_change", args=[installation.mine["model"].pk])
    assert "what_if" not in as_root.get(plain).context
