"""A part that fails degrades the service without ending it: calls go on, usage waits, and /readyz says which part and
why.
"""

import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.calls import CHAT_PATH, assert_ours, chat
from tests.support.fixtures import USER, InstallationMaker, seed
from tests.support.installation import Gateway, Installation, within
from tests.support.sandbox_process import SandboxProcess
from tests.support.servers import PostgresServer, free_port, wait_until

PARTS = {"directory", "database", "spool", "redis", "limits"}


def ready(gateway: Gateway) -> tuple[int, dict[str, Any]]:
    """The answer of /readyz."""
    response = gateway.http.get(f"{gateway.origin}/readyz")
    return response.status_code, response.json()


def ask(gateway: Gateway, token: str) -> httpx.Response:
    """A call, which must be quick whatever is unavailable."""
    with within(1.5, "a call"):
        return gateway.post(token, CHAT_PATH, chat())


def test_all_is_well(gateway: Gateway) -> None:
    status, body = ready(gateway)
    assert (status, body["status"]) == (200, "ok")
    assert set(body["checks"]) == PARTS
    assert {check["state"] for check in body["checks"].values()} == {"ok"}
    assert body["checks"]["directory"]["age_seconds"] < 5
    assert body["checks"]["directory"]["accounts"] >= 2
    assert gateway.http.get(f"{gateway.origin}/healthz").json() == {"status": "ok"}


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_health_answers_head_like_get_without_a_body(gateway: Gateway, path: str) -> None:
    for _ in range(2):  # on one connection: a body would be taken for the next answer
        answer = gateway.http.head(gateway.origin + path)
        assert (answer.status_code, answer.content) == (200, b"")
        assert answer.headers["content-type"] == "application/json"
        assert int(answer.headers["content-length"]) > 0
    assert gateway.http.post(gateway.origin + path).status_code == 405


def test_health_tells_nothing_secret_and_needs_no_token(gateway: Gateway, token: str) -> None:
    text = gateway.http.get(f"{gateway.origin}/readyz").text
    assert "sk-sandbox" not in text
    assert str(gateway.installation.data) not in text
    assert gateway.http.post(f"{gateway.origin}/readyz").status_code == 405


def test_the_database_goes_and_comes_back(
    tmp_path: Path, migrated_data: Path, own_postgres: PostgresServer, running_upstream: SandboxProcess
) -> None:
    with Installation(
        tmp_path / "installation", migrated_data, {"DATABASE_URL": f"{own_postgres.url}/postgres"}
    ) as installation:
        assert installation.command("migrate", "--verbosity=0").returncode == 0
        seed(installation, running_upstream.url)
        token = installation.do("token", "t", user=USER)
        gateway = installation.gateway()
        assert ask(gateway, token).status_code == 200
        assert len(installation.records(1)) == 1
        installation.do("forget_connection")

        own_postgres.stop()
        for _ in range(5):
            assert ask(gateway, token).status_code == 200
        wait_until(lambda: ready(gateway)[1]["checks"]["database"]["state"] == "degraded", 10)
        wait_until(lambda: ready(gateway)[1]["checks"]["spool"]["state"] == "degraded", 10)
        status, body = ready(gateway)
        assert (status, body["status"]) == (200, "degraded"), "calls still work, so no balancer may take it out"
        assert "not reachable" in body["checks"]["database"]["detail"]
        assert body["checks"]["spool"]["pending"] >= 5
        assert gateway.http.get(f"{gateway.origin}/healthz").status_code == 200
        assert ask(gateway, "gh-" + token[3:][::-1]).status_code == 401
        assert ask(gateway, token).status_code == 200

        own_postgres.start()
        wait_until(lambda: ready(gateway)[1]["status"] == "ok", 40)
        records = installation.records(7, seconds=30)
        assert len(records) == len({record["request_id"] for record in records}) == 7
        installation.do("revoke", "t")
        wait_until(lambda: ask(gateway, token).status_code == 401, 5)


