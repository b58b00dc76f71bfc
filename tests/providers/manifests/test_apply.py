"""Applying manifests: the contract's shapes, idempotence, secrets, reconciling, pruning, dry runs."""

from datetime import date
from decimal import Decimal

import pytest
from django.core.exceptions import ObjectDoesNotExist
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.models import ApiToken, Change, Membership, Team, User, VirtualAccount
from providers.manifests.apply import ManifestError
from providers.models import Grant, Model, ProviderAccount
from tests.support.manifest_tools import KEY, SMALL, account, apply, changes, done, snapshot

pytestmark = pytest.mark.django_db

# As the contract's own documents write it, each type once.
CONTRACT = """
type: provider-account/openai
name: openai-main
auth_data: {type: api-key, api_key: "${OPENAI_API_KEY}"}
base_url: https://eu.api.openai.com/v1
discount_percent: 10
collaborators:
  - {subject: "user:Alice@x.com", role_id: provider-account-manager}
  - {subject: "team:everyone",    role_id: provider-account-access}
  - {subject: "virtual-account:app", role_id: provider-account-access}
integrations:
  - type: integration/model/openai
    name: gpt-4o
    model_id: gpt-4o
    model_types: [chat, responses]
    cost: {metric: public_cost}
    authorized_subjects: []
  - type: integration/model/openai
    name: cheap
    model_id: gpt-4o-mini
    model_types: [chat]
    cost: {metric: per_1000_tokens, value: {input: 0.00015, output: 0.0006, cache_read: 0.000075}}
    authorized_subjects: ["team:eng", "user:bo@x.com"]
---
type: team
name: eng
displayName: Engineers
managers: [bo@x.com]
members: [alice@x.com, bo@x.com]
---
type: virtual-account
name: app
tags: {env: prod}
ownedBy: {team: eng}
permissions:
  - {resource_fqn: "acme:openai:openai-main", resource_type: provider-account, role_id: provider-account-access}
"""


def grants():
    return sorted((grant.account.name, str(grant), grant.role) for grant in Grant.objects.all())


# --- the contract's shapes ---


def test_the_contracts_manifests():
    plan = apply(CONTRACT)
    main = account()
    assert (main.kind, main.url, main.api_key) == ("openai", "https://eu.api.openai.com/v1", KEY)
    assert main.discount_percent == Decimal(10)
    assert grants() == [
        ("openai-main", "alice@x.com", "manager"),
        ("openai-main", "app", "user"),
        ("openai-main", "everyone", "user"),
    ]
    full, cheap = main.models.get(name="gpt-4o"), main.models.get(name="cheap")
    assert (full.model_types, full.price_source) == (["chat", "responses"], "public")
    assert not full.subjects.exists()
    assert (cheap.upstream_id, cheap.price_source) == ("gpt-4o-mini", "private")
    assert cheap.private_price == {"input_mtok": "0.15", "output_mtok": "0.6", "cache_read_mtok": "0.075"}
    assert sorted(map(str, cheap.subjects.all())) == ["bo@x.com", "eng"]
    team = Team.objects.get()
    assert (team.name, team.display_name) == ("eng", "Engineers")
    assert sorted((m.user.email, m.role) for m in Membership.objects.all()) == [
        ("alice@x.com", "member"),
        ("bo@x.com", "manager"),
    ]
    application = VirtualAccount.objects.get()
    assert (application.tags, application.team) == ({"env": "prod"}, team)
    assert User.objects.count() == 2
    assert not any(user.has_usable_password() or user.is_staff for user in User.objects.all())
    assert plan.count("add") == 10
    assert plan.count("keep") == plan.count("change") == plan.count("remove") == 0


def test_applying_again_changes_nothing_and_announces_nothing():
    apply(CONTRACT)
    before = snapshot()
    Change.objects.all().delete()
    plan = apply(CONTRACT)
    assert not plan.changed
    assert plan.lines() == ["Nothing to do: 8 unchanged."]
    assert snapshot() == before
    assert not Change.objects.exists()


def test_reading_what_is_stored_takes_the_same_queries_for_one_account_and_for_many():
    def manifest(name, models):
        listed = [f"{{name: m{n}, model_types: [chat], authorized_subjects: ['team:eng']}}" for n in range(models)]
        return SMALL.replace("openai-main", name) + (
            "collaborators: [{subject: 'team:eng', role_id: provider-account-access}]\n"
            f"integrations: [{', '.join(listed)}]"
        )

    def queries(*texts):
        with CaptureQueriesContext(connection) as captured:
            assert not apply(*texts).changed
        return len(captured)

    apply("{type: team, name: eng}")
    one, many = [manifest("one", 1)], [manifest(f"many{n}", 7) for n in range(6)]
    apply(*one, *many)
    assert queries(*many) == queries(*one)


