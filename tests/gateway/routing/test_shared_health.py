"""What one worker sees of a target, the others know a moment later: through a real Redis, in processes of their own."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from pathlib import Path
from time import monotonic
from typing import Any

import pytest
import redis

from gateway.routing.health import Health, Sample
from gateway.routing.shared_health import STREAM, SharedHealth
from tests.gateway.routing.test_virtual_models import MESSAGES, target, virtual
from tests.support import servers
from tests.support.fixtures import USER
from tests.support.installation import Gateway, Installation, promised
from tests.support.manifests import ACCESS, chat_model, provider
from tests.support.stage import Stage, completion

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


@pytest.fixture(scope="module")
def stages() -> Iterator[list[Stage]]:
    with ExitStack() as stack:
        yield [stack.enter_context(Stage()) for _ in range(2)]


@pytest.fixture(scope="module")
def gateways(tmp_path_factory: pytest.TempPathFactory, migrated_data: Path, stages: list[Stage]) -> Iterator[Any]:
    env = {"REDIS_URL": servers.redis_url()}
    with Installation(tmp_path_factory.mktemp("shared-health") / "data", migrated_data, env) as installation:
        stubborn = {"attempts": 2, "delay": 1, "on_status_codes": ["401", "503"]}
        smart = {
            "type": "provider-account/virtual-model",
            "name": "smart",
            "collaborators": [{"subject": f"user:{USER}", "role_id": ACCESS}],
            "integrations": [virtual("chat", target(0, retry_config=stubborn), target(1))],
        }
        models = [chat_model("m", model_id="gpt-4o-mini")]
        accounts = [
            provider(name, stage.url, models=models, access=())
            for name, stage in zip(("one", "two"), stages, strict=True)
        ]
        installation.apply(smart, *accounts)
        token = installation.do("token", "router", user=USER)
        yield [installation.gateway(), installation.gateway()], token


def test_a_worker_spares_what_another_saw_refuse_its_key(
    gateways: tuple[list[Gateway], str], stages: list[Stage]
) -> None:
    servers_, token = gateways
    stages[0].play(lambda turn: turn.answer({"error": {"message": "no key"}}, 401))
    stages[1].play(lambda turn: turn.answer(completion("two", 5, 7)))

    def said(gateway: Gateway) -> str:
        with gateway.sdk(token) as client:
            answer = client.chat.completions.create(model="smart/chat", messages=MESSAGES)
        return answer.choices[0].message.content or ""

    assert said(servers_[0]) == "two"
    assert len(stages[0].turns) == 1, "a key that is refused is not tried again"
    servers.wait_until(lambda: "another worker saw it fail with 401" in servers_[1].log, seconds=promised(1))
    assert [said(servers_[1]) for _ in range(3)] == ["two"] * 3
    assert len(stages[0].turns) == 1
