"""What the tests of batches and fine-tuning share: an upstream whose jobs are short, and a gateway that looks often."""

import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from openai import OpenAI

from tests.gateway.telemetry.test_exporter import TOKEN, Scraper
from tests.support.batch_inputs import HEADERS, QUICK
from tests.support.celery_processes import clock, worker
from tests.support.fixtures import USER, seed
from tests.support.halting_storage import Gate
from tests.support.installation import Gateway, Installation, migrated_postgres_url
from tests.support.sandbox_process import SandboxProcess
from tests.support.servers import free_port


@pytest.fixture(scope="module")
def quick_upstream() -> Iterator[SandboxProcess]:
    """An upstream whose jobs take half a second."""
    with SandboxProcess("--job-seconds", "0.5") as sandbox:
        yield sandbox


@pytest.fixture(scope="module")
def quick(
    tmp_path_factory: pytest.TempPathFactory, migrated_data: Path, quick_upstream: SandboxProcess
) -> Iterator[Gateway]:
    """A gateway that polls jobs often."""
    with Installation(tmp_path_factory.mktemp("quick") / "data", migrated_data, QUICK) as installation:
        seed(installation, quick_upstream.url)
        yield installation.gateway()


@pytest.fixture(scope="module")
def client(quick: Gateway) -> OpenAI:
    return quick.sdk(quick.token("batches", user=USER), default_headers=HEADERS)


@pytest.fixture(scope="module")
def other(quick: Gateway) -> OpenAI:
    return quick.sdk(quick.token("batches-other", user="other@example.com"), default_headers=HEADERS)


class Embedded:
    """The gateway that does the work itself, on SQLite."""

    scraper: Scraper

    def __init__(self, installation: Installation, _: ExitStack) -> None:
        self.installation = installation
        self.gate = Gate(installation.data)
        self.gateway = installation.gateway()

    def kill(self) -> None:
        self.gateway.kill()
        self.gateway = self.installation.gateway()


class Brokered:
    """Two workers and a clock of Celery's own, over Valkey, on PostgreSQL."""

    scraper: Scraper

    def __init__(self, installation: Installation, stack: ExitStack) -> None:
        self.installation = installation
        self.gate = Gate(installation.data)
        self._stack = stack
        self.gateway = installation.gateway()
        stack.enter_context(clock(installation))
        self._workers = [stack.enter_context(worker(installation)) for _ in range(2)]

    def kill(self) -> None:
        for each in self._workers:
            each.kill()
        self._workers = [self._stack.enter_context(worker(self.installation)) for _ in range(2)]


@pytest.fixture
def jobs(request: pytest.FixtureRequest, tmp_path: Path, migrated_data: Path, quick_upstream: SandboxProcess) -> Any:
    """The parties of a test: ``embedded`` or ``brokered``. Their files can halt half-way (``jobs.gate``);
    ``jobs.scraper`` reads their metrics.
    """
    data = tmp_path / "installation"
    port = free_port()
    env = {
        **QUICK,
        "GATEHOUSE_METRICS_PORT": str(port),
        "GATEHOUSE_METRICS_TOKEN": TOKEN,
        "GATEHOUSE_FILE_STORAGE": "tests.support.halting_storage.HaltingStorage",
        "GATEHOUSE_FILE_STORAGE_OPTIONS": json.dumps({"location": str(data / "files"), "gate": str(data / "gate")}),
    }
    with ExitStack() as stack:
        if request.param == "embedded":
            installation = stack.enter_context(Installation(data, migrated_data, env))
        else:
            env["DATABASE_URL"] = migrated_postgres_url()
            env["REDIS_URL"] = request.getfixturevalue("redis_url")
            installation = stack.enter_context(Installation(data, None, env))
        seed(installation, quick_upstream.url)
        jobs = (Embedded if request.param == "embedded" else Brokered)(installation, stack)
        jobs.scraper = Scraper(port)
        yield jobs
