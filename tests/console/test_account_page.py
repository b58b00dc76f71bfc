"""An account's page: how it does now, and a key that is tested before it replaces the old one."""

import re
from time import monotonic

import pytest
from django.urls import reverse
from django.utils import timezone

from accounts.models import AuditEntry
from gateway.routing.health import health
from providers.models import ProviderAccount
from tests.console.conftest import KEY, messages
from tests.support.sandbox_process import KEY as SANDBOX_KEY
from tests.support.sandbox_process import SandboxProcess
from tests.support.usage_rows import record
from usage.models import UsageRecord

WRONG = "sk-wrong-key-0123456789"


@pytest.fixture(scope="module")
def sandbox():
    with SandboxProcess() as running:
        yield running


@pytest.fixture
def account(installation, settings, sandbox) -> ProviderAccount:
    settings.EGRESS_ALLOW = ["127.0.0.1"]
    found: ProviderAccount = installation.mine["account"]
    found.base_url, found.api_key, found.extra_headers = sandbox.url, KEY, {}
    found.save()
    return found


def page_of(account: ProviderAccount, name: str = "change") -> str:
    return reverse(f"admin:providers_provideraccount_{name}", args=[account.pk])


def stored(account: ProviderAccount) -> str:
    return ProviderAccount.objects.get(pk=account.pk).api_key


def test_a_key_that_works_takes_the_place_of_the_old_one(account, as_mia) -> None:
    answer = as_mia.post(page_of(account, "rotate_key"), {"api_key": f" {SANDBOX_KEY} "}, follow=True)
    assert "The key of mine-openai is replaced: 1 of 1 work." in messages(answer)
    assert stored(account) == SANDBOX_KEY
    assert "tested the credentials: 1 of 1 work" in answer.content.decode()
    assert SANDBOX_KEY not in answer.content.decode()
    notes = AuditEntry.objects.filter(object_id=str(account.pk), actor="mia@example.com")
    assert [(row.note, row.changes) for row in notes if SANDBOX_KEY in f"{row.note}{row.changes}"] == []


def test_a_key_that_does_not_work_replaces_nothing_until_one_says_so(account, as_mia) -> None:
    page = as_mia.post(page_of(account, "rotate_key"), {"api_key": WRONG})
    text = page.content.decode()
    assert "The new key was not stored" in text
    assert "mine-openai/gpt-4o-mini" in text
    assert WRONG not in text
    assert stored(account) == KEY
    answer = as_mia.post(page_of(account, "rotate_key"), {"sealed": page.context["sealed"], "anyway": "1"}, follow=True)
    assert "is replaced, untested" in messages(answer)
    assert stored(account) == WRONG


@pytest.mark.parametrize("key", ["", "   ", "sk-two words", "sk-naïve"])
def test_what_is_no_key_is_not_tried(account, as_mia, key) -> None:
    page = as_mia.post(page_of(account, "rotate_key"), {"api_key": key, "anyway": "1"})
    assert page.context["fault"]
    assert stored(account) == KEY


def test_a_test_is_remembered_on_the_page(account, as_mia) -> None:
    assert "Not tested yet" in as_mia.get(page_of(account)).content.decode()
    as_mia.post(page_of(account, "test_credentials"), {"model": "gpt-4o-mini"})
    page = as_mia.get(page_of(account)).content.decode()
    assert "Not tested yet" not in page
    assert "tested the credentials: 0 of 1 work; mine-openai/gpt-4o-mini: " in page


def test_the_page_says_how_the_account_does(installation, as_mia, monkeypatch) -> None:
    account = installation.mine["account"]
    UsageRecord.objects.all().delete()
    calls = [record(account=account.name, at=timezone.now()) for _ in range(6)]
    fault = {"error_class": "upstream_error", "status": 502, "error_message": 'The engine <b>is</b> "full"'}
    calls += [record(account=account.name, at=timezone.now(), request_id="req_full", **fault)]
    calls += [record(account=account.name, at=timezone.now(), error_class="invalid_request", status=400)]
    UsageRecord.objects.bulk_create([*calls, record(account="other-openai", at=timezone.now(), **fault)])
    monkeypatch.setattr(health, "_targets", {})
    target = health.of("mine-openai/gpt-4o-mini")
    for _ in range(2):
        target.note_failure(503, monotonic(), None)
    health.of("mine-openai/gpt-4o").note_failure(503, monotonic(), None)
    page = as_mia.get(page_of(account)).content.decode()
    assert "8 attempts, 1 failed (12.5 %), 1 refused as the caller's mistake" in page
    assert "The engine &lt;b&gt;is&lt;/b&gt; &quot;full&quot;" in page
    assert reverse("admin:request", args=["req_full"]) in page
    assert "mine-openai/gpt-4o-mini rests" in page
    assert re.search("after 503, tried again in [0-9]+ s", page)
    assert "mine-openai/gpt-4o rests" not in page
