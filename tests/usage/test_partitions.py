"""Partitions by day: made ahead, dropped whole, and each record in one of them, once."""

import re
import threading
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from django.db import connections, transaction

from gateway.doctor.usage_checks import check_partitions
from tests.support.partitioned import elsewhere, partition_by_day, partition_names
from tests.support.usage_factory import attempt
from usage import folding, id_times, partitioning, partitions, pruning, recounting, rows
from usage.models import UsageRecord

TODAY = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
NOON = TODAY + timedelta(hours=12)
DAY = timedelta(days=1)
MICROSECOND = timedelta(microseconds=1)
encode = msgspec.json.Encoder().encode


@pytest.fixture
def by_day(postgres: str) -> str:
    """The alias of a PostgreSQL whose usage records have partitions by day."""
    partition_by_day(postgres, NOON)
    return postgres


def name(moment: datetime) -> str:
    return f"{moment:%Y%m%d}"


def store(alias: str, *moments: datetime, **changes: Any) -> None:
    micros = [int((moment - id_times.EPOCH) / MICROSECOND) for moment in moments]
    assert rows.store([encode(attempt(started_at=each, **changes)) for each in micros], alias) == []


def inside(alias: str, partition: str) -> list[datetime]:
    """Return the times of a partition's records."""
    with connections[alias].cursor() as cursor:
        cursor.execute(f"SELECT created_at FROM {partitions.TABLE}_{partition} ORDER BY 1")  # noqa: S608
        return [moment for (moment,) in cursor.fetchall()]


def test_days_are_made_ahead_and_once(by_day: str) -> None:
    ahead = [name(NOON + number * DAY) for number in range(8)]
    assert partition_names(by_day) == ["before", *ahead, "default"]
    assert partitions.tend(NOON, by_day) == 0
    assert partitions.tend(NOON + 2 * DAY, by_day) == 2
    assert partition_names(by_day) == ["before", *ahead, name(NOON + 8 * DAY), name(NOON + 9 * DAY), "default"]


def test_midnight_is_that_of_utc(by_day: str) -> None:
    moments = [TODAY - MICROSECOND, TODAY, TODAY + DAY - MICROSECOND, TODAY + DAY]
    store(by_day, *moments)
    assert inside(by_day, "default") == moments[:1]
    assert inside(by_day, name(TODAY)) == moments[1:3]
    assert inside(by_day, name(TODAY + DAY)) == moments[3:]
    assert partitions.tend(NOON + 8 * DAY, by_day) == 8
    layout = partitions.read(by_day)
    assert layout is not None
    assert {part.since for part in layout.partitions if part.since} == {TODAY + number * DAY for number in range(16)}


def test_what_is_stored_again_is_there_once(by_day: str) -> None:
    """An attempt's id may be of the second before midnight and its record of the one after."""
    for moment in (TODAY - MICROSECOND, TODAY, NOON, NOON - 30 * DAY, NOON + 60 * DAY):
        record = attempt(started_at=int((moment - id_times.EPOCH) / MICROSECOND))
        begun, ended = encode(record), encode(msgspec.structs.replace(record, status=499))
        assert rows.store([begun], by_day) == []
        assert rows.store([ended], by_day) == []  # by COPY, which refuses it
        assert rows.store([ended, encode(attempt(started_at=record.started_at)), begun], by_day) == []
        (found,) = UsageRecord.objects.using(by_day).filter(pk=record.attempt_id)
        assert (found.created_at, found.status) == (moment, 200)
    assert UsageRecord.objects.using(by_day).count() == 10
    assert recounting.differences(TODAY, by_day) == []


def test_an_id_is_there_once_a_day_whatever_its_time(by_day: str) -> None:
    store(by_day, NOON, attempt_id=str(uuid.UUID(int=7)))
    store(by_day, NOON + MICROSECOND, attempt_id=str(uuid.UUID(int=7)))
    assert inside(by_day, name(NOON)) == [NOON]


