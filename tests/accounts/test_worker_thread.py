"""Loops in threads: what they do with failures and with a stop; and how long a failure is waited after."""

import logging
import threading
import time

import pytest

from accounts import worker_thread
from accounts.backoff import backoff, spread
from accounts.worker_thread import WorkerThread

SECONDS = 10.0


def test_it_works_until_it_is_stopped() -> None:
    rounds: list[int] = []
    enough, ended = threading.Event(), threading.Event()

    def work() -> float:
        rounds.append(len(rounds))
        if len(rounds) >= 3:
            enough.set()
        return 0.001

    thread = WorkerThread("t", work, ending=ended.set)
    assert thread.stop(), "what never began has ended"
    thread = WorkerThread("t", work, ending=ended.set)
    thread.start()
    assert enough.wait(SECONDS)
    assert thread.running
    assert thread.stop(SECONDS)
    assert ended.is_set()
    assert rounds[:3] == [0, 1, 2]


def test_it_ends_by_itself_when_there_is_nothing_more_to_do() -> None:
    ended = threading.Event()
    thread = WorkerThread("t", lambda: None, ending=ended.set)
    thread.start()
    assert ended.wait(SECONDS)
    assert thread.stop(SECONDS)


def test_a_stop_wakes_work_that_waits() -> None:
    begun, woken = threading.Event(), threading.Event()

    def work() -> float:
        begun.set()
        woken.wait(SECONDS)
        return 0.0

    thread = WorkerThread("t", work)
    thread.start()
    assert begun.wait(SECONDS)
    assert not thread.stop(0.01)
    assert thread.stop(SECONDS, wake=woken.set)


def test_a_row_of_failures_is_one_line_of_the_log(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(worker_thread, "FIRST_PAUSE_SECONDS", 0.001)
    results = iter([ValueError(), ValueError(), 0.0, KeyError(), None])
    ended = threading.Event()

    def work() -> float | None:
        result = next(results)
        if isinstance(result, Exception):
            raise result
        return result

    with caplog.at_level(logging.WARNING):
        WorkerThread("loop", work, ending=ended.set).start()
        assert ended.wait(SECONDS)
    assert [record.message for record in caplog.records] == [
        "loop fails and is tried again: ValueError.",
        "loop fails and is tried again: KeyError.",
    ]


def test_a_failure_may_be_judged_elsewhere() -> None:
    seen: list[tuple[str, int]] = []
    ended = threading.Event()

    def work() -> float | None:
        if len(seen) < 3:
            raise OSError(len(seen))
        return None

    def failed(error: Exception, before: int) -> float:
        seen.append((str(error), before))
        return 0.0

    WorkerThread("t", work, failed=failed, ending=ended.set).start()
    assert ended.wait(SECONDS)
    assert seen == [("0", 0), ("1", 1), ("2", 2)]


def test_it_begins_when_it_is_to() -> None:
    begun = threading.Event()
    started = time.monotonic()
    thread = WorkerThread("t", lambda: begun.set() or None, first=0.05)  # type: ignore[func-returns-value]
    thread.start()
    assert begun.wait(SECONDS)
    assert time.monotonic() - started >= 0.05


def test_pauses_grow_up_to_a_bound() -> None:
    assert [backoff(before, 5, 600) for before in (0, 1, 2, 7, 10_000)] == [5, 10, 20, 600, 600]
    assert backoff(2, 2, 1000, factor=3) == 18
    spreads = {spread(10) for _ in range(50)}
    assert len(spreads) > 1
    assert all(8 <= seconds <= 12 for seconds in spreads)
