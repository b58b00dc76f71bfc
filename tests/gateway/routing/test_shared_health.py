"""What one worker sees of a target, the others know a moment later: through a real Redis."""

import asyncio
from collections.abc import AsyncIterator
from time import monotonic
from typing import Any

import pytest
import redis

from gateway.routing.health import Health, Sample
from gateway.routing.shared_health import STREAM, SharedHealth
from tests.support import servers
from tests.support.installation import promised

GOOD = Sample(0.0, None, None)


class Worker:
    """What a process has of it."""

    def __init__(self, url: str) -> None:
        self.health = Health()
        self.shared = SharedHealth(url, self.health)
        self.shared.start()

    def rests(self, name: str) -> bool:
        return not self.health.of(name).usable(monotonic())


@pytest.fixture
async def workers(redis_url: str) -> AsyncIterator[list[Worker]]:
    made = [Worker(redis_url), Worker(redis_url)]
    await asyncio.sleep(0.1)
    yield made
    for worker in made:
        await worker.shared.stop()


async def until(condition: Any, seconds: float = 1.0) -> None:
    async with asyncio.timeout(promised(seconds)):
        while not condition():
            await asyncio.sleep(0.01)


async def test_a_refused_key_and_a_recovery_are_known_to_all(workers: list[Worker]) -> None:
    one, two = workers
    one.health.failed("a/m", 401, None)
    await until(lambda: two.rests("a/m"))
    assert two.health.of("a/m").cause == 401
    assert not two.rests("b/m")
    two.health.succeeded("a/m", GOOD)
    await until(lambda: not one.rests("a/m"))


async def test_failures_of_all_count_together(workers: list[Worker]) -> None:
    one, two = workers
    one.health.failed("a/m", 503, None)
    await until(lambda: two.health.of("a/m").failures)
    assert not two.rests("a/m")
    two.health.failed("a/m", 503, 120.0)
    assert two.rests("a/m")
    await until(lambda: one.rests("a/m"))
    left = one.health.of("a/m").resting_until - monotonic()
    assert 110 < left <= 121, "as long as the target asked the other"


async def test_one_of_all_is_the_probe(workers: list[Worker]) -> None:
    one, two = workers
    one.health.failed("a/m", 403, 0.3)
    await until(lambda: two.rests("a/m"))
    await until(lambda: not two.rests("a/m"))
    one.health.begin_probe("a/m")
    await until(lambda: two.rests("a/m"))
    one.health.end_probe("a/m")
    assert not one.rests("a/m")
    await until(lambda: not two.rests("a/m"))


async def test_who_comes_later_learns_it(workers: list[Worker], redis_url: str) -> None:
    one, _ = workers
    one.health.failed("a/m", 401, None)
    one.health.failed("b/m", 401, None)
    one.health.succeeded("b/m", GOOD)
    await until(lambda: redis.Redis.from_url(redis_url).xlen(STREAM) == 3)
    late = Worker(redis_url)
    try:
        await until(lambda: late.rests("a/m"))
        assert not late.rests("b/m")
    finally:
        await late.shared.stop()


async def test_an_outage_tells_little(workers: list[Worker], redis_url: str) -> None:
    for _ in range(500):
        workers[0].health.failed("a/m", 503, None)
    await until(lambda: workers[1].rests("a/m"))
    assert redis.Redis.from_url(redis_url).xlen(STREAM) == 2


async def test_what_another_release_says_is_left_alone(workers: list[Worker], redis_url: str) -> None:
    client = redis.Redis.from_url(redis_url)
    client.xadd(STREAM, {"by": "new", "name": "a/m", "what": "failure", "status": "often"})
    client.xadd(STREAM, {"by": "new", "name": "a/m", "what": "sings", "status": "1", "rest": "1"})
    workers[0].health.failed("b/m", 401, None)
    await until(lambda: workers[1].rests("b/m"))
    assert not workers[1].rests("a/m")


async def test_without_redis_each_knows_its_own() -> None:
    worker = Worker(f"redis://127.0.0.1:{servers.free_port()}/0")
    worker.health.failed("a/m", 401, None)
    await asyncio.sleep(0.1)
    assert worker.rests("a/m")
    await worker.shared.stop()
