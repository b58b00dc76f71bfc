"""Azure's two surfaces: where calls go, and which addresses and versions an account may have."""

from contextlib import nullcontext

import pytest
from django.core.exceptions import ValidationError

from gateway.directory.accounts import account_snapshot, unlisted_model
from providers import azure
from providers.dialects.base import address
from providers.models import ProviderAccount
from providers.snapshot import Target
from providers.vendors import VENDORS, vendor_of

RESOURCE = "https://res.openai.azure.com"
KINDS = ("azure-openai", "azure-openai-dated")


def target(url: str, deployment: str = "my gpt/4o", **fields: str) -> Target:
    account = ProviderAccount(name="azure", kind="azure-openai", base_url=url, **fields)
    account.api_key = "key-0123456789"
    snapshot = account_snapshot(account, [], [])
    return Target(snapshot, unlisted_model(snapshot, deployment))


@pytest.mark.parametrize(
    ("path", "query", "expected"),
    [
        ("chat/completions", "", "deployments/my%20gpt%2F4o/chat/completions?api-version=2025-04-01-preview"),
        ("responses", "", "responses?api-version=2025-04-01-preview"),
        ("files", "limit=2", "files?limit=2&api-version=2025-04-01-preview"),
        ("realtime", "model=voice&x=1", "realtime?deployment=voice&x=1&api-version=2025-04-01-preview"),
        ("realtime", "call_id=rtc_1", "realtime?call_id=rtc_1&api-version=2025-04-01-preview"),
    ],
)
def test_the_dated_surface(path: str, query: str, expected: str) -> None:
    assert address(target(f"{RESOURCE}/openai"), path, query) == f"{RESOURCE}/openai/{expected}"


def test_versions() -> None:
    dated = address(target(f"{RESOURCE}/openai", "a", api_version="2024-10-21"), "embeddings")
    assert dated == f"{RESOURCE}/openai/deployments/a/embeddings?api-version=2024-10-21"
    assert address(target(f"{RESOURCE}/openai/v1", "a"), "embeddings") == f"{RESOURCE}/openai/v1/embeddings"
    preview = target(f"{RESOURCE}/openai/v1", "a", api_version="preview")
    assert address(preview, "videos", "limit=1") == f"{RESOURCE}/openai/v1/videos?limit=1&api-version=preview"
    # The vendor's own paths, which a caller writes whole, stay as they are.
    assert address(preview, "x/y", "api-version=2024-10-21", RESOURCE) == f"{RESOURCE}/x/y?api-version=2024-10-21"


@pytest.mark.parametrize("kind", KINDS)
def test_an_address_says_which_surface_it_is(kind: str) -> None:
    assert vendor_of(kind, f"{RESOURCE}/openai/v1") is VENDORS["azure-openai"]
    assert vendor_of(kind, f"{RESOURCE}/openai") is VENDORS["azure-openai-dated"]
    assert vendor_of(kind, "https://proxy.example.com/aoai") is VENDORS[kind]


@pytest.mark.django_db  # it looks for routings that name the account
@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"base_url": f"{RESOURCE}/openai"}, ""),
        ({"base_url": f"{RESOURCE}/openai/v1"}, ""),
        ({"base_url": "https://res.services.ai.azure.com/openai/v1"}, ""),
        ({"base_url": "https://proxy.example.com"}, ""),
        ({"base_url": f"{RESOURCE}/openai", "api_version": "2024-10-21"}, ""),
        ({"base_url": f"{RESOURCE}/openai/v1", "api_version": "preview"}, ""),
        ({"base_url": RESOURCE}, "base_url"),
        ({"base_url": "https://res.cognitiveservices.azure.us/"}, "base_url"),
        ({"base_url": f"{RESOURCE}/openai/deployments/gpt-4o"}, "base_url"),
        ({"base_url": f"{RESOURCE}/openai/v1/chat/completions"}, "base_url"),
        ({"base_url": f"{RESOURCE}/openai", "api_version": "v1"}, "api_version"),
        ({"base_url": f"{RESOURCE}/openai/v1", "api_version": "2024-10-21"}, "api_version"),
        ({"base_url": f"{RESOURCE}/openai", "api_version": "2024"}, "api_version"),
        ({"kind": "openai", "base_url": "", "api_version": "v1"}, "api_version"),
    ],
)
def test_what_an_account_may_have(fields: dict[str, str], field: str) -> None:
    account = ProviderAccount(**{"name": "azure", "kind": "azure-openai", **fields})
    with pytest.raises(ValidationError) if field else nullcontext() as caught:
        account.clean_fields(exclude=["credentials", "extra_headers_json", "seal"])
        account.clean()
    assert list(caught.value.message_dict if caught else ()) == ([field] if field else [])


def test_only_deployments_have_a_place_of_their_own() -> None:
    assert azure.placed("chat/completions", "", "") == ("chat/completions", "")
    assert azure.placed("fine_tuning/jobs", "a=b", "x") == ("fine_tuning/jobs", "a=b")


@pytest.mark.parametrize(
    ("query", "kept"),
    [
        ("", ""),
        ("limit=1&api-version=2024-10-21", "limit=1"),
        ("Api-Version=v1&api-version", ""),
        ("my-api-version=1&x=api-version", "my-api-version=1&x=api-version"),
    ],
)
def test_a_clients_version_is_left_out(query: str, kept: str) -> None:
    assert azure.without_version(query) == kept
