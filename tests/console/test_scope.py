"""Who sees and changes what: superusers everything, managers what is theirs, others their own tokens, outsiders
nothing.
"""

import json
import re

import pytest
from django.contrib import admin
from django.urls import reverse

from accounts.changes import Change
from accounts.models import ApiToken, Membership, Team, User, VirtualAccount
from console.pages.routes import ROUTES
from providers.models import Alias, Grant, Model, ModelSubject, ProviderAccount
from tests.console.conftest import PASSWORD, form_data, signed_in
from tests.support.usage_rows import record
from usage.models import UsageRecord

# The scoped pages: address part, key in the installation, and which pages a manager has for a row of theirs.
PAGES = {
    "providers_provideraccount": (
        "account",
        {"change", "history", "add_from_catalogue", "discover", "add_by_hand", "test_credentials", "rotate_key"},
    ),
    "providers_model": ("model", {"change", "history", "delete"}),
    "providers_grant": ("grant", {"change", "history", "delete"}),
    "accounts_team": ("team", {"change", "history"}),
    "accounts_virtualaccount": ("bot", {"change", "history"}),
    "accounts_apitoken": ("token", {"change", "history", "roll_one", "revoke_one"}),
    "rules_budget": ("budget", {"change", "history", "delete"}),
    "usage_usagerecord": ("usage", {"change", "history"}),
    "batches_job": ("job", {"change", "history", "poll_now", "cancel_job", "download_output"}),
    "batches_storedfile": ("file", {"change", "history"}),
    "accounts_auditentry": ("audit", {"change", "history"}),
}


SUPERUSERS = {
    "accounts_user",
    "rules_ratelimit",
    "rules_routingrule",
    "alerts_alert",
    "alerts_channel",
    "alerts_incident",
}
"""The pages that no one else sees."""


def page_names(base):
    """Every page by id that this admin has, its own actions among them."""
    model_admin = next(a for m, a in admin.site._registry.items() if m._meta.label_lower.replace(".", "_") == base)
    return {"change", "history", "delete", *model_admin._extract_action_names(model_admin.actions_detail)}


def test_the_table_names_every_scoped_page():
    registered = {model._meta.label_lower.replace(".", "_") for model in admin.site._registry}
    assert registered == {*PAGES, *SUPERUSERS}


@pytest.mark.parametrize("base", PAGES)
def test_a_manager_reaches_own_rows_by_id_and_no_others(installation, as_mia, base):
    key, allowed = PAGES[base]
    pages = list(page_names(base))
    assert pages
    for page in pages:
        address = f"admin:{base}_{page}"
        mine = as_mia.get(reverse(address, args=[installation.mine[key].pk]))
        other = as_mia.get(reverse(address, args=[installation.other[key].pk]))
        nowhere = as_mia.get(reverse(address, args=[NOBODY[key]]))
        assert (mine.status_code in (200, 302)) == (page in allowed), (page, mine.status_code)
        assert other.status_code in (403, 404), page
        assert other.status_code == nowhere.status_code, f"{page} tells a hidden row from none"


NOBODY = dict.fromkeys(
    ("account", "model", "grant", "team", "bot", "token", "budget", "job", "file", "audit"), 999999
) | {"usage": "00000000-0000-0000-0000-000000000000"}


@pytest.mark.parametrize("base", PAGES)
def test_writes_by_id_are_refused_outside(installation, as_mia, base):
    key, _ = PAGES[base]
    before = row_count()
    for page in page_names(base):
        response = as_mia.post(
            reverse(f"admin:{base}_{page}", args=[installation.other[key].pk]), {"post": "yes", "model": "gpt-4o"}
        )
        assert response.status_code in (403, 404), page
    assert row_count() == before
    assert not ApiToken.objects.exclude(revoked_at=None).exists()


def row_count():
    return [
        model.objects.count() for model in (ProviderAccount, Model, Grant, ModelSubject, Team, VirtualAccount, ApiToken)
    ]


@pytest.mark.parametrize("base", PAGES)
def test_lists_show_only_own_rows(installation, as_mia, as_root, base):
    key, _ = PAGES[base]
    # A record is a part of its request, whose page the list leads to.
    page_name, column = ("request", "request_id") if base == "usage_usagerecord" else (f"{base}_change", "pk")
    link = reverse(f"admin:{page_name}", args=["ID"]).replace("ID", r"([^/]+)")
    for client, expected in ((as_mia, {"mine"}), (as_root, {"mine", "other"})):
        page = client.get(reverse(f"admin:{base}_changelist"))
        seen = set(re.findall(link, page.content.decode()))
        assert str(getattr(installation.mine[key], column)) in seen
        assert (str(getattr(installation.other[key], column)) in seen) == ("other" in expected)


