"""The console's first page: the steps to a first call, then figures that agree with the records."""

from datetime import date, timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from accounts.models import ApiToken, User
from providers.models import Grant, Model, ProviderAccount
from rules import spending
from rules.models import Budget, RateLimit
from tests.console.conftest import PASSWORD, signed_in
from tests.support.usage_rows import record
from usage.models import UsageRecord
from usage.recounting import rebuild


def add(*records):
    UsageRecord.objects.bulk_create(records)
    rebuild()


def cards(client, query=""):
    return {card["title"]: card["value"] for card in client.get(f"/admin/{query}").context["cards"]}


@pytest.mark.django_db
def test_the_steps_follow_what_is_done(settings):
    root = User.objects.create_superuser("root@example.com", PASSWORD)
    client = signed_in(root)

    def done():
        return client.get(reverse("admin:overview_steps")).json()["done"]

    assert "Before the first call" in client.get("/admin/").content.decode()
    assert done() == [False] * 5
    account = ProviderAccount.objects.create(name="acme")
    assert done() == [True, False, False, False, False]
    Model.objects.create(account=account, name="gpt-4o", model_types=["chat"])
    Grant.objects.create(account=account, everyone=True)
    ApiToken.objects.issue(name="t", user=root)
    assert done() == [True, True, True, True, False]
    add(record(account="acme"))
    assert done() == [True] * 5
    assert "Before the first call" not in client.get("/admin/").content.decode()


def test_a_member_has_steps_of_their_own(installation):
    client = signed_in(installation.paul)
    assert client.get(reverse("admin:overview_steps")).json() == {"done": [True, False, False]}
    page = client.get("/admin/").content.decode()
    assert "Be given access to a model" in page
    assert "Needs attention" not in page


def test_figures_agree_with_the_records_and_the_export(installation, as_root):
    now = timezone.now()
    add(
        record(cost_pico=1_242_032_664_459_901),
        record(cost_pico=None, attempt_number=2, error_class="timeout", status=504),
        record(status=404, error_class="model_not_found", cost_pico=0),
        record(at=now - timedelta(days=20), cost_pico=10**12),
    )
    shown = cards(as_root, "?range=24h")
    assert shown["Spend"] == "$1,242.03"
    assert 'title="$1,242.032913459901"' in as_root.get("/admin/?range=24h").content.decode()
    assert (shown["Requests"], shown["Errors"], shown["Unpriced"]) == ("4", "40.0 %", "1")
    assert cards(as_root, "?range=30d")["Spend"] == "$1,243.03"
    export = as_root.get(reverse("admin:spend_export"), {"range": "24h"}).content.decode()
    total = sum(float(line.rsplit(",", 1)[1]) for line in export.splitlines()[1:])
    assert abs(total - 1242.032913459901) < 1e-9
    page = as_root.get(reverse("admin:spend"), {"range": "24h", "metric": "requests"})
    assert sum(value for row in page.context["chart"]["rows"] for value in row["values"]) == 4


def test_each_sees_the_figures_of_what_is_theirs(installation, as_root, as_mia):
    rebuild()
    add(record(account="other-openai", subject_name="paul@example.com", subject_id=installation.paul.pk))
    assert cards(as_root)["Requests"] == "3"
    assert cards(as_mia)["Requests"] == "1"
    assert cards(signed_in(installation.paul))["Requests"] == "1"


def test_what_needs_attention_is_said_with_a_link(installation, as_root):
    installation.mine["model"].deprecated_on = date.today() + timedelta(days=20)
    installation.mine["model"].save()
    add(
        record(account="mine-openai", model_asked="mine-openai/gpt-4o-mini"),
        record(account="mine-openai", model_asked="mine-openai/x", cost_pico=None),
        record(account="other-openai", status=502, upstream_status=401, error_class="upstream_refused_key"),
    )
    said = {row["text"]: row["link"] for row in as_root.get("/admin/").context["attention"]}
    assert any(text.startswith("mine-openai/gpt-4o-mini shuts down on") for text in said)
    assert "mine-openai/x: 1 call without a price this week" in said
    assert "other-openai: the provider refuses the key" in said
    for link in said.values():
        assert as_root.get(link).status_code == 200


