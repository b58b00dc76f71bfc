"""What the tests of batches and fine-tuning share: an upstream whose jobs are short, and a gateway that looks often."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from openai import OpenAI

from tests.batches.inputs import HEADERS, QUICK
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
