"""The usage list: pages without counting, exact money, filters, CSV."""

import csv
import io
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from django.urls import reverse
from django.utils import timezone

from providers.models import Grant
from tests.console.conftest import signed_in
from tests.support.usage_rows import record, series
from usage.keyset import Cursor
from usage.models import UsageRecord
from usage.recounting import rebuild
from usage.words import duration, money, size

LIST = "/admin/usage/usagerecord/"


@pytest.fixture
def add(installation):
    UsageRecord.objects.all().delete()

    def add(*records):
        UsageRecord.objects.bulk_create(records)
        return list(records)

    return add


def shown(response):
    return [row.id for row in response.context["cl"].result_list]


def test_pages_follow_each_other_without_a_gap(add, as_root):
    rows = add(*series(120, account="mine-openai"))
    page, seen = as_root.get(LIST), []
    for number in range(3):
        seen += shown(page)
        assert bool(page.context["cl"].older_link) == (number < 2)
        last, page = page, as_root.get(LIST + page.context["cl"].older_link) if number < 2 else page
    assert seen == [row.id for row in rows]
    back = as_root.get(LIST + last.context["cl"].newer_link)
    assert shown(back) == [row.id for row in rows[50:100]]
    start = as_root.get(LIST + back.context["cl"].newer_link)
    assert shown(start) == [row.id for row in rows[:50]]
    assert not start.context["cl"].newer_link
    assert shown(as_root.get(LIST + last.context["cl"].newest_link)) == [row.id for row in rows[:50]]


def test_records_of_one_moment_are_neither_lost_nor_shown_twice(add, as_root):
    now = timezone.now()
    rows = add(*(record(at=now) for _ in range(120)))
    page, seen = as_root.get(LIST), []
    while True:
        seen += shown(page)
        if not page.context["cl"].older_link:
            break
        page = as_root.get(LIST + page.context["cl"].older_link)
    assert len(seen) == 120
    assert set(seen) == {row.id for row in rows}


def test_new_records_do_not_shift_a_page(add, as_root):
    rows = add(*series(60))
    second = as_root.get(LIST).context["cl"].older_link
    add(record(), record())
    assert shown(as_root.get(LIST + second)) == [row.id for row in rows[50:]]


def test_stepping_back_to_the_start_shows_a_whole_page(add, as_root):
    rows = add(*series(60))
    second = as_root.get(LIST + as_root.get(LIST).context["cl"].older_link)
    newer = add(record(at=timezone.now() + timedelta(seconds=1)))
    first = as_root.get(LIST + second.context["cl"].newer_link)
    assert shown(first)[:1] == [rows[0].id]
    assert first.context["cl"].newer_link
    start = as_root.get(LIST + first.context["cl"].newer_link)
    assert shown(start) == [newer[0].id, *(row.id for row in rows[:49])]


def test_a_manager_of_several_accounts_sees_them_in_one_order(add, installation):
    Grant.objects.create(account=installation.other["account"], role=Grant.Role.MANAGER, user=installation.mia)
    client = signed_in(installation.mia)
    rows = series(120)
    for number, row in enumerate(rows):
        row.account = ("mine-openai", "other-openai", "third")[number % 3]
    add(*rows)
    expected = [row.id for row in rows if row.account != "third"]
    first = client.get(LIST)
    assert shown(first) == expected[:50]
    second = client.get(LIST + first.context["cl"].older_link)
    assert shown(second) == expected[50:]
    assert shown(client.get(LIST + second.context["cl"].newer_link)) == expected[:50]


@pytest.mark.parametrize("cursor", ["nonsense", "12", "9" * 40 + "-" + "0" * 32, "12-xyz", "-", "12-" + "0" * 31])
def test_a_bad_place_is_not_an_error(add, as_root, cursor):
    for name in ("older", "newer"):
        response = as_root.get(LIST, {name: cursor}, follow=True)
        assert response.status_code == 200