def test_the_order_of_documents_and_files_does_not_matter():
    documents = CONTRACT.split("---\n")
    apply(*reversed(documents))
    assert not apply(CONTRACT).changed


def test_json_and_lists_of_manifests():
    apply('[{"type": "team", "name": "eng", "members": []}, {"type": "team", "name": "ops", "members": []}]')
    apply('{"type": "team",\n\t"name": "sec"}')
    assert list(Team.objects.values_list("name", flat=True)) == ["eng", "ops", "sec"]


def test_what_the_catalogue_knows_need_not_be_written():
    apply(SMALL + "integrations: [{name: gpt-4o-mini}, {name: fast, model_id: gpt-4o, context_window: null}]")
    mini, fast = account().models.get(name="gpt-4o-mini"), account().models.get(name="fast")
    assert mini.model_types == ["chat", "responses", "batch", "fine_tuning"]
    assert "vision" in mini.features
    assert (mini.context_window, mini.max_output_tokens, mini.deprecated_on) == (128_000, 16_384, date(2027, 1, 14))
    assert (fast.context_window, fast.max_output_tokens) == (None, 16_384)


def test_our_own_fields():
    apply(
        SMALL
        + """
organization: org-1
project: proj_1
extra_headers: {X-Team: "${TEAM_HEADER}"}
connect_timeout: 2.5
read_timeout: 120
connection_limit: 7
any_model: true
enabled: false
isolation: team
open_resources: [vector_stores]
proxy_paths: ["v1/agents/*"]
register_fine_tuned: true
integrations:
  - name: own
    model_types: [batch, chat]
    features: [tools]
    context_window: 1000
    max_output_tokens: 10
    deprecated_on: 2027-01-31
    enabled: false
    cost: {metric: per_unit, value: {input_mtok: 1.50, request: "2"}}
""",
        environment={"OPENAI_API_KEY": KEY, "TEAM_HEADER": "blue\n"},
    )
    main = account()
    assert (main.organization, main.project, main.extra_headers) == ("org-1", "proj_1", {"X-Team": "blue"})
    assert (main.connect_timeout, main.read_timeout, main.connection_limit) == (2.5, 120, 7)
    assert (main.any_model, main.enabled, main.isolation, main.register_fine_tuned) == (True, False, "team", True)
    assert (main.open_resources, main.proxy_paths) == (["vector_stores"], ["v1/agents/*"])
    model = main.models.get()
    assert (model.model_types, model.features, model.enabled) == (["batch", "chat"], ["tools"], False)
    assert (model.context_window, model.max_output_tokens, model.deprecated_on) == (1000, 10, date(2027, 1, 31))
    assert model.private_price == {"input_mtok": "1.5", "request": "2"}


@pytest.mark.parametrize(
    ("cost", "price"),
    [
        ("{metric: per_1000_tokens, value: {input: 0.0025, output: 0.01}}", {"input_mtok": "2.5", "output_mtok": "10"}),
        ("{metric: per_1000_embedding_tokens, value: 0.00002}", {"input_mtok": "0.02"}),
        ("{metric: per_million_characters, value: {input: 15}}", {"input_mchars": "15"}),
        ("{metric: per_minute_of_audio, value: {input: 0.006}}", {"audio_minute": "0.006"}),
        ("{metric: per_1000_tokens, value: {input: 0.001, output: 0.01, output_tiers: [{from: 200000, cost_per_token: "
"0.02}]}}",
         {"input_mtok": "1", "output_mtok": {"base": "10", "tiers": [{"start": 200000, "price": "20"}]}}),
        ("{metric: per_unit, value: {image: [{size: 1024x1024, price: 0.04}, {price: '0.02'}]}}",
         {"image": [{"size": "1024x1024", "price": "0.04"}, {"price": "0.02"}]}),
        ("{metric: per_unit, value: {request: 1, changes: [{from: 2027-01-01, request: 2}, {from: 2027-02-01T12:00:00Z"
", "
"request: 3}]}}",
         {"request": 1, "changes": [{"from": "2027-01-01", "request": 2},
                                    {"from": "2027-02-01T12:00:00Z", "request": 3}]}),
        ("{metric: per_1000_pages, value: {pages: 1.5, annotated_pages: 3}}",
         {"input_document_kpages": "1.5", "input_annotated_document_kpages": "3"}),
    ],
)  # fmt: skip
def test_the_contracts_private_prices(cost, price):
    apply(SMALL + f"integrations: [{{name: m, model_types: [chat], cost: {cost}}}]")
    assert account().models.get().private_price == price
    assert not apply(SMALL + f"integrations: [{{name: m, model_types: [chat], cost: {cost}}}]").changed


