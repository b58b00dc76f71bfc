"""Every endpoint of the URL map passes the same admission: no view may be added that does not."""

import re
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from django.urls import URLPattern, URLResolver, get_resolver
from openai import AzureOpenAI, OpenAI

from gateway.addresses import is_api
from gateway.endpoints import realtime, realtime_calls
from gateway.endpoints.base import InferenceView, OpenView
from gateway.urls import api, google
from tests.support.calls import assert_ours
from tests.support.surface import Surface

# Lists of what the caller may use: a caller who may use nothing gets an empty one.
EMPTY_FOR_STRANGERS = {("GET", "models")}
# Refuses everyone what it does not do.
NOTHING = {realtime.LiveCalls}
OFFER = {"sdp": (None, "v=0"), "session": (None, '{"model": "wide/gpt-4o-mini"}')}
FORM = {"model": (None, "wide/gpt-4o-mini"), "purpose": (None, "batch"), "file": ("a.jsonl", b"{}")}
BODY = {
    "model": "wide/gpt-4o-mini",
    "input": "a",
    "input_file_id": "file-1",
    "endpoint": "/v1/responses",
    "completion_window": "24h",
    "training_file": "file-1",
    "session": {"type": "realtime", "model": "wide/gpt-4o-mini"},
}


@dataclass(frozen=True)
class Endpoint:
    """An endpoint with an example of its path."""

    path: str
    view: type[OpenView]
    method: str = ""

    def __str__(self) -> str:
        return f"{self.method} {self.path}".strip()

    @property
    def address(self) -> str:
        """Where it is called, by the clients of its door."""
        return f"/{'v1beta' if self.view.door == 'gemini' else 'v1'}/{self.path}"

    def assert_refused(self, answer: httpx.Response, status: int, code: str) -> None:
        """Check an error of ours, in the words of the endpoint's door."""
        if self.view.door == "openai":
            assert_ours(answer, status, code)
            return
        assert answer.status_code == status, answer.text
        assert answer.headers["x-gatehouse-error-origin"] == "gateway"
        error = answer.json()["error"]
        assert error["message"]
        assert error["code"] == status if self.view.door == "gemini" else answer.json()["type"] == "error"


def endpoints() -> list[Endpoint]:
    """Return every endpoint below the API's prefixes; a row of the passthrough means its collection and an
    object.
    """
    found = []
    for pattern in [*api, *google[-2:]]:  # Google's lists; what is done with a model is among OpenAI's, too
        assert isinstance(pattern, URLPattern)
        view: Any = pattern.callback.cls  # type: ignore[attr-defined]
        row = pattern.callback.initkwargs.get("resource")  # type: ignore[attr-defined]
        if row is not None:
            found += [
                Endpoint(row.path, view),
                Endpoint(f"{row.path}/id_1", view),
                Endpoint(f"{row.path}/id_1/x", view),
            ]
        else:
            route = str(pattern.pattern)
            assert not route.startswith("^"), f"write {route} as a path"
            found.append(Endpoint(re.sub("<[^>]+>", "id_1", route), view))
    return found


CALLS = [Endpoint(each.path, each.view, method) for each in endpoints() for method in each.view.implemented_methods()]
every_endpoint = pytest.mark.parametrize("endpoint", endpoints(), ids=str)


@every_endpoint
def test_every_view_has_the_common_admission(endpoint: Endpoint) -> None:
    assert issubclass(endpoint.view, InferenceView)
    assert endpoint.view.dispatch is OpenView.dispatch
    assert endpoint.view.admit in (InferenceView.admit, realtime.BrowserView.admit)
    assert endpoint.view.implemented_methods()


def test_nothing_else_stands_below_the_prefixes() -> None:
    others = [
        pattern
        for pattern in get_resolver().url_patterns
        if not (isinstance(pattern, URLResolver) and pattern.url_patterns is api)
        and not issubclass(getattr(pattern.callback, "cls", object), InferenceView)  # which is admitted like the rest
    ]
    assert others
    for pattern in others:
        route = str(pattern.pattern).lstrip("^/")
        assert not is_api(f"/{route}") or route in ("healthz", "readyz"), route


