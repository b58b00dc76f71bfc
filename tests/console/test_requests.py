"""A request's page: its timeline, attempts, limits and who may see it; and the page of requests as they come."""

from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from accounts.models import ApiToken
from console.pages.timeline import received_at, timeline
from rules.models import RateLimit
from tests.console.conftest import signed_in
from tests.support.usage_rows import record, series
from usage.models import UsageRecord

LIVE = "/admin/requests/live/"
ROWS = f"{LIVE}rows/"
CAME = datetime(2026, 11, 5, 10, 0, 0, 250_000, UTC)
REQUEST = f"req_{int(CAME.timestamp() * 1000):012x}7abc8def0123456789ab"
REFUSED = {
    "attempt_number": 0,
    "status": 429,
    "upstream_status": 0,
    "error_class": "rate_limit_exceeded",
    "error_message": "The rule burst allows 3 requests a minute.",
    "latency_us": 0,
    "ttft_us": None,
    "account": "mine-openai",
    "model_resolved": "",
    "model_served": "",
    "cost_pico": 0,
}


def attempt(number, milliseconds, **changes):
    """An attempt of the request that began so long after it came."""
    values = {
        "request_id": REQUEST,
        "attempt_number": number,
        "account": "mine-openai",
        "model_asked": "mine-openai/gpt-4o-mini",
        "model_resolved": "mine-openai/gpt-4o-mini",
    }
    return record(at=CAME + timedelta(milliseconds=milliseconds), **(values | changes))


@pytest.fixture
def add(installation):
    UsageRecord.objects.all().delete()
    return UsageRecord.objects.bulk_create


def address(request_id=REQUEST):
    return reverse("admin:request", args=[request_id])


# --- the timeline -----------------------------------------------------------------------------------------------------
def test_a_request_came_when_its_id_was_given():
    assert received_at(REQUEST) == CAME
    for other in ("", "req-1", "req_" + "0" * 32, "chatcmpl-7", "req_" + "z" * 32, "req_" + "f" * 12 + "7" + "0" * 19):
        assert received_at(other) is None


def test_the_timeline_says_what_took_how_long_and_why_the_next():
    failed = {"status": 503, "upstream_status": 503, "error_class": "upstream_error", "error_message": "Overloaded."}
    timed_out = {"status": 504, "upstream_status": 0, "error_class": "timeout", "ttft_us": None}
    shown = timeline(
        [
            attempt(1, 4, latency_us=100_000, ttft_us=None, **failed),
            attempt(2, 204, latency_us=500_000, decision={"via": "smart/inner"}, **timed_out),
            attempt(3, 704, latency_us=296_000, ttft_us=148_000, model_resolved="other/gpt-4o"),
        ]
    )
    policies, first, second, third = shown["steps"]
    assert shown["took"] == "1.00 s"
    assert (policies["took"], policies["notes"]) == ("4 ms", [])
    assert (first["title"], first["at"], first["colour"]) == ("Attempt 1 at mine-openai/gpt-4o-mini", "4 ms", "warn")
    assert first["notes"] == [
        "It ended with 503 upstream_error.",
        "Overloaded.",
        "Tried again at the same target because of 503 upstream_error.",
    ]
    assert second["notes"] == [
        "Reached through smart/inner.",
        "It ended with 504 timeout; the provider sent no status.",
        "Went on to other/gpt-4o because of 504 timeout.",
    ]
    assert third["notes"] == ["It ended with 200.", "First output at 852 ms, the last byte at 1.00 s."]
    assert (third["bar"].left, third["bar"].width, third["bar"].first) == (70.4, 29.6, 50)


def test_a_clock_or_an_id_that_does_not_fit_shows_no_time_before():
    for request_id, milliseconds in (("req-1", 0), (REQUEST, -50), (REQUEST, 5 * 3_600_000)):
        policies, only = timeline([attempt(1, milliseconds, request_id=request_id)])["steps"]
        assert (policies["took"], policies["bar"]) == ("", None)
        assert only["at"] == "0 µs"


# --- the page ---------------------------------------------------------------------------------------------------------
def test_the_page_shows_all_attempts_with_tokens_and_cost(add, as_root):
    message = "The engine is <overloaded>."
    add(
        [
            attempt(1, 3, status=503, error_class="upstream_error", error_message=message, cost_pico=0, units={}),
            attempt(2, 150, cost_pico=124_500_000, upstream_request_id="req_up_2", metadata={"feature": "search"}),
            record(request_id="another"),
        ]
    )
    response = as_root.get(address())
    page = response.content.decode()
    assert [row["number"] for row in response.context["rows"]] == [1, 2]
    for text in ("The engine is &lt;overloaded&gt;.", "req_up_2", "genai-prices/0", "$0.0001245", "1,204", "reasoning"):
        assert text in page
    assert "audio in" not in page, "kinds that no attempt has"
    assert "another" not in page
    assert "Tried again at the same target" in page
    part = as_root.get(address(), headers={"x-requested-with": "fetch"}).content.decode()
    assert part.startswith("<h2")
    assert "<html" not in part
    assert as_root.get(address("req_nothing")).status_code == 404


def test_its_links_lead_to_more_of_the_same(add, installation, as_root):
    token = installation.mine["token"]
    bot = {"subject_type": "virtualaccount", "subject_id": installation.mine["bot"].pk, "subject_name": "mine-bot"}
    mine = attempt(1, 3, token_id=token.pk, token_prefix=token.prefix, **bot)
    add([mine, record(subject_name="mine-bot", token_prefix="gh-another"), record(token_prefix="gh-another")])
    shown = as_root.get(address()).context
    for link in (shown["who_page"], shown["token_page"], shown["model_page"]):
        assert as_root.get(link).status_code == 200
    for link, count in (("who_requests", 2), ("token_requests", 1), ("model_requests", 1)):
        found = as_root.get(shown[link]).context["cl"].result_list
        assert mine in found
        assert len(found) == count


