"""How the console behaves when there is much of everything: queries don't grow with rows, and long lists use their
indexes.
"""

import json
import time

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.models import ApiToken, Membership, Team, User, VirtualAccount
from providers.models import Grant, Model, ModelSubject, ProviderAccount
from tests.support.usage_rows import record, series
from usage.models import UsageRecord
from usage.recounting import rebuild

LIST = "/admin/usage/usagerecord/"
MANY = 200_000
LISTS = [
    "accounts/user/",
    "accounts/team/",
    "accounts/virtualaccount/",
    "accounts/apitoken/",
    "providers/provideraccount/",
    "providers/model/",
    "providers/grant/",
    "usage/usagerecord/",
    "accounts/auditentry/",
]


def seed(count, installation, start):
    """Make ``count`` more rows of everything, on lists and on the pages of Mia's account, model, team and bot."""
    mine = installation.mine
    for number in range(start, start + count):
        user = User.objects.create(email=f"user{number}@example.com")
        team = Team.objects.create(name=f"team{number}")
        Membership.objects.create(team=team, user=user)
        Membership.objects.create(team=mine["team"], user=user)
        Membership.objects.create(team=team, user=installation.mia)
        bot = VirtualAccount.objects.create(name=f"bot{number}", team=team)
        ApiToken.objects.issue(name=f"t{number}", user=user)
        ApiToken.objects.issue(name=f"b{number}", virtual_account=mine["bot"])
        account = ProviderAccount.objects.create(name=f"account{number}")
        Model.objects.create(account=account, name="gpt-4o", model_types=["chat"])
        Model.objects.create(account=mine["account"], name=f"model{number}", model_types=["chat"])
        for subject in ({"user": user}, {"team": team}, {"virtual_account": bot}):
            Grant.objects.create(account=mine["account"], **subject)
            ModelSubject.objects.create(model=mine["model"], **subject)
    UsageRecord.objects.bulk_create(series(count, account="mine-openai"))


def queries(client, address):
    with CaptureQueriesContext(connection) as captured:
        assert client.get(address).status_code == 200
    return len(captured)


@pytest.fixture
def plain_client(monkeypatch):
    """Keep Django's test client from copying the context of every included template: most of a page's time."""
    monkeypatch.setattr("django.test.client.store_rendered_templates", lambda *args, **kwargs: None)


def test_queries_do_not_grow_with_the_rows(installation, as_root, as_mia, plain_client):
    mine = installation.mine
    pages = [
        *(f"/admin/{page}" for page in LISTS),
        "/admin/requests/live/",
        "/admin/tokens/",
        "/admin/tokens/new/",
        f"/admin/accounts/team/{mine['team'].pk}/change/",
        f"/admin/accounts/virtualaccount/{mine['bot'].pk}/change/",
        f"/admin/accounts/user/{installation.mia.pk}/change/",
        f"/admin/providers/model/{mine['model'].pk}/change/",
        f"/admin/providers/provideraccount/{mine['account'].pk}/change/",
        f"/admin/providers/provideraccount/{mine['account'].pk}/catalogue/",
        f"/admin/providers/provideraccount/{mine['account'].pk}/test/",
    ]
    for page in pages:
        as_root.get(page)  # what is asked for once a process is known now
    seed(2, installation, start=0)
    before = {page: queries(as_root, page) for page in pages}
    manager = {page: queries(as_mia, page) for page in pages if "user/" not in page and "auditentry" not in page}
    seed(6, installation, start=2)
    grown = {page: (before[page], queries(as_root, page)) for page in pages}
    assert {page: pair for page, pair in grown.items() if pair[1] > pair[0]} == {}
    grown = {page: (manager[page], queries(as_mia, page)) for page in manager}
    assert {page: pair for page, pair in grown.items() if pair[1] > pair[0]} == {}
    assert max(before.values()) <= 40, "pages that list what may be called ask for grants and models, too"


