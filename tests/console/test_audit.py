"""The audit log: every way to change something leaves an entry with old and new values, and no secret."""

import pytest
from django.core.management import call_command
from django.db import connection
from django.urls import reverse

from accounts.acting import acting
from accounts.audit import AuditEntry
from accounts.models import ApiToken, Team, User, VirtualAccount
from providers.models import Grant, Model, ProviderAccount
from tests.console.conftest import HEADER, KEY, form_data

MANIFEST = """
type: team
name: research
displayName: Research
managers: []
members: []
"""


def said(**filters):
    """Return the sentences that fit, newest first."""
    return [entry.sentence for entry in AuditEntry.objects.filter(**filters)]


def test_a_change_in_the_console_has_the_old_and_the_new_value(installation, as_mia):
    account = installation.mine["account"]
    address = reverse("admin:providers_provideraccount_change", args=[account.pk])
    as_mia.post(address, form_data(as_mia.get(address)) | {"base_url": "https://eu.api.openai.com/v1"})
    entry = AuditEntry.objects.filter(object_type="providers.provideraccount", action="changed").get()
    assert entry.sentence == (
        "mia@example.com changed provider account mine-openai: base URL: https://eu.api.openai.com/v1; "
        "key cleared; extra headers cleared"
    )
    assert (entry.source, entry.account) == ("console", "mine-openai")
    address = reverse("admin:providers_model_change", args=[installation.mine["model"].pk])
    as_mia.post(address, form_data(as_mia.get(address)) | {"context_window": 128000})
    as_mia.post(address, form_data(as_mia.get(address)) | {"context_window": 64000})
    assert said(object_type="providers.model")[0].endswith("context window: 128000 → 64000")


def test_no_secret_is_in_the_log(installation, as_mia):
    account = installation.mine["account"]
    account.api_key = "sk-another-key-123456"
    account.save()
    installation.paul.set_password("a-new-Password-9")
    installation.paul.save()
    everything = str(list(AuditEntry.objects.values()))
    for secret in (KEY, HEADER, "sk-another-key", installation.mine["token"].digest, installation.paul.password):
        assert secret not in everything
    assert said(object_id=str(account.pk), action="changed")[0].endswith("mine-openai: key replaced")
    assert said(object_id=str(installation.paul.pk), object_type="accounts.user")[0].endswith("password replaced")


def test_a_grant_names_account_role_and_subject(installation):
    grant = Grant.objects.create(account=installation.mine["account"], user=installation.paul)
    assert "role user on mine-openai for paul@example.com" in said(object_type="providers.grant")[0]
    grant.delete()
    assert said(object_type="providers.grant")[0] == ("Gatehouse removed role user on mine-openai for paul@example.com")


def test_grants_and_tokens_that_go_with_their_owner_are_recorded(installation):
    Grant.objects.create(account=installation.mine["account"], user=installation.paul)
    ApiToken.objects.issue(name="laptop", user=installation.paul)
    with acting("root@example.com", "console"):
        installation.paul.delete()
    gone = said(action="removed")
    assert gone[0] == "root@example.com removed person paul@example.com"
    assert any("on mine-openai for paul@example.com" in text for text in gone)
    assert any("laptop (gh-" in text for text in gone)


