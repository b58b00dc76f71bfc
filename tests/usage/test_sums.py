"""Sums agree with the records to the last digit, in every cut, whatever happens on the way."""

import uuid
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from django.db.models import Sum

from tests.support.usage_factory import attempt
from usage import folding, handover, ratings, recounting, rollups, rows
from usage.models import Rerating, UsageHour, UsageRecord, UsageSum, UsageTime
from usage.pruning import prune
from usage.ratings import Price
from usage.records import new_id
from usage.report import report
from usage.sums_table import CUTS, METADATA, NEW, NEW_METADATA, WHOLE

encode = msgspec.json.Encoder().encode
NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)


def line(minutes=0, **changes):
    moment = NOON + timedelta(minutes=minutes)
    return encode(attempt(started_at=int(moment.timestamp() * 1_000_000), **changes))


def lines():
    """Records of two hours: retries, errors, unpriced, negative and huge costs, no model, several teams."""
    return [
        line(0),
        line(1, attempt_number=2, status=502, error_class="upstream_error", cost_pico=None),
        line(2, status=404, error_class="model_not_found", cost_pico=None, account="", model_asked="nope"),
        line(59, cost_pico=-124_500_001, price_gaps="web_searches"),
        line(61, model_asked="gpt-4o-mini"),
        line(62, teams=["b", "ä"], subject_name="bot", subject_type="virtualaccount"),
        line(63, cost_pico=2**62),
        line(64, cost_pico=2**62),
    ]


DAY = NOON.replace(hour=0)


def parts_of(cut):
    """Return the parts of a cut that have all: detailed ones by the hour those of the last days only."""
    return () if cut is METADATA else (cut.days,) if cut.detailed else (cut.hours, cut.days)


def sums(database):
    """Return the sums of all hours and those of all records, in one form; all other cuts have to be the same."""
    total = report([], using=database).total
    names = [name for name in rollups.SUMS if hasattr(total, name)]
    found = []
    for cut in CUTS:
        for part in parts_of(cut):
            rows_of = list(UsageSum.objects.using(database).filter(part__in=(part, cut.new)))
            cost = sum(row.cost_high for row in rows_of) * rollups.SPLIT + sum(row.cost_low for row in rows_of)
            found.append({name: sum(getattr(row, name) for row in rows_of) for name in names} | {"cost": cost})
    assert found == [found[0]] * len(found)
    return found[0], {name: getattr(total, name) for name in names} | {"cost": total.cost_pico}


def whole_days(database):
    return UsageSum.objects.using(database).filter(part=WHOLE.days)


def fold(database):
    assert folding.fold(database) > 0
    assert folding.fold(database) == 0
    assert not UsageSum.objects.using(database).filter(part__in=(NEW, NEW_METADATA)).exists()
    assert not UsageTime.objects.using(database).filter(part=NEW).exists()


def test_sums_agree_with_records(database):
    rows.store(lines(), database)
    for _ in range(2):
        summed, records = sums(database)
        assert summed == records
        assert summed["attempts"] == 8
        if UsageSum.objects.using(database).filter(part=NEW).exists():
            fold(database)
    assert set(whole_days(database).values_list("model", flat=True)) == {"openai-main/gpt-4o-mini", "nope"}
    assert recounting.differences(DAY, database) == []


def test_what_is_stored_twice_counts_once(database):
    batch = lines()
    rows.store(batch[:5], database)
    rows.store(batch, database)
    rows.store([*batch, batch[0], line(5), batch[1]], database)
    hours, records = sums(database)
    assert hours == records
    assert hours["attempts"] == 9


def test_a_line_that_is_refused_counts_nowhere(database):
    batch = [line(0), b"not json", line(1, subject_name="x" * 400), line(2)]
    assert rows.store(batch, database) == [b"not json"]
    hours, records = sums(database)
    assert hours == records
    assert hours["attempts"] == 3


def test_a_failure_stores_neither(database, monkeypatch):
    def fail(*args):
        raise RuntimeError("no room")

    monkeypatch.setattr(rollups, "_append", fail)
    with pytest.raises(RuntimeError):
        rows.store(lines(), database)
    assert not UsageRecord.objects.using(database).exists()


def contents(database):
    """Return all sums, their costs in one piece, and all durations, but their ids."""
    found = []
    for table in (UsageSum, UsageTime):
        for row in table.objects.using(database).values():
            cost = row.pop("cost_high", 0) * rollups.SPLIT + row.pop("cost_low", 0)
            found.append(repr(sorted((row | {"id": 0, "cost": cost}).items())))
    return sorted(found)


