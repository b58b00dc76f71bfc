"""Limits while Redis is killed, hangs and comes back: each worker takes its share, and calls go on."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.gateway.policies.test_limits import CHATS, budget, call, limit, race, ready
from tests.support.fixtures import USER, InstallationMaker
from tests.support.installation import Gateway
from tests.support.redis_server import RedisServer
from tests.support.servers import wait_until


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[RedisServer]:
    folder = tmp_path / "valkey"
    folder.mkdir()
    server = RedisServer(folder)
    server.start()
    yield server
    server.kill()


def knows(gateway: Gateway, workers: int) -> None:
    """Wait until the server has heard of its fellows, which it reports once Redis is unavailable."""
    time.sleep(5.5)
    assert ready(gateway) == {"state": "ok"}, workers


def test_each_worker_takes_its_share_while_redis_is_dead(
    make_installation: InstallationMaker, own_redis: RedisServer
) -> None:
    installation = make_installation({"REDIS_URL": own_redis.url})
    installation.apply(limit(limits={"requests_per_hour": 20}, per="aggregate", **CHATS))
    gateways = [installation.gateway(), installation.gateway()]
    token = gateways[0].token("a", user=USER)
    wait_until(lambda: all(one.get(token, "/v1/models").status_code == 200 for one in gateways))
    knows(gateways[0], 2)
    own_redis.kill()
    statuses = race(gateways, token, 40)
    assert set(statuses) == {200, 429}
    assert statuses.count(200) == 20  # ten each
    for gateway in gateways:
        said: dict[str, Any] = ready(gateway)
        assert said["state"] == "degraded"
        assert said["detail"].endswith("this worker takes 1/2 of every limit")
    own_redis.start()
    wait_until(lambda: all(ready(one) == {"state": "ok"} for one in gateways))
    assert call(gateways[0], token).status_code == 200  # Redis forgot what it had counted


def test_a_redis_that_hangs_costs_one_call_half_a_second(
    make_installation: InstallationMaker, own_redis: RedisServer
) -> None:
    installation = make_installation({"REDIS_URL": own_redis.url})
    installation.apply(limit(limits={"requests_per_hour": 1000}, per="aggregate", **CHATS))
    gateway = installation.gateway()
    token = gateway.token("a", user=USER)
    assert call(gateway, token).status_code == 200
    own_redis.pause()
    try:
        began = time.monotonic()
        assert [call(gateway, token).status_code for _ in range(5)] == [200] * 5
        assert time.monotonic() - began < 4
    finally:
        own_redis.pause(stop=False)
    wait_until(lambda: ready(gateway) == {"state": "ok"})


def test_a_budget_holds_through_the_death_of_redis(
    make_installation: InstallationMaker, own_redis: RedisServer
) -> None:
    """What the ledger holds is known without Redis, and what is reserved is told to the new one again."""
    installation = make_installation({"REDIS_URL": own_redis.url})
    installation.apply(budget(limits={"cost_per_day": 0.0006}))
    gateways = [installation.gateway(), installation.gateway()]
    token = gateways[0].token("a", user=USER)
    wait_until(lambda: all(one.get(token, "/v1/models").status_code == 200 for one in gateways))
    knows(gateways[0], 2)
    for step in (own_redis.kill, own_redis.start):
        race(gateways, token, 6, max_tokens=100)
        step()
    wait_until(lambda: 200 not in race(gateways, token, 10, max_tokens=100), 60)
    time.sleep(1.5)
    spent = sum(one["cost_pico"] or 0 for one in installation.records())
    assert 0 < spent <= 0.0006 * 10**12
