"""Keys and headers in manifests: where they come from, when they stay, and that they never go to another host or
show.
"""

import pytest
from django.db import connection

from accounts.models import Team
from providers.manifests.apply import ManifestError
from providers.models import ProviderAccount
from tests.support.manifest_tools import KEY, SMALL, account, apply, changes

pytestmark = pytest.mark.django_db


def test_a_changed_key_is_told_without_the_keys():
    apply(SMALL)
    plan = apply(SMALL, environment={"OPENAI_API_KEY": "sk-other"})
    assert account().api_key == "sk-other"
    text = "\n".join(plan.lines()) + str(plan.as_dict())
    assert "credentials: changed" in text
    assert KEY not in text
    assert "sk-other" not in text


def test_an_unset_variable_keeps_the_stored_key():
    apply(SMALL)
    assert not apply(SMALL, environment={}).changed
    assert account().api_key == KEY


def test_an_unset_variable_of_a_new_account_is_a_fault():
    with pytest.raises(ManifestError, match="OPENAI_API_KEY is not set, and no key is stored"):
        apply(SMALL, environment={})
    assert not ProviderAccount.objects.exists()


def test_a_key_left_out_stays_and_a_new_account_needs_one():
    without = "{type: provider-account/openai, name: openai-main}"
    with pytest.raises(ManifestError, match="auth_data: is missing: a new account needs"):
        apply(without)
    apply(SMALL)
    assert not apply(without).changed
    assert account().api_key == KEY


def test_a_key_can_be_taken_away():
    apply(SMALL)
    none = "{type: provider-account/openai, name: openai-main, auth_data: {type: none}}"
    assert changes(apply(none)) == ["credentials: removed"]
    assert account().api_key == ""
    assert not apply(none).changed


def test_self_hosted_accounts_need_no_key(settings):
    settings.EGRESS_ALLOW = ["vllm.internal"]
    apply("{type: provider-account/self-hosted-model, name: vllm, base_url: 'http://vllm.internal:8000/v1'}")
    assert ProviderAccount.objects.get().api_key == ""


def test_a_new_address_with_the_key_keeps_the_key():
    apply(SMALL)
    plan = apply(SMALL + "base_url: https://us.api.openai.com/v1")
    assert changes(plan) == ['base_url: "" -> "https://us.api.openai.com/v1"']
    assert (account().url, account().api_key) == ("https://us.api.openai.com/v1", KEY)


def test_a_new_host_never_gets_the_stored_key():
    """Without the key in hand, another host would either get a key that was entered for the old one, or none."""
    apply(SMALL)
    moved = SMALL + "base_url: https://evil.example/v1"
    with pytest.raises(
        ManifestError, match=r"another host, which the stored key may not be sent to\. Set OPENAI_API_KEY"
    ):
        apply(moved, environment={})
    without = "{type: provider-account/openai, name: openai-main, base_url: 'https://evil.example/v1'}"
    with pytest.raises(ManifestError, match="Give auth_data, or type: none"):
        apply(without)
    assert (account().url, account().api_key) == ("https://api.openai.com/v1", KEY)
    apply(without.replace("name:", "auth_data: {type: none}, name:"))
    assert (account().url, account().api_key) == ("https://evil.example/v1", "")


def test_a_new_path_on_the_same_host_keeps_the_stored_key():
    apply(SMALL)
    apply(SMALL + "base_url: https://api.openai.com/v2", environment={})
    assert account().api_key == KEY


def test_extra_headers_are_secrets_too():
    with_headers = SMALL + "extra_headers: {X-One: '${ONE}', X-Two: '${TWO}'}"
    with pytest.raises(ManifestError, match="ONE is not set, and no such header is stored"):
        apply(with_headers)
    values = {"OPENAI_API_KEY": KEY, "ONE": "first-secret", "TWO": "second-secret"}
    apply(with_headers, environment=values)
    assert not apply(with_headers, environment={}).changed
    plan = apply(SMALL + "extra_headers: {X-One: '${ONE}', X-Three: third-secret}", environment={"ONE": "new-secret"})
    assert changes(plan) == ["extra_headers: ~ X-One", "extra_headers: + X-Three", "extra_headers: - X-Two"]
    assert account().extra_headers == {"X-One": "new-secret", "X-Three": "third-secret"}
    assert "secret" not in "\n".join(plan.lines())
    with pytest.raises(ManifestError, match="stored header may not be sent"):
        apply(with_headers + "\nbase_url: https://evil.example", environment={"OPENAI_API_KEY": KEY, "TWO": "x"})
    apply(with_headers + "\nbase_url: https://us.api.openai.com/v1", environment=values)
    assert account().extra_headers == {"X-One": "first-secret", "X-Two": "second-secret"}


def test_a_key_that_can_not_be_read_is_replaced_or_told():
    apply(SMALL)
    with connection.cursor() as cursor:
        cursor.execute("UPDATE providers_provideraccount SET credentials = %s", [b"gAAAAAbroken"])
    with pytest.raises(ManifestError, match="encrypted with another encryption key"):
        apply(SMALL, environment={})
    plan = apply(SMALL)
    assert changes(plan) == ["credentials: added"]
    assert account().api_key == KEY


def test_variables_work_in_every_text_and_can_be_escaped():
    apply(
        "{type: team, name: '${NAME}', description: 'costs $${PRICE} or $5', members: ['${WHO}@x.com']}",
        environment={"NAME": "eng", "WHO": "ana"},
    )
    team = Team.objects.get()
    assert (team.name, team.description) == ("eng", "costs ${PRICE} or $5")
    assert team.users.get().email == "ana@x.com"


def test_a_key_in_the_file_itself_is_told_without_it():
    plan = apply("{type: provider-account/openai, name: a, auth_data: {type: api-key, api_key: sk-plain-text}}")
    assert plan.notes == [
        "a.yaml, document 1, auth_data.api_key: the key is in the file itself; ${NAME} would keep it out of there."
    ]
    assert ProviderAccount.objects.get().api_key == "sk-plain-text"
