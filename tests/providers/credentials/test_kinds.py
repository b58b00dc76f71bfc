"""What is taken as credentials, and what is said about what is not."""

import json

import pytest

from providers.credentials import kinds
from providers.credentials.kinds import BadCredentials, Entra, ServiceAccount
from providers.models import ProviderAccount
from tests.support.token_server import EMAIL, PEM

KEY_FILE = {"type": "service_account", "client_email": EMAIL, "private_key": PEM, "universe_domain": "googleapis.com"}


def test_what_is_stored_is_read_again() -> None:
    for credential in (kinds.entra("contoso.example", "client", "secret"), kinds.service_account(json.dumps(KEY_FILE))):
        assert kinds.read(kinds.write(credential)) == credential
        assert "secret" not in repr(credential)
        assert "PRIVATE" not in repr(credential)
        assert not any(secret in kinds.described(credential) for secret in credential.secrets)
    assert kinds.read("sk-123") is None
    assert kinds.read("") is None
    with pytest.raises(BadCredentials):
        kinds.read('{"type": "other"}')


@pytest.mark.parametrize("key", ["{", " {", json.dumps(KEY_FILE), "sk-1"])
def test_a_key_is_a_key_whatever_it_looks_like(key: str) -> None:
    """It is not read as a credential, whose tokens come from an address of its own, and breaks no page."""
    account = ProviderAccount(name="a", kind="openai")
    account.api_key = key
    assert (account.keys, account.api_key, account.credential) == ({kinds.MAIN_KEY: key.strip()}, key.strip(), None)


def test_an_application_of_a_tenant() -> None:
    made = kinds.entered({"tenant_id": " contoso.example ", "client_id": "client", "client_secret": "secret"})
    assert isinstance(made, Entra)
    assert made.token_url == "https://login.microsoftonline.com/contoso.example/oauth2/v2.0/token"


def test_a_service_account() -> None:
    made = kinds.entered({"key_file": json.dumps(KEY_FILE)})
    assert isinstance(made, ServiceAccount)
    assert made.token_url == "https://oauth2.googleapis.com/token"
    assert kinds.entered({"tenant_id": "", "key_file": " "}) is None


ENTRA = {"tenant_id": "contoso.example", "client_id": "client", "client_secret": "secret"}


@pytest.mark.parametrize(
    ("values", "field", "said"),
    [
        (ENTRA | {"client_secret": ""}, "client_secret", "together"),
        ({"client_secret": "secret"}, "tenant_id", "together"),
        (ENTRA | {"tenant_id": "a/../b"}, "tenant_id", "domain name"),
        (ENTRA | {"client_secret": "two\nlines"}, "client_secret", "no spaces"),
        (ENTRA | {"key_file": "{}"}, "key_file", "not two"),
        ({"key_file": "sk-123"}, "key_file", "not JSON"),
        ({"key_file": "[]"}, "key_file", "service_account"),
        ({"key_file": json.dumps(KEY_FILE | {"type": "authorized_user"})}, "key_file", "service_account"),
        ({"key_file": json.dumps(KEY_FILE | {"private_key": "-----BEGIN PRIVATE KEY-----"})}, "key_file", "PEM"),
        ({"key_file": json.dumps({"type": "service_account"})}, "key_file", "no client_email"),
        ({"key_file": json.dumps(KEY_FILE | {"token_uri": "file:///etc"})}, "key_file", "not an address"),
    ],
)
def test_what_is_no_credential(values: dict[str, str], field: str, said: str) -> None:
    with pytest.raises(BadCredentials, match=said) as bad:
        kinds.entered(values)
    assert bad.value.field == field
    assert "secret" not in str(bad.value).replace("client secret", "")
