"""The main job in a real browser: sign in, add an account, its models and its access, test the key, make a token."""

import re
from datetime import timedelta

import pytest
from django.utils import timezone
from playwright.sync_api import Page, expect

from accounts.models import ApiToken, User
from providers.models import Grant, Model, ProviderAccount
from tests.console.conftest import PASSWORD
from tests.support.browser import open_page
from tests.support.sandbox_process import KEY as SANDBOX_KEY
from tests.support.sandbox_process import SandboxProcess
from tests.support.usage_rows import record
from usage.models import UsageRecord


@pytest.fixture
def page(live_server, transactional_db, settings, monkeypatch):
    """A page on the running console, signed in as a superuser. Playwright's own loop makes Django think it is async."""
    monkeypatch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    settings.EGRESS_ALLOW = ["127.0.0.1"]
    User.objects.create_superuser("root@example.com", PASSWORD)
    User.objects.create_user("ada@example.com", PASSWORD)
    with open_page(live_server.url) as page:
        sign_in(page, "root@example.com")
        yield page


def sign_in(page: Page, email: str) -> None:
    page.goto("/admin/")
    page.get_by_label("Email").fill(email)
    page.get_by_label("Password").fill(PASSWORD)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Overview")).to_be_visible()


def test_from_an_empty_installation_to_a_ready_account(page):
    """The steps of the contract: account, models, tested credentials, access; nothing is stored before the last."""
    with SandboxProcess() as sandbox:
        page.get_by_role("link", name="Add a provider account and its key").click()
        page.get_by_text("OpenAI", exact=True).click()
        page.get_by_label("Name", exact=True).fill("acme-openai")
        expect(page.get_by_text("acme-openai/gpt-4o-mini")).to_be_visible()
        page.get_by_role("button", name="Choose models").click()
        expect(page.get_by_text("Enter the key")).to_be_visible()
        page.get_by_role("textbox", name="API key").fill("sk-wrong-key-0123456789")
        page.get_by_label("Region").select_option("Another address …")
        page.get_by_label("Base URL").fill(sandbox.url)
        page.get_by_role("button", name="Choose models").click()

        page.get_by_label("Filter by name").fill("gpt-4o-mini")
        expect(page.get_by_text("gpt-4.1", exact=True)).to_be_hidden()
        row = page.get_by_role("row").filter(has=page.get_by_text("gpt-4o-mini", exact=True))
        expect(row).to_contain_text("$0.15")
        expect(row).to_contain_text("128K")
        page.get_by_label("gpt-4o-mini", exact=True).check()
        page.get_by_label("Filter by name").fill("embedding-3")
        page.get_by_label("Select all shown").check()
        expect(page.get_by_text("3 chosen")).to_be_visible()
        page.get_by_role("button", name="+ Add Model").click()
        page.get_by_label("Model name", exact=True).fill("own-model")
        page.get_by_label("Input price per million tokens").fill("0.10")
        page.get_by_role("button", name="Test Credentials").click()
        expect(page.get_by_text("4 of 4 tested: 0 work, 4 do not. You can save anyway.")).to_be_visible()
        page.get_by_role("button", name="1. Account").click()
        page.get_by_role("textbox", name="API key").fill(SANDBOX_KEY)
        page.get_by_role("button", name="Choose models").click()
        page.get_by_role("button", name="Test Credentials").click()
        expect(page.get_by_text("4 of 4 tested: 3 work, 1 do not. You can save anyway.")).to_be_visible()
        expect(page.get_by_text("model not found")).to_be_visible()
        page.get_by_role("button", name="Remove this model").click()

        page.reload()  # all but the key is still there
        expect(page.get_by_label("Name", exact=True)).to_have_value("acme-openai")
        expect(page.get_by_role("textbox", name="API key")).to_have_value("")
        page.get_by_role("textbox", name="API key").fill(SANDBOX_KEY)
        page.get_by_role("button", name="3. Access").click()
        expect(page.get_by_text("No one is chosen")).to_be_visible()
        page.get_by_label("Can use").fill("ada")
        page.get_by_role("button", name="ada@example.com person").click()
        expect(page.get_by_text("ada@example.com will be able to call the 3 models of acme-openai")).to_be_visible()
        assert not ProviderAccount.objects.exists()
        page.get_by_role("button", name="Save Models").click()
        expect(page.get_by_role("link", name="Open in playground")).to_be_visible()
        expect(page.get_by_label("Code")).to_contain_text('model="acme-openai/gpt-4o-mini"')
    account = ProviderAccount.objects.get(name="acme-openai")
    assert account.api_key == SANDBOX_KEY
    assert Grant.objects.get(account=account).user.email == "ada@example.com"
    assert account.models.count() == 3
    assert SANDBOX_KEY not in page.evaluate("JSON.stringify(localStorage)")