def test_a_manager_reads_no_name_of_a_foreign_account_anywhere(installation, as_mia):
    for base in (*PAGES, "index"):
        name = "admin:index" if base == "index" else f"admin:{base}_changelist"
        page = as_mia.get(reverse(name)).content.decode()
        assert "other-openai" not in page, base


@pytest.mark.parametrize("filters", ["account=other-openai", "account__name=other-openai", "q=other-openai"])
def test_filters_do_not_reach_outside(installation, as_mia, filters):
    page = as_mia.get(f"{reverse('admin:providers_model_changelist')}?{filters}", follow=True)
    assert "other-openai/" not in page.content.decode()


def choices(client, model, field, term=""):
    query = {
        "app_label": model._meta.app_label,
        "model_name": model._meta.model_name,
        "field_name": field,
        "term": term,
    }
    response = client.get(reverse("admin:autocomplete"), query)
    if response.status_code != 200:
        return response.status_code
    return {row["text"] for row in response.json()["results"]}


def test_choices_offer_what_the_form_takes(installation, as_mia, as_root):
    assert choices(as_mia, Model, "account") == {"mine-openai"}
    assert choices(as_mia, Grant, "account") == {"mine-openai"}
    assert choices(as_mia, Grant, "user") == {"mia@example.com", "paul@example.com", "root@example.com"}
    assert choices(as_mia, Grant, "team", "other") == {"other-team"}
    assert choices(as_mia, VirtualAccount, "team") == {"mine-team"}
    assert choices(as_mia, ApiToken, "virtual_account") == {"mine-bot"}
    assert choices(as_mia, ApiToken, "user") == {"mia@example.com"}
    assert choices(as_root, Model, "account") == {"mine-openai", "other-openai"}


def test_choices_are_closed_to_those_who_manage_nothing(installation):
    staff = User.objects.create_user("sam@example.com", PASSWORD, is_staff=True)
    assert choices(signed_in(staff), Grant, "user") == 403
    assert choices(signed_in(staff), Membership, "user") == 403


def test_a_manager_of_an_account_only_can_not_search_users_for_teams(installation):
    Membership.objects.filter(user=installation.mia).delete()
    assert choices(signed_in(installation.mia), Membership, "user") == set()
    assert choices(signed_in(installation.mia), ApiToken, "virtual_account") == set()


def test_a_form_does_not_take_a_foreign_account(installation, as_mia):
    data = {
        "account": installation.other["account"].pk,
        "name": "stolen",
        "model_types": ["chat"],
        "price_source": "public",
    }
    data |= {"private_price": "{}", "subjects-TOTAL_FORMS": 0, "subjects-INITIAL_FORMS": 0}
    response = as_mia.post(reverse("admin:providers_model_add"), data)
    assert "account" in response.context["adminform"].form.errors
    assert not Model.objects.filter(name="stolen").exists()


def test_a_virtual_model_reaches_own_accounts_only(installation, as_mia):
    """Who may call it reaches its targets without access to their accounts: so who writes it must manage them."""
    account = installation.mine["account"]
    ProviderAccount.objects.filter(pk=account.pk).delete()
    virtual = ProviderAccount.objects.create(name="mine-virtual", kind="virtual-model")
    Grant.objects.create(account=virtual, role="manager", user=installation.mia)
    foreign = f"{installation.other['account'].name}/{installation.other['model'].name}"
    routing = {"type": "priority-based-routing", "load_balance_targets": [{"target": foreign}]}
    data = {"account": virtual.pk, "name": "cheap", "model_types": ["chat"], "price_source": "public"}
    data |= {"private_price": "{}", "routing": json.dumps(routing), "enabled": "on"}
    data |= {"subjects-TOTAL_FORMS": 0, "subjects-INITIAL_FORMS": 0}
    address = reverse("admin:providers_model_add")
    errors = as_mia.post(address, data).context["adminform"].form.errors
    assert errors["routing"] == [f"Only models of accounts that you manage: not {foreign}."]
    Grant.objects.create(account=installation.other["account"], role="manager", user=installation.mia)
    assert as_mia.post(address, data).status_code == 302
    assert Model.objects.get(name="cheap").routing == routing


