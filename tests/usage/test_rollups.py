"""Sums by the hour agree with the records to the last digit, whatever happens on the way."""

import uuid
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from tests.support.usage_factory import attempt
from usage import ratings, rollups, rows
from usage.models import Rerating, UsageHour, UsageRecord
from usage.pruning import prune
from usage.ratings import Price
from usage.records import new_id
from usage.report import report

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


def sums(database):
    """Return the sums of all hours and those of all records, in one form."""
    hours = list(UsageHour.objects.using(database))
    cost = sum(hour.cost_high for hour in hours) * rollups.SPLIT + sum(hour.cost_low for hour in hours)
    names = (
        "requests",
        "attempts",
        "errors",
        "unpriced",
        "partly_priced",
        "input_tokens",
        "cached_tokens",
        "output_tokens",
    )
    total = report([], using=database).total
    return (
        {name: sum(getattr(hour, name) for hour in hours) for name in names} | {"cost": cost},
        {name: getattr(total, name) for name in names} | {"cost": total.cost_pico},
    )


def test_hours_agree_with_records(database):
    rows.store(lines(), database)
    hours, records = sums(database)
    assert hours == records
    assert hours["attempts"] == 8
    assert set(UsageHour.objects.using(database).values_list("model", flat=True)) == {"openai-main/gpt-4o-mini", "nope"}
    assert UsageHour.objects.using(database).count() == 4


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

    monkeypatch.setattr(rollups, "_write", fail)
    with pytest.raises(RuntimeError):
        rows.store(lines(), database)
    assert not UsageRecord.objects.using(database).exists()


def test_rebuilding_makes_the_same(database):
    rows.store(lines(), database)
    fields = ("key", *rollups.DIMENSIONS, "attempts", "errors", "refused")
    before = sorted(UsageHour.objects.using(database).values_list(*fields))
    UsageHour.objects.using(database).update(attempts=99)
    assert rollups.rebuild(database) == 4
    assert sorted(UsageHour.objects.using(database).values_list(*fields)) == before
    hours, records = sums(database)
    assert hours == records
    rows.store([line(3)], database)
    assert UsageHour.objects.using(database).count() == 4, "new records find the rebuilt row"


def test_pruning_takes_records_and_sums_by_whole_hours(database):
    rows.store([line(-200, attempt_id=new_id()), *lines()], database)
    assert sum(prune(NOON + timedelta(minutes=30), using=database)) == 1
    hours, records = sums(database)
    assert hours == records
    assert hours["attempts"] == 8


def test_hours_follow_records_that_are_rated_again(database):
    rows.store(lines(), database)
    records = list(UsageRecord.objects.using(database).order_by("created_at"))
    prices = [Price(7, "new", ""), Price(None, "", "tokens"), Price(0, "new", ""), Price(2**61 + 1, "new", "")]
    wanted = [
        ratings.Change(record.pk, ratings.price_of(record), price)
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
