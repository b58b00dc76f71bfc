"""Pages of rows with hundreds of others beneath them: small, some of those at a time, and saved as they were shown."""

import pytest
from django.contrib import admin
from django.urls import reverse

from accounts.models import ApiToken, Membership, Team, User, VirtualAccount
from accounts.scoped_inlines import ROWS_AT_ONCE
from accounts.tokens import digest
from providers.models import Alias, Grant, Model, ModelSubject, ProviderAccount
from tests.console.conftest import form_data
from tests.console.test_size import MOST_BYTES

ROWS = 500


def seed(installation) -> None:
    """Put so many rows beneath the account, the model, the team, the person and the application."""
    mine, numbers = installation.mine, range(ROWS)
    people = User.objects.bulk_create([User(email=f"somebody.{n}@department.example.com") for n in numbers])
    teams = Team.objects.bulk_create([Team(name=f"team-of-department-{n}") for n in numbers])
    bots = VirtualAccount.objects.bulk_create([VirtualAccount(name=f"bot-{n}", team=mine["team"]) for n in numbers])
    Membership.objects.bulk_create([Membership(team=mine["team"], user=each) for each in people])
    Membership.objects.bulk_create([Membership(team=each, user=people[0]) for each in teams])
    accounts = ProviderAccount.objects.bulk_create([ProviderAccount(name=f"account-{n}") for n in numbers])
    everyone = [Grant(account=each, everyone=True) for each in accounts]
    grants = [Grant(account=mine["account"], user=each) for each in people]
    narrowed = [ModelSubject(model=mine["model"], user=each) for each in people]
    for row in (*everyone, *grants, *narrowed):
        row.key = row.subject_key()
    Grant.objects.bulk_create(everyone + grants)
    ModelSubject.objects.bulk_create(narrowed)
    models = [Model(account=mine["account"], name=f"model-{n}", model_types=["chat"]) for n in numbers]
    models += [Model(account=each, name="gpt-4o-mini", model_types=["chat"]) for each in accounts]
    Model.objects.bulk_create(models)
    Alias.objects.bulk_create([Alias(account=mine["account"], name=f"former-{n}") for n in numbers])
    owners = [{"user": people[0]}, {"virtual_account": mine["bot"]}]
    tokens = [
        ApiToken(name=f"token {n}", prefix=f"gh-{n:07}", digest=digest(f"{n}{owner}"), **owner)
        for owner in owners
        for n in numbers
    ]
    ApiToken.objects.bulk_create(tokens)
    assert bots


def pages_of(row) -> list[str]:
    """Return the addresses of the pages that change and remove a row."""
    name = f"admin:{row._meta.app_label}_{row._meta.model_name}"
    return [reverse(f"{name}_{page}", args=[row.pk]) for page in ("change", "delete")]


def lists() -> list[str]:
    """Return the addresses of all lists: their filters may name what there are many of."""
    return [
        reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist") for model in admin.site._registry
    ]


def test_no_page_is_too_large_with_500_rows_of_everything(installation, as_root, monkeypatch) -> None:
    monkeypatch.setattr("django.test.client.store_rendered_templates", lambda *args, **kwargs: None)
    seed(installation)
    mine = installation.mine
    first = User.objects.get(email="somebody.0@department.example.com")
    token = ApiToken.objects.filter(user=first).first()
    rows = [mine[name] for name in ("account", "model", "team", "bot", "grant", "budget")]
    pages = [page for row in (*rows, first, token) for page in pages_of(row)]
    own = ["", "models/", "models/mine-openai/gpt-4o-mini/", "tokens/", "tokens/new/", "spend/", "people/invite/"]
    pages += [f"/admin/{page}" for page in (*own, "providers/add/", "search/?s=a", "playground/")]
    sizes = {}
    for page in [*pages, *lists()]:
        sizes[page] = len(as_root.get(page, follow=True).content)
    assert {page: size for page, size in sizes.items() if size > MOST_BYTES} == {}


@pytest.fixture
def people(installation) -> list[User]:
    """People with a role each on Mia's account, some pages of them in the order of the page."""
    made = User.objects.bulk_create([User(email=f"p{number:03}@example.com") for number in range(50)])
    rows = [Grant(account=installation.mine["account"], user=each) for each in made]
    for row in rows:
        row.key = row.subject_key()
    Grant.objects.bulk_create(rows)
    return made


