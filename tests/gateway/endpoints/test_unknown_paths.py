"""What clients with a wrong base URL get: OpenAI's error as JSON at every address, and browsers a page."""

import httpx
import pytest

from tests.support.calls import assert_ours
from tests.support.installation import Gateway

BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
CLIENT_ACCEPTS = ["application/json", "*/*", ""]
PATHS = [
    "//v1/chat/completions",
    "//v1",
    "/chat/completions",
    "/models",
    "/openai",
    "/openai/nothing",
    "/v1beta",
    "/v1beta2/models/gemini-2.5-pro:unheardOf",
    "/v2/chat/completions",
    "/api",
    "/api/v1/chat/completions",
    "/v1/nothing",
    "/v1",
]


def ask(gateway: Gateway, method: str, path: str, accept: str) -> httpx.Response:
    content = b"{}" if method == "POST" else None
    request = httpx.Request(method, gateway.origin, headers={"accept": accept}, content=content)
    request.url = request.url.copy_with(raw_path=path.encode())
    return gateway.http.send(request)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_clients_get_json(gateway: Gateway, path: str, method: str) -> None:
    for accept in CLIENT_ACCEPTS:
        answer = ask(gateway, method, path, accept)
        error = assert_ours(answer, 404, "unknown_url")
        assert "/v1/chat/completions" in error["message"]


@pytest.mark.parametrize("path", ["/", "/chat/completions", "/nothing"])
def test_a_post_is_never_a_browsers_page(gateway: Gateway, path: str) -> None:
    assert_ours(ask(gateway, "POST", path, BROWSER), 404, "unknown_url")


@pytest.mark.parametrize("path", ["/nothing", "/chat/completions", "/v3"])
def test_browsers_get_a_page(gateway: Gateway, path: str) -> None:
    answer = ask(gateway, "GET", path, BROWSER)
    assert (answer.status_code, answer.headers["content-type"]) == (404, "text/html; charset=utf-8")
    assert "Not there" in answer.text


def test_the_root_leads_browsers_to_the_console(gateway: Gateway) -> None:
    answer = ask(gateway, "GET", "/", BROWSER)
    assert (answer.status_code, answer.headers["location"]) == (302, "/admin/")
