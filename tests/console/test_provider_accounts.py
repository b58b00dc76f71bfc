"""Provider accounts in the console: secrets go in and never come out, and a key stays with its host."""

import json
import re
from html import unescape

import pytest
from django.db import connection
from django.db.models import QuerySet
from django.urls import reverse

from accounts.audit import AuditEntry
from accounts.changes import Change
from accounts.models import ApiToken
from gateway.models import OwnedObject
from providers.catalogue.models import known_models
from providers.models import Alias, Grant, Model, ProviderAccount
from tests.console.conftest import HEADER, KEY, form_data, messages
from tests.support.sandbox_process import KEY as SANDBOX_KEY
from tests.support.sandbox_process import SandboxProcess

ADD = "/admin/providers/provideraccount/add/"
NEW = {
    "kind": "openai",
    "name": "openai-main",
    "enabled": "on",
    "base_url": "",
    "api_key": " sk-new-key-123456 ",
    "connect_timeout": "10",
    "read_timeout": "600",
    "connection_limit": "0",
    "discount_percent": "0",
    "isolation": "owner",
    "stream_usage": "auto",
    "finish_seconds": "120",
    "grants-TOTAL_FORMS": 0,
    "grants-INITIAL_FORMS": 0,
}


@pytest.fixture
def page(installation, as_root):
    return Page(as_root, installation.mine["account"])


class Page:
    """An account's page: send the form as it is, with some fields changed."""

    def __init__(self, client, account):
        self.client = client
        self.account = account
        self.address = reverse("admin:providers_provideraccount_change", args=[account.pk])

    def get(self):
        return self.client.get(self.address).content.decode()

    def send(self, **changes):
        data = form_data(self.client.get(self.address))
        return self.client.post(self.address, data | changes, follow=True)

    def stored(self):
        return ProviderAccount.objects.get(pk=self.account.pk)


def test_adding_an_account_leads_on_to_its_models(installation, as_root):
    access = {"grants-TOTAL_FORMS": 1, "grants-0-role": "user", "grants-0-everyone": "on"}
    response = as_root.post(ADD, NEW | access)
    account = ProviderAccount.objects.get(name="openai-main")
    assert response["location"] == reverse("admin:providers_provideraccount_add_from_catalogue", args=[account.pk])
    assert account.api_key == "sk-new-key-123456"
    assert Grant.objects.get(account=account).everyone
    assert "sk-new" not in str(list(AuditEntry.objects.values()))


@pytest.mark.parametrize("place", ["page", "list", "history", "delete", "test_credentials", "add_from_catalogue"])
def test_no_page_shows_a_secret(page, place):
    page.send(api_key="sk-other-key-5678", headers="X-Secret-Team: other-header-9z8y7x")
    names = {"page": "change", "list": "changelist"}
    name = names.get(place, place)
    arguments = [] if place == "list" else [page.account.pk]
    text = page.client.get(reverse(f"admin:providers_provideraccount_{name}", args=arguments)).content.decode()
    for secret in (KEY, HEADER, "sk-other-key-5678", "other-header-9z8y7x"):
        for part in (secret, secret[:8], secret[-6:]):
            assert part not in text


def test_a_refused_form_does_not_repeat_the_key(page):
    response = page.send(api_key="sk-typed-key-0000", headers="X-A: typed-secret", name="Not A Slug")
    assert response.context["errors"]
    assert "sk-typed-key-0000" not in response.content.decode()


def test_the_page_says_what_is_stored(page):
    text = page.get()
    assert "A key is stored, entered for api.openai.com" in text
    assert "Stored: X-Secret-Team" in text
    page.send(clear_key="on", clear_headers="on")
    text = page.get()
    assert "No key is stored" in text
    assert "None are stored" in text


def test_empty_keeps_a_value_replaces_and_a_tick_clears(page):
    page.send(organization="org-1")
    assert (page.stored().api_key, page.stored().extra_headers) == (KEY, {"X-Secret-Team": HEADER})
    page.send(api_key="sk-next", headers="X-A: one\nX-B: two: three")
    assert (page.stored().api_key, page.stored().extra_headers) == ("sk-next", {"X-A": "one", "X-B": "two: three"})
    response = page.send(clear_key="on", clear_headers="on")
    assert (page.stored().api_key, page.stored().extra_headers) == ("", {})
    assert "has no key" in messages(response)
    both = page.send(api_key="sk-a", clear_key="on")
    assert "Either give a new value" in str(both.context["errors"])