def insert_many(many):
    """Write ``many`` records, ten a second up to now: seven accounts, 40 models, 500 people, one in a hundred
    failed.
    """
    values = {field.column: literal(getattr(record(), field.attname)) for field in UsageRecord._meta.concrete_fields}
    values |= {
        "id": "printf('%012x7%03x8%015x', 1790000000000 - n, n % 4096, n)",
        "created_at": f"strftime('%Y-%m-%d %H:%M:%S', {time.time():.0f} - n / 10.0, 'unixepoch') || '.123456'",
        "account": "'account' || (n % 7)",
        "model_asked": "'account' || (n % 7) || '/model' || (n % 40)",
        "subject_name": "'user' || (n % 500) || '@example.com'",
        "request_id": "'req-' || n",
        "status": "CASE WHEN n % 100 = 0 THEN 502 ELSE 200 END",
        "error_class": "CASE WHEN n % 100 = 0 THEN 'connect' ELSE '' END",
        "cost_pico": "CASE WHEN n % 1000 = 3 THEN NULL ELSE n END",
    }
    columns, row = ", ".join(f'"{column}"' for column in values), ", ".join(values.values())
    numbers = f"WITH RECURSIVE s(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < {many})"  # noqa: S608
    with connection.cursor() as cursor:
        cursor.execute(f"INSERT INTO usage_usagerecord ({columns}) {numbers} SELECT {row} FROM s")  # noqa: S608


def literal(value):
    if value is None:
        return "NULL"
    if isinstance(value, bool | int):
        return str(int(value))
    text = json.dumps(value) if isinstance(value, dict | list) else str(value)
    return "'" + text.replace("'", "''") + "'"


def plans(captured):
    """Return the query plan of every query on usage records."""
    found = []
    for query in captured:
        if "usage_usagerecord" in query["sql"] and query["sql"].startswith("SELECT"):
            with connection.cursor() as cursor:
                cursor.execute(f"EXPLAIN QUERY PLAN {query['sql']}")
                found.append((query["sql"], [row[3] for row in cursor.fetchall()]))
    return found


@pytest.mark.timeout(120)
def test_the_usage_list_walks_an_index_however_long_it_is(installation, as_root, as_mia):
    Grant.objects.filter(user=installation.mia).delete()
    for number in range(3):
        account = ProviderAccount.objects.create(name=f"account{number}")
        Grant.objects.create(account=account, role=Grant.Role.MANAGER, user=installation.mia)
    for number in (70, 71):
        User.objects.create(email=f"user{number}@example.com")
    insert_many(MANY)
    wanted = {
        "": "usage_time",
        "?account=account1": "usage_account_time",
        "?model_asked=account1/model8": "usage_model_time",
        "?subject_name=user77@example.com": "usage_subject_time",
        "?subject_name=user7": "usage_subject_time",
        "?ended=error": "usage_error_time",
        "?ended=5xx": "usage_error_time",
        "?ended=none": "usage_error_time",
        "?period=24h": "usage_time",
        "?q=req-777": "usage_request",
    }
    theirs = ["", "?ended=error", "?model_asked=account1/model8"]
    for client, query in [*((as_root, each) for each in wanted), *((as_mia, each) for each in theirs)]:
        with CaptureQueriesContext(connection) as captured:
            response = client.get(LIST + query)
        assert response.status_code == 200
        assert response.context["cl"].result_list or "none" in query or client is as_mia, query
        walked = plans(captured)
        assert walked, query
        for sql, plan in walked:
            assert "COUNT(" not in sql
            assert "USE TEMP B-TREE FOR ORDER BY" not in plan or "req-777" in sql, (query, plan)
            if client is as_root:
                assert f"INDEX {wanted[query]}" in plan[0], (query, plan)


@pytest.mark.timeout(120)
def test_a_page_far_down_the_list_costs_what_the_first_does(installation, as_root):
    insert_many(MANY // 4)
    deep = UsageRecord.objects.order_by("created_at")[100]
    micros = int(deep.created_at.timestamp() * 1_000_000)
    with CaptureQueriesContext(connection) as captured:
        page = as_root.get(LIST, {"older": f"{micros}-{deep.id.hex}"})
    assert len(page.context["cl"].result_list) == 50
    (_, rows), (sql, lines) = plans(captured)
    assert rows[0] == "SEARCH usage_usagerecord USING INDEX usage_time (created_at<?)"
    assert lines[0] == "SEARCH usage_usagerecord USING INDEX usage_time (created_at>? AND created_at<?)"
    assert "LIMIT" in sql


@pytest.mark.timeout(120)
def test_pages_over_all_records_read_sums(installation, as_root, plain_client):
    insert_many(MANY // 4)
    rebuild()
    for page in ("/admin/", "/admin/?range=30d&by=user", "/admin/spend/?range=30d", "/admin/models/"):
        as_root.get(page)
        started = time.perf_counter()
        with CaptureQueriesContext(connection) as captured:
            assert as_root.get(page).status_code == 200
        walked = [plan for sql, plan in plans(captured) if "LIMIT" not in sql]
        assert walked == [], "records are only read with a limit"
        assert time.perf_counter() - started < 3, "on a shared machine, with every query explained"