def test_a_cursor_is_read_as_it_was_written():
    row = record(at=datetime(2026, 3, 4, 5, 6, 7, 899_999, UTC))
    assert Cursor.parse(str(Cursor.of(row))) == Cursor.of(row)


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ({"ended": "ok"}, {"fine", "unpriced", "gap", "old"}),
        ({"ended": "error"}, {"limited", "broken", "gone"}),
        ({"ended": "4xx"}, {"limited"}),
        ({"ended": "5xx"}, {"broken"}),
        ({"ended": "none"}, {"gone"}),
        ({"ended": "gone"}, {"gone"}),
        ({"priced": "no"}, {"unpriced"}),
        ({"priced": "gaps"}, {"gap"}),
        ({"priced": "yes"}, {"fine", "gap", "limited", "broken", "gone", "old"}),
        ({"period": "24h"}, {"fine", "unpriced", "gap", "limited", "broken", "gone"}),
        ({"period": "30d"}, {"fine", "unpriced", "gap", "limited", "broken", "gone", "old"}),
        ({"subject_name": " bo@example.com "}, {"limited"}),
        ({"account": "other-openai"}, {"broken"}),
        ({"model_asked": "mine-openai/gpt-4o"}, {"gap"}),
        ({"q": "req-of-gone"}, {"gone"}),
        ({"q": "nobody's"}, set()),
        ({"created_at_from_0": "2000-01-01", "created_at_to_0": "2000-01-01"}, set()),
        ({"created_at_from_0": "2000-01-01", "created_at_from_1": "00:00:01"}, ...),
        ({"created_at_from_0": "not a day"}, ...),
        ({"period": "century"}, ...),
    ],
)
def test_the_list_is_filtered(add, as_root, query, names):
    rows = {
        "fine": record(),
        "unpriced": record(cost_pico=None),
        "gap": record(price_gaps="web_searches", model_asked="mine-openai/gpt-4o"),
        "limited": record(status=429, error_class="upstream_error", subject_name="bo@example.com"),
        "broken": record(status=502, error_class="connect", account="other-openai"),
        "gone": record(status=0, error_class="cancelled", client_gone=True, request_id="req-of-gone"),
        "old": record(at=timezone.now() - timedelta(days=3)),
    }
    add(*rows.values())
    expected = set(rows) if names is ... else names
    assert set(shown(as_root.get(LIST, query))) == {rows[name].id for name in expected}


def test_a_part_of_a_name_finds_all_that_have_it(add, as_root, as_mia):
    now = timezone.now()
    mini, whole, bare, bot, other = add(
        record(at=now, account="mine-openai", model_asked="mine-openai/gpt-4o-mini", subject_name="mia@example.com"),
        record(at=now - timedelta(hours=1), account="mine-openai", model_asked="mine-openai/gpt-4o"),
        record(at=now - timedelta(hours=2), account="mine-openai", model_asked="gpt-4o-audio"),
        record(
            at=now - timedelta(hours=3), account="mine-openai", model_asked="mine-openai/o3", subject_name="mine-bot"
        ),
        record(at=now - timedelta(hours=4), account="other-openai", model_asked="other-openai/gpt-4o-mini"),
    )
    rebuild()

    def found(client=as_root, **query):
        return shown(client.get(LIST, query))

    assert found(model_asked="GPT-4o") == [mini.id, whole.id, bare.id, other.id], "newest first"
    assert found(as_mia, model_asked="gpt-4o") == [mini.id, whole.id, bare.id]
    assert found(model_asked="mine-openai/gpt-4o") == [whole.id], "a whole name means itself"
    assert found(account="openai") == [mini.id, whole.id, bare.id, bot.id, other.id]
    assert found(subject_name="MI") == [mini.id, bot.id]
    assert found(account="mine", model_asked="mini", subject_name="mia") == [mini.id]
    assert found(model_asked="nothing%like_it") == []
    exported = rows_of(as_root.get(f"{LIST}export/", {"model_asked": "audio"}))
    assert [row["model_asked"] for row in exported] == ["gpt-4o-audio"]


def test_of_too_many_names_the_page_says_so(add, as_root, monkeypatch):
    monkeypatch.setattr("usage.part_names.MOST_NAMES", 1)
    first, _ = add(record(model_asked="openai-main/a-1"), record(model_asked="openai-main/a-2"))
    rebuild()
    page = as_root.get(LIST, {"model_asked": "main/a"})
    assert shown(page) == [first.id]
    assert "More names than" in page.content.decode()