def test_keys_are_added_beside_the_one_and_removed(page):
    assert page.send(more_keys="spare: sk-spare-123456\nthird: sk-third-123456").status_code == 200
    assert page.stored().keys == {"main": KEY, "spare": "sk-spare-123456", "third": "sk-third-123456"}
    text = page.get()
    assert "3 keys are stored" in text
    assert "Stored: main, spare, third" in text
    assert "sk-spare" not in text
    page.send(organization="org-1")
    assert len(page.stored().keys) == 3
    page.send(remove_keys=["main", "third"])
    assert page.stored().keys == {"spare": "sk-spare-123456"}
    both = page.send(api_key="sk-a", more_keys="b: sk-b")
    assert "Either change the keys" in str(both.context["errors"])
    wrong = page.send(more_keys="a b: sk-secret-123456")
    assert "names no key" in wrong.content.decode()
    assert "sk-secret" not in wrong.content.decode()
    page.send(base_url="https://eu.api.openai.com/v1", more_keys="new: sk-new-123456")
    assert page.stored().keys == {"new": "sk-new-123456"}


@pytest.mark.parametrize(
    "changes",
    [{"base_url": "https://eu.api.openai.com/v1"}, {"base_url": "https://api.openai.com:8443/v1"}, {"kind": "groq"}],
)
def test_another_host_clears_what_was_entered_for_the_old_one(page, changes):
    response = page.send(**changes)
    assert page.stored().api_key == ""
    assert page.stored().extra_headers == {}
    assert "The address now leads to" in messages(response)
    assert "key and extra headers" in messages(response)


def test_a_new_key_comes_along_to_the_new_host(page):
    response = page.send(base_url="https://eu.api.openai.com/v1", api_key="sk-eu")
    assert page.stored().api_key == "sk-eu"
    assert page.stored().extra_headers == {}
    assert "cleared: extra headers" in messages(response)
    assert "entered for eu.api.openai.com" in page.get()


def test_nothing_is_said_to_be_cleared_when_nothing_was_stored(page):
    page.send(clear_key="on", clear_headers="on")
    assert "now leads" not in messages(page.send(base_url="https://eu.api.openai.com/v1"))


def test_another_path_on_the_same_host_keeps_the_key(page):
    response = page.send(base_url="https://api.openai.com/v2")
    assert page.stored().api_key == KEY
    assert "now leads" not in messages(response)


@pytest.mark.parametrize(
    ("changes", "field", "said"),
    [
        ({"base_url": "http://169.254.169.254/latest"}, "base_url", "refused"),
        ({"base_url": "http://api.openai.com/v1"}, "base_url", "https"),
        ({"api_key": "sk-with space"}, "api_key", "no spaces"),
        ({"api_key": "sk-with\nbreak"}, "api_key", "no spaces"),
        ({"headers": "no colon here"}, "headers", "Line 1"),
        ({"headers": "X-A: 1\nX-A: 2"}, "headers", "second time"),
        ({"headers": "Authorization: Bearer x"}, "__all__", "set by Gatehouse itself"),
        ({"headers": "X-A: caf\u00e9"}, "__all__", "printable ASCII"),
        ({"headers": "X-A: a\tb"}, "__all__", "printable ASCII"),
        ({"headers": "X \u00c4: 1"}, "__all__", "use letters, digits and dashes"),
        ({"organization": "org-1\norg-2"}, "organization", "printable ASCII"),
        ({"project": "proj\u007f"}, "project", "printable ASCII"),
        ({"project": "\u4e2d"}, "project", "printable ASCII"),
        ({"kind": "self-hosted-model"}, "base_url", "give one"),
        ({"discount_percent": "101"}, "discount_percent", "100"),
    ],
)
def test_what_is_wrong_is_said_beside_the_field(page, changes, field, said):
    response = page.send(**changes)
    errors = response.context["adminform"].form.errors
    assert said in str(errors[field])
    assert page.stored().api_key == KEY


def test_regional_addresses_are_suggested_and_others_taken(page):
    text = page.get()
    assert (
        '<option value="https://eu.api.openai.com/v1" data-for="openai">OpenAI: Europe (EEA + Switzerland)</option>'
        in text
    )
    page.send(base_url="https://proxy.example.com/openai/v1")
    assert page.stored().url == "https://proxy.example.com/openai/v1"


def test_lists_are_edited_as_lines(page):
    page.send(open_resources="videos\n evals \n", proxy_paths="v1/rerank")
    assert page.stored().open_resources == ["videos", "evals"]
    assert page.stored().proxy_paths == ["v1/rerank"]
    assert "videos\nevals" in page.get()


def test_a_change_reaches_the_workers(page):
    Change.objects.all().delete()
    page.send(discount_percent="5")
    assert Change.objects.filter(kind="providers.provideraccount", object_id=page.account.pk).exists()


