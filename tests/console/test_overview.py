"""The console's first page."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from django.core.cache import cache

from console.dashboard import Day, count
from providers.models import Model, ProviderAccount
from tests.console.conftest import signed_in
from tests.support.usage_rows import record
from usage.models import UsageRecord

NOON = datetime(2026, 5, 6, 12, tzinfo=UTC)


@pytest.fixture(autouse=True)
def forget():
    cache.clear()


def test_the_day_is_counted_by_account(db):
    UsageRecord.objects.bulk_create(
        [
            record(at=NOON, account="a", cost_pico=10**12),
            record(at=NOON, account="a", cost_pico=None),
            record(at=NOON - timedelta(hours=11), account="b", cost_pico=5, error_class="connect", status=502),
            record(at=NOON - timedelta(hours=13), account="b", error_class="connect"),
            record(at=NOON - timedelta(hours=25), account="b", error_class="connect"),
            record(at=NOON - timedelta(hours=13), account="c", error_class="connect"),
        ]
    )
    days = count(None, NOON).days
    assert days == {
        "a": Day(requests=2, cost_pico=10**12, unpriced=1, errors=0),
        "b": Day(requests=1, cost_pico=5, unpriced=0, errors=2),
        "c": Day(errors=1),
    }
    assert set(count(["a", "c"], NOON).days) == {"a", "c"}


def test_figures_and_links_are_on_the_page(installation, as_root):
    page = as_root.get("/admin/")
    text = page.content.decode()
    cards = {card["title"]: card["value"] for card in page.context["cards"]}
    assert cards["Requests today"] == "2"
    assert Decimal(cards["Cost today"].removeprefix("$")) == Decimal("0.000249")
    assert "other-openai" in text
    for card in page.context["cards"]:
        assert as_root.get(card["link"]).status_code == 200


def test_a_manager_sees_the_figures_of_their_accounts(installation, as_mia):
    cards = {card["title"]: card["value"] for card in as_mia.get("/admin/").context["cards"]}
    assert cards["Requests today"] == "1"


def test_figures_are_remembered_apart_for_each_scope(installation, as_root, as_mia):
    assert as_root.get("/admin/").context["cards"][0]["value"] == "2"
    assert as_mia.get("/admin/").context["cards"][0]["value"] == "1"
    UsageRecord.objects.all().delete()
    assert as_root.get("/admin/").context["cards"][0]["value"] == "2", "remembered"


def test_a_new_installation_is_told_what_to_do_first(installation, as_root):
    assert as_root.get("/admin/").context["steps"] == []
    Model.objects.all().delete()
    ProviderAccount.objects.all().delete()
    steps = as_root.get("/admin/").context["steps"]
    assert [step["done"] for step in steps] == [False, False, True]
    assert as_root.get(steps[0]["link"]).status_code == 200


def test_who_manages_no_account_sees_no_figures(installation):
    installation.paul.is_staff = True
    installation.paul.save()
    page = signed_in(installation.paul).get("/admin/").content.decode()
    assert "Requests today" not in page
