"""The main job in a real browser: sign in, add an account, its models and its access, test the key, make a token."""

import re

import pytest
from playwright.sync_api import Page, expect

from accounts.models import ApiToken, User
from providers.models import Grant, ProviderAccount
from tests.console.conftest import PASSWORD
from tests.support.browser import open_page
from tests.support.sandbox_process import KEY as SANDBOX_KEY
from tests.support.sandbox_process import SandboxProcess


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


def choose(page: Page, field: str, text: str) -> None:
    """Choose ``text`` in a search field, by keyboard from where it is open."""
    page.locator(f"#id_{field} + .select2").click()
    page.locator(".select2-search__field").fill(text)
    expect(page.locator(".select2-results__option--highlighted")).to_have_text(re.compile(text))
    page.keyboard.press("Enter")


def save(page: Page) -> None:
    page.get_by_role("button", name="Save", exact=True).click()


def test_from_an_empty_installation_to_a_token(page):
    with SandboxProcess() as sandbox:
        page.get_by_role("link", name="Add a provider account and its key").click()
        page.get_by_label("Name").fill("openai-main")
        page.get_by_label("Base URL").fill(sandbox.url)
        page.get_by_label("API key").fill(SANDBOX_KEY)
        page.get_by_role("link", name="Add another Role").click()
        choose(page, "grants-0-user", "ada")
        save(page)

        expect(page.get_by_text("Now choose its models")).to_be_visible()
        page.get_by_label("Filter by name or type").fill("gpt-4o-mini")
        expect(page.get_by_text("gpt-4.1", exact=True)).to_be_hidden()
        page.get_by_label("gpt-4o-mini", exact=True).check()
        page.get_by_label("Filter by name or type").fill("embedding")
        page.get_by_label("Select all shown").check()
        expect(page.get_by_text("4 chosen")).to_be_visible()
        page.get_by_role("button", name="Add the chosen models").click()
        expect(page.get_by_text("Added 4 model(s)")).to_be_visible()

        page.get_by_role("link", name="Test credentials").click()
        page.get_by_role("button", name="Test").click()
        expect(page.get_by_text("works", exact=True).first).to_be_visible()
    account = ProviderAccount.objects.get(name="openai-main")
    assert account.api_key == SANDBOX_KEY
    assert Grant.objects.get(account=account).user.email == "ada@example.com"
    assert account.models.count() == 4


def test_a_token_is_seen_once(page):
    page.goto("/admin/accounts/apitoken/add/")
    page.get_by_label("Name").fill("laptop")
    save(page)
    shown = page.get_by_label("laptop")
    secret = shown.input_value()
    assert len(secret) == 49
    page.get_by_role("button", name="Copy").click()
    expect(page.get_by_role("status")).to_have_text(re.compile("Copied|Press"))
    page.get_by_role("link", name="I have copied it").click()
    expect(page.get_by_text(ApiToken.objects.get().prefix)).to_be_visible()
    page.get_by_role("link", name="laptop").click()
    assert secret not in page.content()
    page.get_by_role("link", name="Revoke").click()
    page.get_by_role("button", name="Revoke").click()
    expect(page.get_by_text("Revoked 1 token(s)")).to_be_visible()


def test_the_overview_is_used_by_keyboard(page):
    page.goto("/admin/")
    reached = []
    for _ in range(40):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.innerText?.trim() ?? ''"))
    for name in ("Provider accounts", "Usage"):
        assert any(name in text for text in reached), reached
    assert any(text.startswith("Requests today") for text in reached), reached
    page.get_by_role("link", name="Requests today").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_text("Newest first")).to_be_visible()