def test_budgets_near_their_end_and_rules_that_fit_nothing_are_said(installation, as_root, as_mia):
    add(record(cost_pico=17 * 10**11), record(subject_name="bob@example.com", cost_pico=3 * 10**11))
    limits = {"limits": {"cost_per_month": 2}, "per": ["user"]}
    budget = Budget.objects.create(form="tenant-budget-config", name="monthly", effect=limits)
    spending.rebuild([budget.pk])
    here, gone = {"models": {"in": ["mine-openai/gpt-4o-mini"]}}, {"models": {"in": ["mine-openai/gone"]}}
    RateLimit.objects.create(form="tenant-rate-limit-config/model", name="old", when=gone, effect={})
    RateLimit.objects.create(form="tenant-rate-limit-config/model", name="off", when=gone, effect={}, enabled=False)
    RateLimit.objects.create(form="tenant-rate-limit-config/model", name="fits", when=here, effect={})
    Budget.objects.filter(name="mine-budget").update(when=gone)
    said = {row["text"]: row["link"] for row in as_root.get("/admin/").context["attention"]}
    assert list(said) == [
        "Budget monthly of ada@example.com: 85 % used, $1.70 of $2.00 a month",
        "Rule mine-budget fits no call: there is no model 'mine-openai/gone'",
        "Rule old fits no call: there is no model 'mine-openai/gone'",
    ]
    assert as_root.get("/admin/").content.decode().count("85 % used") == 1
    for link in said.values():
        assert as_root.get(link).status_code == 200
    theirs = [row["text"] for row in as_mia.get("/admin/").context["attention"]]
    assert theirs == ["Rule mine-budget fits no call: there is no model 'mine-openai/gone'"]


def test_an_own_range_is_chosen_on_the_overview_too(installation, as_root):
    day = timezone.now() - timedelta(days=60)
    add(record(at=day, cost_pico=5 * 10**12))
    own = {"range": "own", "from": f"{day:%Y-%m-%d}", "to": f"{day:%Y-%m-%d}", "by": "account"}
    page = as_root.get("/admin/", own)
    assert page.context["cards"][0]["value"] == "$5.00"
    assert f'name="from" value="{day:%Y-%m-%d}"' in page.content.decode()


def test_groups_filters_and_ranges_are_in_the_address(installation, as_root):
    add(
        record(teams=["a", "b"], cost_pico=2 * 10**12),
        record(
            teams=[], cost_pico=10**12, subject_type="virtualaccount", subject_name="bot", model_asked="openai-main/o3"
        ),
    )
    address = reverse("admin:spend")

    def names(**query):
        return [
            (row["name"], row["cost"])
            for row in as_root.get(address, query).context["rows"]
            if row["cost"] != "$0.00012"
        ]

    assert names(by="team", account="openai-main") == [("a", "$2.00"), ("b", "$2.00"), ("(none)", "$1.00")]
    assert names(by="application", account="openai-main") == [("bot", "$1.00")]
    assert names(by="user", account="openai-main") == [("ada@example.com", "$2.00")]
    assert names(by="model", who="bot") == [("openai-main/o3", "$1.00")]
    today = f"{timezone.now():%Y-%m-%d}"
    own = as_root.get(address, {"from": today, "to": today, "account": "openai-main"})
    assert own.context["asked"].range == "own"
    assert own.context["cards"][0]["value"] == "$3.00"
    assert as_root.get(address, {"from": "nonsense", "range": "x", "by": "y", "metric": "z"}).status_code == 200
    assert as_root.get(own.context["asked"].requests_link).status_code == 200


def test_the_rest_is_one_row(installation, as_root):
    add(*(record(model_asked=f"openai-main/m{number:02}", cost_pico=(number + 1) * 10**12) for number in range(20)))
    page = as_root.get(reverse("admin:spend"), {"account": "openai-main"})
    assert [row["name"] for row in page.context["rows"]][-1] == "Other"
    assert len(page.context["rows"]) == 10
    assert page.context["rows"][-1]["cost"] == "$66.00"
