"""Slots of sessions: shared through a real Redis by all hosts, leased, and counted by each host without it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import redis

from gateway.call.errors import TooManyRequests
from gateway.realtime import shared_slots, slots
from gateway.realtime.slots import Slots


@pytest.fixture
async def host(settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Callable[..., Any]]:
    """Act as a host of its own (``host("name", url)``): another data folder, another process's connection to Redis."""

    def act(name: str, url: str = "") -> None:
        settings.DATA_DIR, settings.REDIS_URL = tmp_path / name, url
        monkeypatch.setattr(slots, "_shared", None)

    yield act
    await asyncio.sleep(0)
    if slots._shared is not None:
        await slots._shared._redis.aclose()


async def refused(limit: int = 2) -> bool:
    with Slots() as more:
        try:
            await more.take("subject user:1", limit, "ada")
        except TooManyRequests as error:
            return error.code == "too_many_sessions" and "ada has 2 sessions open" in str(error)
    return False


async def taken(stack: contextlib.ExitStack) -> Slots:
    made = stack.enter_context(Slots())
    await made.take("subject user:1", 2, "ada")
    return made


async def test_all_hosts_share_what_redis_counts(host: Callable[..., Any], redis_url: str) -> None:
    with contextlib.ExitStack() as open_sessions:
        for name in ("one", "two"):
            host(name, redis_url)
            await taken(open_sessions)
        host("three", redis_url)
        assert await refused()
        with Slots() as other:
            await other.take("subject user:2", 1, "bob")
            await other.take("account open", 0, "no limit")
    await asyncio.sleep(0.2)
    assert not await refused()


async def test_hosts_without_redis_count_by_themselves(host: Callable[..., Any]) -> None:
    with contextlib.ExitStack() as open_sessions:
        host("one")
        await taken(open_sessions)
        await taken(open_sessions)
        assert await refused()
        host("two")
        assert not await refused()
    host("one")
    assert not await refused()


async def test_what_a_killed_worker_held_is_free_again_when_its_lease_ends(
    host: Callable[..., Any], redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared_slots, "LEASE_SECONDS", 1)
    host("dead", redis_url)
    lost = Slots()
    await lost.take("subject user:1", 2, "ada")
    await lost.take("subject user:1", 2, "ada")
    host("alive", redis_url)
    assert await refused()
    async with asyncio.timeout(5):
        while await refused():
            await asyncio.sleep(0.1)
    with redis.Redis.from_url(redis_url) as client:
        assert all(0 < client.ttl(key) <= 2 for key in client.keys("gatehouse:slots:*"))


async def test_a_lease_is_renewed_while_the_session_lasts_even_when_redis_lost_it(
    host: Callable[..., Any], redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared_slots, "LEASE_SECONDS", 2)
    monkeypatch.setattr(shared_slots, "RENEW_SECONDS", 0.2)
    host("one", redis_url)
    with contextlib.ExitStack() as open_sessions:
        await taken(open_sessions)
        await taken(open_sessions)
        with redis.Redis.from_url(redis_url) as client:
            client.flushdb()
        await asyncio.sleep(2.8)
        assert await refused()


async def test_a_redis_that_is_away_stops_no_session(
    host: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    host("one", "redis://127.0.0.1:9/0")
    with contextlib.ExitStack() as open_sessions:
        await taken(open_sessions)
        await taken(open_sessions)
        assert await refused()
    assert not await refused()
    assert "counted on this host alone" in caplog.text


def test_a_lease_ends_within_a_minute() -> None:
    assert shared_slots.LEASE_SECONDS <= 60
    assert shared_slots.RENEW_SECONDS * 3 < shared_slots.LEASE_SECONDS
