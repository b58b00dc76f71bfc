"""The counters in Redis: the same answers as those in memory, one round trip, and leases that end by themselves."""

import asyncio
import contextlib
import multiprocessing
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.limits import shared as messages
from gateway.limits.checks import Asked
from gateway.limits.memory import MemoryCounters
from gateway.limits.shared import FAULTS, PREFIX, SharedCounters
from tests.gateway.limits.test_memory import Clock, asks
from tests.support.redis_server import RedisServer
from tests.support.servers import wait_until


def run(url: str, work: Callable[[SharedCounters], Awaitable[None]]) -> None:
    async def opened() -> None:
        counters = SharedCounters(url, asyncio.get_running_loop(), list)
        try:
            await work(counters)
        finally:
            await counters.stop()

    asyncio.run(opened())


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["requests_per_day", "tokens_per_day", "concurrent_requests", "cost_per_day"]),
        st.integers(0, 2),
        st.integers(1, 6),
        st.sampled_from(["enforce", "audit"]),
    ),
    min_size=1,
    max_size=25,
)


@given(STEPS)
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_they_answer_as_those_in_memory_do(redis_url: str, steps: list[tuple[str, int, int, str]]) -> None:
    """Within a day's window nothing slides away, so that the two clocks make no difference."""
    redis.Redis.from_url(redis_url).flushdb()
    memory = MemoryCounters(Clock())

    async def both(shared: SharedCounters) -> None:
        for number, (unit, key, amount, mode) in enumerate(steps):
            asked = [
                asks(
                    7, 1 if unit == "concurrent_requests" else amount, unit, f"{unit}{key}", number=key + 1, mode=mode
                ),
                asks(9, 1, "requests_per_day", "both", number=9),
            ]
            ours, refusing = await shared.take(str(number), asked)
            theirs, refusing_too = memory.take(str(number), asked)
            assert refusing == refusing_too
            assert [(one.fits, one.used) for one in ours] == [(one.fits, one.used) for one in theirs]

    run(redis_url, both)


def hammer(url: str, started: float, taken: "multiprocessing.Queue[int]") -> None:
    messages.TIMEOUT_SECONDS = 30.0  # type: ignore[misc]  # in this process: a busy machine is not what is tested

    async def work(shared: SharedCounters) -> None:
        await asyncio.sleep(max(0.0, started - time.time()))
        calls = [shared.take(f"{id(shared)}-{n}", [asks(50), asks(40, key="other", number=2)]) for n in range(60)]
        answers = await asyncio.gather(*calls)
        taken.put(sum(not refusing for _, refusing in answers))

    run(url, work)


def test_processes_that_race_pass_exactly_the_limit(redis_url: str) -> None:
    context = multiprocessing.get_context("fork")
    taken: multiprocessing.Queue[int] = context.Queue()
    started = time.time() + 3
    racers = [context.Process(target=hammer, args=(redis_url, started, taken)) for _ in range(3)]
    for racer in racers:
        racer.start()
    total = sum(taken.get(timeout=60) for _ in racers)
    for racer in racers:
        racer.join(20)
    assert total == 40


def test_a_call_is_one_command_however_many_checks_it_has(redis_url: str) -> None:
    client = redis.Redis.from_url(redis_url)

    async def work(shared: SharedCounters) -> None:
        asked = [asks(9, key=str(n), number=n) for n in range(1, 6)] + [asks(9, 1, "cost_per_day", "b", number=7)]
        await shared.take("first", asked)
        before = client.info("commandstats")["cmdstat_evalsha"]["calls"]
        await shared.take("second", asked)
        assert client.info("commandstats")["cmdstat_evalsha"]["calls"] - before == 1

    run(redis_url, work)


