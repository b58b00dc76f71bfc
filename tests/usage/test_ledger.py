"""The ledger brings every record into the database once, whatever fails in between."""

import threading
import uuid
from pathlib import Path
from typing import Any

import msgspec
import pytest
from django.db import OperationalError, connections

from tests.support.servers import wait_until
from tests.support.usage_factory import attempt
from usage import ledger as ledger_module
from usage import recovery, rows
from usage.ledger import REJECTED_NAME, Ledger
from usage.models import UsageRecord
from usage.records import AttemptRecord, new_id
from usage.spool import Spool, segments


def stored(database: str) -> dict[str, UsageRecord]:
    return {str(record.id): record for record in UsageRecord.objects.using(database)}


@pytest.fixture
def ledger(database: str, tmp_path: Path) -> Ledger:
    return Ledger(Spool(tmp_path / "spool"), flush_seconds=0.02, using=database)


def test_every_field_arrives_as_it_was_written(database: str, ledger: Ledger) -> None:
    record = attempt(
        started_at=1_790_000_000_123_456,
        teams=["research", "été"],
        units={"web_searches": 2},
        metadata={"env": "prod", "note": 'quote " tab \t line \n back \\ 東京 \\N'},
        ttft_us=None,
        cost_pico=None,
        stream=True,
        client_gone=True,
        bytes_out=2**40,
        object_id="chatcmpl-1",
    )
    ledger.spool.append(record)
    ledger.flush()
    row = stored(database)[record.attempt_id]
    for field in UsageRecord._meta.concrete_fields:
        if field.name not in ("id", "created_at"):
            assert getattr(row, field.name) == getattr(record, field.name), field.name
    assert row.created_at.timestamp() == 1_790_000_000.123456
    assert row.cost is None


def test_rows_match_the_columns() -> None:
    assert len(rows.row(attempt())) == len(rows.FIELDS)


def test_the_cost_is_exact_dollars(database: str, ledger: Ledger) -> None:
    ledger.spool.append(attempt(cost_pico=124_500_001))
    ledger.flush()
    assert [str(record.cost) for record in UsageRecord.objects.using(database)] == ["0.000124500001"]


def test_the_thread_flushes_and_drain_leaves_nothing(database: str, ledger: Ledger) -> None:
    ledger.start()
    written = [attempt() for _ in range(100)]
    for record in written:
        ledger.spool.begin(record)
        ledger.spool.append(record)
    wait_until(lambda: len(stored(database)) == 100)
    last = attempt()
    ledger.spool.append(last)
    assert ledger.drain()
    assert set(stored(database)) == {record.attempt_id for record in [*written, last]}
    assert not [path for path in ledger.spool.directory.iterdir() if path.is_dir()]


def test_lines_that_are_stored_already_change_nothing(database: str, ledger: Ledger, tmp_path: Path) -> None:
    written = [attempt() for _ in range(30)]
    for record in written[:20]:
        ledger.spool.append(record)
    ledger.flush()
    for record in written[10:]:
        record.cost_pico = 1
        ledger.spool.append(record)
    ledger.flush()
    found = stored(database)
    assert len(found) == 30
    assert sum(record.cost_pico == 1 for record in found.values()) == 10
    assert ledger.rejected == 0


def test_a_second_record_of_an_attempt_is_not_another(database: str, ledger: Ledger) -> None:
    record = attempt()
    ledger.spool.append(record)
    ledger.spool.append(record)
    ledger.flush()
    assert len(stored(database)) == 1


def test_a_record_the_database_refuses_blocks_no_other(database: str, ledger: Ledger) -> None:
    good, fixed = attempt(), attempt(subject_name="x" * 300, input_tokens=10**30, error_class="e\x00vil")
    bad = attempt(attempt_id="no-uuid-at-all-" + "x" * 40)
    for record in (good, fixed, bad):
        ledger.spool.append(record)
    ledger.flush()
    found = stored_ids(database)
    assert uuid.UUID(good.attempt_id) in found
    assert uuid.UUID(fixed.attempt_id) in found
    if connections[database].vendor == "postgresql":
        assert (len(found), ledger.rejected, ledger.state()["rejected"]) == (2, 1, 1)
        assert b"no-uuid-at-all" in (ledger.spool.directory / REJECTED_NAME).read_bytes()
    assert ledger.spool.pending == 0


