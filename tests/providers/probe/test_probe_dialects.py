"""Credentials of Anthropic and Gemini are tested in their own dialects."""

from collections.abc import Iterator
from typing import Any

import pytest

from providers.models import Model, ProviderAccount
from providers.probe.run import ProbeResult, probe_account
from tests.support.sandbox_process import KEY, SandboxProcess

PATHS = {"anthropic": "v1", "google-gemini": "v1beta", "google-vertex": "v1/projects/p/locations/global"}
GOOGLES = "publishers/google/models"


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
    account = ProviderAccount(
        name="vendor", kind=kind, base_url=f"{sandbox.origin}/{PATHS[kind]}", read_timeout=5, connect_timeout=2
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
        ("google-vertex", "gemini-2.5-flash", "chat", f"POST /{GOOGLES}/gemini-2.5-flash:generateContent"),
        ("google-vertex", "gemini-embedding-001", "embedding", f"POST /{GOOGLES}/gemini-embedding-001:embedContent"),
        ("google-vertex", "text-embedding-005", "embedding", f"POST /{GOOGLES}/text-embedding-005:predict"),
        ("google-vertex", "gemini-2.5-flash-image", "image", f"POST /{GOOGLES}/gemini-2.5-flash-image:countTokens"),
        ("google-vertex", "imagen-4.0-generate-001", "image", f"POST /{GOOGLES}/gemini-3.8-flash:countTokens"),
        ("google-vertex", "", "", f"POST /{GOOGLES}/gemini-3.8-flash:countTokens"),
    ],
)
def test_a_good_key(sandbox: SandboxProcess, kind: str, name: str, model_type: str, call: str) -> None:
    result = probe(sandbox, kind, name, model_type)
    assert (result.state, result.ok, result.call) == ("works", True, call), result


@pytest.mark.parametrize("kind", ["anthropic", "google-gemini", "google-vertex"])
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