def test_what_a_killed_worker_held_comes_back(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(messages, "LEASE_SECONDS", 1)

    async def work(shared: SharedCounters) -> None:
        both = [asks(1, unit="concurrent_requests", key="c"), asks(10, 10, "cost_per_day", "b", number=2)]
        assert not (await shared.take("dead", both))[1]
        assert (await shared.take("next", both))[1] == [0, 1]
        await asyncio.sleep(1.2)
        assert not (await shared.take("next", both))[1]

    run(redis_url, work)


def test_the_ledgers_sum_comes_with_the_end_of_its_entry(redis_url: str) -> None:
    async def work(shared: SharedCounters) -> None:
        def ask(amount: int, base: int = 0, version: int = 0) -> Asked:
            return replace(asks(100, amount, "cost_per_day", "b"), base=base, version=version)

        await shared.take("call", [ask(60)])
        shared.report(messages.put("b", "attempt", 25), messages.dropped("b", "call"))
        await asyncio.sleep(0.1)
        assert (await shared.take("look", [ask(1000)]))[0][0].used == 25
        shared.report(messages.learned("b", 25, 3), messages.dropped("b", "attempt"))
        await asyncio.sleep(0.1)
        assert (await shared.take("look", [ask(1000)]))[0][0].used == 25
        # Another worker knows an older sum, then a newer one.
        assert (await shared.take("look", [ask(1000, 5, 2)]))[0][0].used == 25
        assert (await shared.take("look", [ask(1000, 40, 4)]))[0][0].used == 40

    run(redis_url, work)


def test_a_flushed_redis_gets_back_what_is_held(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(messages, "RENEW_SECONDS", 0.2)

    async def work() -> None:
        held = [messages.put("b", "call", 60), messages.running("c", "call")]
        shared = SharedCounters(redis_url, asyncio.get_running_loop(), lambda: held)
        shared.start()
        try:
            await shared.take("call", [asks(100, 60, "cost_per_day", "b")])
            redis.Redis.from_url(redis_url).flushdb()
            await asyncio.sleep(0.6)
            outcomes, _ = await shared.take("look", [replace(asks(100, 1000, "cost_per_day", "b"), base=7, version=2)])
            assert outcomes[0].used == 67
            assert redis.Redis.from_url(redis_url).zcard(f"{PREFIX}c") == 1
            assert shared.workers == 1
        finally:
            await shared.stop()

    asyncio.run(work())


def test_a_replica_that_takes_over_goes_on_with_what_was_counted(tmp_path: Path) -> None:
    """A failover: the address leads to the replica, which takes no writes for a moment, then it is the primary."""
    primary, replica = (RedisServer(tmp_path) for _ in range(2))
    with contextlib.ExitStack() as ended:
        for server in (primary, replica):
            ended.callback(server.kill)
            server.start()
        first, second = (redis.Redis.from_url(server.url) for server in (primary, replica))
        first.config_set("repl-diskless-sync-delay", 0)
        second.replicaof("127.0.0.1", primary.port)
        wait_until(lambda: second.info("replication")["master_link_status"] == "up")

        async def work(shared: SharedCounters) -> None:
            for number in range(3):
                assert (await shared.take(str(number), [asks(5)]))[1] == []
            assert first.wait(1, 5000) == 1
            primary.kill()
            second.config_set("port", primary.port)
            with pytest.raises(FAULTS):
                await shared.take("refused", [asks(5)])
            assert shared.fault
            assert shared.away
            redis.Redis.from_url(primary.url).replicaof("NO", "ONE")
            outcomes = [(await shared.take(f"later {number}", [asks(5)]))[1] for number in range(3)]
            assert outcomes == [[], [], [0]], "three of five were counted before"
            assert not shared.fault

        run(primary.url, work)


def test_a_clock_that_goes_back_holds_nothing_for_longer(redis_url: str) -> None:
    """Slots of the future, as a Redis with another clock left them, count as of now."""
    client = redis.Redis.from_url(redis_url)
    pack = "redis.call('SET', KEYS[1], cmsgpack.pack({math.floor((redis.call('TIME')[1] + 7200)), 5}))"
    client.eval(pack, 1, f"{PREFIX}k")

    async def work(shared: SharedCounters) -> None:
        outcomes, refusing = await shared.take("call", [asks(5)])
        assert refusing == [0]
        assert outcomes[0].wait <= 62

    run(redis_url, work)


def test_a_redis_that_is_away_is_said_and_not_waited_for_again() -> None:
    async def work(shared: SharedCounters) -> None:
        with pytest.raises(FAULTS):
            await shared.take("call", [asks(5)])
        assert shared.fault
        assert shared.away

    run("redis://127.0.0.1:1/0", work)