def test_a_virtual_model_reaches_own_accounts_only_through_others_too(installation, as_mia):
    virtual = ProviderAccount.objects.create(name="mine-virtual", kind="virtual-model")
    Grant.objects.create(account=virtual, role="manager", user=installation.mia)
    other = installation.other["account"]
    Alias.objects.create(account=other, name="former")
    inner = Model.objects.create(
        account=virtual,
        name="inner",
        model_types=["chat"],
        routing=priority(f"former/{installation.other['model'].name}"),
    )
    data = {"account": virtual.pk, "name": "cheap", "model_types": ["chat"], "price_source": "public"}
    data |= {"private_price": "{}", "routing": json.dumps(priority("mine-virtual/inner")), "enabled": "on"}
    data |= {"subjects-TOTAL_FORMS": 0, "subjects-INITIAL_FORMS": 0}
    address = reverse("admin:providers_model_add")
    errors = as_mia.post(address, data).context["adminform"].form.errors
    assert errors["routing"] == [
        "Only models of accounts that you manage: not mine-virtual/inner (through it, calls reach models of other "
        "accounts)."
    ]
    inner.routing = priority(installation.mine["model"].public_name)
    inner.save()
    assert as_mia.post(address, data).status_code == 302


def priority(target):
    return {"type": "priority-based-routing", "load_balance_targets": [{"target": target}]}


def test_a_manager_does_not_move_a_model_or_a_grant_to_a_foreign_account(installation, as_mia):
    for base, key in (("providers_model", "model"), ("providers_grant", "grant")):
        address = reverse(f"admin:{base}_change", args=[installation.mine[key].pk])
        data = form_data(as_mia.get(address)) | {"account": installation.other["account"].pk}
        assert "account" in as_mia.post(address, data).context["adminform"].form.errors
        installation.mine[key].refresh_from_db()
        assert installation.mine[key].account == installation.mine["account"]


def test_actions_act_on_own_rows_only(installation, as_mia):
    both = [installation.mine["model"].pk, installation.other["model"].pk]
    as_mia.post(
        reverse("admin:providers_model_changelist"), {"action": "disable", "_selected_action": both, "index": 0}
    )
    assert [Model.objects.get(pk=pk).enabled for pk in both] == [False, True]
    both = [installation.mine["token"].pk, installation.other["token"].pk]
    data = {"action": "revoke_selected", "_selected_action": both, "index": 0}
    as_mia.post(reverse("admin:accounts_apitoken_changelist"), data)
    assert [ApiToken.objects.get(pk=pk).state for pk in both] == ["revoked", "active"]


def test_actions_are_announced_to_the_workers(installation, as_mia):
    Change.objects.all().delete()
    chosen = {"_selected_action": [installation.mine["token"].pk], "index": 0}
    as_mia.post(reverse("admin:accounts_apitoken_changelist"), chosen | {"action": "revoke_selected"})
    assert Change.objects.filter(kind="accounts.apitoken").exists()
    chosen = {"_selected_action": [installation.mine["model"].pk], "index": 0}
    as_mia.post(reverse("admin:providers_model_changelist"), chosen | {"action": "disable"})
    assert Change.objects.filter(kind="providers.provideraccount").exists()


def test_a_manager_gives_and_takes_access(installation, as_mia):
    address = reverse("admin:providers_provideraccount_change", args=[installation.mine["account"].pk])
    data = form_data(as_mia.get(address))
    total = int(data["grants-TOTAL_FORMS"])
    new = {
        "grants-TOTAL_FORMS": total + 1,
        f"grants-{total}-role": "user",
        f"grants-{total}-user": installation.paul.pk,
    }
    assert as_mia.post(address, data | new).status_code == 302
    grant = Grant.objects.get(account=installation.mine["account"], user=installation.paul)
    assert as_mia.post(reverse("admin:providers_grant_delete", args=[grant.pk]), {"post": "yes"}).status_code == 302
    assert not Grant.objects.filter(pk=grant.pk).exists()


def test_a_manager_makes_and_removes_no_account(installation, as_mia):
    assert as_mia.get(reverse("admin:providers_provideraccount_add")).status_code == 403
    both = {
        "action": "delete_selected",
        "_selected_action": [installation.mine["account"].pk],
        "post": "yes",
        "index": 0,
    }
    as_mia.post(reverse("admin:providers_provideraccount_changelist"), both)
    assert ProviderAccount.objects.filter(pk=installation.mine["account"].pk).exists()


