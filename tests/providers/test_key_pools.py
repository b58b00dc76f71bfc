"""Several keys of one account: stored as one secret, bound to the address that they were entered for."""

import pytest
from django.core.exceptions import ValidationError
from django.db import connection
from django.db.models import QuerySet

from gateway.directory.accounts import account_snapshot
from providers.account import request_headers
from providers.models import ProviderAccount

pytestmark = pytest.mark.django_db

URL = "https://eu.api.openai.com/v1"
ELSEWHERE = "https://evil.example/v1"
ONE, TWO, THREE = "sk-canary-one", "sk-canary-two", "sk-canary-three"


@pytest.fixture
def account() -> ProviderAccount:
    made = ProviderAccount(name="main", base_url=URL)
    made.api_key = ONE
    made.save()
    return loaded()


def loaded() -> ProviderAccount:
    found: ProviderAccount = ProviderAccount.objects.get(name="main")
    return found


def test_keys_are_added_replaced_and_removed(account: ProviderAccount) -> None:
    account.change_keys({"spare": TWO})
    account.full_clean()
    account.save()
    assert loaded().keys == {"main": ONE, "spare": TWO}
    assert loaded().api_key == ONE
    again = loaded()
    again.change_keys({"spare": THREE}, {"main"})
    again.save()
    assert loaded().keys == {"spare": THREE}
    last = loaded()
    last.api_key = TWO
    last.save()
    assert loaded().credentials == TWO, "one key is stored as every release reads it"


def test_they_are_encrypted(account: ProviderAccount) -> None:
    account.change_keys({"spare": TWO})
    account.save()
    with connection.cursor() as cursor:
        cursor.execute("SELECT * FROM providers_provideraccount")
        row = str(cursor.fetchall())
    assert "canary" not in row
    assert "spare" not in row


def test_another_host_gets_the_keys_that_were_entered_for_it_alone(account: ProviderAccount) -> None:
    account.base_url = ELSEWHERE
    account.change_keys({"spare": TWO})
    account.save()
    assert loaded().keys == {"spare": TWO}
    assert not loaded().secrets_fault()


def test_a_key_for_another_host_is_not_bound_by_one_beside_it(account: ProviderAccount) -> None:
    """An address that was written past the forms: the stored key must not be sealed for it."""
    QuerySet.update(ProviderAccount.objects.filter(name="main"), base_url=ELSEWHERE)
    moved = loaded()
    assert moved.secrets_fault()
    moved.change_keys({"spare": TWO})
    moved.save()
    assert loaded().keys == {"spare": TWO}


def test_two_who_change_them_at_once_both_count(account: ProviderAccount) -> None:
    account.change_keys({"spare": TWO, "third": THREE})
    account.save()
    first, second = loaded(), loaded()
    first.change_keys({}, {"main"})
    first.save()
    second.change_keys({"fourth": "sk-canary-four"})
    second.save()
    assert list(loaded().keys) == ["spare", "third", "fourth"], "what was removed does not come back"


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"a b": TWO}, "names no key"),
        ({"spare": ""}, "'spare' is empty"),
        ({"spare": "sk \n"}, "'spare'"),
        ({"spare": ONE}, "the same"),
        ({f"k{number}": f"sk-{number}" for number in range(20)}, "at most 20"),
    ],
)
def test_what_is_wrong_is_said_without_the_key(account: ProviderAccount, keys: dict[str, str], said: str) -> None:
    account.change_keys(keys)
    with pytest.raises(ValidationError) as refused:
        account.full_clean()
    assert said in str(refused.value)
    assert "canary" not in str(refused.value)


def test_each_makes_a_way_to_call_the_account(account: ProviderAccount) -> None:
    assert account_snapshot(account, [], []).pool == ()
    account.change_keys({"spare": TWO})
    account.save()
    snapshot = account_snapshot(loaded(), [], [])
    assert [each.key for each in snapshot.pool] == ["main", "spare"]
    assert [dict(each.headers)["authorization"] for each in snapshot.pool] == [f"Bearer {ONE}", f"Bearer {TWO}"]
    assert dict(snapshot.headers) == request_headers(loaded())
    assert {ONE.encode(), TWO.encode()} <= set(snapshot.secrets)
    assert all(each.secrets == snapshot.secrets and each.revision == snapshot.revision for each in snapshot.pool)
    before = snapshot.revision
    changed = loaded()
    changed.change_keys({"spare": THREE})
    changed.save()
    assert account_snapshot(loaded(), [], []).revision != before


def test_without_a_right_to_send_them_there_is_no_pool(account: ProviderAccount) -> None:
    account.change_keys({"spare": TWO})
    account.save()
    QuerySet.update(ProviderAccount.objects.filter(name="main"), base_url=ELSEWHERE)
    snapshot = account_snapshot(loaded(), [], [])
    assert snapshot.fault
    assert snapshot.pool == ()
    assert "authorization" not in dict(snapshot.headers)