def test_lines_of_batches_are_one_chip_for_each_batch(add, as_root, as_mia):
    now = timezone.now()
    lines = [
        record(at=now - timedelta(minutes=1, seconds=number), batch_key="mine-openai/b-7", account="mine-openai")
        for number in range(12)
    ]
    newest, oldest, *_ = add(record(at=now), record(at=now - timedelta(hours=1)), *lines)
    page = as_root.get(LIST)
    assert shown(page) == [newest.id, oldest.id]
    (batch,) = page.context["cl"].left_out["batches"]
    assert (batch.name, batch.lines, batch.short_cost) == ("b-7", 12, "$0.0015")
    assert "b-7: 12 lines, $0.0015" in page.content.decode()
    assert len(rows_of(as_root.get(f"{LIST}export/"))) == 2
    opened = as_root.get(LIST + batch.link)
    assert shown(opened) == [line.id for line in lines]
    assert "batch: mine-openai/b-7" in opened.content.decode()
    assert len(shown(as_root.get(LIST, {"lines": "shown"}))) == 14
    assert shown(as_root.get(LIST, {"lines": "only"})) == [line.id for line in lines]
    assert len(rows_of(as_root.get(f"{LIST}export/", {"lines": "shown"}))) == 14
    assert as_root.get(LIST, {"model_asked": "nothing"}).context["cl"].left_out["batches"] == []
    assert shown(as_mia.get(LIST)) == []
    assert as_mia.get(LIST).context["cl"].left_out["lines"] == "12"


def test_each_filter_is_a_chip_with_the_way_back(add, as_root):
    add(record())
    query = {"model_asked": "gpt", "created_at_from_0": "2026-03-04", "created_at_from_1": "10:00:00", "lines": "only"}
    chips = {chip["text"]: chip["link"] for chip in as_root.get(LIST, query).context["cl"].chips}
    assert list(chips) == ["model: gpt", "from: 2026-03-04", "batch lines: only"]
    assert chips["from: 2026-03-04"] == "?lines=only&model_asked=gpt"
    assert "created_at_from_1" in chips["model: gpt"]


def test_a_page_counts_the_lines_between_its_own_rows(add, as_root, monkeypatch):
    monkeypatch.setattr("usage.admin.UsageAdmin.list_per_page", 2)
    now = timezone.now()
    for number in range(5):
        at = now - timedelta(minutes=number)
        add(record(at=at), record(at=at - timedelta(seconds=9), batch_key="b/1"), record(at=at, batch_key="b/2"))
    address, counted = LIST, []
    while True:
        changes = as_root.get(address).context["cl"]
        counted.append({batch.name: batch.lines for batch in changes.left_out["batches"]})
        if not changes.older_link:
            break
        address = LIST + changes.older_link
    assert counted == [{"2": 2, "1": 1}, {"1": 2, "2": 2}, {"1": 2, "2": 1}]


def test_an_attempt_is_found_by_its_id(add, as_root):
    row, _ = add(record(), record())
    assert shown(as_root.get(LIST, {"q": str(row.id)})) == [row.id]


def test_a_day_means_the_whole_day(add, as_root):
    row, _ = add(record(at=datetime(2026, 3, 4, 23, 59, 59, 999, UTC)), record(at=datetime(2026, 3, 5, tzinfo=UTC)))
    day = {"created_at_from_0": "2026-03-04", "created_at_to_0": "2026-03-04"}
    assert shown(as_root.get(LIST, day)) == [row.id]


def test_other_columns_are_no_filters(add, as_root):
    for lookup in ("metadata__feature", "subject_name__icontains", "model_served", "status__gte"):
        assert as_root.get(LIST, {lookup: "1"}).status_code == 400


def test_nothing_is_counted_on_request(add, as_root):
    page = as_root.get(LIST, {"_facets": "True"})
    assert not page.context["cl"].add_facets
    assert "Show counts" not in page.content.decode()


def test_what_the_list_shows(add, as_root):
    add(
        record(stream=True, model_served="gpt-4o-mini-2024-07-18", cost_pico=1),
        record(status=502, error_class="connect", cost_pico=None, ttft_us=None),
    )
    page = as_root.get(LIST).content.decode()
    for text in (
        "→ gpt-4o-mini-2024-07-18",
        "$0.000000000001",
        "unpriced",
        "502 connect",
        "1.23 s",
        "45.6 ms",
        "1,204",
    ):
        assert text in page