def test_a_member_makes_rolls_and_revokes_a_token(live_server, transactional_db, settings, monkeypatch):
    """As a person with no right but to call two models: the token is seen once, in a snippet that has it."""
    monkeypatch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    ada = User.objects.create_user("ada@example.com", PASSWORD)
    account = ProviderAccount.objects.create(name="acme")
    for name in ("gpt-4o-mini", "gpt-4o"):
        Model.objects.create(account=account, name=name, model_types=["chat"])
    Grant.objects.create(account=account, user=ada)
    with open_page(live_server.url) as page:
        sign_in(page, "ada@example.com")
        page.get_by_role("link", name="Tokens", exact=True).click()
        page.get_by_role("link", name="make the first").click()
        expect(page.get_by_label("90 days")).to_be_checked()
        expect(page.get_by_label("Name", exact=True)).to_be_focused()  # else the first letters may be lost
        page.keyboard.type("laptop")
        page.get_by_label("30 days").check()
        expect(page.get_by_label("Part of a name")).to_be_hidden()
        page.get_by_label("Only some accounts and models").check()
        page.get_by_role("button", name="Make the token").click()
        expect(page.get_by_text("Choose what the token may call")).to_be_visible()
        page.get_by_label("Part of a name").fill("mini")
        expect(page.get_by_label("acme/gpt-4o", exact=True)).to_be_hidden()
        page.get_by_label("acme/gpt-4o-mini").check()
        expect(page.get_by_text("1 chosen")).to_be_visible()
        page.get_by_role("button", name="Make the token").click()

        secret = page.get_by_label("laptop").input_value()
        assert len(secret) == 49
        for text in (f'api_key="{secret}"', 'model="acme/gpt-4o-mini"'):
            expect(page.get_by_label("Code")).to_contain_text(text)
        page.get_by_role("button", name="Copy", exact=True).click()
        expect(page.locator("#copied")).to_have_text(re.compile("Copied|Press"))
        page.get_by_role("link", name="I have copied it").click()
        row = page.get_by_role("row").filter(has_text="laptop")
        expect(row).to_contain_text("acme/gpt-4o-mini")
        assert secret not in page.content()

        row.get_by_role("link", name="Roll").click()
        page.get_by_label("For 1 hour").check()
        page.get_by_role("button", name="Roll").click()
        assert page.get_by_label("laptop").input_value() != secret
        page.get_by_role("link", name="I have copied it").click()
        expect(page.get_by_role("row").filter(has_text="laptop")).to_have_count(2)
        page.get_by_role("link", name="Revoke laptop").first.click()
        page.get_by_role("button", name="Revoke").click()
        expect(page.get_by_text("Revoked 1 token; calls are refused")).to_be_visible()
    new, old = ApiToken.objects.filter(user=ada)
    assert (new.state, old.state, old.limits, new.limits) == ("revoked", "active", *[["acme/gpt-4o-mini"]] * 2)
    assert timedelta(minutes=50) < old.expires_at - timezone.now() < timedelta(hours=1)


def test_the_console_is_used_by_keyboard(page):
    page.goto("/admin/")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_attached()
    reached = []
    for _ in range(45):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.innerText?.trim() ?? ''"))
    assert reached[0] == "Skip to the content"
    for name in ("Playground", "Requests", "root@example.com"):
        assert any(name in text for text in reached), reached
    page.get_by_role("link", name="Requests", exact=True).focus()
    page.keyboard.press("Enter")
    expect(page.get_by_text("Newest first")).to_be_visible()
    filters = page.get_by_role("button", name="Filters")
    filters.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Apply Filters")).to_be_visible()
    expect(page.locator("#changelist-filter :focus")).to_have_count(1)
    page.keyboard.press("Escape")
    expect(page.get_by_role("button", name="Apply Filters")).to_be_hidden()
    expect(filters).to_be_focused()
    page.goto("/admin/accounts/auditentry/")
    page.get_by_role("button", name="Filters").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_label("object (or a part)")).to_be_focused()
    page.keyboard.type("ada@")
    page.keyboard.press("Enter")
    expect(page.get_by_text("added person ada@example.com")).to_be_visible()
    expect(page.get_by_text("added person root@example.com")).to_be_hidden()


def test_requests_come_by_themselves_and_open_beside_the_list(page):
    first, second, third = (record(request_id=f"req_{name}", subject_name="ada@example.com") for name in "abc")
    page.goto("/admin/usage/usagerecord/?subject_name=ada@example.com")
    page.get_by_role("link", name="Live").click()
    expect(page.get_by_text("No calls with these filters yet")).to_be_visible()
    UsageRecord.objects.bulk_create([first, record(subject_name="bo@example.com")])
    rows = page.locator("#live-rows tr")
    expect(rows).to_have_count(1)
    expect(rows).to_contain_text("openai-main/gpt-4o-mini")

    page.keyboard.press("p")
    expect(page.get_by_role("button", name="Go on (P)")).to_have_attribute("aria-pressed", "true")
    UsageRecord.objects.bulk_create([second])
    page.wait_for_timeout(2500)
    expect(rows).to_have_count(1)
    page.keyboard.press("p")
    expect(rows).to_have_count(2)

    link = rows.first.get_by_role("link")
    link.focus()
    page.keyboard.press("Enter")  # beside the list, which waits meanwhile
    pane = page.get_by_role("dialog")
    expect(pane.get_by_role("heading", name="Timeline")).to_be_visible()
    expect(pane).to_contain_text("req_b")
    expect(rows.first).to_have_attribute("aria-current", "true")
    UsageRecord.objects.bulk_create([third])
    page.wait_for_timeout(2500)
    expect(rows).to_have_count(2)
    page.keyboard.press("Escape")
    expect(rows).to_have_count(3)
    rows.first.get_by_role("link").click()
    pane.get_by_role("link", name="Its own page").click()
    expect(page).to_have_url(re.compile("/admin/requests/req_c/$"))
    page.get_by_role("link", name="all its requests").first.click()
    expect(page.get_by_text("Newest first")).to_be_visible()
    page.get_by_role("link", name=re.compile("[0-9]{2}:[0-9]{2}")).first.click()
    expect(page.get_by_role("dialog")).to_contain_text("req_c")