def test_a_locked_database_slows_no_call(make_installation: InstallationMaker) -> None:
    installation = make_installation()
    token = installation.do("token", "t", user=USER)
    gateway = installation.gateway()
    ask(gateway, token)
    installation.records(1)
    lock = sqlite3.connect(installation.data / "gatehouse.sqlite3", isolation_level=None)
    lock.execute("BEGIN EXCLUSIVE")
    try:
        until = time.monotonic() + 1.5
        answers = 0
        while time.monotonic() < until:
            assert ask(gateway, token).status_code == 200
            answers += 1
    finally:
        lock.execute("ROLLBACK")
        lock.close()
    assert answers > 5
    assert len(installation.records(answers + 1)) == answers + 1


def test_redis_is_away(make_installation: InstallationMaker) -> None:
    installation = make_installation({"REDIS_URL": f"redis://127.0.0.1:{free_port()}/0"})
    token = installation.do("token", "t", user=USER)
    gateway = installation.gateway()
    assert ask(gateway, token).status_code == 200
    status, body = ready(gateway)
    assert (status, body["status"]) == (200, "degraded")
    assert body["checks"]["redis"]["state"] == "degraded"
    assert "not reachable" in body["checks"]["redis"]["detail"]


def test_a_spool_that_can_not_be_written(make_installation: InstallationMaker) -> None:
    """The folder vanishes under the process: calls go on, and nothing is lost silently."""
    installation = make_installation({"GATEHOUSE_USAGE_FLUSH_SECONDS": "0.2"})
    token = installation.do("token", "t", user=USER)
    gateway = installation.gateway()
    ask(gateway, token)
    installation.records(1)
    for path in sorted((installation.data / "spool").rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    (installation.data / "spool").rmdir()
    assert ask(gateway, token).status_code == 200
    wait_until(lambda: (installation.data / "spool").exists(), 5)
    assert ask(gateway, token).status_code == 200
    checks = ready(gateway)[1]["checks"]
    assert len(installation.records(2)) + checks["spool"]["dropped"] >= 3


def test_an_account_whose_key_can_not_be_read(make_installation: InstallationMaker) -> None:
    """Another encryption key: the account is left out, the rest works, and the log says what to do."""
    installation = make_installation()
    token = installation.do("token", "t", user=USER)
    strange = {"GATEHOUSE_ENCRYPTION_KEYS": "m4Xq7Zt2Wb9Kc1Vn6Ls8Hd3Jf5Gp0Ry-another"}
    gateway = installation.gateway(env=strange)
    assert_ours(ask(gateway, token), 404, "model_not_found", "model")
    assert gateway.get(token, "/v1/models").json() == {"object": "list", "data": []}
    assert "openai-main: its key can't be decrypted. Check GATEHOUSE_ENCRYPTION_KEYS." in gateway.log


def test_no_picture_yet(fresh_daphne: Gateway) -> None:
    """Started while the database is unavailable: alive, not fit, and calls are told to come again."""
    gateway = fresh_daphne
    assert gateway.http.get(f"{gateway.origin}/healthz").json() == {"status": "ok"}
    status, body = ready(gateway)
    assert (status, body["status"]) == (503, "failed")
    assert body["checks"]["directory"]["state"] == "failed"
    response = gateway.post("gh-any", CHAT_PATH, chat())
    assert_ours(response, 503, "unavailable")
    assert response.headers["retry-after"] == "1"


@pytest.fixture
def fresh_daphne(tmp_path: Path, migrated_data: Path) -> Iterator[Gateway]:
    """A process that found no database; ``manage.py serve`` would have refused to start."""
    env = {"DATABASE_URL": f"postgres://nobody@127.0.0.1:{free_port()}/none"}
    with Installation(tmp_path / "installation", migrated_data, env) as installation:
        yield installation.gateway(server="daphne", awaits="/healthz")