def test_rebuilding_makes_the_same(database, settings):
    settings.USAGE_METADATA_KEYS = ("env", "team")
    rows.store([*lines(), line(5, metadata={"team": "x", "env": "prod"}, batch_key="b/1", latency_us=90)], database)
    fold(database)
    before = contents(database)
    assert recounting.differences(DAY, database) == []
    UsageSum.objects.using(database).filter(part=WHOLE.days).update(attempts=99)
    UsageTime.objects.using(database).all()[0].delete(using=database)
    assert len(recounting.differences(DAY, database)) == 2
    assert recounting.rebuild(database) == 1
    assert contents(database) == before
    rows.store([line(3)], database)
    fold(database)
    assert UsageSum.objects.using(database).count() == len(before) - UsageTime.objects.using(database).count()
    assert recounting.differences(DAY, database) == []


def test_sums_outlive_their_records(database):
    rows.store([line(-24 * 60, attempt_id=new_id()), *lines()], database)
    fold(database)
    before = sums(database)[0]
    assert sum(prune(NOON + timedelta(minutes=30), using=database)) == 1
    assert folding.sealed_until(database) == DAY + timedelta(days=1)
    assert sums(database)[0] == before
    assert recounting.days(database) == []
    assert not recounting.recount(DAY, database), "what is left of a day is not the whole"
    assert sums(database)[0] == before
    rows.store([line(-100)], database)  # a record that comes late counts all the same
    assert sums(database)[0]["attempts"] == before["attempts"] + 1


def test_values_of_metadata_have_a_bound(database, settings, monkeypatch):
    settings.USAGE_METADATA_KEYS = ("env",)
    monkeypatch.setattr(folding, "MOST_VALUES", 3)
    for start in (0, 4):
        rows.store([line(1, metadata={"env": f"v{start + number}"}) for number in range(4)], database)
        fold(database)
    by_day = UsageSum.objects.using(database).filter(part=METADATA.days)
    assert dict(by_day.values_list("meta_value", "attempts")) == {"v0": 1, "v1": 1, "v2": 1, folding.OTHER: 5}


def test_what_an_old_server_stores_gets_into_the_sums(database):
    """It writes records and its own table of sums, and no new rows."""
    rows.store(lines(), database)
    UsageSum.objects.using(database).all().delete()
    UsageTime.objects.using(database).all().delete()
    handover.give_back(database)
    assert UsageHour.objects.using(database).count() == 4
    seen_by_old_servers = UsageHour.objects.using(database).aggregate(n=Sum("attempts"))["n"]
    UsageSum.objects.using(database).all().delete()
    assert handover.take_over(database) == 1
    assert handover.take_over(database) == 0
    assert sums(database)[0] == sums(database)[1]
    assert UsageHour.objects.using(database).aggregate(n=Sum("attempts"))["n"] == seen_by_old_servers == 8
    # An old server's next record adds to a row of its own key, which is free again.
    key = handover._key(NOON, "openai-main", "openai-main/gpt-4o-mini", "user", "ada@example.com", '["research"]')
    assert not UsageHour.objects.using(database).filter(key=key).exists()


def test_a_day_is_taken_over_by_one_process(database, monkeypatch):
    """Two see the same day; the second one waits for the first."""
    rows.store(lines(), database)
    handover.give_back(database)
    counted, alone, recount_now = [], folding.alone, recounting.recount_now

    def recount(day, using):
        counted.append(day)
        recount_now(day, using)

    def wait(using, **options):
        monkeypatch.setattr(folding, "alone", alone)
        assert handover.take_over(using) == 1
        return alone(using, **options)

    monkeypatch.setattr(recounting, "recount_now", recount)
    monkeypatch.setattr(folding, "alone", wait)
    assert handover.take_over(database) == 0
    assert counted == [DAY]


def test_sums_follow_records_that_are_rated_again(database):
    rows.store(lines(), database)
    fold(database)
    records = list(UsageRecord.objects.using(database).order_by("created_at"))
    prices = [Price(7, "new", ""), Price(None, "", "tokens"), Price(0, "new", ""), Price(2**61 + 1, "new", "")]
    wanted = [
        ratings.Change(record.pk, record.created_at, ratings.price_of(record), price)
        for record, price in zip(records, prices * 2, strict=True)
    ]
    run, before = uuid.uuid4(), sums(database)
    assert ratings.change(wanted, run, "a test", database) == len(records)
    hours, recorded = sums(database)
    assert hours == recorded != before[1]
    assert ratings.change(wanted, uuid.uuid4(), "again", database) == 0  # they cost something else by now
    assert ratings.change(ratings.undone(run, database), uuid.uuid4(), "undone", database) == len(records)
    assert sums(database) == before
    assert [ratings.price_of(record) for record in UsageRecord.objects.using(database).order_by("created_at")] == [
        change.before for change in wanted
    ]
    assert sum(prune(NOON + timedelta(days=1), using=database)) == len(records)
    assert not Rerating.objects.using(database).exists()