@pytest.mark.parametrize("through", ["team", "everyone"])
def test_managing_through_a_team_or_everyone_opens_the_account(installation, through):
    subject = {"team": installation.other["team"]} if through == "team" else {"everyone": True}
    Grant.objects.create(account=installation.other["account"], role=Grant.Role.MANAGER, **subject)
    client = signed_in(installation.paul)
    assert (
        client.get(
            reverse("admin:providers_provideraccount_change", args=[installation.other["account"].pk])
        ).status_code
        == 200
    )
    assert (
        client.get(
            reverse("admin:providers_provideraccount_change", args=[installation.mine["account"].pk])
        ).status_code
        == 404
    )


def test_losing_the_role_closes_the_door_at_once(installation, as_mia):
    address = reverse("admin:providers_provideraccount_change", args=[installation.mine["account"].pk])
    assert as_mia.get(address).status_code == 200
    Grant.objects.filter(user=installation.mia).delete()
    assert as_mia.get(address).status_code == 403
    installation.mia.is_active = False
    installation.mia.save()
    assert as_mia.get(reverse("admin:index")).status_code == 302, "who is not active any more is outside"


def test_a_team_manager_edits_members_but_not_the_name(installation, as_mia):
    address = reverse("admin:accounts_team_change", args=[installation.mine["team"].pk])
    data = form_data(as_mia.get(address))
    total = int(data["memberships-TOTAL_FORMS"])
    added = {f"memberships-{total}-user": installation.root.pk, f"memberships-{total}-role": "member"}
    data |= {"memberships-TOTAL_FORMS": total + 1, "name": "renamed", **added}
    assert as_mia.post(address, data).status_code == 302
    team = Team.objects.get(pk=installation.mine["team"].pk)
    assert team.name == "mine-team"
    assert team.users.filter(pk=installation.root.pk).exists()
    assert as_mia.get(reverse("admin:accounts_team_add")).status_code == 403


def test_members_see_what_is_their_own_and_nothing_else(installation):
    mine, _ = ApiToken.objects.issue(name="laptop", user=installation.paul)
    own = record(account="mine-openai", subject_name="paul@example.com", subject_id=installation.paul.pk)
    foreign = record(account="mine-openai", subject_name="paul@example.com", subject_id=999)
    UsageRecord.objects.bulk_create([own, foreign])
    client = signed_in(installation.paul)
    page = client.get(reverse("admin:accounts_apitoken_changelist")).content.decode()
    assert mine.prefix in page
    assert installation.other["token"].prefix not in page
    for base in {*PAGES, *SUPERUSERS} - {"accounts_apitoken", "usage_usagerecord"}:
        assert client.get(reverse(f"admin:{base}_changelist")).status_code == 403, base
    shown = client.get(reverse("admin:usage_usagerecord_changelist")).context["cl"].result_list
    assert [row.pk for row in shown] == [own.pk]
    assert client.get(reverse("admin:usage_usagerecord_change", args=[own.pk])).status_code == 200
    for hidden in (foreign, installation.mine["usage"]):
        assert client.get(reverse("admin:usage_usagerecord_change", args=[hidden.pk])).status_code == 404
    assert (
        client.get(reverse("admin:accounts_apitoken_change", args=[installation.other["token"].pk])).status_code == 404
    )
    navigation = client.get(reverse("admin:index")).content.decode()
    for name in ("admin:playground", "admin:models", "admin:spend", "admin:tokens"):
        assert f'href="{reverse(name)}"' in navigation, name
    for name in ("admin:accounts_user_changelist", "admin:providers_provideraccount_changelist"):
        assert f'href="{reverse(name)}"' not in navigation, name


OWN_PAGES = {
    "playground": 200,
    "models": 200,
    "spend": 200,
    "system_health": 403,
    "spend_export": 200,
    "overview_steps": 200,
    "playground_record": 200,
    "playground_token": 405,
    "wizard": 403,
    "wizard_catalogue": 403,
    "wizard_subjects": 403,
    "wizard_test": 405,
    "wizard_save": 405,
    "wizard_done": 403,
    "model_drawer": 404,
    "requests_live": 200,
    "requests_live_rows": 200,
    "request": 404,
    "tokens": 200,
    "token_new": 200,
    "two_factor": 200,
    "invite": 403,
    "what_if_rate_limit": 405,
    "what_if_budget": 405,
    "what_if_routing": 405,
    "what_if_model": 405,
}
"""What a member gets from the console's own pages."""