@pytest.mark.django_db
def test_commands_and_manifests_leave_entries(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("getpass.getuser", lambda: "ops")
    call_command("create_token", "--user", "ana@example.com", "--name", "laptop")
    call_command("revoke_token", "--user", "ana@example.com")
    (tmp_path / "team.yaml").write_text(MANIFEST)
    call_command("apply", "-f", str(tmp_path / "team.yaml"))
    (tmp_path / "team.yaml").write_text(MANIFEST.replace("Research", "Researchers"))
    call_command("apply", "-f", str(tmp_path / "team.yaml"))
    rows = list(AuditEntry.objects.order_by("id").values_list("actor", "source", "detail", "action", "object_type"))
    assert rows == [
        ("ops", "command", "create_token", "added", "accounts.user"),
        ("ops", "command", "create_token", "added", "accounts.apitoken"),
        ("ops", "command", "revoke_token", "changed", "accounts.apitoken"),
        ("ops", "manifest", "apply", "added", "accounts.team"),
        ("ops", "manifest", "apply", "changed", "accounts.team"),
    ]
    assert said()[0] == "ops changed team research: display name: Research → Researchers"


@pytest.mark.django_db
def test_a_dry_run_leaves_none(tmp_path, capsys):
    (tmp_path / "team.yaml").write_text(MANIFEST)
    call_command("apply", "-f", str(tmp_path / "team.yaml"), "--dry-run")
    assert not AuditEntry.objects.exists()


@pytest.mark.django_db
def test_values_and_bulk_writes_are_bounded():
    Team.objects.create(name="long", description="x" * 5000)
    assert len(AuditEntry.objects.get().changes["description"][1]) <= 201
    account = ProviderAccount.objects.create(name="acme")
    AuditEntry.objects.all().delete()
    Model.objects.bulk_create([Model(account=account, name=f"m{n}", model_types=["chat"]) for n in range(150)])
    Model.objects.update(enabled=False)
    assert said() == [
        "Gatehouse changed 150 models. Fields: enabled.",
        "Gatehouse added 150 models of acme",
    ]
    Model.objects.filter(name="m1").update(enabled=True)
    assert said()[0] == "Gatehouse changed model acme/m1: enabled: False → True"


@pytest.mark.django_db
def test_a_key_that_can_not_be_read_breaks_no_entry(settings):
    account = ProviderAccount(name="acme")
    account.api_key = KEY
    account.save()
    with connection.cursor() as cursor:
        cursor.execute("UPDATE providers_provideraccount SET credentials = %s", [b"gAAAAA-not-ours"])
    found = ProviderAccount.objects.defer("credentials", "extra_headers_json").get(name="acme")
    found.enabled = False
    found.save(update_fields=["enabled"])
    found = ProviderAccount.objects.defer("credentials", "extra_headers_json").get(name="acme")
    found.api_key = "sk-fresh-key-1234"
    found.save()
    assert said()[0] == "Gatehouse changed provider account acme: key replaced"
    Grant.objects.create(account_id=found.pk, everyone=True)
    assert "on acme for everyone" in said()[0]


def test_managers_see_what_concerns_them_and_nobody_removes_an_entry(installation, as_mia, as_root):
    address = reverse("admin:accounts_auditentry_changelist")
    page = as_mia.get(address).content.decode()
    assert "mine-openai" in page
    assert "other-openai" not in page
    count = AuditEntry.objects.count()
    chosen = {
        "action": "delete_selected",
        "_selected_action": [installation.mine["audit"].pk],
        "post": "yes",
        "index": 0,
    }
    as_root.post(address, chosen)
    as_root.post(reverse("admin:accounts_auditentry_delete", args=[installation.mine["audit"].pk]), {"post": "yes"})
    assert AuditEntry.objects.count() == count


def test_entries_are_found_by_object_person_kind_and_source(installation, as_mia, as_root):
    address = reverse("admin:accounts_auditentry_changelist")
    with acting("zoe@example.com", "console"):
        for seeded in (installation.mine, installation.other):
            seeded["account"].base_url = "https://eu.api.openai.com/v1"
            seeded["account"].save()
    with acting("ops", "command", "apply"):
        installation.mine["team"].display_name = "Ours"
        installation.mine["team"].save()

    def found(client, **query):
        return [entry.sentence.split(":")[0] for entry in client.get(address, query).context["cl"].result_list]

    ours, theirs = (f"zoe@example.com changed provider account {name}-openai" for name in ("mine", "other"))
    assert found(as_root, person="zoe") == [theirs, ours]
    assert found(as_mia, person="zoe") == [ours], "filters widen nothing"
    assert found(as_root, person="zoe", object="MINE") == [ours]
    assert found(as_root, object="team", object_type="accounts.team", source="command") == [
        "ops changed team mine-team"
    ]
    assert found(as_root, object="-openai", action__exact="changed") == [theirs, ours]
    assert found(as_mia, object="other") == []
    page = as_mia.get(address).content.decode()
    assert '<option value="zoe@example.com">' in page
    assert 'name="object"' in page
    assert "Provider account" in page


def test_an_object_has_its_history(installation, as_mia):
    bot: VirtualAccount = installation.mine["bot"]
    with acting("mia@example.com", "console"):
        bot.display_name = "Shop"
        bot.save()
    page = as_mia.get(reverse("admin:accounts_virtualaccount_history", args=[bot.pk])).content.decode()
    assert "mia@example.com changed application mine-bot: display name: Shop" in page
    assert User.objects.filter(email="mia@example.com").exists()
