"""Tokens in the console: shown once, stored nowhere, edited little, revoked for good."""

import re
from datetime import timedelta

import pytest
from django.contrib.sessions.models import Session
from django.core.management import call_command
from django.db import connection
from django.urls import reverse
from django.utils import timezone

from accounts import tokens
from accounts.changes import Change
from accounts.models import ApiToken, AuditEntry
from tests.console.conftest import form_data, messages, signed_in, version

ADD = "/admin/accounts/apitoken/add/"
TOKEN = re.compile(r"gh-[0-9A-Za-z]{46}")


def issue(client, **data):
    """Send the form and return the answer and the token in it."""
    response = client.post(ADD, {"name": "laptop", "limits": "", **data}, follow=True)
    found = TOKEN.findall(response.content.decode())
    return response, found[0] if found else ""


def everything_stored():
    """Return all text in the database, whatever the table."""
    with connection.cursor() as cursor:
        text = []
        for table in connection.introspection.table_names(cursor):
            cursor.execute(f'SELECT * FROM "{table}"')  # noqa: S608 - our own tables
            text += [str(row) for row in cursor.fetchall()]
    return "\n".join(text)


def test_a_token_is_shown_once_and_stored_nowhere(installation, as_mia):
    response, secret = issue(as_mia)
    assert response.status_code == 200
    assert tokens.fault(secret) is None
    assert "no-store" in response["Cache-Control"]
    assert response.content.decode().count(secret) == 1
    token = ApiToken.objects.get(name="laptop")
    assert (token.user, token.digest) == (installation.mia, tokens.digest(secret))
    assert secret not in everything_stored()
    assert secret not in str([session.get_decoded() for session in Session.objects.all()])
    assert secret not in str(as_mia.cookies) + str(response.headers)
    assert response.redirect_chain, "a reload sends no form"
    again = as_mia.get(response.request["PATH_INFO"], follow=True)
    assert "can't be shown again" in messages(again)
    assert ApiToken.objects.filter(name="laptop").count() == 1
    pages = [reverse("admin:accounts_apitoken_changelist"), reverse("admin:accounts_apitoken_change", args=[token.pk])]
    for address in (*pages, reverse("admin:accounts_apitoken_history", args=[token.pk]), reverse("admin:index")):
        page = as_mia.get(address).content.decode()
        assert secret not in page
        assert token.digest not in page


def test_the_token_works_as_one_of_the_commands_does(installation, as_mia):
    _, secret = issue(as_mia)
    assert ApiToken.objects.get(digest=tokens.digest(secret)).state == "active"
    assert Change.objects.filter(kind="accounts.apitoken").exists(), "the workers learn of it"
    assert AuditEntry.objects.get(actor="mia@example.com").object_name.startswith("laptop (gh-")


def test_people_make_tokens_for_themselves_whatever_they_send(installation, as_mia):
    issue(as_mia, user=installation.root.pk)
    assert ApiToken.objects.get(name="laptop").user == installation.mia


def test_a_team_manager_makes_tokens_for_own_applications_only(installation, as_mia):
    issue(as_mia, virtual_account=installation.mine["bot"].pk)
    assert ApiToken.objects.get(name="laptop").virtual_account == installation.mine["bot"]
    response, secret = issue(as_mia, virtual_account=installation.other["bot"].pk, name="stolen")
    assert not secret
    assert "virtual_account" in response.context["adminform"].form.errors


def test_a_superuser_makes_tokens_for_anybody(installation, as_root):
    issue(as_root, user=installation.paul.pk)
    assert ApiToken.objects.get(name="laptop").user == installation.paul
    issue(as_root, name="own")
    assert ApiToken.objects.get(name="own").user == installation.root
    both, _ = issue(as_root, user=installation.paul.pk, virtual_account=installation.mine["bot"].pk)
    assert "choose one" in str(both.context["adminform"].form.errors)


def test_limits_and_expiry_are_taken(installation, as_mia):
    limits = "mine-openai\r\n\r\n other-openai/gpt-4o-mini \r\n"
    issue(as_mia, limits=limits, expires_at_0="2099-01-02", expires_at_1="03:04:05")
    token = ApiToken.objects.get(name="laptop")
    assert token.limits == ["mine-openai", "other-openai/gpt-4o-mini"]
    assert token.expires_at.isoformat() == "2099-01-02T03:04:05+00:00"
    response, secret = issue(as_mia, name="late", expires_at_0="2020-01-01", expires_at_1="00:00:00")
    assert not secret
    assert "has passed" in str(response.context["adminform"].form.errors)


def test_an_expiry_takes_a_date_alone(installation, as_mia):
    issue(as_mia, expires_at_0="2099-01-02", expires_at_1="")
    assert ApiToken.objects.get(name="laptop").expires_at.isoformat() == "2099-01-03T00:00:00+00:00", "its end"
    _, secret = issue(as_mia, name="time alone", expires_at_0="", expires_at_1="10:00:00")
    assert not secret


def test_a_limit_that_names_nothing_is_refused(installation, as_mia):
    response, secret = issue(as_mia, limits="mine-opena\nmine-openai/gpt-4o-mini\nmine-openai/gpt-9")
    assert not secret
    said = str(response.context["adminform"].form.errors["limits"])
    assert "mine-opena&#x27; (near it: mine-openai" in said
    assert "gpt-9" in said
    installation.mine["account"].any_model = True
    installation.mine["account"].save()
    assert issue(as_mia, limits="mine-openai/gpt-9")[1], "an account that passes on any model"