def test_old_days_are_dropped_and_the_rest_is_deleted(by_day: str) -> None:
    days = [NOON - 3000 * DAY, NOON - 30 * DAY, NOON - 14 * DAY, NOON, NOON + DAY, NOON + 2 * DAY, NOON + 40 * DAY]
    store(by_day, *days)

    def records() -> list[datetime]:
        found = UsageRecord.objects.using(by_day).order_by("created_at").values_list("created_at", flat=True)
        return list(found)

    assert list(pruning.prune(NOON - 29 * DAY, 1, by_day)) == [
        1,
        1,
    ]  # of the first partition, which has later ones, too
    assert records() == days[2:]
    assert list(pruning.prune(NOON - 12 * DAY, using=by_day)) == []
    assert records() == days[3:]
    assert "before" not in partition_names(by_day)
    # A day goes when all of it is too old; its sums stay, and are known to be of more records than are there.
    assert list(pruning.prune(NOON + DAY, using=by_day)) == []
    assert records() == days[4:]
    assert folding.sealed_until(by_day) == TODAY + DAY
    store(by_day, NOON, NOON - 3000 * DAY)  # what comes too late has the default partition
    assert list(pruning.prune(TODAY + 3 * DAY + timedelta(hours=1), using=by_day)) == [2]
    assert records() == days[6:]
    assert partition_names(by_day)[0] == name(NOON + 3 * DAY)
    assert list(pruning.prune(NOON + 50 * DAY, using=by_day)) == [1]
    assert partition_names(by_day) == ["default"]


