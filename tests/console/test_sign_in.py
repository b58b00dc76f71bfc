"""Credentials instead of a key, in the form and in the wizard: they go in and never come out."""

import json

import pytest
from django.urls import reverse

from providers.credentials.kinds import Entra, ServiceAccount
from providers.models import ProviderAccount
from tests.console.test_provider_accounts import ADD, NEW
from tests.support.token_server import EMAIL, PEM

AZURE = NEW | {
    "kind": "azure-openai",
    "name": "azure",
    "base_url": "https://res.openai.azure.com/openai/v1",
    "api_key": "",
}
ENTRA = {"tenant_id": "contoso.example", "client_id": "client-1", "client_secret": "secret-of-azure"}
KEY_FILE = json.dumps({"type": "service_account", "client_email": EMAIL, "private_key": PEM})


def stored(name: str) -> ProviderAccount:
    return ProviderAccount.objects.get(name=name)


def test_an_application_in_the_form(installation, as_root) -> None:
    assert as_root.post(ADD, AZURE | ENTRA).status_code == 302
    credential = stored("azure").credential
    assert isinstance(credential, Entra)
    assert credential.client_secret == "secret-of-azure"
    page = as_root.get(f"/admin/providers/provideraccount/{stored('azure').pk}/change/").content.decode()
    assert "the Entra application client-1 of contoso.example" in page
    assert "secret-of-azure" not in page


def test_a_service_account_in_the_form(installation, as_root) -> None:
    vertex = AZURE | {"kind": "google-vertex", "name": "vertex", "base_url": "https://vertex.example.com/v1"}
    assert as_root.post(ADD, vertex | {"key_file": KEY_FILE}).status_code == 302
    assert isinstance(stored("vertex").credential, ServiceAccount)
    page = as_root.get(f"/admin/providers/provideraccount/{stored('vertex').pk}/change/").content.decode()
    assert EMAIL in page
    assert PEM.splitlines()[1] not in page


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (ENTRA | {"client_secret": ""}, "client secret together"),
        (ENTRA | {"api_key": "sk-123456789"}, "either a key or other credentials"),
        ({"key_file": KEY_FILE}, "does not take these credentials"),
        (ENTRA | {"kind": "openai"}, "does not take these credentials"),
        ({"key_file": KEY_FILE.replace("service_account", "user")}, "key file of a service account"),
        (ENTRA | {"authority": "http://10.0.0.1"}, "Plain http is refused"),
    ],
)
def test_what_is_wrong_is_said_and_not_repeated(installation, as_root, changes, said) -> None:
    page = as_root.post(ADD, AZURE | changes).content.decode()
    assert said in page
    assert "secret-of-azure" not in page
    assert PEM.splitlines()[1] not in page
    assert not ProviderAccount.objects.filter(name="azure").exists()


def test_the_wizard_takes_them(installation, as_root) -> None:
    entered = {"kind": "azure-openai", "name": "azure", "base_url": AZURE["base_url"], **ENTRA}
    saved = as_root.post(reverse("admin:wizard_save"), json.dumps(entered), content_type="application/json")
    assert saved.status_code == 200, saved.content
    assert isinstance(stored("azure").credential, Entra)
    bad = entered | {"name": "other", "tenant_id": ""}
    refused = as_root.post(reverse("admin:wizard_save"), json.dumps(bad), content_type="application/json")
    assert "together" in refused.json()["errors"]["tenant_id"]