def test_the_console_s_own_pages_as_each_role(installation, client, as_root, as_mia):
    assert set(OWN_PAGES) == {name for _, _, name in ROUTES}
    arguments = {
        "wizard_done": [installation.mine["account"].pk],
        "model_drawer": ["other-openai/gpt-4o-mini"],
        "request": ["req-of-other"],
    }
    member = signed_in(User.objects.create_user("max@example.com", PASSWORD))
    for name, expected in OWN_PAGES.items():
        address = reverse(f"admin:{name}", args=arguments.get(name))
        assert client.get(address).status_code == 302, f"{name} is open to strangers"
        assert member.get(address).status_code == expected, name
        assert as_mia.get(address).status_code == expected, f"{name} for a manager"
        assert as_root.get(address).status_code in (200, 405), name
    for name in ("wizard_test", "wizard_save"):
        for one in (member, as_mia):
            assert one.post(reverse(f"admin:{name}"), "{}", content_type="application/json").status_code == 403


@pytest.mark.parametrize(
    ("address", "title"),
    [
        ("requests_live", "Requests"),
        ("usage_usagerecord_changelist", "Requests"),
        ("tokens", "Tokens"),
        ("token_new", "Tokens"),
        ("accounts_apitoken_changelist", "Tokens"),
        ("accounts_team_changelist", "Teams"),
    ],
)
def test_a_page_s_entry_is_marked_wherever_the_page_is(installation, as_root, address, title):
    groups = as_root.get(reverse(f"admin:{address}")).context["sidebar_navigation"]
    assert [item["title"] for group in groups for item in group["items"] if item["active"]] == [title]


def test_users_are_for_superusers(installation, as_mia, as_root):
    assert as_mia.get(reverse("admin:accounts_user_changelist")).status_code == 403
    assert as_mia.get(reverse("admin:accounts_user_change", args=[installation.paul.pk])).status_code in (403, 404)
    assert as_root.get(reverse("admin:accounts_user_changelist")).status_code == 200
    assert as_mia.post(reverse("admin:auth_user_password_change", args=[installation.root.pk])).status_code in (
        403,
        404,
    )


def test_nobody_writes_usage_or_the_log(installation, as_root):
    for base, pk in (
        ("usage_usagerecord", installation.mine["usage"].pk),
        ("accounts_auditentry", installation.mine["audit"].pk),
    ):
        assert as_root.get(reverse(f"admin:{base}_add")).status_code == 403
        assert as_root.post(reverse(f"admin:{base}_delete", args=[pk]), {"post": "yes"}).status_code in (403, 404)
    assert (
        as_root.post(reverse("admin:usage_usagerecord_change", args=[installation.mine["usage"].pk])).status_code == 403
    )
    assert UsageRecord.objects.count() == 2


@pytest.mark.parametrize(
    ("who", "enters"),
    [("root", True), ("mia", True), ("staff", True), ("paul", True), ("gone", False), ("nobody", False)],
)
def test_who_may_sign_in(installation, client, who, enters):
    User.objects.create_user("staff@example.com", PASSWORD, is_staff=True)
    User.objects.create_user("gone@example.com", PASSWORD, is_staff=True, is_active=False)
    data = {"username": f"{who.upper()}@example.com", "password": PASSWORD}
    response = client.post(reverse("admin:login"), data)
    assert (response.status_code == 302) == enters
    assert ("_auth_user_id" in client.session) == enters


def test_a_wrong_password_and_an_unknown_address_look_the_same(installation, client):
    said = []
    for data in (
        {"username": "root@example.com", "password": "wrong"},
        {"username": "no@example.com", "password": "wrong"},
    ):
        said.append(str(client.post(reverse("admin:login"), data).context["form"].non_field_errors()))
    assert "Wrong e-mail address or password" in said[0]
    assert said[0] == said[1]


def test_pages_are_closed_to_strangers(installation, client):
    for base, (key, _) in PAGES.items():
        for address in (
            reverse(f"admin:{base}_changelist"),
            *(reverse(f"admin:{base}_{page}", args=[installation.mine[key].pk]) for page in page_names(base)),
        ):
            response = client.get(address)
            assert response.status_code == 302
            assert "/login/" in response["location"]
    assert client.get(reverse("admin:usage_usagerecord_export")).status_code == 302