def send(surface: Surface, endpoint: Endpoint, token: str) -> httpx.Response:
    """Call an endpoint with a body of the kind that it takes."""
    headers = {"x-tfy-provider-name": "wide", **({"authorization": f"Bearer {token}"} if token else {})}
    address = f"{surface.gateway.origin}{endpoint.address}"
    request: dict[str, Any] = {}
    if endpoint.method in ("POST", "PUT", "PATCH"):
        answer = surface.gateway.http.request(endpoint.method, address, headers=headers, json=BODY)
        if answer.status_code != 415:
            return answer
        request = {"files": OFFER if endpoint.view is realtime_calls.Calls else FORM}
    return surface.gateway.http.request(endpoint.method, address, headers=headers, **request)


def test_every_call_without_a_token_is_refused(surface: Surface) -> None:
    for endpoint in CALLS:
        endpoint.assert_refused(send(surface, endpoint, ""), 401, "missing_api_key")
        endpoint.assert_refused(send(surface, endpoint, "gh-nobody"), 401, "invalid_api_key")
    assert surface.upstream.requests() == []


def test_every_call_without_access_is_refused(surface: Surface) -> None:
    wrong = []
    for endpoint in CALLS:
        answer = send(surface, endpoint, surface.stranger)
        if (endpoint.method, endpoint.path) in EMPTY_FOR_STRANGERS:
            assert list(answer.json().values())[-1] == []
        elif endpoint.view in NOTHING:
            assert_ours(answer, 400, "calls_not_supported")
        elif answer.status_code not in (403, 404, 405):
            wrong.append((str(endpoint), answer.status_code, answer.text[:200]))
    assert not wrong
    assert surface.upstream.requests() == []


def test_every_method_that_is_not_there_says_what_is(surface: Surface) -> None:
    headers = {"authorization": f"Bearer {surface.ada}"}
    refused = 0
    for endpoint in endpoints():
        implemented = endpoint.view.implemented_methods()
        missing = next((method for method in ("PUT", "PATCH", "DELETE", "POST") if method not in implemented), None)
        if missing is not None:
            answer = surface.gateway.http.request(
                missing, f"{surface.gateway.origin}{endpoint.address}", headers=headers
            )
            endpoint.assert_refused(answer, 405, "method_not_allowed")
            assert answer.headers["allow"] == ", ".join(implemented)
            refused += 1
    assert refused > 10


def test_azures_version_changes_no_answer(surface: Surface) -> None:
    """Its clients name an ``api-version`` in every call: no list takes it for a parameter of its own."""
    headers = {"authorization": f"Bearer {surface.ada}", "x-tfy-provider-name": "wide"}
    listed = []
    for endpoint in CALLS:
        if endpoint.method != "GET" or endpoint.view.door != "openai":
            continue
        address = f"{surface.gateway.origin}/openai/{endpoint.path}"
        plain, named = (
            surface.gateway.http.get(f"{address}{query}", headers=headers).status_code
            for query in ("", "?Api-Version=2024-10-21")
        )
        assert plain == named, endpoint
        listed += [endpoint.path] if named == 200 else []
    below = f"{surface.gateway.origin}/v1/accounts/wide"
    for client in (
        AzureOpenAI(azure_endpoint=below, api_key=surface.ada, api_version="2024-10-21"),
        OpenAI(base_url=f"{below}/openai/v1/", api_key=surface.ada, default_query={"api-version": "preview"}),
    ):
        for resource in (client.vector_stores, client.containers, client.evals, client.files, client.skills):
            assert resource.list().data is not None
    assert {"assistants", "containers", "evals", "files", "skills", "vector_stores", "videos"} <= set(listed)