def test_a_key_that_can_not_be_decrypted_is_said_and_entered_again(page, installation):
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE providers_provideraccount SET credentials = %s, extra_headers_json = %s WHERE id = %s",
            [b"gAAAAA-not-ours", b"gAAAAA-not-ours", page.account.pk],
        )
    assert "unreadable" in page.client.get("/admin/providers/provideraccount/").content.decode()
    assert page.get().count("be decrypted") == 2
    response = page.send()
    assert "decrypted" in str(response.context["errors"]), "nothing is overwritten silently"
    response = page.send(api_key="sk-again", clear_headers="on")
    assert page.stored().api_key == "sk-again"
    for base in ("providers_model", "providers_grant"):
        assert page.client.get(reverse(f"admin:{base}_changelist")).status_code == 200


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([{"user": "paul"}, {"user": "paul"}], "twice"),
        ([{"user": "paul", "everyone": "on"}], "exactly one"),
        ([{"role": "manager"}], "exactly one"),
    ],
)
def test_a_role_names_one_subject_once(installation, page, rows, said):
    account = form_data(page.client.get(page.address))
    total = int(account["grants-TOTAL_FORMS"])
    changes = {"grants-TOTAL_FORMS": total + len(rows)}
    for number, row in enumerate(rows, start=total):
        for field, value in ({"role": "user"} | row).items():
            changes[f"grants-{number}-{field}"] = installation.paul.pk if value == "paul" else value
    response = page.send(**changes)
    assert said in response.content.decode()


def test_a_role_given_on_the_list_of_roles_is_not_given_twice(installation, as_root):
    data = {"account": installation.mine["account"].pk, "role": "user", "team": installation.mine["team"].pk}
    response = as_root.post("/admin/providers/grant/add/", data)
    assert "has this role" in response.content.decode()
    assert as_root.post("/admin/providers/grant/add/", data | {"role": "manager"}).status_code == 302


def test_models_come_from_the_catalogue(page):
    address = reverse("admin:providers_provideraccount_add_from_catalogue", args=[page.account.pk])
    text = page.client.get(address).content.decode()
    assert "gpt-4o" in text
    assert "$2.50 input" in text
    known = [model.name for model in known_models("openai") if not model.retired()][:3]
    response = page.client.post(address, {"model": known}, follow=True)
    assert "Added 3 models to " in messages(response)
    model = Model.objects.get(account=page.account, name=known[0])
    assert model.model_types
    assert AuditEntry.objects.filter(object_name__endswith=f"/{known[0]}", source="console").exists()
    text = page.client.get(address).content.decode()
    assert text.count("is there") == 4
    assert "No model was chosen" in messages(page.client.post(address, {}, follow=True))
    assert "not in the catalogue" in messages(page.client.post(address, {"model": ["made-up"]}, follow=True))


def test_a_kind_without_a_catalogue_leads_to_adding_by_hand(page):
    page.send(kind="self-hosted-model", base_url="https://vllm.example.com/v1")
    address = reverse("admin:providers_provideraccount_add_from_catalogue", args=[page.account.pk])
    assert "lists no models" in page.client.get(address).content.decode()
    by_hand = page.client.get(reverse("admin:providers_provideraccount_add_by_hand", args=[page.account.pk]))
    assert by_hand["location"] == f"/admin/providers/model/add/?account={page.account.pk}"


def test_credentials_are_tested_against_a_real_upstream(page, settings):
    settings.EGRESS_ALLOW = ["127.0.0.1"]
    address = reverse("admin:providers_provideraccount_test_credentials", args=[page.account.pk])
    with SandboxProcess() as sandbox:
        page.send(base_url=sandbox.url, api_key=SANDBOX_KEY)
        sandbox.clear()
        page.client.get(address)
        assert not sandbox.requests(), "looking at the page calls no one"
        works = page.client.post(address, {"model": ["gpt-4o-mini", "not-a-model-of-this-account"]})
        assert [row["result"].state for row in works.context["results"]] == ["works"]
        page.send(api_key="sk-wrong-key-0000")
        wrong = page.client.post(address, {"model": ["gpt-4o-mini"]})
    assert "bad key" in wrong.content.decode()
    assert "sk-wrong" not in wrong.content.decode()


def test_at_most_a_dozen_models_are_tested_at_once(page):
    Model.objects.bulk_create(
        [Model(account=page.account, name=f"m{number}", upstream_id="m", model_types=["chat"]) for number in range(13)]
    )
    address = reverse("admin:providers_provideraccount_test_credentials", args=[page.account.pk])
    response = page.client.post(address, {"model": [f"m{number}" for number in range(13)]})
    assert "at most 12" in messages(response)
    assert not response.context["results"]


