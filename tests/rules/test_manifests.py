"""The contract's manifests of limits and budgets: applied verbatim, exported, and applied again with nothing to do."""

import pytest

from accounts.models import AuditEntry, Team, User, VirtualAccount
from providers.manifests.apply import ManifestError, export_documents, to_yaml
from providers.models import Model, ProviderAccount
from rules.models import Budget, RateLimit, Rule
from tests.support.manifest_tools import apply, done

pytestmark = pytest.mark.django_db

RATE_LIMITS = """
name: platform-rate-limits
type: gateway-rate-limiting-config
rules:
  - id: per-user-rpm
    when:
      subjects: ["user:a@x.com", "team:eng", "virtualaccount:app"]
      models: ["openai-main/gpt-4o"]
      metadata: {env: prod}
    limit_to: 100
    unit: requests_per_minute
    rate_limit_applies_per: [user, model]
  - id: "{user}-daily-limit"
    when: {subjects: ["*"]}
    limit_to: 2000000
    unit: tokens_per_day
    rate_limit_applies_per: [metadata.project]
  - id: service
    when: {subjects: ["serviceaccount:app"]}
    limit_to: 5
    unit: requests_per_hour
"""
BUDGETS = """
name: platform-budgets
type: gateway-budget-config
rules:
  - id: team-month
    when: {subjects: ["team:eng"], models: ["openai-main/gpt-4o"], metadata: {}}
    limit_to: 600.25
    unit: cost_per_month
    budget_applies_per: [user]
    alerts:
      thresholds: [75, 90, 95, 100]
      notification_target:
        - {type: email, notification_channel: mail, to_emails: [ops@x.com]}
        - {type: slack-webhook, notification_channel: slack}
        - {type: slack-bot, notification_channel: bot, channels: ["#ai"]}
        - {type: pagerduty, notification_channel: pd}
        - {type: ms-teams-webhook, notification_channel: teams}
    audit_mode: true
  - id: tokens
    when: {}
    limit_to: 1000
    unit: tokens_per_day
"""
TENANT_LIMIT = """
type: tenant-rate-limit-config/model
name: eng-rpm
when:
  subjects: {teams: {in: [eng]}, users: {not_in: [a@x.com]}}
  models: {in: [openai-main/gpt-4o]}
limits: {requests_per_minute: 60, tokens_per_hour: 100000}
applies_to: {type: per-user, overrides: [{users: [A@x.com], limits: {requests_per_minute: 600}}]}
mode: audit
log_request_body_on_block: false
"""
TENANT_BUDGET = """
type: tenant-budget-config
name: eng-monthly
when:
  subjects: {users: {in: [a@x.com]}, teams: {in: [eng]}, virtual_accounts: {not_in: [app]}}
  models: {in: [openai-main/gpt-4o]}
  provider_accounts: {in: [openai-main]}
  metadata: {app: {in: [chat, search]}, tier: {not_in: [free]}}
limits: {cost_per_day: 50, cost_per_week: 200, cost_per_month: 600, cost_per_quarter: 1500}
applies_to: {type: metadata, metadata: project, overrides: [{metadata_values: [vip], limits: {cost_per_day: 200}}]}
mode: soft_enforce
alerts: {thresholds: [75, 90, 95, 100], notification_target: []}
"""
LIFETIME = """
type: tenant-budget-config
name: pilot
limits: {cost_per_lifetime: 0.5}
applies_to: {type: aggregate}
mode: enforce
cheaper: {from_percent: 82.5, target: openai-main/gpt-4o}
"""
TEAM_BUDGET = """
type: team-budget-config
name: eng-own
team_name: eng
when: {subjects: {users: {in: [a@x.com]}}}
limits: {cost_per_week: 20}
applies_to: {type: per-model, overrides: [{models: [openai-main/gpt-4o], limits: {cost_per_week: 5}}]}
mode: enforce
"""
ALL = (RATE_LIMITS, BUDGETS, TENANT_LIMIT, TENANT_BUDGET, LIFETIME, TEAM_BUDGET)


@pytest.fixture(autouse=True)
def _names() -> None:
    account = ProviderAccount.objects.create(kind="openai", name="openai-main")
    Model.objects.create(account=account, name="gpt-4o", model_types=["chat"])
    User.objects.create(email="a@x.com")
    Team.objects.create(name="eng")
    VirtualAccount.objects.create(name="app")


def exported() -> str:
    forms = ("gateway-", "tenant-", "team-budget")
    return to_yaml([one for one in export_documents() if one["type"].startswith(forms)])