def test_back_to_the_public_price():
    apply(SMALL + "integrations: [{name: m, model_types: [chat], cost: {metric: per_unit, value: {input_mtok: 1}}}]")
    plan = apply(SMALL + "integrations: [{name: m, model_types: [chat]}]")
    assert changes(plan) == ['price_source: "private" -> "public"']
    assert not apply(SMALL + "integrations: [{name: m, model_types: [chat], cost: {metric: public_cost}}]").changed


def test_users():
    apply("{type: user, email: Root@X.com, is_superuser: true}")
    root = User.objects.get()
    assert (root.email, root.is_superuser, root.is_staff, root.has_usable_password()) == (
        "root@x.com",
        True,
        True,
        False,
    )
    assert not apply("{type: user, email: root@x.com}").changed  # what is not named stays
    plan = apply("{type: user, email: root@x.com, is_superuser: false, is_staff: false, is_active: false}")
    assert len(changes(plan)) == 3
    assert not User.objects.get().is_active


# --- reconciling ---


def test_models_and_grants_become_those_of_the_manifest():
    apply(CONTRACT)
    plan = apply(
        SMALL
        + """
base_url: https://eu.api.openai.com/v1
collaborators: [{subject: "team:eng", role_id: provider-account-access}]
integrations: [{name: gpt-4o, model_types: [chat]}, {name: new, model_types: [embedding]}]
"""
    )
    assert grants() == [("openai-main", "eng", "user")]
    assert sorted(account().models.values_list("name", flat=True)) == ["gpt-4o", "new"]
    assert done(plan) == [
        "~ provider-account openai-main",
        "~ model openai-main/gpt-4o",
        "+ model openai-main/new",
        "- model openai-main/cheap",
        "+ grant openai-main: team:eng as user",
        "- grant openai-main: user:alice@x.com as manager",
        "- grant openai-main: team:everyone as user",
        "- grant openai-main: virtualaccount:app as user",
    ]
    assert 'model_types: ["chat", "responses"] -> ["chat"]' in changes(plan)
    assert "discount_percent: 10 -> 0" in changes(plan)


def test_lists_left_out_are_left_alone_and_empty_ones_empty():
    apply(CONTRACT)
    before = snapshot()
    apply(SMALL + "base_url: https://eu.api.openai.com/v1\ndiscount_percent: 10")
    apply("{type: team, name: eng, displayName: Engineers}")
    apply("{type: virtual-account, name: app, tags: {env: prod}, ownedBy: {team: eng}}")
    assert snapshot() == before
    apply(SMALL + "integrations: []\ncollaborators: []", "{type: team, name: eng, members: []}")
    assert (Model.objects.count(), Grant.objects.count(), Membership.objects.count()) == (0, 0, 0)


def test_models_that_fine_tuning_registered_stay():
    apply(SMALL + "integrations: []")
    Model.objects.create(account=account(), name="ft", model_types=["chat"], owner_key="user:1")
    assert not apply(SMALL + "integrations: []").changed
    assert Model.objects.get().name == "ft"


def test_the_order_within_lists_is_no_change():
    apply(SMALL + "proxy_paths: [b, a]\nintegrations: [{name: m, model_types: [chat, responses], features: []}]")
    assert not apply(
        SMALL + "proxy_paths: [a, b]\nintegrations: [{name: m, model_types: [responses, chat], features: []}]"
    ).changed


def test_the_same_price_written_otherwise_is_no_change():
    apply(
        SMALL + "integrations: [{name: m, model_types: [chat], cost: {metric: per_unit, value: {input_mtok: '0.150'}}}]"
    )
    Model.objects.update(private_price={"input_mtok": 0.15})
    same = (
        SMALL
        + "integrations: [{name: m, model_types: [chat], cost: {metric: per_1000_embedding_tokens, value: 0.00015}}]"
    )
    assert not apply(same).changed


def test_grants_of_virtual_accounts_may_stand_at_either_end():
    base = "{type: virtual-account, name: app%s}"
    permission = ", permissions: [{resource_fqn: openai-main, resource_type: provider-account, role_id: %s}]"
    user = base % (permission % "provider-account-access")
    apply(SMALL + "collaborators: []", user)  # both speak: what either says holds
    assert grants() == [("openai-main", "app", "user")]
    assert not apply(SMALL + "collaborators: []", user).changed
    plan = apply(base % (permission % "provider-account-manager"))  # alone: the truth about this virtual account
    assert done(plan) == [
        "+ grant openai-main: virtualaccount:app as manager",
        "- grant openai-main: virtualaccount:app as user",
    ]
    apply(base % ", permissions: []")
    assert grants() == []