def test_records_of_the_default_partition_move_to_their_day(by_day: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(partitions, "MOST_MOVED", 2)
    eighth, ninth, tenth = (NOON + number * DAY for number in (8, 9, 10))
    store(by_day, eighth, eighth, ninth, ninth, ninth, tenth)
    assert partitions.tend(NOON + 2 * DAY, by_day) == 1
    assert inside(by_day, name(eighth)) == [eighth] * 2
    assert inside(by_day, "default") == [ninth] * 3 + [tenth], "the ninth day stays there: it has too many"
    assert partitions.tend(NOON + 3 * DAY, by_day) == 1
    assert inside(by_day, name(tenth)) == [tenth]
    assert UsageRecord.objects.using(by_day).count() == 6


def test_two_that_tidy_at_the_same_time(by_day: str) -> None:
    store(by_day, *(NOON + number * DAY for number in range(3)))
    failed: list[BaseException] = []

    def tidy() -> None:
        try:
            for number in range(6):
                partitions.tend(NOON + number * DAY, by_day)
                list(pruning.prune(NOON + (number - 3) * DAY, using=by_day))
        except BaseException as error:
            failed.append(error)
        finally:
            connections[by_day].close()

    threads = [threading.Thread(target=tidy) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not failed
    partitions.tend(NOON + 5 * DAY, by_day)
    list(pruning.prune(NOON + 3 * DAY, using=by_day))
    assert partition_names(by_day) == [*(name(NOON + number * DAY) for number in range(3, 13)), "default"]
    assert UsageRecord.objects.using(by_day).count() == 0


def test_while_others_are_at_it_all_is_left_for_later(
    by_day: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    store(by_day, NOON - 30 * DAY, NOON)
    names = partition_names(by_day)
    with transaction.atomic(using=by_day), connections[by_day].cursor() as cursor:
        cursor.execute(f"SELECT pg_advisory_xact_lock({partitions.LOCK_KEY})")
        elsewhere(by_day, lambda: partitions.tend(NOON + DAY, by_day))
        elsewhere(by_day, lambda: list(pruning.prune(NOON, using=by_day)))
        elsewhere(by_day, lambda: list(pruning.prune(NOON, using=by_day)))
    assert "Another process changes the partitions" in caplog.text
    with transaction.atomic(using=by_day), connections[by_day].cursor() as cursor:
        cursor.execute(f"SELECT FROM {partitions.TABLE}")  # a long report
        with monkeypatch.context() as patch:
            patch.setattr(partitions, "LOCK_TIMEOUT", "50ms")
            patch.setattr(partitions, "PAUSE_SECONDS", 0.0)
            elsewhere(by_day, lambda: partitions.tend(NOON + DAY, by_day))
            elsewhere(by_day, lambda: list(pruning.prune(NOON, using=by_day)))
    assert "Others hold locks" in caplog.text
    assert partition_names(by_day) == names
    assert UsageRecord.objects.using(by_day).count() == 2
    assert partitions.tend(NOON + DAY, by_day) == 1


def test_a_role_that_owns_nothing_deletes_rows(by_day: str, caplog: pytest.LogCaptureFixture) -> None:
    store(by_day, NOON - 30 * DAY, NOON, NOON + DAY)
    names = partition_names(by_day)
    role = connections[by_day].settings_dict["NAME"] + "_writer"
    with connections[by_day].cursor() as cursor:
        cursor.execute(f"CREATE ROLE {role}")
        cursor.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {role}")
        cursor.execute(f"SET ROLE {role}")
    assert partitions.tend(NOON + DAY, by_day) == 0
    assert "this database role can't make them" in caplog.text
    assert list(pruning.prune(NOON + DAY, using=by_day)) == [2]
    assert partition_names(by_day) == names


def scanned(records: Any) -> set[str]:
    """Return the partitions that a query looks into."""
    return set(re.findall('"Relation Name": "([^"]+)"', records.explain(format="json")))


def test_an_id_says_which_days_are_looked_into(by_day: str) -> None:
    partitions.tend(NOON + 30 * DAY, by_day)
    record = attempt()
    request_id = f"req_{record.request_id.replace('-', '')}"
    store(by_day, datetime.now(UTC), attempt_id=record.attempt_id, request_id=request_id)
    records = UsageRecord.objects.using(by_day)
    found = id_times.around(records.filter(pk=record.attempt_id), uuid.UUID(record.attempt_id))
    assert len(scanned(records.filter(pk=record.attempt_id))) == 18
    assert len(found) == 1
    assert len(scanned(found)) <= 3
    assert len(id_times.since(records.filter(request_id=request_id), request_id)) == 1
    # What is not where its id says is found all the same.
    other = attempt(started_at=5)
    assert rows.store([encode(other)], by_day) == []
    assert len(id_times.around(records.filter(pk=other.attempt_id), uuid.UUID(other.attempt_id))) == 1
    assert len(id_times.since(records.filter(request_id=other.request_id), other.request_id)) == 1


@pytest.mark.parametrize(
    "text",
    [
        "",
        "req_",
        "x",
        "3d523e1b-d7a5-4352-87f3-0d92e9b3295c",
        f"req_{uuid.uuid5(uuid.NAMESPACE_OID, 'x').hex}",
        "f" * 12 + "7" * 20,
    ],
)
def test_other_ids_say_nothing(text: str) -> None:
    assert id_times.made_at(text) is None


def test_the_doctor_misses_tomorrow(by_day: str, monkeypatch: pytest.MonkeyPatch, settings: Any) -> None:
    monkeypatch.setattr(partitions.read, "__defaults__", (by_day,))
    monkeypatch.setattr(partitioning.too_few_locks, "__defaults__", (by_day,))
    settings.USAGE_RETENTION_DAYS = 30

    def said() -> list[str]:
        return [finding.message for finding in check_partitions()]

    assert said() == []
    with connections[by_day].cursor() as cursor:
        cursor.execute(f"DROP TABLE {partitions.TABLE}_{name(TODAY + DAY)}")
    assert said() == ["Usage records have no partition for tomorrow."]
    partitions.tend(NOON, by_day)
    settings.USAGE_RETENTION_DAYS = 36_500
    assert [text[:34] for text in said()] == ["36,500 days of partitions need mor"]