def test_another_name_without_an_alias_is_taken_only_after_a_warning(page, installation):
    token, _ = ApiToken.objects.issue(name="ci", user=installation.paul, limits=["mine-openai/gpt-4o-mini"])
    response = page.send(name="renamed", keep_old_name="")
    said = str(response.context["adminform"].form.errors["name"])
    for text in ("mine-openai/MODEL", "1 call in the last 7 days, by ada@example.com", f"ci ({token.prefix}"):
        assert text in said, said
    assert ProviderAccount.objects.get(pk=page.account.pk).name == "mine-openai"
    page.send(name="renamed", keep_old_name="", rename_anyway="on")
    assert ProviderAccount.objects.get(pk=page.account.pk).name == "renamed"
    assert not Alias.objects.exists()


def test_renaming_keeps_the_old_name_by_itself(page):
    page.send(name="renamed")
    assert page.stored().name == "renamed"
    assert list(Alias.objects.values_list("name", "account__name", "model")) == [("mine-openai", "renamed", None)]
    assert "mine-openai" in page.get()
    page.send(name="mine-openai")  # back again: a name is not an alias of itself
    assert list(Alias.objects.values_list("name", "account__name")) == [("renamed", "mine-openai")]
    assert AuditEntry.objects.filter(object_type="providers.alias").count() == 3


def test_objects_follow_a_renamed_account(page):
    before = set(OwnedObject.objects.filter(account_name="mine-openai").values_list("object_id", flat=True))
    assert "batch_mine" in before
    page.send(name="renamed")
    assert set(OwnedObject.objects.filter(account_name="renamed").values_list("object_id", flat=True)) == before
    assert not OwnedObject.objects.filter(model_name__startswith="mine-openai/").exists()


def test_a_former_name_is_not_free(page, as_root):
    page.send(name="renamed")
    response = as_root.post(ADD, NEW | {"name": "mine-openai"})
    assert "'mine-openai' is a former name of renamed" in unescape(str(response.context["errors"]))


def test_a_model_keeps_its_old_name(page, as_root):
    model = page.account.models.first()
    old, address = model.name, reverse("admin:providers_model_change", args=[model.pk])
    as_root.post(address, form_data(as_root.get(address)) | {"name": "better-name"})
    assert list(Alias.objects.values_list("name", "model__name")) == [(old, "better-name")]
    assert "the model better-name" in page.get()


def test_an_alias_goes_on_its_accounts_page(page):
    page.send(name="renamed")
    alias = Alias.objects.get()
    page.send(**{"aliases-0-DELETE": "on", "aliases-0-id": str(alias.pk)})
    assert not Alias.objects.exists()


def test_deleting_lists_what_breaks(page, installation, as_root):
    ApiToken.objects.issue(name="ci", user=installation.paul, limits=["mine-openai"])
    shown = as_root.get(reverse("admin:providers_provideraccount_delete", args=[page.account.pk])).content.decode()
    assert "Breaks: 1 call in the last 7 days" in shown
    assert "Breaks: 1 token limited to it: ci (gh-" in shown


def test_suggested_addresses_are_those_of_the_kind(page):
    shown = page.get()
    assert '<option value="https://eu.api.openai.com/v1" data-for="openai">' in shown
    assert '<option value="https://api.groq.com/openai/v1" data-for="groq">' in shown
    assert 'data-depends-on="kind"' in shown


def test_a_key_that_is_for_another_host_is_said(page):
    moved = ProviderAccount.objects.filter(pk=page.account.pk)
    QuerySet.update(moved, base_url="https://eu.api.openai.com/v1")
    assert "for another host" in page.client.get("/admin/providers/provideraccount/").content.decode()
    text = page.get()
    assert text.count("Calls fail: its") == 2
    assert "entered for https://api.openai.com:443, and the address leads to https://eu.api.openai.com:443" in text
    page.send(api_key="sk-eu", headers="X-A: 1")
    assert "Calls fail" not in page.get()
    assert "for another host" not in page.client.get("/admin/providers/provideraccount/").content.decode()


def test_the_list_says_that_other_credentials_than_a_key_are_stored(page):
    secret = {"tenant_id": "t", "client_id": "c", "client_secret": "entra-secret-0001", "scope": "s"}
    account = page.stored()
    account.credentials = json.dumps({"type": "azure-entra", **secret})
    account.bind_secrets()
    account.save()
    text = page.client.get("/admin/providers/provideraccount/").content.decode()
    assert ">stored<" in re.sub(r"\s+", "", text)
    assert "entra-secret" not in text
