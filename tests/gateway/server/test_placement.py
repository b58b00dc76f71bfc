"""Below a path of the public address, behind a real nginx, whether it strips the path or not; and for browsers
elsewhere.
"""

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import httpx
import pytest
import yaml
from openai import OpenAI

from tests.support.calls import chat
from tests.support.fixtures import USER, seed
from tests.support.installation import Gateway, Installation
from tests.support.nginx import nginx
from tests.support.sandbox_process import SandboxProcess
from tests.support.servers import free_port

APP = "https://app.example.com"
PASSWORD = "correct horse battery"
SET_PASSWORD = """
from accounts.models import User
User.objects.create_superuser("root@example.com", "correct horse battery")
"""


@pytest.fixture(scope="module")
def placed(
    tmp_path_factory: pytest.TempPathFactory, migrated_data: Path, running_upstream: SandboxProcess
) -> Iterator[tuple[Gateway, str, dict[str, str]]]:
    """A gateway below ``/ai``, a token, and the addresses of two proxies in front."""
    base, ports = tmp_path_factory.mktemp("placed"), (free_port(), free_port())
    env = {"GATEHOUSE_PUBLIC_URL": f"http://127.0.0.1:{ports[0]}/ai", "GATEHOUSE_CORS_ORIGINS": APP}
    with contextlib.ExitStack() as stack:
        installation = stack.enter_context(Installation(base / "data", migrated_data, env))
        seed(installation, running_upstream.url)
        assert installation.command("shell", "-v0", "-c", SET_PASSWORD).returncode == 0
        token = installation.do("token", "t", user=USER)
        gateway = installation.gateway()
        whole = f"location /ai/ {{ proxy_pass {gateway.origin}; }}"
        stripped = f"location /ai/ {{ proxy_pass {gateway.origin}/; }}"
        proxies = {
            "whole": stack.enter_context(nginx(base / "whole", ports[0], whole)),
            "stripped": stack.enter_context(nginx(base / "stripped", ports[1], stripped)),
        }
        yield gateway, token, proxies


@pytest.fixture(params=["whole", "stripped"])
def origin(placed: tuple[Gateway, str, dict[str, str]], request: pytest.FixtureRequest) -> str:
    """The address of a proxy that passes the path on, or takes it off."""
    return placed[2][request.param]


@pytest.fixture
def browser(origin: str) -> Iterator[httpx.Client]:
    """A client that is signed in to the console."""
    with httpx.Client(trust_env=False, follow_redirects=True, timeout=30) as client:
        page = client.get(f"{origin}/ai/admin/")
        assert page.status_code == 200
        assert page.url.path == "/ai/admin/login/"
        secret = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page.text)
        assert secret
        form = {
            "username": "root@example.com",
            "password": PASSWORD,
            "csrfmiddlewaretoken": secret[1],
            "next": "/ai/admin/",
        }
        signed_in = client.post(str(page.url), data=form, headers={"referer": str(page.url)})
        assert (signed_in.status_code, signed_in.url.path) == (200, "/ai/admin/")
        yield client


def links(page: httpx.Response) -> set[str]:
    """The paths on this host that a page points to, or loads."""
    found = re.findall(r"""(?:href|src|action|hx-get|hx-post)=["']([^"'#?]+)""", page.text)
    return {
        urlsplit(urljoin(str(page.url), link)).path
        for link in found
        if not link.startswith(("http", "data:", "mailto:"))
    }


def test_the_console_and_its_files(browser: httpx.Client, origin: str) -> None:
    assert {cookie.path for cookie in browser.cookies.jar} == {"/ai/"}
    pages = [browser.get(f"{origin}/ai/admin/")]
    pages += [browser.get(f"{origin}{path}") for path in sorted(links(pages[0])) if path.endswith("account/")][:3]
    assert len(pages) > 1
    for page in pages:
        assert page.status_code == 200
        assert [path for path in links(page) if not path.startswith("/ai/")] == [], page.url
    for path in [path for path in links(pages[0]) if path.startswith("/ai/static/")]:
        assert browser.get(f"{origin}{path}").status_code == 200, path