def stored_ids(database: str) -> set[uuid.UUID]:
    with connections[database].cursor() as cursor:
        cursor.execute("SELECT id FROM usage_usagerecord")
        return {uuid.UUID(str(row[0])) for row in cursor.fetchall() if len(str(row[0])) in (32, 36)}


def test_garbage_in_a_segment_is_kept_aside(database: str, ledger: Ledger) -> None:
    dead = Spool(ledger.spool.directory)
    dead.append(attempt())
    dead.close()
    (path,) = [path for folder in recovery.folders(ledger.spool.directory) for path in segments(folder)]
    with path.open("ab") as file:
        file.write(b"garbage\n\n[1,2]\n" + msgspec.json.encode(attempt()) + b"\n" + b'["cut off in the mid')
    ledger.recover()
    assert len(stored(database)) == 2
    assert ledger.rejected == 2
    assert (ledger.spool.directory / REJECTED_NAME).read_bytes() == b"garbage\n[1,2]\n"


def test_while_the_database_is_away_records_wait_and_state_says_so(
    database: str, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, away = rows.store, threading.Event()
    away.set()

    def store(*args: Any) -> Any:
        if away.is_set():
            raise OperationalError("no: password=secret")
        return real(*args)

    monkeypatch.setattr(rows, "store", store)
    ledger.start()
    record = attempt()
    ledger.spool.append(record)
    wait_until(lambda: ledger.state()["database_error"])
    state = ledger.state()
    assert (state["ok"], state["database_error"], state["pending"]) == (False, "OperationalError", 1)
    assert "secret" not in str(state)
    wait_until(lambda: ledger.state()["oldest_seconds"] > 0)
    away.clear()
    wait_until(lambda: ledger.state()["ok"])
    assert record.attempt_id in stored(database)
    state = ledger.state()
    assert (state["pending"], state["oldest_seconds"], state["dropped"]) == (0, 0.0, 0)
    assert ledger.drain()


def test_what_the_disk_did_not_take_goes_from_memory_to_the_database(
    database: str, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = [attempt() for _ in range(5)]
    ledger.spool.give_back([msgspec.json.encode(record) + b"\n" for record in written])

    def store(*args: Any) -> Any:
        raise OperationalError

    with monkeypatch.context() as patch:
        patch.setattr(rows, "store", store)
        with pytest.raises(OperationalError):
            ledger.flush()
    assert ledger.state()["memory"] == ledger.state()["pending"] == 5
    ledger.flush()
    assert stored(database).keys() == {record.attempt_id for record in written}
    assert ledger.state()["memory"] == 0


def test_what_waits_in_memory_goes_to_disk_once_that_has_room_while_the_database_is_away(
    database: str, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    def store(*args: Any) -> Any:
        raise OperationalError

    monkeypatch.setattr(rows, "store", store)
    written = [attempt() for _ in range(5)]
    ledger.spool.give_back([msgspec.json.encode(record) + b"\n" for record in written])
    ledger.start()
    wait_until(lambda: ledger.state()["memory"] == 0)
    assert ledger.state()["pending"] == 5
    [folder] = recovery.folders(ledger.spool.directory)
    lines = [line for path in segments(folder) for batch in recovery.lines(path) for line in batch]
    assert [msgspec.json.decode(line, type=AttemptRecord).attempt_id for line in lines] == [
        record.attempt_id for record in written
    ]
    assert ledger.drain(0.5) is False


def test_a_drain_without_a_database_leaves_all_for_the_next_process(
    database: str, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    def store(*args: Any) -> Any:
        raise OperationalError

    record = attempt()
    ledger.spool.append(record)
    with monkeypatch.context() as patch:
        patch.setattr(rows, "store", store)
        assert ledger.drain() is False
    later = Ledger(Spool(ledger.spool.directory), using=database)
    later.recover()
    assert set(stored(database)) == {record.attempt_id}


def test_the_spool_of_the_living_is_left_alone(database: str, ledger: Ledger) -> None:
    ledger.spool.append(attempt())
    other = Ledger(Spool(ledger.spool.directory), using=database)
    other.recover()
    assert stored(database) == {}
    assert ledger.spool.pending == 1


def test_what_was_begun_and_never_ended_becomes_an_interrupted_record(database: str, ledger: Ledger) -> None:
    ended, cut = attempt(), attempt(cost_pico=None, status=0)
    for record in (ended, cut):
        ledger.spool.begin(record)
    ledger.spool.append(ended)
    ledger.spool.close()
    later = Ledger(Spool(ledger.spool.directory), using=database)
    later.recover()
    found = stored(database)
    assert {key: row.error_class for key, row in found.items()} == {ended.attempt_id: "", cut.attempt_id: "interrupted"}
    assert found[cut.attempt_id].subject_name == "ada@example.com"
    assert found[cut.attempt_id].cost_pico is None
    assert [path for path in later.spool.directory.iterdir() if path.is_dir()] == [later.spool.folder]
    assert later.state()["recovered"] == 1


def test_a_folder_that_cannot_be_brought_in_holds_up_no_other(
    database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = []
    for _ in range(3):
        dead = Spool(tmp_path)
        written.append(attempt())
        dead.append(written[-1])
        dead.close()
    first = recovery.folders(tmp_path)[0]
    real = ledger_module.remove_folder
    with monkeypatch.context() as patch:
        patch.setattr(ledger_module, "remove_folder", lambda folder: real(folder / "x" if folder == first else folder))
        Ledger(Spool(tmp_path), using=database).recover()
    assert stored(database).keys() == {record.attempt_id for record in written}
    assert first.exists()


def test_a_segment_that_cannot_be_read_holds_up_no_other(database: str, ledger: Ledger) -> None:
    first, second = attempt(), attempt()
    ledger.spool.append(first)
    assert ledger.spool.folder is not None
    (path,) = segments(ledger.spool.folder)
    hidden = path.rename(path.with_suffix(".hidden"))
    path.mkdir()
    (path / "something").touch()
    with pytest.raises(IsADirectoryError):
        ledger.flush()
    ledger.spool.append(second)
    for _ in range(2):
        with pytest.raises(IsADirectoryError):
            ledger.flush()
    assert second.attempt_id in stored(database)
    assert ledger.spool.pending == 1
    (path / "something").unlink()
    path.rmdir()
    hidden.rename(path)
    ledger.flush()
    assert first.attempt_id in stored(database)
    assert ledger.spool.pending == 0


def test_token_uses_are_handed_over_now_and_then(database: str, tmp_path: Path) -> None:
    got: list[dict[int, float]] = []
    ledger = Ledger(
        Spool(tmp_path / "spool"), flush_seconds=0.01, on_touch=got.append, touch_seconds=1000, using=database
    )
    ledger.touch(1, 10.0)
    ledger.start()
    wait_until(lambda: got)
    ledger.touch(1, 20.0)
    ledger.touch(2, 30.0)
    assert ledger.drain()
    assert got == [{1: 10.0}, {1: 20.0, 2: 30.0}]


def test_a_failing_touch_stops_nothing(database: str, tmp_path: Path) -> None:
    failures: list[dict[int, float]] = []

    def fail(uses: dict[int, float]) -> None:
        failures.append(uses)
        raise RuntimeError

    ledger = Ledger(Spool(tmp_path / "spool"), flush_seconds=0.01, on_touch=fail, touch_seconds=0, using=database)
    ledger.start()
    ledger.touch(1, 10.0)
    wait_until(lambda: failures == [{1: 10.0}])  # the error itself shows until the next flush only, 10 ms later
    record = attempt(attempt_id=new_id())
    ledger.spool.append(record)
    wait_until(lambda: record.attempt_id in stored(database))
    ledger.drain()
