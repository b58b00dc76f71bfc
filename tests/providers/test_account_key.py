"""A stored key never outlives the address that it was entered for, however the address is changed."""

import pytest

from providers.models import ProviderAccount

pytestmark = pytest.mark.django_db


@pytest.fixture
def account() -> ProviderAccount:
    account = ProviderAccount(name="openai-main", base_url="https://eu.api.openai.com/v1")
    account.api_key = "sk-canary"
    account.extra_headers = {"x-team": "canary"}
    account.save()
    return ProviderAccount.objects.get(pk=account.pk)


@pytest.mark.parametrize(
    "url", ["https://us.api.openai.com/v1", "https://eu.api.openai.com:8443/v1", "http://eu.api.openai.com/v1", ""]
)
def test_another_scheme_host_or_port_clears_the_key(account: ProviderAccount, url: str) -> None:
    account.base_url = url
    account.save()
    stored = ProviderAccount.objects.get(pk=account.pk)
    assert stored.api_key == ""
    assert stored.extra_headers == {}


def test_another_path_keeps_the_key(account: ProviderAccount) -> None:
    account.base_url = "https://eu.api.openai.com/v2"
    account.save()
    assert ProviderAccount.objects.get(pk=account.pk).api_key == "sk-canary"


def test_a_key_entered_with_the_new_address_stays(account: ProviderAccount) -> None:
    account.base_url = "https://us.api.openai.com/v1"
    account.api_key = "sk-new"
    account.save()
    assert ProviderAccount.objects.get(pk=account.pk).api_key == "sk-new"


@pytest.mark.parametrize("columns", [("name",), ("name", "credentials"), ("base_url",), ("kind",)])
def test_columns_that_were_not_loaded_make_no_difference(account: ProviderAccount, columns: tuple[str, ...]) -> None:
    partly = ProviderAccount.objects.only(*columns).get(pk=account.pk)
    partly.base_url = "https://us.api.openai.com/v1"
    partly.save()
    assert ProviderAccount.objects.get(pk=account.pk).api_key == ""


def test_named_columns_clear_the_key_too(account: ProviderAccount) -> None:
    account.base_url = "https://us.api.openai.com/v1"
    account.save(update_fields=["base_url"])
    assert ProviderAccount.objects.get(pk=account.pk).api_key == ""


@pytest.mark.parametrize("change", [{"base_url": "https://evil.example/v1"}, {"kind": "groq"}])
def test_a_bulk_update_may_not_move_an_account(account: ProviderAccount, change: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="save"):
        ProviderAccount.objects.update(**change)
    assert ProviderAccount.objects.get(pk=account.pk).api_key == "sk-canary"