def shown(page) -> list[Grant]:
    grants = next(each for each in page.context["inline_admin_formsets"] if each.opts.model is Grant)
    return [form.instance for form in grants.formset.initial_forms]


def address_of(installation, query: str = "") -> str:
    page = reverse("admin:providers_provideraccount_change", args=[installation.mine["account"].pk])
    return f"{page}?{query}" if query else page


def test_every_row_is_on_one_page(installation, as_mia, people) -> None:
    whole, rest = divmod(Grant.objects.filter(account=installation.mine["account"]).count(), ROWS_AT_ONCE)
    numbers = range(1, whole + 2)
    pages = [shown(as_mia.get(address_of(installation, f"grants-page={number}"))) for number in numbers]
    assert [len(rows) for rows in pages] == [ROWS_AT_ONCE] * whole + [rest]
    ids = [row.pk for rows in pages for row in rows]
    assert len(set(ids)) == Grant.objects.filter(account=installation.mine["account"]).count()
    text = as_mia.get(address_of(installation, "grants-page=2")).content.decode()
    assert f"{ROWS_AT_ONCE + 1}–{ROWS_AT_ONCE * 2} of {len(ids)}" in text
    assert 'rel="prev" href="?grants-page=1#grants-group"' in text


def test_a_later_page_is_saved_as_it_was_shown_whatever_came_and_went(installation, as_mia, people) -> None:
    address = address_of(installation, "grants-page=2")
    page = as_mia.get(address)
    rows, data = shown(page), form_data(page)
    for gone in shown(as_mia.get(address_of(installation)))[3:6]:
        Grant.objects.filter(pk=gone.pk).delete()
    data |= {"grants-1-role": "manager", "grants-2-DELETE": "on"}
    before = {row.pk: row.role for row in Grant.objects.all()}
    answer = as_mia.post(address, data)
    assert answer.status_code == 302, answer.context["errors"]
    del before[rows[2].pk]
    assert {row.pk: row.role for row in Grant.objects.all()} == before | {rows[1].pk: "manager"}


def test_a_row_that_is_gone_is_said_and_nothing_is_saved(installation, as_mia, people) -> None:
    page = as_mia.get(address_of(installation, "grants-page=2"))
    rows, data = shown(page), form_data(page)
    Grant.objects.filter(pk=rows[1].pk).delete()
    answer = as_mia.post(address_of(installation, "grants-page=2"), data | {"grants-0-role": "manager"})
    assert answer.status_code == 200
    assert answer.context["errors"]
    assert Grant.objects.get(pk=rows[0].pk).role == "user"
    assert [row.pk for row in shown(answer)] == [row.pk if row != rows[1] else None for row in rows]


def test_no_one_is_twice_in_the_list_be_they_shown_or_not(installation, as_mia, people) -> None:
    page = as_mia.get(address_of(installation))
    there = {row.user_id for row in shown(page)}
    hidden = next(each for each in reversed(people) if each.pk not in there)
    number, data = len(shown(page)), form_data(page)
    data |= {"grants-TOTAL_FORMS": number + 1, f"grants-{number}-role": "user", f"grants-{number}-user": hidden.pk}
    answer = as_mia.post(address_of(installation), data)
    assert "is in the list twice, once on another page of it" in answer.content.decode()
    data[f"grants-{number}-role"] = "manager"
    assert as_mia.post(address_of(installation), data).status_code == 302
    assert Grant.objects.filter(user=hidden).count() == 2


def test_a_name_is_found_among_all_pages(installation, as_mia, people) -> None:
    page = as_mia.get(address_of(installation, "grants-find=P04"))
    rows = shown(page)
    assert [row.user.email[:3] for row in rows] == ["p04"] * ROWS_AT_ONCE
    assert "of 10 found" in page.content.decode()
    assert 'value="P04"' in page.content.decode()
    data = form_data(page) | {"grants-0-role": "manager"}
    assert as_mia.post(address_of(installation, "grants-find=P04"), data).status_code == 302
    assert [row.pk for row in Grant.objects.filter(user__email__startswith="p", role="manager")] == [rows[0].pk]
    assert shown(as_mia.get(address_of(installation, "grants-find=nobody"))) == []


@pytest.mark.parametrize("count", ["10000000", "-1", "x"])
def test_a_form_that_says_too_much_takes_no_time(installation, as_mia, people, count) -> None:
    data = form_data(as_mia.get(address_of(installation))) | {"grants-INITIAL_FORMS": count}
    assert as_mia.post(address_of(installation), data).status_code in (200, 302)