def test_members_change_roles_and_leave():
    apply("{type: team, name: eng, managers: [a@x.com], members: [b@x.com, c@x.com]}")
    plan = apply("{type: team, name: eng, managers: [b@x.com], members: [A@x.com]}")
    assert changes(plan) == [
        "members: ~ a@x.com: manager -> member",
        "members: ~ b@x.com: member -> manager",
        "members: - c@x.com",
    ]
    assert sorted((m.user.email, m.role) for m in Membership.objects.all()) == [
        ("a@x.com", "member"),
        ("b@x.com", "manager"),
    ]
    assert User.objects.filter(email="c@x.com").exists()


# --- dry runs and pruning ---


def test_a_dry_run_shows_the_plan_and_writes_nothing():
    before = snapshot()
    plan = apply(CONTRACT, dry_run=True)
    assert plan.count("add") == 10
    assert plan.lines()[-1].endswith("Nothing is written in a dry run.")
    assert snapshot() == before
    apply(CONTRACT)
    before = snapshot()
    assert apply(SMALL + "integrations: []", dry_run=True, prune=True).changed
    assert snapshot() == before


def test_prune_removes_what_no_file_names_of_the_kinds_in_the_files():
    apply(CONTRACT)
    ApiToken.objects.issue(name="t", virtual_account=VirtualAccount.objects.get())
    other = SMALL.replace("openai-main", "other")
    plan = apply(other, prune=True)
    assert done(plan) == ["+ provider-account other", "- provider-account openai-main"]
    assert plan.steps[-1].detail == "with its 2 models, 3 grants"
    assert (Team.objects.count(), VirtualAccount.objects.count(), ApiToken.objects.count()) == (1, 1, 1)
    plan = apply("{type: team, name: ops}\n---\n{type: virtual-account, name: job}", prune=True)
    assert done(plan)[2:] == ["- virtual-account app", "- team eng"]
    assert plan.steps[2].detail == "with its 1 token"
    assert User.objects.count() == 2
    assert ProviderAccount.objects.get().name == "other"


def test_without_prune_nothing_else_is_removed():
    apply(CONTRACT)
    apply(SMALL.replace("openai-main", "other"), "{type: team, name: ops}")
    assert ProviderAccount.objects.count() == Team.objects.count() == 2


def test_prune_with_a_fault_removes_nothing():
    apply(CONTRACT)
    with pytest.raises(ManifestError):
        apply(SMALL.replace("openai-main", "other") + "isolation: nobody", prune=True)
    assert account()


def test_an_account_whose_key_can_not_be_read_is_pruned_all_the_same():
    apply(SMALL)
    with connection.cursor() as cursor:
        cursor.execute("UPDATE providers_provideraccount SET credentials = %s", [b"gAAAAAbroken"])
    apply(SMALL.replace("openai-main", "other"), prune=True)
    with pytest.raises(ObjectDoesNotExist):
        account()


# --- what the plan says ---


def test_the_plan_in_words_and_as_data():
    plan = apply(CONTRACT)
    assert plan.lines()[0] == "+ user alice@x.com (may sign in only once they have a password)"
    assert "+ provider-account openai-main (openai, https://eu.api.openai.com/v1, with a key)" in plan.lines()
    assert plan.lines()[-1] == "Added 10, changed 0, removed 0; 0 unchanged."
    apply(SMALL + "base_url: https://eu.api.openai.com/v1\ndiscount_percent: 12.50")
    data = apply(SMALL + "base_url: https://eu.api.openai.com/v1\ndiscount_percent: 15", dry_run=True).as_dict()
    assert data["counts"] == {"add": 0, "change": 1, "remove": 0, "keep": 0}
    assert data["steps"][0]["changes"] == [{"field": "discount_percent", "old": "12.5", "new": "15"}]
    assert (data["changed"], data["dry_run"]) == (True, True)


def test_fields_that_gatehouse_has_no_use_for_are_told():
    plan = apply(
        "{type: virtual-account, name: app, expiration_date: 2027-01-01, auto_rotate: {auto_rotate_interval: 360}}"
    )
    assert len(plan.notes) == 2
    assert plan.notes[0].startswith("a.yaml, document 1, expiration_date: passed over: every token has its own expiry")
