"""The counters in memory, against the plainest model of each: never more than the limit within any window."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.limits import memory
from gateway.limits.checks import NEVER, SLOTS, Asked, Check
from gateway.limits.memory import MemoryCounters
from rules.compiled import CompiledRule, compile_rule
from rules.models import Rule
from rules.shape import BUDGET_UNITS, LIMIT_UNITS


def compiled(number: int = 1, mode: str = "enforce", form: str = "tenant-rate-limit-config/model") -> CompiledRule:
    limits = {"requests_per_minute": 1} if "rate" in form else {"cost_per_day": 1}
    return compile_rule(Rule(pk=number, form=form, name=f"r{number}", mode=mode, effect={"limits": limits}))


def asks(limit: int, amount: int = 1, unit: str = "requests_per_minute", key: str = "k", **rule: Any) -> Asked:
    if unit in BUDGET_UNITS:
        rule.setdefault("form", "tenant-budget-config")
    made = compiled(**rule)
    return Asked(Check(made, {**LIMIT_UNITS, **BUDGET_UNITS}[unit], limit, key, ""), amount, key)


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def takes(counters: MemoryCounters, *asked: Asked, receipt: str = "call") -> bool:
    return not counters.take(receipt, asked)[1]


STEPS = st.lists(st.tuples(st.floats(0, 40), st.integers(1, 5)), max_size=60)


@given(st.integers(1, 12), STEPS)
def test_no_window_ever_holds_more_than_the_limit(limit: int, steps: list[tuple[float, int]]) -> None:
    clock = Clock()
    counters = MemoryCounters(clock)
    passed: list[tuple[float, int]] = []
    most = 0
    for pause, amount in steps:
        clock.now += pause
        if takes(counters, asks(limit, amount)):
            passed.append((clock.now, amount))
        # Any stretch of a minute that ends now.
        most = max(most, sum(count for when, count in passed if when > clock.now - 60))
    assert most <= limit


@given(st.integers(1, 12), STEPS)
def test_nothing_is_held_for_longer_than_the_window_and_a_sixtieth(limit: int, steps: list[tuple[float, int]]) -> None:
    clock = Clock()
    counters = MemoryCounters(clock)
    passed: list[tuple[float, int]] = []
    refused_with_room = []
    for pause, amount in steps:
        clock.now += pause
        held = sum(count for when, count in passed if when > clock.now - 60 - 60 / SLOTS - 1e-6)
        if takes(counters, asks(limit, amount)):
            passed.append((clock.now, amount))
        elif held + amount <= limit:
            refused_with_room.append((clock.now, amount))
    assert refused_with_room == []


@given(st.integers(1, 12), STEPS)
def test_who_waits_as_long_as_told_is_let_in(limit: int, steps: list[tuple[float, int]]) -> None:
    clock = Clock()
    counters = MemoryCounters(clock)
    refused_again = []
    for pause, amount in steps:
        clock.now += pause
        outcomes, refusing = counters.take("call", [asks(limit, amount)])
        if refusing and outcomes[0].wait < NEVER:
            clock.now += outcomes[0].wait + 1e-6
            if not takes(counters, asks(limit, amount)):
                refused_again.append((clock.now, amount))
    assert refused_again == []


def test_a_burst_at_the_windows_edge_is_no_second_one() -> None:
    clock = Clock()
    clock.now = 59.9
    counters = MemoryCounters(clock)
    assert [takes(counters, asks(10)) for _ in range(11)] == [True] * 10 + [False]
    clock.now = 60.1
    assert not takes(counters, asks(10))


def test_a_refused_call_consumes_nothing() -> None:
    counters = MemoryCounters(Clock())
    wide, narrow = asks(100, key="wide"), asks(1, key="narrow", number=2)
    assert takes(counters, wide, narrow)
    for _ in range(50):
        assert not takes(counters, wide, narrow)
    assert counters.take("call", [wide])[0][0].used == 2


def test_audit_counts_and_never_refuses() -> None:
    counters = MemoryCounters(Clock())
    for number in range(3):
        outcomes, refusing = counters.take("call", [asks(1, mode="audit")])
        assert not refusing
        assert outcomes[0].used == number + 1
        assert outcomes[0].fits == (number == 0)


def test_a_soft_budget_refuses_only_when_no_other_allows() -> None:
    soft = asks(10, 10, "cost_per_day", "soft", mode="soft_enforce")
    roomy = asks(1000, 10, "cost_per_day", "roomy", number=2)
    counters = MemoryCounters(Clock())
    assert takes(counters, soft, receipt="first")
    assert not takes(counters, soft, receipt="second")
    assert takes(counters, soft, roomy, receipt="third")
    audited = asks(1000, 10, "cost_per_day", "audited", number=3, mode="audit")
    assert not takes(counters, soft, audited, receipt="fourth")


def test_corrections_give_back_and_take_more_but_never_below_nothing() -> None:
    clock = Clock()
    counters = MemoryCounters(clock)
    outcomes, _ = counters.take("call", [asks(100, 80, "tokens_per_minute")])
    counters.correct(60, "k", outcomes[0].slot, -70)
    assert takes(counters, asks(100, 90, "tokens_per_minute"))
    counters.correct(60, "k", outcomes[0].slot, -1000)
    assert counters.take("call", [asks(100, 100, "tokens_per_minute")])[0][0].used == 100
    clock.now += 200
    counters.correct(60, "k", outcomes[0].slot, 50)  # what is over changes nothing
    assert takes(counters, asks(100, 100, "tokens_per_minute"))


def test_calls_at_once() -> None:
    counters = MemoryCounters(Clock())
    two = asks(2, unit="concurrent_requests")
    assert [takes(counters, two, receipt=name) for name in "abc"] == [True, True, False]
    counters.leave("k", "a")
    assert takes(counters, two, receipt="c")
    counters.leave("k", "b")
    counters.leave("k", "c")
    assert counters.size == 0


def test_a_budget_is_what_the_ledger_holds_and_what_is_under_way() -> None:
    counters = MemoryCounters(Clock())

    def ask(amount: int, base: int = 0, version: int = 0) -> Asked:
        return replace(asks(100, amount, "cost_per_day"), base=base, version=version)

    assert takes(counters, ask(60), receipt="a")
    assert not takes(counters, ask(60), receipt="b")
    counters.put("k", "attempt", 30)  # it cost half of what was reserved
    counters.drop("k", "a")
    assert takes(counters, ask(60), receipt="b")
    counters.drop("k", "b")
    counters.learn("k", 30, 1)
    counters.drop("k", "attempt")  # the ledger has it
    outcomes, refusing = counters.take("c", [ask(71, 30, 1)])
    assert (outcomes[0].used, refusing) == (30, [0])
    assert takes(counters, ask(70, 10, 0), receipt="c") is False or counters.budgets  # an older sum is not believed


def test_a_full_budget_refuses_what_costs_nothing_too() -> None:
    counters = MemoryCounters(Clock())
    full = replace(asks(100, 0, "cost_per_day"), base=100, version=1)
    assert not takes(counters, full)
    assert not takes(counters, replace(asks(0, 0, "cost_per_day", "none")))


def test_a_refused_call_leaves_no_counter_of_a_budget() -> None:
    counters = MemoryCounters(Clock())
    assert not any(takes(counters, asks(1, 2, "cost_per_day", f"b{n}")) for n in range(5))
    assert counters.size == 0
    assert takes(counters, asks(2, 2, "cost_per_day", "b"), receipt="one")
    assert not takes(counters, asks(2, 1, "cost_per_day", "b"), receipt="two")
    counters.drop("b", "one")
    assert counters.size == 0


def test_workers_share_what_they_cannot_count_together() -> None:
    counters = MemoryCounters(Clock())
    taken = [not counters.take(str(n), [asks(10)], 4)[1] for n in range(4)]
    assert taken == [True, True, False, False]
    single = [not counters.take(str(n), [asks(1, key="one")], 4)[1] for n in range(2)]
    assert single == [True, False]
    budget = replace(asks(100, 20, "cost_per_day", "b"), base=20, version=1)
    assert [not counters.take(str(n), [budget], 2)[1] for n in range(3)] == [True, True, False]


def test_many_keys_leave_memory_flat(monkeypatch: pytest.MonkeyPatch) -> None:
    most = 5_000
    monkeypatch.setattr(memory, "MOST_WINDOWS", most)
    clock = Clock()
    counters = MemoryCounters(clock)
    for number in range(10 * most):
        assert takes(counters, asks_fast(number))
        clock.now += 0.001
    assert counters.size <= most
    clock.now += 120
    for number in range(most):  # who comes makes room of who is gone
        takes(counters, asks_fast(-number - 1))
        clock.now += 0.1
    assert counters.size < most / 3


RULE = compiled()
MINUTE = LIMIT_UNITS["requests_per_minute"]


def asks_fast(number: int) -> Asked:
    key = f"l:1:{number}"
    return Asked(Check(RULE, MINUTE, 5, key, ""), 1, key)
