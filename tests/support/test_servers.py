"""The servers that tests use are real ones, and every test gets a database of its own."""

import psycopg
import redis

from tests.support import servers


def test_every_call_gives_a_new_empty_postgresql_database() -> None:
    first, second = servers.postgres_url(), servers.postgres_url()
    with psycopg.connect(first) as one, psycopg.connect(second) as other:
        one.execute("CREATE TABLE mine (x int)")
        assert one.execute("SELECT current_setting('server_version_num')::int").fetchone() >= (140000,)
        assert other.execute("SELECT to_regclass('mine')").fetchone() == (None,)


def test_every_call_gives_a_new_empty_redis_database() -> None:
    first, second = servers.redis_url(), servers.redis_url()
    with redis.Redis.from_url(first) as one, redis.Redis.from_url(second) as other:
        one.set("mine", 1)
        assert other.get("mine") is None
        assert first != second
