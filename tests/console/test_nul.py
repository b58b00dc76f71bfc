"""A NUL in what a browser sends to the console, over PostgreSQL, which takes none: a plain 400, never a traceback."""

from collections.abc import Iterator

import httpx
import pytest

from tests.support.installation import Gateway, Installation, migrated_postgres_url

ROOT = "root@example.com"
PASSWORD = "an-Obvious-password-7"
PAGES = (
    "accounts/user/?team=%00",
    "accounts/team/?q=%00",
    "providers/grant/?account=%00",
    "providers/grant/?role__exact=%00",
    "providers/model/?type=%00",
    "providers/provideraccount/?kind__exact=%00",
    "usage/usagerecord/?subject_name=%00",
    "accounts/auditentry/?q=%00",
    "batches/job/?account_name=%00",
    "batches/storedfile/?account_name=%00",
    "autocomplete/?app_label=providers&model_name=grant&field_name=user&term=%00",
    "autocomplete/?app_label=providers&model_name=grant&field_name=user&term=a%00b",
    "accounts/user/1%00/change/",
)


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A server on PostgreSQL with a superuser."""
    env = {"DATABASE_URL": migrated_postgres_url(), "DJANGO_SUPERUSER_PASSWORD": PASSWORD}
    with Installation(tmp_path_factory.mktemp("nul") / "data", env=env) as installation:
        made = installation.command("createsuperuser", "--noinput", "--email", ROOT)
        assert made.returncode == 0, made.stderr
        yield installation.gateway()


@pytest.fixture(scope="module")
def browser(gateway: Gateway) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=gateway.origin, trust_env=False) as client:
        client.get("/admin/login/")
        form = {"username": ROOT, "password": PASSWORD, "csrfmiddlewaretoken": client.cookies["csrftoken"]}
        assert client.post("/admin/login/?next=/admin/", data=form).status_code == 302
        yield client


@pytest.mark.parametrize("page", PAGES)
def test_in_an_address(browser: httpx.Client, page: str) -> None:
    answer = browser.get(f"/admin/{page}")
    assert (answer.status_code, answer.headers["content-type"]) == (400, "text/html; charset=utf-8")
    assert "NUL" in answer.text
    assert answer.headers["x-content-type-options"] == "nosniff"
    whole = browser.get(f"/admin/{page.replace('%00', '')}")
    assert whole.status_code in {200, 302}, "the page is there without it"


def test_in_the_sessions_cookie(gateway: Gateway) -> None:
    headers = {"cookie": r'sessionid="\000aaaaaaaaaaaaaaaa"; other="\000"'}
    answer = gateway.http.get(f"{gateway.origin}/admin/", headers=headers)
    assert (answer.status_code, "NUL" in answer.text) == (400, True)
    headers = {"cookie": r'other="\000"'}
    assert gateway.http.get(f"{gateway.origin}/admin/login/", headers=headers).status_code == 200


def test_an_escaped_percent_sign_is_none(browser: httpx.Client) -> None:
    assert browser.get("/admin/accounts/team/?q=%2500").status_code == 200