def test_every_manifest_of_the_contract_goes_around() -> None:
    plan = apply(*ALL)
    assert [note.partition(": ")[2] for note in plan.notes] == [
        "passed over: the request log has settings of its own.",
        "slack-bot: kept, and not delivered. Name a channel of Gatehouse's as notification_channel.",
    ]
    assert plan.count("add") == 9
    text = exported()
    again = apply(text)
    assert not again.changed, again.lines()
    Rule.objects.all().delete()
    apply(text)
    assert exported() == text


def test_the_rules_are_what_the_manifests_say() -> None:
    apply(*ALL)
    first = RateLimit.objects.get(name="per-user-rpm")
    assert (first.group, first.position, first.mode) == ("platform-rate-limits", 0, "enforce")
    assert first.when == {
        "subjects": {"in": ["user:a@x.com", "team:eng", "virtualaccount:app"]},
        "models": {"in": ["openai-main/gpt-4o"]},
        "metadata": {"env": {"in": ["prod"]}},
    }
    assert first.effect == {"limits": {"requests_per_minute": 100}, "per": ["user", "model"]}
    everyone = RateLimit.objects.get(name="{user}-daily-limit")
    assert everyone.when == {}
    assert RateLimit.objects.get(name="service").when == {"subjects": {"in": ["virtualaccount:app"]}}
    budget = Budget.objects.get(name="team-month")
    assert budget.mode == "audit"
    assert budget.effect["limits"] == {"cost_per_month": 600.25}
    tenant = Budget.objects.get(name="eng-monthly")
    assert tenant.when["subjects"] == {"in": ["user:a@x.com", "team:eng"], "not_in": ["virtualaccount:app"]}
    assert tenant.effect["per"] == ["metadata.project"]
    assert tenant.effect["overrides"] == [{"values": ["vip"], "limits": {"cost_per_day": 200}}]
    team = Budget.objects.get(name="eng-own")
    assert team.team is not None
    assert team.team.name == "eng"
    override = RateLimit.objects.get(name="eng-rpm").effect["overrides"][0]
    assert override["values"] == ["a@x.com"]


def test_a_rule_that_a_configuration_lost_is_removed() -> None:
    apply(BUDGETS)
    shorter = BUDGETS[: BUDGETS.index("  - id: tokens")]
    assert done(apply(shorter)) == ["- rule platform-budgets/tokens"]
    apply(TENANT_BUDGET, LIFETIME)
    assert done(apply(TENANT_BUDGET)) == []
    assert done(apply(TENANT_BUDGET, prune=True)) == ["- rule pilot"]


def test_names_that_are_not_there_are_said() -> None:
    plan = apply(LIFETIME.replace("limits:", "when: {models: {in: [openai-main/gpt-4p]}}\nlimits:"))
    assert plan.notes == [
        "Rule pilot names what is not there: model 'openai-main/gpt-4p' (did you mean 'openai-main/gpt-4o'?). "
        "It can fit no call."
    ]


def test_all_faults_are_named_at_once() -> None:
    broken = """
type: tenant-budget-config
name: broken
when: {subjects: {users: {in: []}}, models: {in: []}, colour: {in: [red]}}
limits: {cost_per_day: -1, cost_per_lifetime: 3, coins_per_day: 1}
applies_to: {type: per-person}
mode: maybe
"""
    with pytest.raises(ManifestError) as caught:
        apply(broken)
    text = str(caught.value)
    for part in ("when: unknown field 'colour'", "applies_to.type", "'maybe' is not known", "limits.coins_per_day"):
        assert part in text
    assert "limits.cost_per_day" in text
    assert "exclude other periods" in text
    assert "models" in text
    assert not Rule.objects.exists()


def test_a_team_budget_names_no_teams_and_needs_its_team() -> None:
    with pytest.raises(ManifestError, match="unknown field 'teams'"):
        apply(TEAM_BUDGET.replace("users: {in: [a@x.com]}", "teams: {in: [eng]}"))
    with pytest.raises(ManifestError, match="the team 'other' does not exist"):
        apply(TEAM_BUDGET.replace("team_name: eng", "team_name: other"))


def test_changes_are_audited_with_who_made_them() -> None:
    apply(LIFETIME)
    apply(LIFETIME.replace("0.5", "0.75"))
    entries = AuditEntry.objects.filter(object_type="rules.budget")
    assert [entry.action for entry in entries] == ["changed", "added"]
    assert "0.75" in entries[0].changes["effect"][1]
    assert Budget.objects.get().version == 2