def test_the_description_and_its_page(origin: str) -> None:
    with httpx.Client(trust_env=False, timeout=30) as client:
        described = yaml.safe_load(client.get(f"{origin}/ai/api/schema/").text)
        assert described["servers"] == [{"url": "/ai"}]
        assert "/v1/chat/completions" in described["paths"]
        page = client.get(f"{origin}/ai/api/docs/")
        assert [path for path in links(page) if not path.startswith("/ai/")] == []
        assert '"/ai/api/schema/' in client.get(f"{origin}/ai/api/docs/?script=").text
        for path in links(page):
            assert client.get(f"{origin}{path}").status_code == 200, path


def test_calls_and_sockets(placed: tuple[Gateway, str, dict[str, str]], origin: str) -> None:
    _, token, _ = placed
    with OpenAI(base_url=f"{origin}/ai/v1", api_key=token, max_retries=0) as client:
        assert client.chat.completions.create(**chat("What is 6*7?")).choices[0].message.content == "42"
        assert client.models.list().data
    with httpx.Client(trust_env=False) as client:
        assert client.get(f"{origin}/ai/readyz").status_code == 200
        unknown = client.get(f"{origin}/ai/v1/nothing")
        assert (unknown.status_code, unknown.json()["error"]["code"]) == (404, "unknown_url")


# --- browsers elsewhere ---------------------------------------------------------------------------------------------


def test_a_page_of_a_listed_origin_may_call(placed: tuple[Gateway, str, dict[str, str]]) -> None:
    gateway, token, _ = placed
    asked = {"origin": APP, "access-control-request-method": "POST"}
    asked["access-control-request-headers"] = "authorization,content-type,x-stainless-lang"
    preflight = gateway.http.options(f"{gateway.origin}/ai/v1/chat/completions", headers=asked)
    assert preflight.status_code == 204
    assert preflight.headers["access-control-allow-origin"] == APP
    assert preflight.headers["access-control-allow-headers"] == asked["access-control-request-headers"]
    assert "POST" in preflight.headers["access-control-allow-methods"]
    assert "access-control-allow-credentials" not in preflight.headers
    answered = gateway.post(token, "/ai/v1/chat/completions", chat(), {"origin": APP})
    assert (answered.status_code, answered.headers["access-control-allow-origin"]) == (200, APP)
    assert "origin" in answered.headers["vary"]
    refused = gateway.post("wrong", "/ai/v1/chat/completions", chat(), {"origin": APP})
    assert (refused.status_code, refused.headers["access-control-allow-origin"]) == (401, APP)
    elsewhere = gateway.http.get(f"{gateway.origin}/ai/v1/models", headers={"authorization": f"Bearer {token}"})
    assert "origin" in elsewhere.headers["vary"], "a cache must not give this answer to the page"


def test_an_unknown_path_is_said_without_that_of_the_public_address(
    placed: tuple[Gateway, str, dict[str, str]],
) -> None:
    gateway, token, _ = placed
    answered = gateway.post(token, "/aix/v1/models", {})
    assert answered.status_code == 404
    assert answered.json()["error"]["message"].startswith("Unknown path '/aix/v1/models'.")


@pytest.mark.parametrize("origin_header", ["https://evil.example", "null", "https://app.example.com.evil.example"])
def test_no_other_page_may(placed: tuple[Gateway, str, dict[str, str]], origin_header: str) -> None:
    gateway, token, _ = placed
    asked = {"origin": origin_header, "access-control-request-method": "POST"}
    preflight = gateway.http.options(f"{gateway.origin}/ai/v1/chat/completions", headers=asked)
    assert preflight.status_code == 405
    answered = gateway.post(token, "/ai/v1/chat/completions", chat(), {"origin": origin_header})
    assert answered.status_code == 200
    for response in (preflight, answered):
        assert [name for name in response.headers if name.startswith("access-control")] == []
        assert "origin" in response.headers["vary"], "a cache must not give this answer to a page that may"


def test_by_default_no_page_may(gateway: Gateway, token: str) -> None:
    asked = {"origin": APP, "access-control-request-method": "POST"}
    assert gateway.http.options(f"{gateway.origin}/v1/chat/completions", headers=asked).status_code == 405
    answered = gateway.post(token, "/v1/chat/completions", chat(), {"origin": APP})
    assert "access-control-allow-origin" not in answered.headers