def test_the_detail_page_shows_everything_and_takes_nothing(add, as_root):
    row = add(record(upstream_request_id="req_upstream_1", metadata={"feature": "<b>bold</b>"}))[0]
    response = as_root.get(reverse("admin:usage_usagerecord_change", args=[row.id]))
    page = response.content.decode()
    for text in ("req_upstream_1", "$0.0001245", "genai-prices/0", "research", "812 B in, 3.1 KB out", str(row.id)):
        assert text in page
    assert "<b>bold</b>" not in page
    fields = {name for _, block in response.context["adminform"].fieldsets for name in flat(block["fields"])}
    told_otherwise = {"created_at", "subject_type", "subject_id", "subject_name", "token_id", "latency_us", "ttft_us"}
    told_otherwise |= {"cost_pico", "bytes_in", "bytes_out", "id", "attempt_number", "decision"}
    assert {field.name for field in UsageRecord._meta.concrete_fields} - told_otherwise <= fields
    assert 'name="_save"' not in page


def flat(fields):
    for field in fields:
        yield from field if isinstance(field, tuple | list) else (field,)


def rows_of(response):
    assert response["content-type"] == "text/csv; charset=utf-8"
    assert "attachment" in response["content-disposition"]
    return list(csv.DictReader(io.StringIO(response.content.decode())))


def test_the_filtered_list_is_exported(add, as_root):
    add(*series(60), record(account="other-openai", cost_pico=None))
    assert len(rows_of(as_root.get(f"{LIST}export/"))) == 61
    exported = rows_of(as_root.get(LIST + as_root.get(LIST, {"account": "other-openai"}).context["cl"].export_link))
    assert [(row["account"], row["cost_usd"]) for row in exported] == [("other-openai", "")]
    exported = rows_of(as_root.get(f"{LIST}export/", {"account": "openai-main"}))
    assert sum(Decimal(row["cost_usd"]) for row in exported) == 60 * Decimal("0.0001245")
    assert exported[0]["metadata"] == '{"feature": "search"}'


def test_the_export_is_bounded(add, as_root, monkeypatch):
    rows = add(*series(60))
    monkeypatch.setattr("usage.admin.EXPORT_LIMIT", 25)
    exported = rows_of(as_root.get(f"{LIST}export/"))
    assert [row["id"] for row in exported] == [str(row.id) for row in rows[:25]]


def test_selected_records_are_exported(add, as_root):
    rows = add(*series(3))
    chosen = {"action": "export_selected", "_selected_action": [rows[0].id, rows[2].id], "index": 0}
    assert [row["id"] for row in rows_of(as_root.post(LIST, chosen))] == [str(rows[0].id), str(rows[2].id)]


def test_the_export_keeps_to_ones_own_accounts(installation, as_mia):
    for query in ({}, {"account": "other-openai"}, {"q": str(installation.other["usage"].id)}):
        assert "other-openai" not in as_mia.get(f"{LIST}export/", query).content.decode()


def test_members_export_their_own_records_only(installation):
    installation.paul.is_staff = True
    installation.paul.save()
    lines = signed_in(installation.paul).get(f"{LIST}export/").content.decode().splitlines()
    assert len(lines) == 1, "the header: Paul made no call"


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1+1", "@cmd", "\t=1"])
def test_a_spreadsheet_runs_nothing_from_an_export(add, as_root, text):
    add(record(model_asked=text))
    assert rows_of(as_root.get(f"{LIST}export/"))[0]["model_asked"] == f"'{text}"


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        (None, "unpriced"),
        (Decimal(0), "$0.00"),
        (Decimal("1E-12"), "$0.000000000001"),
        (Decimal("0.000135"), "$0.000135"),
        (Decimal("1234567.5"), "$1,234,567.50"),
        (Decimal("12"), "$12.00"),
        (Decimal("-0.8"), "-$0.80"),
        (Decimal("-1234.5"), "-$1,234.50"),
    ],
)
def test_money_is_exact(amount, text):
    assert money(amount) == text


def test_durations_and_sizes():
    shown = [duration(n) for n in (None, 7, 12_400, 999_600, 3_070_000)]
    assert shown == ["–", "7 µs", "12.4 ms", "1000 ms", "3.07 s"]
    assert [size(n) for n in (0, 812, 3100, 2_000_000)] == ["0 B", "812 B", "3.1 KB", "2.0 MB"]
