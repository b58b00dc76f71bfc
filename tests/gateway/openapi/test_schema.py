"""The OpenAPI description of our own surface: complete, valid, true, and readable without any asset from outside."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
import yaml
from django.urls import URLPattern
from jsonschema import Draft202012Validator

from gateway.call.errors import TABLE
from gateway.objects.resource_table import RESOURCES
from gateway.openapi.generator import CONVERTER, FORMS, LISTS, api_patterns, describe
from gateway.urls import api
from tests.support.browser import open_page
from tests.support.installation import Gateway

HTTP_METHODS = {"get", "post", "put", "patch", "delete"}
NOBODY_READS = 499


@pytest.fixture(scope="module")
def described() -> dict[str, Any]:
    return describe()


def operations(described: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in described["paths"].items():
        for method, operation in methods.items():
            yield path, method, operation


def references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        yield from ([value["$ref"]] if isinstance(value.get("$ref"), str) else [])
        for child in value.values():
            yield from references(child)
    elif isinstance(value, list):
        for child in value:
            yield from references(child)


def test_every_endpoint_and_method_is_described(described: dict[str, Any]) -> None:
    assert api_patterns() == api
    for pattern in api:
        assert isinstance(pattern, URLPattern)
        view: Any = pattern.callback.cls  # type: ignore[attr-defined]
        if "resource" not in pattern.callback.initkwargs:  # type: ignore[attr-defined]
            path = "/v1/" + CONVERTER.sub(r"{\1}", str(pattern.pattern))
            assert set(described["paths"][path]) == {name.lower() for name in view.implemented_methods()}
    for row in RESOURCES:
        assert set(described["paths"][f"/v1/{row.path}"]) == ({"get", "post"} if row.lists else {"post"})
        assert set(described["paths"][f"/v1/{row.path}/{{id}}"]) == {"get", "post", "delete"}
    assert {"/healthz", "/readyz"} <= set(described["paths"])


def test_the_tables_name_endpoints_that_are_there() -> None:
    names = {pattern.name for pattern in api_patterns()}
    assert names >= set(FORMS)
    assert names >= LISTS


def test_the_description_is_sound(described: dict[str, Any]) -> None:
    identifiers = [operation["operationId"] for _, _, operation in operations(described)]
    assert len(set(identifiers)) == len(identifiers)
    for reference in set(references(described)):
        found: Any = described
        for step in reference.removeprefix("#/").split("/"):
            found = found[step]
    for path, method, operation in operations(described):
        assert method in HTTP_METHODS
        assert operation["summary"], path
        declared = {entry["name"] for entry in operation.get("parameters", []) if entry.get("in") == "path"}
        assert declared == set(re.findall(r"{(\w+)}", path))
        assert all("$ref" in answer or answer["description"] for answer in operation["responses"].values())
        for media in operation.get("requestBody", {}).get("content", {}).values():
            Draft202012Validator.check_schema(media["schema"])
    Draft202012Validator.check_schema(described["components"]["schemas"]["Error"])


def test_another_reader_takes_it(described: dict[str, Any]) -> None:
    read = [result.ok() for result in schemathesis.openapi.from_dict(described).get_all_operations()]
    assert len(read) == len(list(operations(described)))


def test_every_error_is_described(described: dict[str, Any]) -> None:
    documented = described["components"]["responses"]
    for _, row in TABLE:
        if row.status != NOBODY_READS:
            assert row.code in documented[f"Error{row.status}"]["description"]
    for path, method, operation in operations(described):
        if path.startswith("/v1/"):
            assert {"400", "401", "403", "404", "429", "502", "504"} <= set(operation["responses"])
            assert ("413" in operation["responses"]) == (method in ("post", "put", "patch"))


def test_kinds_of_bodies_and_answers(described: dict[str, Any]) -> None:
    paths = described["paths"]
    chat = paths["/v1/chat/completions"]["post"]
    assert set(chat["responses"]["200"]["content"]) == {"application/json", "text/event-stream"}
    assert chat["requestBody"]["content"]["application/json"]["schema"]["required"] == ["model"]
    assert "registered for `chat`" in chat["description"]
    assert set(paths["/v1/images/edits"]["post"]["requestBody"]["content"]) == {
        "multipart/form-data",
        "application/json",
    }
    assert "audio/*" in paths["/v1/audio/speech"]["post"]["responses"]["200"]["content"]
    assert {"limit", "after"} <= {entry.get("name") for entry in paths["/v1/files"]["get"]["parameters"]}
    assert described["components"]["securitySchemes"]["token"]["scheme"] == "bearer"
    assert paths["/healthz"]["get"]["security"] == []


def test_it_is_served_as_yaml_and_json(gateway: Gateway, described: dict[str, Any]) -> None:
    as_yaml = gateway.http.get(f"{gateway.origin}/api/schema/")
    as_json = gateway.http.get(f"{gateway.origin}/api/schema/?format=json")
    assert yaml.safe_load(as_yaml.text) == json.loads(as_json.text) == described


def test_a_real_error_has_the_described_form(gateway: Gateway, described: dict[str, Any]) -> None:
    error = gateway.http.get(f"{gateway.origin}/v1/models").json()
    Draft202012Validator(described["components"]["schemas"]["Error"]).validate(error)


def test_the_pages_need_nothing_from_outside(gateway: Gateway) -> None:
    with open_page(gateway.origin) as page:
        page.goto("/api/docs/")
        page.locator("#operations-tag-chat").click()
        page.locator("#operations-chat-chat_completions_post").click()
        page.get_by_text("The model must be registered for").wait_for()
        assert page.title() == "Gatehouse"
