"""One sandbox process for all tests of this directory."""

from collections.abc import Iterator

import pytest
from anthropic import Anthropic
from google.genai import Client as Gemini
from openai import OpenAI

from tests.support.sandbox_process import KEY, SandboxProcess
from tests.support.vendor_sdks import anthropic_client, gemini_client


@pytest.fixture(scope="session")
def running_sandbox() -> Iterator[SandboxProcess]:
    with SandboxProcess() as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(running_sandbox: SandboxProcess) -> Iterator[SandboxProcess]:
    """The session's process with nothing recorded yet, whose clock is right again afterwards."""
    running_sandbox.clear()
    yield running_sandbox
    if running_sandbox.ahead:
        running_sandbox.advance(-running_sandbox.ahead)


@pytest.fixture(scope="session")
def client(running_sandbox: SandboxProcess) -> Iterator[OpenAI]:
    with running_sandbox.client() as client:
        yield client


@pytest.fixture(scope="session")
def claude(running_sandbox: SandboxProcess) -> Iterator[Anthropic]:
    with anthropic_client(running_sandbox.origin, KEY) as client:
        yield client


@pytest.fixture(scope="session")
def gemini(running_sandbox: SandboxProcess) -> Iterator[Gemini]:
    with gemini_client(running_sandbox.origin, KEY) as client:
        yield client


@pytest.fixture(scope="session")
def quick_sandbox() -> Iterator[SandboxProcess]:
    """A process whose jobs take a tenth of a second."""
    with SandboxProcess("--job-seconds", "0.1") as sandbox:
        yield sandbox


@pytest.fixture
def quick_client(quick_sandbox: SandboxProcess) -> Iterator[OpenAI]:
    with quick_sandbox.client() as client:
        yield client
