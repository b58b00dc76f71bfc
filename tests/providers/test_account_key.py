"""A stored key never outlives the address that it was entered for, however the address is changed."""

import pytest
from django.db.models import QuerySet

from providers.account import request_headers
from providers.bound_secrets import ChangedMeanwhile
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


@pytest.mark.parametrize(
    "change", [{"base_url": "https://evil.example/v1"}, {"kind": "groq"}, {"credentials": "sk-x"}, {"seal": ""}]
)
def test_a_bulk_update_may_not_move_an_account(account: ProviderAccount, change: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="save"):
        ProviderAccount.objects.update(**change)
    assert ProviderAccount.objects.get(pk=account.pk).api_key == "sk-canary"


ELSEWHERE = "https://us.api.openai.com/v1"


def moved_by_another(account: ProviderAccount) -> None:
    """Let a superuser give the account another address and a key for it."""
    row = ProviderAccount.objects.get(pk=account.pk)
    row.base_url, row.api_key = ELSEWHERE, "sk-for-elsewhere"
    row.save()


@pytest.mark.parametrize("secret_is_read", ["before", "after", "never"])
def test_a_row_that_was_read_before_a_move_can_not_be_saved_after_it(
    account: ProviderAccount, secret_is_read: str
) -> None:
    """As in a page that loads its row first and the secrets later."""
    stale = ProviderAccount.objects.defer("credentials", "extra_headers_json", "seal").get(pk=account.pk)
    if secret_is_read == "before":
        assert stale.api_key == "sk-canary"
    moved_by_another(account)
    if secret_is_read == "after":
        assert stale.api_key == "sk-for-elsewhere"
    stale.discount_percent = 5
    with pytest.raises(ChangedMeanwhile):
        stale.save()
    stored = ProviderAccount.objects.get(pk=account.pk)
    assert (stored.base_url, stored.api_key) == (ELSEWHERE, "sk-for-elsewhere")


def test_an_old_row_writes_no_old_key(account: ProviderAccount) -> None:
    row = ProviderAccount.objects.get(pk=account.pk)
    row.api_key = "sk-rotated"
    row.save()
    account.discount_percent = 5
    account.save()
    assert ProviderAccount.objects.get(pk=account.pk).api_key == "sk-rotated"


def test_two_rows_that_change_a_secret_each_keep_both(account: ProviderAccount) -> None:
    one, other = ProviderAccount.objects.get(pk=account.pk), ProviderAccount.objects.get(pk=account.pk)
    one.api_key = "sk-one"
    one.save()
    other.extra_headers = {"x-team": "other"}
    other.save()
    stored = ProviderAccount.objects.get(pk=account.pk)
    assert request_headers(stored) == {"x-team": "other", "authorization": "Bearer sk-one"}


def past_the_rules(account: ProviderAccount, **columns: object) -> ProviderAccount:
    QuerySet.update(ProviderAccount.objects.filter(pk=account.pk), **columns)
    return ProviderAccount.objects.get(pk=account.pk)


@pytest.mark.parametrize(
    "url", ["https://us.api.openai.com/v1", "https://eu.api.openai.com:8443/v1", "http://eu.api.openai.com/v1", ""]
)
def test_a_secret_goes_to_no_other_origin(account: ProviderAccount, url: str) -> None:
    moved = past_the_rules(account, base_url=url)
    assert request_headers(moved) == {}
    assert "was entered for https://eu.api.openai.com:443" in moved.secret_fault("credentials")
    assert "was entered for https://eu.api.openai.com:443" in moved.secret_fault("extra_headers_json")
    assert "sk-canary" not in moved.secrets_fault()


@pytest.mark.parametrize("url", ["https://EU.api.openai.com./v2", "https://eu.api.openai.com:443/v1"])
def test_the_same_origin_in_other_words_is_the_same(account: ProviderAccount, url: str) -> None:
    assert request_headers(past_the_rules(account, base_url=url)) == {
        "x-team": "canary",
        "authorization": "Bearer sk-canary",
    }


def test_the_columns_of_another_account_are_of_no_use(account: ProviderAccount) -> None:
    other = ProviderAccount(name="mine", base_url="https://evil.example/v1")
    other.api_key = "sk-mine"
    other.save()
    taken = past_the_rules(other, credentials=account.credentials)
    assert request_headers(taken) == {}
    assert "did not say for which host" in taken.secrets_fault()
    taken = past_the_rules(other, credentials=account.credentials, seal=account.seal)
    assert request_headers(taken) == {}
    assert "was entered for https://eu.api.openai.com:443" in taken.secrets_fault()


def test_a_seal_is_not_made_good_by_entering_something_else(account: ProviderAccount) -> None:
    row = past_the_rules(account, base_url="https://evil.example/v1")
    row.extra_headers = {"x-mine": "1"}
    row.discount_percent = 5
    row.save()
    assert request_headers(ProviderAccount.objects.get(pk=account.pk)) == {"x-mine": "1"}


@pytest.mark.parametrize("seal", ["", None, "nonsense", '{"credentials": 1}'])
def test_a_secret_without_a_seal_goes_nowhere(account: ProviderAccount, seal: str | None) -> None:
    row = past_the_rules(account, seal=seal)
    assert request_headers(row) == {}
    row.api_key, row.extra_headers = "sk-again", {}
    row.save()
    assert request_headers(ProviderAccount.objects.get(pk=account.pk)) == {"authorization": "Bearer sk-again"}


def test_a_row_that_was_loaded_again_can_be_saved(account: ProviderAccount) -> None:
    moved_by_another(account)
    account.refresh_from_db()
    account.discount_percent = 5
    account.save()
    stored = ProviderAccount.objects.get(pk=account.pk)
    assert (stored.api_key, stored.discount_percent) == ("sk-for-elsewhere", 5)
