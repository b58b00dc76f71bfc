"""The search over everything finds what one may see, and nothing else."""

import re

import pytest
from django.urls import reverse
from playwright.sync_api import expect

from accounts.models import Membership, Team, User
from tests.console.conftest import PASSWORD, seed, signed_in
from tests.console.test_browser import page  # noqa: F401


def found(client, term: str) -> set[tuple[str, str]]:
    answer = client.get(reverse("admin:search"), {"s": term})
    return {(row["kind"], row["title"].split(" (")[0]) for row in answer.json()["results"]}


ALL = {
    ("Model", "mine-openai/gpt-4o-mini"),
    ("Provider", "mine-openai"),
    ("Team", "mine-team"),
    ("Application", "mine-bot"),
    ("Token", "mine-token"),
}


def test_a_superuser_finds_everything(installation, as_root) -> None:
    assert found(as_root, "mine") == ALL
    assert found(as_root, "OTHER-open") == {("Model", "other-openai/gpt-4o-mini"), ("Provider", "other-openai")}
    assert found(as_root, "paul") == {("Person", "paul@example.com")}
    assert found(as_root, "req-of-other") == {("Request", "req-of-other")}
    assert ("Page", "Budgets") in found(as_root, "budg")


def test_a_manager_finds_what_is_theirs(installation, as_mia) -> None:
    assert found(as_mia, "mine") == ALL
    for hidden in ("other-", "root@example.com", "req-of-other", "People"):
        assert found(as_mia, hidden) == set(), hidden


def test_a_member_finds_models_to_call_and_pages(installation) -> None:
    Membership.objects.filter(user=installation.paul, team=installation.other["team"]).delete()
    client = signed_in(installation.paul)
    assert found(client, "gpt-4o-mini") == {("Model", "mine-openai/gpt-4o-mini")}
    assert found(client, "mine-bot") == found(client, "req-of-mine") == found(client, "Budgets") == set()
    assert found(client, "play") == {("Page", "Playground")}


def test_a_right_that_is_taken_away_closes_it_at_once(installation, as_mia) -> None:
    assert ("Team", "mine-team") in found(as_mia, "mine")
    Membership.objects.filter(user=installation.mia).delete()
    assert ("Team", "mine-team") not in found(as_mia, "mine")


@pytest.mark.parametrize("term", ["", "m", " m ", "%", "\\", "'" * 300, "nothing-has-this-name"])
def test_what_finds_nothing_fails_nothing(installation, as_root, term) -> None:
    assert found(as_root, term) == set()


def test_each_kind_is_bounded(installation, as_root) -> None:
    Team.objects.bulk_create([Team(name=f"many-{n}") for n in range(30)])
    assert len(found(as_root, "many")) == 5


def test_it_is_used_by_keyboard(page) -> None:  # noqa: F811
    seed("acme", None, User.objects.create_user("bo@example.com", PASSWORD))
    page.keyboard.press("Control+k")
    field = page.get_by_role("combobox", name="Search pages")
    expect(field).to_be_focused()
    page.keyboard.type("acme")
    options = page.get_by_role("listbox", name="Found").get_by_role("option")
    expect(options).to_have_count(5)
    expect(page.get_by_role("status").filter(has_text="5 found")).to_be_visible()
    expect(options.first).to_have_attribute("aria-selected", "true")
    page.keyboard.press("ArrowDown")
    active = field.get_attribute("aria-activedescendant")
    expect(page.locator(f"#{active}")).to_have_text("acme-openaiProvider")
    page.keyboard.press("Escape")
    expect(field).to_be_hidden()
    page.get_by_role("button", name="Search Ctrl K").click()
    expect(field).to_be_focused()
    page.keyboard.type("paul-is-not-here")
    expect(page.get_by_role("status").filter(has_text="Nothing found")).to_be_visible()
    field.fill("acme-bot")
    expect(options).to_have_text(["acme-botApplication", re.compile("Token$")])
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="acme-bot")).to_be_visible()
