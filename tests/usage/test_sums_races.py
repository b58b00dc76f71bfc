"""Sums count everything once, whatever comes between: writers, changes, pruning, and folding that is killed."""

import os
import random
import signal
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from django.db import OperationalError, connections
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.usage_factory import attempt
from usage import folding, ratings, recounting, rollups, rows
from usage.models import Rerating, SumsState, UsageRecord, UsageSum, UsageTime
from usage.pruning import prune
from usage.ratings import Price
from usage.records import new_id
from usage.sums_table import CUTS, DAYS, HOURS, METADATA, NEW, NEW_METADATA

NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)
encode = msgspec.json.Encoder().encode
Total = tuple[int, int, int, int]
WRITERS, BATCHES = 2, 5


def line(hours: int, cost: int | None, **changes: Any) -> bytes:
    at = NOON + timedelta(hours=hours)
    return encode(attempt(attempt_id=new_id(), started_at=int(at.timestamp() * 10**6), cost_pico=cost, **changes))


def recorded(database: str, **narrowed: Any) -> Total:
    """Return attempts, unpriced ones, input tokens and cost of records."""
    found = UsageRecord.objects.using(database).filter(**narrowed).values_list("cost_pico", "input_tokens")
    return (
        len(found),
        sum(cost is None for cost, _ in found),
        sum(tokens for _, tokens in found),
        sum(cost or 0 for cost, _ in found),
    )


def summed(database: str) -> Total:
    """Return the same of the sums, which are one in all cuts, by the hour and by the day."""
    found = set()
    for cut in CUTS:
        for part in () if cut is METADATA else (cut.days,) if cut.detailed else (cut.hours, cut.days):
            total = [0, 0, 0, 0]
            for row in UsageSum.objects.using(database).filter(part__in=(part, cut.new)):
                cost = row.cost_high * rollups.SPLIT + row.cost_low
                for place, amount in enumerate((row.attempts, row.unpriced, row.input_tokens, cost)):
                    total[place] += amount
            found.add(tuple(total))
    assert len(found) == 1
    timed = {
        sum(UsageTime.objects.using(database).filter(part__in=(part, NEW), measure=0).values_list("calls", flat=True))
        for part in (HOURS, DAYS)
    }
    only: Any = found.pop()
    assert timed == {only[0]}
    return only


OPERATIONS = st.lists(
    st.one_of(
        st.tuples(
            st.just("store"),
            st.lists(st.tuples(st.integers(-40, 40), st.one_of(st.none(), st.integers(-(10**9), 10**15))), max_size=5),
        ),
        st.tuples(st.sampled_from(["fold", "killed", "again"]), st.integers(1, 6)),
        st.tuples(st.just("rate"), st.one_of(st.none(), st.integers(0, 10**15))),
        st.tuples(st.sampled_from(["prune", "recount"]), st.integers(-40, 40)),
    ),
    min_size=4,
    max_size=12,
)


@given(OPERATIONS)
@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_any_order_counts_once(database: str, operations: list[tuple[str, Any]]) -> None:
    for table in (UsageRecord, UsageSum, UsageTime, SumsState, Rerating):
        table._default_manager.using(database).all().delete()
    gone, stored = (0, 0, 0, 0), list[bytes]()
    steps: list[tuple[Total, Total]] = []
    for name, what in operations:
        if name == "store":
            batch = [line(hours, cost, teams=["a"] if hours % 2 else []) for hours, cost in what]
            stored += batch
            assert rows.store(batch, database, lambda: None) == []
        elif name == "again":  # what was pruned comes again only if a spool was lost and found, and counts then
            there = {str(pk) for pk in UsageRecord.objects.using(database).values_list("pk", flat=True)}
            known = [one for one in stored if rows.decode(one).attempt_id in there]
            rows.store(known[:what], database, lambda: None)
        elif name == "fold":
            folding.fold(database, what)
        elif name == "killed":
            killed(database, what)
        elif name == "rate":
            rate(database, what)
        elif name == "prune":
            before = rollups.floor(NOON + timedelta(hours=what))
            lost = recorded(database, created_at__lt=before)
            gone = tuple(a + b for a, b in zip(gone, lost, strict=True))
            list(prune(before, using=database))
        else:
            recounting.recount(rollups.midnight(NOON + timedelta(hours=what)), database)
        steps.append((summed(database), tuple(a + b for a, b in zip(gone, recorded(database), strict=True))))
    assert [summed for summed, _ in steps] == [expected for _, expected in steps]


