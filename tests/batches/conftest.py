"""What the tests of batches and fine-tuning share: an upstream whose jobs are short, and a gateway that looks often."""

import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from openai import OpenAI

from tests.batches.inputs import HEADERS, QUICK
from tests.batches.storage import Gate
from tests.batches.workers import clock, worker
from tests.fixtures import USER, furnish
from tests.gateway.server import Gateway, House
from tests.sandbox.server import SandboxProcess


@pytest.fixture(scope="module")
def quick_upstream() -> Iterator[SandboxProcess]:
    """An upstream whose jobs take half a second."""
    with SandboxProcess("--job-seconds", "0.5") as sandbox:
        yield sandbox


@pytest.fixture(scope="module")
def quick(
    tmp_path_factory: pytest.TempPathFactory, migrated_data: Path, quick_upstream: SandboxProcess
) -> Iterator[Gateway]:
    """A gateway that looks at jobs often."""
    with House(tmp_path_factory.mktemp("quick") / "data", migrated_data, QUICK) as house:
        furnish(house, quick_upstream.url)
        yield house.gateway()


@pytest.fixture(scope="module")
def client(quick: Gateway) -> OpenAI:
    return quick.sdk(quick.token("batches", user=USER), default_headers=HEADERS)


@pytest.fixture(scope="module")
def other(quick: Gateway) -> OpenAI:
    return quick.sdk(quick.token("batches-other", user="other@example.com"), default_headers=HEADERS)


class Embedded:
    """The gateway that does the work itself, on SQLite."""

    def __init__(self, house: House, _: ExitStack) -> None:
        self.house = house
        self.gate = Gate(house.data)
        self.gateway = house.gateway()

    def kill(self) -> None:
        self.gateway.kill()
        self.gateway = self.house.gateway()


class Brokered:
    """Two workers and a clock of Celery's own, over Valkey, on PostgreSQL."""

    def __init__(self, house: House, stack: ExitStack) -> None:
        self.house = house
        self.gate = Gate(house.data)
        self._stack = stack
        self.gateway = house.gateway()
        stack.enter_context(clock(house))
        self._workers = [stack.enter_context(worker(house)) for _ in range(2)]

    def kill(self) -> None:
        for each in self._workers:
            each.kill()
        self._workers = [self._stack.enter_context(worker(self.house)) for _ in range(2)]


@pytest.fixture
def jobs(request: pytest.FixtureRequest, tmp_path: Path, migrated_data: Path, quick_upstream: SandboxProcess) -> Any:
    """The parties of a test: ``embedded`` or ``brokered``. Their files can halt half-way (``jobs.gate``)."""
    data = tmp_path / "house"
    env = {
        **QUICK,
        "GATEHOUSE_FILE_STORAGE": "tests.batches.storage.HaltingStorage",
        "GATEHOUSE_FILE_STORAGE_OPTIONS": json.dumps({"location": str(data / "files"), "gate": str(data / "gate")}),
    }
    with ExitStack() as stack:
        if request.param == "embedded":
            house = stack.enter_context(House(data, migrated_data, env))
        else:
            env["DATABASE_URL"] = request.getfixturevalue("postgres_url")
            env["REDIS_URL"] = request.getfixturevalue("redis_url")
            house = stack.enter_context(House(data, None, env))
            assert house.manage("migrate", "--verbosity=0").returncode == 0
        furnish(house, quick_upstream.url)
        yield (Embedded if request.param == "embedded" else Brokered)(house, stack)
