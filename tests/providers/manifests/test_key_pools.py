"""Several keys of one account in manifests."""

import pytest
from django.db.models import QuerySet

from providers.manifests.apply import ManifestError, export_documents, to_yaml
from providers.models import ProviderAccount
from tests.support.manifest_tools import SMALL, account, apply, changes

pytestmark = pytest.mark.django_db

POOL = """
type: provider-account/openai
name: openai-main
auth_data: {type: api-keys, keys: {first: "${K1}", second: "${K2}"}}
"""
KEYS = {"K1": "sk-0123456789-1", "K2": "sk-0123456789-2", "OPENAI_API_KEY": "sk-0123456789"}


def test_a_pool_is_stored_and_stays_without_its_variables() -> None:
    plan = apply(POOL, environment=KEYS)
    assert account().keys == {"first": KEYS["K1"], "second": KEYS["K2"]}
    assert "sk-" not in "\n".join(plan.lines()) + str(plan.as_dict())
    assert not apply(POOL, environment=KEYS).changed
    assert not apply(POOL, environment={}).changed
    assert account().keys == {"first": KEYS["K1"], "second": KEYS["K2"]}


def test_changes_are_told_by_name() -> None:
    apply(POOL, environment=KEYS)
    other = POOL.replace("second", "third")
    assert changes(apply(other, environment={"K2": "sk-new-2"})) == ["credentials: + third", "credentials: - second"]
    assert account().keys == {"first": KEYS["K1"], "third": "sk-new-2"}
    assert changes(apply(other, environment={"K1": "sk-new-1"})) == ["credentials: ~ first"]
    assert changes(apply(SMALL, environment=KEYS)) == ["credentials: changed"]
    assert account().keys == {"main": KEYS["OPENAI_API_KEY"]}


def test_a_key_without_its_variable_is_a_fault() -> None:
    with pytest.raises(ManifestError, match=r"keys\.second: the environment variable K2 is not set, and no such key"):
        apply(POOL, environment={"K1": "sk-0123456789-1"})
    assert not ProviderAccount.objects.exists()


def test_another_host_never_gets_a_stored_key() -> None:
    apply(POOL, environment=KEYS)
    moved = POOL + "base_url: https://evil.example/v1\n"
    with pytest.raises(ManifestError, match="the address gets another host"):
        apply(moved, environment={"K1": "sk-new-1"})
    QuerySet.update(ProviderAccount.objects.all(), base_url="https://evil.example/v1")
    with pytest.raises(ManifestError, match="was entered for"):
        apply(moved, environment={"K1": "sk-new-1"})
    apply(moved, environment={"K1": "sk-new-1", "K2": "sk-new-2"})
    assert account().keys == {"first": "sk-new-1", "second": "sk-new-2"}
    assert not account().secrets_fault()


@pytest.mark.parametrize("keys", ["{}", "[a]", "{a b: '${K1}'}", "{a: '${K1}', b: '${K1}'}"])
def test_bad_pools(keys: str) -> None:
    text = POOL.replace('{first: "${K1}", second: "${K2}"}', keys)
    with pytest.raises(ManifestError):
        apply(text, environment=KEYS)
    with pytest.raises(ManifestError, match="takes no keys"):
        apply(SMALL.replace("api-key,", "api-key, keys: {a: b},"), environment=KEYS)


def test_it_comes_back_as_it_was() -> None:
    apply(POOL, environment=KEYS)
    text = to_yaml(export_documents())
    assert "sk-" not in text
    assert "first: '${OPENAI_MAIN_KEY_FIRST}'" in text
    assert not apply(text, environment={}).changed
    names = {"OPENAI_MAIN_KEY_FIRST": KEYS["K1"], "OPENAI_MAIN_KEY_SECOND": KEYS["K2"]}
    assert not apply(text, environment=names).changed
