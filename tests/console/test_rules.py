"""The pages of rate limits and budgets: faults beside their fields, names that are not there, teams' own budgets."""

from typing import Any

from django.test import Client
from django.urls import reverse

from accounts.models import AuditEntry
from rules.models import Budget, RateLimit
from tests.console.conftest import Installation, form_data, messages

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
