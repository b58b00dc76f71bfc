"""An auditor sees everything and changes nothing, whatever other roles they have."""

import pytest
from django.test import Client
from django.urls import reverse

from accounts.models import ApiToken, AuditEntry, Membership, User
from providers.models import Grant, ProviderAccount
from tests.console.conftest import PASSWORD, form_data, signed_in


@pytest.fixture
def as_ada(installation) -> Client:
    ada = User.objects.create_user("ada@example.com", PASSWORD, is_auditor=True)
    Grant.objects.create(account=installation.mine["account"], user=ada, role="manager")
    Membership.objects.create(team=installation.mine["team"], user=ada, role="manager")
    return signed_in(ada)


def test_every_account_and_call_is_seen(installation, as_ada):
    for name in ("providers_provideraccount", "providers_grant", "accounts_auditentry"):
        assert "other-openai" in as_ada.get(reverse(f"admin:{name}_changelist")).content.decode(), name
    assert as_ada.get(reverse("admin:request", args=["req-of-other"])).status_code == 200
    assert "other-openai/gpt-4o-mini" in as_ada.get(reverse("admin:models")).content.decode()


def test_a_managers_role_lets_them_change_nothing(installation, as_ada, as_mia):
    account = installation.mine["account"]
    page = reverse("admin:providers_provideraccount_change", args=[account.pk])
    data = form_data(as_mia.get(page)) | {"name": "changed-openai"}
    entries = AuditEntry.objects.count()
    assert as_ada.post(page, data).status_code == 403
    assert as_ada.post(reverse("admin:playground_token")).status_code == 403
    assert as_ada.post(reverse("admin:token_new"), {"name": "x", "expiry": "30"}).status_code == 403
    assert ProviderAccount.objects.get(pk=account.pk).name == "mine-openai"
    assert not ApiToken.objects.filter(user__email="ada@example.com").exists()
    assert AuditEntry.objects.count() == entries


def test_pages_offer_them_nothing_to_change(installation, as_ada):
    shown = as_ada.get(reverse("admin:index")).content.decode()
    assert reverse("admin:playground") not in shown
    assert reverse("admin:wizard") not in shown
    assert reverse("admin:token_new") not in as_ada.get(reverse("admin:tokens")).content.decode()


def test_no_row_has_a_button_that_is_refused(installation, as_ada, as_root):
    pages = {
        "providers_provideraccount": installation.mine["account"],
        "accounts_apitoken": installation.mine["token"],
        "accounts_user": installation.paul,
    }
    for name, row in pages.items():
        page, listed = reverse(f"admin:{name}_change", args=[row.pk]), reverse(f"admin:{name}_changelist")
        assert as_root.get(page).context["actions_detail"], name
        assert not as_ada.get(page).context["actions_detail"], name
        assert 'name="action"' in as_root.get(listed).content.decode(), name
        assert 'name="action"' not in as_ada.get(listed).content.decode(), name


def test_they_change_their_own_password_and_sign_out(installation, as_ada):
    new = "another-Obvious-password-8"
    data = {"old_password": PASSWORD, "new_password1": new, "new_password2": new}
    assert as_ada.post(reverse("admin:password_change"), data).status_code == 302
    assert User.objects.get(email="ada@example.com").check_password(new)
    assert as_ada.post(reverse("admin:logout")).status_code == 200


def test_no_one_is_a_superuser_and_an_auditor(installation, as_root):
    page = reverse("admin:accounts_user_change", args=[installation.paul.pk])
    data = form_data(as_root.get(page)) | {"is_superuser": "on", "is_auditor": "on"}
    assert "is_auditor" in as_root.post(page, data).context["adminform"].form.errors
    data.pop("is_superuser")
    assert as_root.post(page, data).status_code == 302
    assert User.objects.get(pk=installation.paul.pk).is_auditor