def test_a_limit_whose_model_is_gone_keeps_no_token_from_being_edited(installation, as_mia):
    token, _ = ApiToken.objects.issue(name="old", user=installation.mia, limits=["mine-openai/gpt-4o-mini"])
    installation.mine["model"].delete()
    address = reverse("admin:accounts_apitoken_change", args=[token.pk])
    data = version(as_mia.get(address)) | {"name": "new", "limits": "mine-openai/gpt-4o-mini"}
    assert as_mia.post(address, data).status_code == 302
    refused = as_mia.post(address, version(as_mia.get(address)) | {"name": "new", "limits": "mine-openai/gone"})
    assert "gone" in str(refused.context["adminform"].form.errors["limits"])


def test_only_name_limits_and_expiry_change(installation, as_mia):
    token, _ = ApiToken.objects.issue(name="old", user=installation.mia)
    address = reverse("admin:accounts_apitoken_change", args=[token.pk])
    forged = {
        "user": installation.root.pk,
        "virtual_account": installation.other["bot"].pk,
        "prefix": "gh-x",
        "digest": "0" * 64,
    }
    opened = version(as_mia.get(address))
    assert as_mia.post(address, {"name": "new", "limits": "mine-openai", **forged, **opened}).status_code == 302
    changed = ApiToken.objects.get(pk=token.pk)
    assert (changed.name, changed.limits) == ("new", ["mine-openai"])
    assert (changed.user, changed.virtual_account, changed.digest) == (installation.mia, None, token.digest)


def test_a_page_opened_before_the_revocation_does_not_undo_it(installation, as_mia, monkeypatch):
    token, _ = ApiToken.objects.issue(name="old", user=installation.mia)
    address = reverse("admin:accounts_apitoken_change", args=[token.pk])
    data = form_data(as_mia.get(address))
    saved = ApiToken.save

    def revoked_meanwhile(self, *args, **kwargs):
        ApiToken.objects.filter(pk=self.pk).revoke()
        return saved(self, *args, **kwargs)

    monkeypatch.setattr(ApiToken, "save", revoked_meanwhile)
    as_mia.post(address, data | {"name": "new"})
    assert ApiToken.objects.get(pk=token.pk).state == "revoked"


def test_revoking_asks_first_and_then_ends_the_token(installation, as_mia):
    token, _ = ApiToken.objects.issue(name="old", user=installation.mia)
    address = reverse("admin:accounts_apitoken_revoke_one", args=[token.pk])
    asked = as_mia.get(address)
    assert "can&#x27;t be brought back" in asked.content.decode() or "can't be brought back" in asked.content.decode()
    assert ApiToken.objects.get(pk=token.pk).state == "active", "a link alone changes nothing"
    done = as_mia.post(address, follow=True)
    assert "Revoked 1 token" in messages(done)
    assert ApiToken.objects.get(pk=token.pk).state == "revoked"
    assert "revocation: 20" in AuditEntry.objects.get(object_id=token.pk, action="changed").sentence
    assert "already" in messages(as_mia.get(address, follow=True))


def test_a_revoked_token_can_not_be_edited(installation, as_mia):
    token, _ = ApiToken.objects.issue(name="old", user=installation.mia)
    ApiToken.objects.filter(pk=token.pk).revoke()
    address = reverse("admin:accounts_apitoken_change", args=[token.pk])
    as_mia.post(address, version(as_mia.get(address)) | {"name": "new", "limits": ""})
    assert ApiToken.objects.get(pk=token.pk).name == "old"


def test_people_revoke_but_only_superusers_delete(installation, as_mia, as_root):
    token, _ = ApiToken.objects.issue(name="old", user=installation.mia)
    address = reverse("admin:accounts_apitoken_delete", args=[token.pk])
    assert as_mia.post(address, {"post": "yes"}).status_code == 403
    assert as_root.post(address, {"post": "yes"}).status_code == 302


@pytest.mark.parametrize(("state", "names"), [("active", {"a"}), ("expired", {"e"}), ("revoked", {"r"})])
def test_the_list_filters_by_state(installation, state, names):
    past = timezone.now() - timedelta(days=1)
    for name in "aer":
        ApiToken.objects.issue(name=name, user=installation.mia)
    ApiToken.objects.filter(name="e").update(expires_at=past)
    ApiToken.objects.filter(name="r").revoke()
    page = signed_in(installation.mia).get(
        reverse("admin:accounts_apitoken_changelist"), {"state": state, "owner": "me"}
    )
    assert {token.name for token in page.context["cl"].result_list} == names


def test_the_hash_can_not_be_guessed_through_filters(installation, as_mia):
    digest = installation.mine["token"].digest
    for lookup in ("digest", "digest__startswith", "user__password__startswith"):
        assert as_mia.get(reverse("admin:accounts_apitoken_changelist"), {lookup: digest[:3]}).status_code == 400


def test_a_virtual_account_without_a_team_is_for_superusers(installation, as_mia):
    data = {"name": "new-bot", "display_name": "", "description": "", "enabled": "on", "tags": "app: shop"}
    refused = as_mia.post(reverse("admin:accounts_virtualaccount_add"), data)
    assert "team" in refused.context["adminform"].form.errors
    foreign = as_mia.post(reverse("admin:accounts_virtualaccount_add"), data | {"team": installation.other["team"].pk})
    assert "team" in foreign.context["adminform"].form.errors
    made = as_mia.post(reverse("admin:accounts_virtualaccount_add"), data | {"team": installation.mine["team"].pk})
    assert made.status_code == 302
    bot = installation.mine["team"].virtual_accounts.get(name="new-bot")
    assert bot.tags == {"app": "shop"}


def test_the_checks_are_content():
    call_command("check", fail_level="WARNING")
