"""Credentials of Anthropic and Gemini are tested in their own dialects."""

from collections.abc import Iterator
from typing import Any

import pytest

from providers.models import Model, ProviderAccount
from providers.probe.run import ProbeResult, probe_account
from tests.support.sandbox_process import KEY, SandboxProcess


@pytest.fixture(scope="module")
def running() -> Iterator[SandboxProcess]:
    with SandboxProcess() as process:
        yield process


@pytest.fixture
def sandbox(running: SandboxProcess, settings: Any) -> SandboxProcess:
    """A sandbox at an address that may be connected to."""
    settings.EGRESS_ALLOW = ["127.0.0.1"]
    return running


def probe(sandbox: SandboxProcess, kind: str, name: str, *types: str, key: str = KEY) -> ProbeResult:
    """Test one model of an account of a vendor on the sandbox."""
    version = "v1" if kind == "anthropic" else "v1beta"
    account = ProviderAccount(
        name="vendor", kind=kind, base_url=f"{sandbox.origin}/{version}", read_timeout=5, connect_timeout=2
    )
    account.api_key = key
    [result] = probe_account(account, [Model(name=name, model_types=list(types))] if name else [])
    return result


@pytest.mark.parametrize(
    ("kind", "name", "model_type", "call"),
    [
        ("anthropic", "claude-sonnet-4-5", "chat", "POST /messages"),
        ("google-gemini", "gemini-2.5-flash", "chat", "POST /models/gemini-2.5-flash:generateContent"),
        ("google-gemini", "gemini-embedding-001", "embedding", "POST /models/gemini-embedding-001:embedContent"),
    ],
)
def test_a_good_key(sandbox: SandboxProcess, kind: str, name: str, model_type: str, call: str) -> None:
    result = probe(sandbox, kind, name, model_type)
    assert (result.state, result.ok, result.call) == ("works", True, call), result


@pytest.mark.parametrize("kind", ["anthropic", "google-gemini"])
def test_what_is_wrong(sandbox: SandboxProcess, kind: str) -> None:
    model = "claude-sonnet-4-5" if kind == "anthropic" else "gemini-2.5-flash"
    assert probe(sandbox, kind, model, "chat", key="sk-wrong-key-of-nobody").state == "bad_key"
    assert probe(sandbox, kind, "no-such-model", "chat").state == "no_model"


@pytest.mark.parametrize(
    ("kind", "name"), [("anthropic", "claude-sonnet-4-5"), ("google-gemini", "gemini-2.5-flash-image")]
)
def test_models_are_looked_up_in_the_vendors_list(sandbox: SandboxProcess, kind: str, name: str) -> None:
    listed = probe(sandbox, kind, name, "image")
    assert (listed.state, listed.via) == ("works", "list"), listed
    everything = probe(sandbox, kind, "")
    assert everything.state == "works", everything
    assert "models for this key" in everything.detail
