"""Stored secrets get their seals when the database is brought up to date, and keep working on the way back."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.installation import Installation, migrated_postgres_url
from tests.support.manifests import provider
from tests.support.sandbox_process import SandboxProcess
from tests.support.servers import wait_until

BEFORE, AFTER = "0003_finish_seconds", "0004_seals"
KEY = "sk-sandbox"


@pytest.fixture(params=["postgresql", "sqlite"])
def installation(
    request: pytest.FixtureRequest, tmp_path: Path, migrated_data: Path, running_upstream: SandboxProcess
) -> Iterator[Installation]:
    postgres = request.param == "postgresql"
    env = {"DATABASE_URL": migrated_postgres_url()} if postgres else {}
    with Installation(tmp_path / "data", None if postgres else migrated_data, env) as made:
        headers = {"extra_headers": {"X-Team": "red"}}
        made.apply(
            provider("old", running_upstream.url, models=["gpt-4o-mini"], key=KEY, **headers),
            provider("keyless", running_upstream.url, models=["gpt-4o-mini"], auth_data={"type": "none"}),
        )
        yield made


def migrate(installation: Installation, name: str) -> None:
    done = installation.command("migrate", "--verbosity=0", "providers", name)
    assert done.returncode == 0, done.stderr


def sent_key(upstream: SandboxProcess) -> str:
    return str(dict(upstream.requests()[-1]["headers"])["authorization"])


def test_secrets_are_bound_to_the_address_beside_them_and_the_way_back_keeps_them(
    installation: Installation, running_upstream: SandboxProcess
) -> None:
    migrate(installation, BEFORE)
    migrate(installation, AFTER)
    assert installation.command("migrate", "providers", "--verbosity", "0").returncode == 0  # what came behind it
    assert installation.command("bind_key").stdout.startswith("Nothing to do")
    gateway = installation.gateway()
    token = gateway.token("ada", user="ada@example.com")
    body = {"model": "old/gpt-4o-mini", "messages": [{"role": "user", "content": "Hi."}]}
    assert gateway.post(token, "/v1/chat/completions", body).status_code == 200
    # A process of the previous release may still be at work: what it stores is not sent before an operator said where.
    installation.do("store_as_before", "old", credentials="sk-of-the-previous-release")
    wait_until(lambda: gateway.post(token, "/v1/chat/completions", body).status_code == 502)
    assert "old (http://127.0.0.1:" in installation.command("bind_key").stdout
    assert installation.command("bind_key", "old").stdout.startswith("old: bound to http://127.0.0.1:")
    wait_until(lambda: gateway.post(token, "/v1/chat/completions", body).status_code == 401)
    assert sent_key(running_upstream) == "Bearer sk-of-the-previous-release"
    installation.do("store_as_before", "old", credentials=KEY)
    installation.do("store_as_before", "old", seal=None)  # as a row that it added
    wait_until(lambda: gateway.post(token, "/v1/chat/completions", body).status_code == 502)
    assert installation.command("bind_key", "old").returncode == 0
    wait_until(lambda: gateway.post(token, "/v1/chat/completions", body).status_code == 200)
