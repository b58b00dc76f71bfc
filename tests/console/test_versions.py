"""Forms that someone else overtook: refused with what changed and who changed it, on every page that changes a row."""

from typing import Any

import pytest
from django.contrib import admin
from django.test import Client
from django.urls import reverse

from accounts.audit import AuditEntry
from accounts.changes import Announced
from accounts.models import User
from alerts.models import Alert, Channel
from tests.console.conftest import Installation, form_data, signed_in

# What a person changes on each page that changes something, and what another one changes at the same time.
CHANGES: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    "providers_provideraccount": ("account", {"organization": "org-1"}, {"read_timeout": "60"}),
    "providers_model": ("model", {"context_window": "1000"}, {"max_output_tokens": "10"}),
    "providers_grant": ("grant", {"role": "manager"}, {"role": "manager"}),
    "accounts_team": ("team", {"display_name": "One"}, {"description": "Two"}),
    "accounts_virtualaccount": ("bot", {"display_name": "One"}, {"description": "Two"}),
    "accounts_apitoken": ("token", {"name": "one"}, {"name": "two"}),
    "alerts_channel": ("channel", {"enabled": ""}, {"name": "there"}),
    "alerts_alert": ("alert", {"minutes": "7"}, {"least_calls": "3"}),
    "rules_budget": ("budget", {"mode": "audit"}, {"mode": "soft_enforce"}),
}


@pytest.fixture
def rows(installation: Installation) -> dict[str, Any]:
    """The rows that are changed, by name."""
    channel = Channel.objects.create(name="chat", kind="slack", channel_address="https://slack.example.com/x")
    alert = Alert.objects.create(name="spool", kind="spool", threshold=1)
    return {**installation.mine, "channel": channel, "alert": alert}


@pytest.fixture
def sue(installation: Installation) -> Client:
    return signed_in(User.objects.create_superuser("sue@example.com"))


def test_the_table_names_every_page_that_changes_a_row() -> None:
    pages = {
        model._meta.label_lower.replace(".", "_")
        for model, page in admin.site._registry.items()
        if issubclass(model, Announced) and "change" in page.superuser_rights
    }
    assert pages == {
        *CHANGES,
        "accounts_user",
        "rules_ratelimit",
        "rules_routingrule",
    }  # one form for both kinds of rules


@pytest.mark.parametrize("base", CHANGES)
def test_the_second_of_two_is_told_what_the_first_changed(
    rows: dict[str, Any], as_root: Client, sue: Client, base: str
) -> None:
    key, mine, theirs = CHANGES[base]
    row = rows[key]
    address = reverse(f"admin:{base}_change", args=[row.pk])
    opened = form_data(as_root.get(address))
    assert sue.post(address, form_data(sue.get(address)) | theirs).status_code == 302
    for _ in range(2):  # a second click is refused, too
        refused = as_root.post(address, opened | mine)
        assert refused.status_code == 200
        text = refused.content.decode()
        assert "This was changed after you opened the form: sue@example.com changed" in text
        assert "Nothing was saved" in text
        assert f'href="{address}"' in text
        opened = form_data(refused)
    before = AuditEntry.objects.count()
    row.refresh_from_db()
    assert not AuditEntry.objects.filter(actor="root@example.com", object_id=str(row.pk), action="changed").exists()
    if mine != theirs:
        assert as_root.post(address, form_data(as_root.get(address)) | mine).status_code == 302
        assert AuditEntry.objects.count() > before


def test_a_user_of_whom_another_superuser_changed_the_rights(
    installation: Installation, as_root: Client, sue: Client
) -> None:
    address = reverse("admin:accounts_user_change", args=[installation.paul.pk])
    opened = form_data(as_root.get(address))
    sue.post(address, form_data(sue.get(address)) | {"is_staff": "on"})
    assert "staff status: False → True" in as_root.post(address, opened).content.decode()
    password = reverse("admin:auth_user_password_change", args=[installation.paul.pk])
    new = {"usable_password": "true", "password1": "Another-password-9", "password2": "Another-password-9"}
    assert as_root.post(password, new).status_code == 302


@pytest.mark.parametrize("version", [None, "", "nonsense", "1.2", f"0.{'0' * 64}"])
def test_a_form_that_says_no_good_version_is_refused(
    installation: Installation, as_root: Client, version: str | None
) -> None:
    address = reverse("admin:providers_provideraccount_change", args=[installation.mine["account"].pk])
    data = form_data(as_root.get(address)) | {"organization": "org-1"}
    data.pop("_version")
    if version is not None:
        data["_version"] = version
    answer = as_root.post(address, data)
    assert "Nothing was saved" in answer.content.decode()
    installation.mine["account"].refresh_from_db()
    assert installation.mine["account"].organization == ""


def test_a_save_that_changed_nothing_makes_nobody_late(
    installation: Installation, as_root: Client, sue: Client
) -> None:
    address = reverse("admin:providers_provideraccount_change", args=[installation.mine["account"].pk])
    opened = form_data(as_root.get(address))
    assert sue.post(address, form_data(sue.get(address))).status_code == 302
    assert as_root.post(address, opened | {"organization": "org-1"}).status_code == 302


def test_a_form_that_is_wrong_can_be_sent_again(installation: Installation, as_root: Client) -> None:
    address = reverse("admin:providers_provideraccount_change", args=[installation.mine["account"].pk])
    wrong = as_root.post(address, form_data(as_root.get(address)) | {"discount_percent": "101"})
    assert wrong.status_code == 200
    assert as_root.post(address, form_data(wrong) | {"discount_percent": "10"}).status_code == 302


def test_a_key_that_was_replaced_is_a_change_and_is_not_shown(
    installation: Installation, as_root: Client, sue: Client
) -> None:
    address = reverse("admin:providers_provideraccount_change", args=[installation.mine["account"].pk])
    opened = form_data(as_root.get(address))
    sue.post(address, form_data(sue.get(address)) | {"api_key": "sk-new-key-4711"})
    text = as_root.post(address, opened | {"organization": "org-1"}).content.decode()
    assert "key replaced" in text
    assert "sk-new-key-4711" not in text
