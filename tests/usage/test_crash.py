"""A process killed with SIGKILL at any point: what it had appended is in the database once, what it had begun is
known.
"""

import mmap
import os
import random
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

import pytest
from django.db import connections

from tests.support.usage_factory import attempt
from usage import ledger as ledger_module
from usage import recovery, rows, spool, spool_file
from usage.ledger import Ledger
from usage.models import UsageRecord
from usage.records import new_id
from usage.spool import Spool

EVERY_DATABASE = pytest.mark.parametrize("database", ["sqlite", "postgresql", "partitioned"], indirect=True)


def die(*args: object, **kwargs: object) -> NoReturn:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("unreachable")


def run_child(database: str, directory: Path, work: Callable[[Ledger, int], None]) -> tuple[int, int]:
    """Fork a process that does ``work`` with a ledger and a pipe to report what it did. Return its id and the pipe."""
    connections[database].close()
    reading, writing = os.pipe()
    child = os.fork()
    if child:
        os.close(writing)
        return child, reading
    with suppress(BaseException):  # whatever happens in the child, it must not go on as a second pytest
        os.close(reading)
        work(Ledger(Spool(directory), flush_seconds=0.005, using=database), writing)
    os._exit(0)


def serve_calls(ledger: Ledger, report: int) -> None:
    """Begin and end calls for ever, a few at a time, and report each step after it is done."""
    ledger.start()
    running = []
    while True:
        record = attempt(attempt_id=new_id())
        ledger.spool.begin(record)
        os.write(report, f"b{record.attempt_id}\n".encode())
        running.append(record)
        if len(running) > 3:
            ended = running.pop(random.randrange(3))
            ledger.spool.append(ended)
            os.write(report, f"e{ended.attempt_id}\n".encode())


def outcome(pipe: int) -> tuple[set[str], set[str]]:
    """Return what the child told us: the attempts begun, and those ended."""
    with os.fdopen(pipe) as lines:
        told = [line.strip() for line in lines]
    return {line[1:] for line in told if line[0] == "b"}, {line[1:] for line in told if line[0] == "e"}


def recover(database: str, directory: Path) -> dict[str, str]:
    """Bring in what the dead left, as the next process does; return the error classes by attempt."""
    successor = Ledger(Spool(directory), using=database)
    successor.recover()
    assert successor.rejected == 0
    successor.spool.close()
    found = UsageRecord.objects.using(database).values_list("id", "error_class")
    by_attempt = {str(key): error for key, error in found}
    assert len(by_attempt) == len(found)
    assert recovery.folders(directory) == []
    return by_attempt


def check(by_attempt: dict[str, str], begun: set[str], ended: set[str]) -> None:
    """Nothing lost, nothing twice, nothing made up. The last step may be done but not told, hence the one of slack."""
    assert begun <= by_attempt.keys()
    assert len(by_attempt.keys() - begun) <= 1
    whole = {key for key, error in by_attempt.items() if not error}
    assert ended <= whole
    assert len(whole - ended) <= 1
    assert {error for error in by_attempt.values() if error} <= {"interrupted"}


def test_killed_at_any_moment(database: str, tmp_path: Path) -> None:
    seed = random.randrange(10**6)
    chance = random.Random(seed)
    total_begun: set[str] = set()
    total_ended: set[str] = set()
    for _ in range(12):
        child, pipe = run_child(database, tmp_path, serve_calls)
        time.sleep(chance.uniform(0.005, 0.12))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        before = set(total_begun)
        begun, ended = outcome(pipe)
        by_attempt = recover(database, tmp_path)
        check({key: error for key, error in by_attempt.items() if key not in before}, begun, ended)
        total_begun |= by_attempt.keys()
        total_ended |= ended
    assert total_ended, f"seed {seed}"


POINTS = {
    "before the transaction": (rows, "store"),
    "after the commit, before the segment is deleted": (ledger_module.Path, "unlink"),
    "between rotation and reading": (recovery, "lines"),
    "in the middle of a batch": (rows, "give_way"),
}


@EVERY_DATABASE
@pytest.mark.parametrize("point", POINTS)
def test_killed_at_the_worst_moments(
    database: str, tmp_path: Path, point: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def work(ledger: Ledger, report: int) -> None:
        with monkeypatch.context() as patch:
            patch.setattr(*POINTS[point], die)
            serve_calls(ledger, report)

    child, pipe = run_child(database, tmp_path, work)
    assert os.waitpid(child, 0)[1] == signal.SIGKILL
    begun, ended = outcome(pipe)
    assert begun
    check(recover(database, tmp_path), begun, ended)


@pytest.mark.parametrize("last", [400, 401, 402, 403])  # the journal's and the segment's take turns
def test_killed_in_the_middle_of_a_store(
    database: str, tmp_path: Path, last: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Map(mmap.mmap):
        stores = 0

        def __setitem__(self, where: Any, data: Any) -> None:
            if isinstance(where, slice):
                Map.stores += 1
                if Map.stores == last:
                    half = (where.stop - where.start) // 2
                    super().__setitem__(slice(where.start, where.start + half), data[:half])
                    die()
            super().__setitem__(where, data)

    def work(ledger: Ledger, report: int) -> None:
        with monkeypatch.context() as patch:
            patch.setattr(spool, "can_map", lambda directory: True)
            patch.setattr(spool_file.mmap, "mmap", Map)
            serve_calls(Ledger(Spool(tmp_path), flush_seconds=0.005, using=database), report)

    child, pipe = run_child(database, tmp_path, work)
    assert os.waitpid(child, 0)[1] == signal.SIGKILL
    begun, ended = outcome(pipe)
    assert len(begun) > 150
    check(recover(database, tmp_path), begun, ended)


@EVERY_DATABASE
def test_killed_while_bringing_in_what_another_left(
    database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = tmp_path / "spool"
    dead = Spool(directory)
    ended, cut = [attempt() for _ in range(40)], attempt()
    for record in [*ended, cut]:
        dead.begin(record)
    for record in ended:
        dead.append(record)
    dead.close()

    def work(ledger: Ledger, report: int) -> None:
        with monkeypatch.context() as patch:
            patch.setattr(ledger_module, "remove_folder", die)
            ledger.recover()

    child, pipe = run_child(database, directory, work)
    assert os.waitpid(child, 0)[1] == signal.SIGKILL
    os.close(pipe)
    by_attempt = recover(database, directory)
    expected = {record.attempt_id: "" for record in ended} | {cut.attempt_id: "interrupted"}
    assert by_attempt == expected


@EVERY_DATABASE
def test_two_processes_recover_the_same_dead_one(database: str, tmp_path: Path) -> None:
    dead = Spool(tmp_path)
    written = [attempt() for _ in range(300)]
    for record in written:
        dead.append(record)
    dead.close()
    children = [run_child(database, tmp_path, lambda ledger, report: ledger.recover()) for _ in range(3)]
    for child, pipe in children:
        assert os.waitpid(child, 0)[1] == 0
        os.close(pipe)
    assert recover(database, tmp_path) == {record.attempt_id: "" for record in written}