def killed(database: str, statement: int) -> None:
    """Fold, and end at a statement of it."""
    left = statement

    def count(execute: Callable[..., Any], sql: str, *rest: Any) -> Any:
        nonlocal left
        left -= sql.startswith(("INSERT", "DELETE"))
        if left < 0:
            raise OperationalError("killed")
        return execute(sql, *rest)

    with connections[database].execute_wrapper(count):
        try:
            folding.fold(database)
        except OperationalError:
            return


def rate(database: str, cost: int | None) -> None:
    records = list(UsageRecord.objects.using(database).order_by("pk")[::2])
    wanted = [ratings.Change(one.pk, one.created_at, ratings.price_of(one), Price(cost, "new", "")) for one in records]
    ratings.change(wanted, uuid.uuid4(), "a test", database)


def in_a_process(database: str, work: Callable[[], None]) -> int:
    """Begin ``work`` in a process of its own, with a connection of its own; return its id."""
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        work()
        code = 0
    finally:
        os._exit(code)


def kill(child: int) -> None:
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)


def patiently(work: Callable[[], Any]) -> None:
    """Do what another process may keep from being done at once."""
    while True:
        try:
            work()
            return
        except OperationalError as error:
            if getattr(error.__cause__, "sqlstate", "40001") not in ("40001", "40P01"):
                raise


@pytest.mark.timeout(60)
def test_processes_that_write_fold_and_are_killed_count_once(database: str) -> None:
    """Three that store and rate, and two that fold, one of which is killed again and again."""
    connections[database].close()  # no process may have another's

    def write(number: int) -> None:
        for batch in range(BATCHES):
            lines = [line(n % 30, n * 7 if n % 5 else None, subject_name=f"u{n % 3}") for n in range(20)]
            patiently(lambda lines=lines: rows.store(lines, database, lambda: None))
            if batch % 4 == 3:
                patiently(lambda batch=batch: rate(database, batch * 11))

    def fold() -> None:
        while True:
            patiently(lambda: folding.fold(database, 50))
            time.sleep(0.05)  # SQLite is not fair to its writers
            patiently(lambda: recounting.recount(rollups.midnight(NOON), database))
            time.sleep(0.05)

    writers = [in_a_process(database, lambda number=number: write(number)) for number in range(WRITERS)]
    folders = [in_a_process(database, fold) for _ in range(2)]
    ended: dict[int, int] = {}
    until = time.monotonic() + 45
    try:
        while len(ended) < len(writers) and time.monotonic() < until:
            time.sleep(random.uniform(0.02, 0.2))
            kill(folders[0])
            folders[0] = in_a_process(database, fold)
            for child in set(writers) - ended.keys():
                pid, status = os.waitpid(child, os.WNOHANG)
                if pid:
                    ended[pid] = status
    finally:
        for child in {*folders, *writers} - ended.keys():
            kill(child)
    assert len(ended) == len(writers)
    assert set(ended.values()) == {0}
    assert recorded(database)[0] == WRITERS * BATCHES * 20
    assert summed(database) == recorded(database)
    while folding.fold(database):
        pass
    assert not UsageSum.objects.using(database).filter(part__in=(NEW, NEW_METADATA)).exists()
    assert summed(database) == recorded(database)
    assert [fault for day in recounting.days(database) for fault in recounting.differences(day, database)] == []