def test_a_refused_request_leads_to_the_rule_that_refused_it(add, installation, as_root):
    rule = RateLimit(form="gateway-rate-limiting-config", group="limits", name="burst", effect={"limits": {}})
    rule.save()
    row = {"rule": "limits/burst", "unit": "requests_per_minute", "limit": 3, "used": 3, "asked": 1, "refused": True}
    other = row | {"rule": "gone", "refused": False}
    add([attempt(0, 2, **REFUSED, decision={"limits": [row, other]})])
    page = as_root.get(address())
    assert [row["ending"] for row in page.context["limits"]] == ["refused the call", "had room"]
    link, gone = (row["link"] for row in page.context["limits"])
    assert gone == ""
    assert as_root.get(link).context["original"].pk == rule.pk
    assert "The rule burst allows 3 requests a minute." in page.content.decode()
    assert page.context["timeline"]["steps"][0]["colour"] == "bad"
    assert len(page.context["timeline"]["steps"]) == 1
    theirs = signed_in(installation.mia).get(address())
    assert [row["link"] for row in theirs.context["limits"]] == ["", ""], "managers do not see rate limits"


def test_people_see_their_own_and_managers_the_attempts_on_their_accounts(add, installation, as_mia):
    paul = {"subject_id": installation.paul.pk, "subject_name": "paul@example.com"}
    add([attempt(1, 3, account="other-openai", **paul), attempt(2, 90, **paul)])
    own = signed_in(installation.paul).get(address())
    assert [row["number"] for row in own.context["rows"]] == [1, 2]
    assert "do not manage" not in own.content.decode()
    managed = as_mia.get(address())
    assert [row["number"] for row in managed.context["rows"]] == [2]
    assert "went to accounts that you do not manage" in managed.content.decode()
    UsageRecord.objects.filter(attempt_number=2).delete()
    assert as_mia.get(address()).status_code == 404


def test_the_list_and_the_overview_lead_there(add, as_root):
    add([attempt(1, 3, error_class="timeout"), record(request_id="", error_class="connect")])
    UsageRecord.objects.update(created_at=timezone.now())
    for page in ("/admin/usage/usagerecord/", "/admin/"):
        content = as_root.get(page).content.decode()
        assert address() in content
        assert reverse("admin:usage_usagerecord_change", args=[UsageRecord.objects.get(request_id="").pk]) in content


# --- by token ---------------------------------------------------------------------------------------------------------
def test_the_list_is_filtered_by_token(add, installation, as_root):
    token, _ = ApiToken.objects.issue(name="t", user=installation.paul)
    own = {"subject_name": "paul@example.com", "token_prefix": token.prefix}
    mine, _, _ = add([record(**own), record(**own | {"token_prefix": "gh-another"}), record(token_prefix="gh-deleted")])
    found = as_root.get("/admin/usage/usagerecord/", {"token": f" {token.prefix}… "}).context["cl"].result_list
    assert found == [mine]
    for query, count in (({"token": "gh-deleted"}, 0), ({"token": "gh-deleted", "subject_name": "ada@example.com"}, 1)):
        assert len(as_root.get("/admin/usage/usagerecord/", query).context["cl"].result_list) == count


# --- as they come -----------------------------------------------------------------------------------------------------
def test_rows_come_when_they_are_new_and_only_then(add, as_root):
    assert "No calls yet" in as_root.get(LIVE).content.decode()
    add([attempt(1, 3)])
    first = as_root.get(ROWS)
    assert address() in first.content.decode()
    seen = {"x-seen": first.context["seen"]}
    assert as_root.get(ROWS, headers=seen).status_code == 204
    add([attempt(2, 1)])  # it began before the one that is shown, and ended after it
    again = as_root.get(ROWS, headers=seen)
    assert again.status_code == 200
    assert len(again.context["rows"]) == 2


def test_the_lists_filters_hold(add, installation, as_root):
    add([*series(60, account="mine-openai"), record(account="other-openai", error_class="timeout", status=504)])
    assert len(as_root.get(ROWS).context["rows"]) == 50
    one = as_root.get(ROWS, {"ended": "error", "account": "other-openai"})
    assert len(one.context["rows"]) == 1
    page = as_root.get(LIVE, {"ended": "error", "account": "other-openai", "older": "12-" + "0" * 32})
    assert [chip["text"] for chip in page.context["chips"]] == ["status: error", "account: other-openai"]
    assert page.context["chips"][0]["link"] == f"{LIVE}?account=other-openai"
    assert page.context["rows_link"] == f"{ROWS}?ended=error&account=other-openai"
    listed = as_root.get("/admin/usage/usagerecord/", {"ended": "error"})
    assert listed.context["cl"].live_link == f"{LIVE}?ended=error"
    assert len(signed_in(installation.paul).get(ROWS).context["rows"]) == 0, "Paul made no call"
    assert as_root.get(ROWS, {"metadata__feature": "x"}).status_code == 400


def test_looking_again_costs_a_page_of_an_index(add, as_root):
    add(series(60))
    as_root.get(ROWS)
    with CaptureQueriesContext(connection) as captured:
        as_root.get(ROWS)
    records = [query["sql"] for query in captured if "usage_usagerecord" in query["sql"]]
    assert len(records) == 1
    assert "LIMIT 51" in records[0]
    assert "COUNT(" not in records[0]
