"""Fixtures of tests that come through the front door: Gatehouse and its upstream as real processes.

``gateway`` and ``upstream`` are shared by a test session's worker, so a test leaves them as it found them; a test that
changes state makes an installation of its own with ``make_installation``.
"""

import fcntl
import shutil
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

import pytest
from openai import AsyncOpenAI, OpenAI

from tests.support import servers
from tests.support.installation import Gateway, Installation
from tests.support.manifests import chat_model, provider
from tests.support.sandbox_process import SandboxProcess
from tests.support.servers import PostgresServer
from tests.support.stage import Stage

USER = "ada@example.com"
ACCOUNT = "openai-main"
CHAT = f"{ACCOUNT}/gpt-4o-mini"
CATALOGUE = (
    "gpt-4o-mini",
    "gpt-4o",
    "o4-mini",
    "gpt-3.5-turbo-instruct",
    "text-embedding-3-small",
    "text-embedding-3-large",
    "text-embedding-ada-002",
    "omni-moderation-latest",
    "whisper-1",
)
TIGHT = {
    "GATEHOUSE_BODY_TIMEOUT_S": "1",
    "GATEHOUSE_MAX_BODY_MB": "1",
    "GATEHOUSE_MAX_ANSWER_MB": "1",
    "GATEHOUSE_FORWARD_HEADERS": "x-sandbox, X-Team",
}

# What the shared gateway asks its upstream, it asks for a test: it polls no background response by itself.
QUIET = {"GATEHOUSE_BACKGROUND_POLL_SECONDS": "0"}

InstallationMaker = Callable[..., Installation]


def seed(installation: Installation, upstream_url: str) -> None:
    """Set up what most tests use: the account ``openai-main`` for all users, and ``foreign``, which no one may use."""
    named = chat_model("named-model", model_id="gpt-4o-mini")
    installation.apply(
        provider(ACCOUNT, upstream_url, models=[*CATALOGUE, named]),
        provider("foreign", upstream_url, models=["gpt-4o-mini"], access=()),
    )


@pytest.fixture(autouse=True)
def _rules_of_no_other_test() -> None:
    """Forget the rules that an earlier test made and rolled back: those of this one may have the same revision."""
    from rules import spending  # when Django is set up

    spending._rules.clear()


@pytest.fixture(scope="session")
def migrated_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data directory with a migrated SQLite database and keys, made once per test session; copy it."""
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if base.name.startswith("popen-") else base
    template = shared / "migrated"
    with (shared / "migrated.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not template.exists():
            shutil.rmtree(shared / "migrating", ignore_errors=True)  # what a failed attempt left
            with Installation(shared / "migrating") as installation:
                done = installation.manage("migrate", "--verbosity=0")
                assert done.returncode == 0, done.stderr
            installation.data.rename(template)
    return template


@pytest.fixture(scope="session")
def running_upstream() -> Iterator[SandboxProcess]:
    with SandboxProcess() as sandbox:
        yield sandbox


@pytest.fixture
def upstream(running_upstream: SandboxProcess) -> SandboxProcess:
    """The sandbox behind the shared gateway, with nothing recorded yet."""
    running_upstream.clear()
    return running_upstream


@pytest.fixture
def own_postgres() -> Iterator[PostgresServer]:
    """A PostgreSQL that the test may stop."""
    with servers.own_postgres() as server:
        yield server


@pytest.fixture
def make_installation(
    tmp_path: Path, migrated_data: Path, running_upstream: SandboxProcess
) -> Iterator[InstallationMaker]:
    """A function that makes a seeded installation on SQLite: ``make_installation(env={...}, seeded=True)``."""
    with ExitStack() as installations:

        def make(env: Mapping[str, str] | None = None, *, seeded: bool = True) -> Installation:
            number = len(list(tmp_path.glob("installation-*")))
            installation = installations.enter_context(
                Installation(tmp_path / f"installation-{number}", migrated_data, env)
            )
            if seeded:
                seed(installation, running_upstream.url)
            return installation

        yield make


@pytest.fixture(scope="session")
def shared_installation(
    tmp_path_factory: pytest.TempPathFactory, migrated_data: Path, running_upstream: SandboxProcess
) -> Iterator[Installation]:
    with Installation(tmp_path_factory.mktemp("shared") / "data", migrated_data, QUIET) as installation:
        seed(installation, running_upstream.url)
        yield installation


@pytest.fixture(scope="session")
def running_gateway(shared_installation: Installation, user_token: str) -> Gateway:
    return shared_installation.gateway()  # after the token is made, so that it knows it at once


@pytest.fixture
def gateway(running_gateway: Gateway) -> Gateway:
    """The session's gateway. Its installation is ``gateway.installation``."""
    assert running_gateway.process.poll() is None, f"the shared gateway died:\n{running_gateway.log}"
    return running_gateway


@pytest.fixture(scope="session")
def user_token(shared_installation: Installation) -> str:
    """A token of ``USER`` on the shared gateway."""
    token: str = shared_installation.do("token", "shared", user=USER)
    return token


@pytest.fixture
def token(gateway: Gateway, user_token: str) -> str:
    return user_token


@pytest.fixture
def sdk(gateway: Gateway, user_token: str) -> Iterator[OpenAI]:
    """The customer's SDK in front of the shared gateway."""
    with gateway.sdk(user_token) as client:
        yield client


@pytest.fixture
async def async_sdk(gateway: Gateway, user_token: str) -> AsyncIterator[AsyncOpenAI]:
    """The customer's asynchronous SDK in front of the shared gateway."""
    async with gateway.async_sdk(user_token) as client:
        yield client


@pytest.fixture(scope="session")
def tight_gateway(tight_installation: Installation, tight_token: str) -> Gateway:
    """A gateway with tight bounds: a second for a body, a megabyte for a body and for an answer."""
    return tight_installation.gateway()


@pytest.fixture(scope="session")
def tight_installation(
    tmp_path_factory: pytest.TempPathFactory, migrated_data: Path, running_upstream: SandboxProcess
) -> Iterator[Installation]:
    with Installation(tmp_path_factory.mktemp("tight") / "data", migrated_data, TIGHT) as installation:
        seed(installation, running_upstream.url)
        yield installation


@pytest.fixture(scope="session")
def tight_token(tight_installation: Installation) -> str:
    token: str = tight_installation.do("token", "tight", user=USER)
    return token


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    """An upstream whose every answer the test scripts."""
    with Stage() as stage:
        yield stage
