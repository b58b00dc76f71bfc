"""Through ``/proxy/`` no one reaches another caller's object, or a model that is not theirs, whatever form a call
has.
"""

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from tests.support.calls import assert_ours
from tests.support.installation import Gateway, Installation
from tests.support.manifests import chat_model, provider
from tests.support.sandbox_process import SandboxProcess

ACCOUNT, TWIN = "proxied", "twin"
JSON, FORM = {"content-type": "application/json"}, {"content-type": "application/x-www-form-urlencoded"}


class Proxied:
    """An installation with an account whose paths are all open, and a model ``secret-1`` on it that is only Ada's."""

    def __init__(self, gateway: Gateway, upstream: SandboxProcess) -> None:
        self.gateway = gateway
        self.upstream = upstream
        self.ada, self.bob = (gateway.token(name, user=f"{name}@example.com") for name in ("ada", "bob"))
        sdk = gateway.sdk(self.ada, default_headers={"x-tfy-provider-name": ACCOUNT})
        with sdk:
            self.file = sdk.files.create(file=("a.txt", b"secret"), purpose="user_data").id

    def send(self, token: str, path: str, method: str = "POST", **options: Any) -> httpx.Response:
        """Send through the proxy."""
        headers = {"authorization": f"Bearer {token}", "x-tfy-provider-name": ACCOUNT, **options.pop("headers", {})}
        self.upstream.clear()
        address = f"{self.gateway.origin}/v1/proxy/{path}"
        return self.gateway.http.request(method, address, headers=headers, **options)


@pytest.fixture(scope="module")
def proxied(
    tmp_path_factory: pytest.TempPathFactory, migrated_data: Path, running_upstream: SandboxProcess
) -> Iterator[Proxied]:
    with Installation(tmp_path_factory.mktemp("proxied") / "data", migrated_data) as installation:
        for name in ("ada", "bob"):
            installation.do("user", f"{name}@example.com")
        secret = chat_model("secret-1", model_id="acme/secret-1", authorized_subjects=["user:ada@example.com"])
        open_one = chat_model("secret-1-mini", model_id="acme/secret-1-mini")
        people = ("user:ada@example.com", "user:bob@example.com")
        installation.apply(
            provider(
                ACCOUNT,
                running_upstream.url,
                models=["gpt-4o-mini", secret, open_one],
                access=people,
                open_resources=["*"],
                proxy_paths=["*"],
            ),
            provider(TWIN, running_upstream.url, models=["gpt-4o-mini"], access=people, proxy_paths=["*"]),
        )
        yield Proxied(installation.gateway(), running_upstream)


# ID is replaced by the id of Ada's file. Options of httpx.
CALLS: dict[str, dict[str, Any]] = {
    "path": {"path": "echo/ID/content", "method": "GET"},
    "path parameter": {"path": "echo/x;id=ID", "method": "GET"},
    "path function": {"path": "echo/files('ID')", "method": "GET"},
    "path action": {"path": "echo/ID:cancel"},
    "query": {"path": "echo?after=ID", "method": "GET"},
    "query list": {"path": "echo?ids=a,ID", "method": "GET"},
    "query json": {"path": "echo?filter=" + quote('{"file_id":"ID"}'), "method": "GET"},
    "query name": {"path": "echo?ids[ID]=1", "method": "GET"},
    "json": {"path": "echo", "json": {"file_id": "ID"}},
    "json, any field": {"path": "echo", "json": {"a": {"b": ["ID"]}}},
    "json, metadata": {"path": "echo", "json": {"metadata": {"x": "ID"}}},
    "json, comma list": {"path": "echo", "json": {"files": "a,ID"}},
    "json without a type": {"path": "echo", "content": '{"x": "ID"}'},
    "ndjson": {"path": "echo", "content": '{}\n{"x": "ID"}\n', "headers": {"content-type": "application/x-ndjson"}},
    "file": {"path": "echo", "content": "see ID.", "headers": {"content-type": "application/octet-stream"}},
    "form": {"path": "echo", "data": {"anything": "ID"}},
    "multipart": {"path": "echo", "files": {"anything": (None, "ID")}},
    "multipart json": {"path": "echo", "files": {"request": (None, '{"x": "ID"}', "application/json")}},
    "put": {"path": "echo", "method": "PUT", "json": {"x": "ID"}},
    "delete": {"path": "echo/ID", "method": "DELETE"},
    "on the other account": {"path": "echo/ID", "method": "GET", "headers": {"x-tfy-provider-name": TWIN}},
}


def with_id(value: Any, object_id: str) -> Any:
    """Return options with the id in its place."""
    if isinstance(value, str):
        return value.replace("ID", object_id)
    if isinstance(value, dict):
        return {with_id(name, object_id): with_id(each, object_id) for name, each in value.items()}
    return type(value)(with_id(each, object_id) for each in value) if isinstance(value, list | tuple) else value


@pytest.mark.parametrize("case", CALLS)
def test_ids_of_others(proxied: Proxied, case: str) -> None:
    options = with_id(CALLS[case], proxied.file)
    refused = proxied.send(proxied.bob, **options)
    assert_ours(refused, 404, "not_found", refused.json()["error"]["param"])
    assert proxied.upstream.requests() == []
    passed = proxied.send(proxied.ada, **options)
    if case == "on the other account":
        assert passed.headers.get("x-gatehouse-error-origin") != "gateway"
        return
    assert len(proxied.upstream.requests()) == 1, passed.text


def test_ids_in_a_packed_body(proxied: Proxied) -> None:
    packed = gzip.compress(json.dumps({"x": proxied.file}).encode())
    headers = {**JSON, "content-encoding": "gzip"}
    assert proxied.send(proxied.bob, "echo", content=packed, headers=headers).status_code == 404
    assert (
        proxied.send(proxied.bob, "echo", content=packed, headers={**headers, "content-encoding": "x"}).status_code
        == 415
    )
    assert proxied.upstream.requests() == []
    proxied.send(proxied.ada, "v1/embeddings", content=packed, headers=headers)
    (sent,) = proxied.upstream.requests()
    assert json.loads(sent["body"]) == {"x": proxied.file}


NAMED: dict[str, dict[str, Any]] = {
    "json": {"json": {"model": "acme/secret-1"}},
    "our name": {"json": {"model": "secret-1"}},
    "account and name": {"json": {"model": f"{ACCOUNT}/secret-1"}},
    "account and vendor's name": {"json": {"model": f"{ACCOUNT}/acme/secret-1"}},
    "other case": {"json": {"model": "ACME/Secret-1"}},
    "other case of the field": {"json": {"Model": "acme/secret-1"}},
    "dated": {"json": {"model": "acme/secret-1-2026-01-31"}},
    "decorated": {"json": {"model": "acme/secret-1-fast"}},
    "latest": {"json": {"model": "acme/secret-1:latest"}},
    "list": {"json": {"models": ["gpt-4o-mini", "acme/secret-1"]}},
    "comma list": {"json": {"models": "gpt-4o-mini,acme/secret-1"}},
    "nested": {"json": {"a": [{"judge_model": "acme/secret-1"}]}},
    "in a list": {"json": [{"model": "acme/secret-1"}]},
    "in metadata": {"json": {"metadata": {"model": "acme/secret-1"}}},
    "routing": {"json": {"provider": {"order": ["acme/secret-1"]}}},
    "form": {"data": {"model": "acme/secret-1"}},
    "form list": {"data": {"models[]": "acme/secret-1"}},
    "ndjson": {"content": '{}\n{"model": "acme/secret-1"}\n', "headers": {"content-type": "application/x-ndjson"}},
    "file": {"content": "secret-1", "headers": {"content-type": "application/octet-stream"}},
    "nearly json in a form": {"data": {"a": "{'model': 'acme/secret-1'}"}},
    "multipart": {"files": {"model": (None, "acme/secret-1")}},
    "query": {"path": "echo?model=acme/secret-1"},
    "path": {"path": "echo/models/secret-1:generate"},
    "longer path": {"path": "echo/models/acme/secret-1"},
    "deployment": {"path": "echo/deployments/secret-1/chat"},
}


@pytest.mark.parametrize("case", NAMED)
def test_models_of_others(proxied: Proxied, case: str) -> None:
    options = {"path": "echo", **NAMED[case]}
    assert_ours(proxied.send(proxied.bob, **options), 404, "model_not_found", "model")
    assert proxied.upstream.requests() == []


@pytest.mark.parametrize(
    "options",
    [
        {"json": {"model": "acme/secret-1-mini"}},
        {"json": {"model": "something-else"}},
        {"json": {"prompt": "Tell me about secret-1."}},
        {"content": "model: acme/secret-1-mini\n", "headers": {"content-type": "application/octet-stream"}},
        {"data": {"model": "gpt-4o-mini"}},
    ],
    ids=["its neighbour", "not listed", "prose", "its neighbour in a file", "form"],
)
def test_what_may_be_called_passes(proxied: Proxied, options: dict[str, Any]) -> None:
    passed = proxied.send(proxied.bob, "echo", **options)
    assert passed.headers.get("x-gatehouse-error-origin") != "gateway", passed.text
    assert len(proxied.upstream.requests()) == 1


def test_the_owner_of_a_narrow_model_reaches_it(proxied: Proxied) -> None:
    proxied.send(proxied.ada, "echo", json={"model": "acme/secret-1"})
    assert len(proxied.upstream.requests()) == 1


@pytest.mark.parametrize("content", [b'{"a": NaN}', b"\xef\xbb\xbf{}", b"{'a': 1}", '{"a": 1}'.encode("utf-16")])
@pytest.mark.parametrize("headers", [{}, {"content-type": "image/png"}, JSON])
def test_what_cannot_be_read_is_refused(proxied: Proxied, content: bytes, headers: dict[str, str]) -> None:
    assert_ours(proxied.send(proxied.ada, "echo", content=content, headers=headers), 400, "invalid_json")
    assert proxied.upstream.requests() == []


@pytest.mark.parametrize(
    "options",
    [
        {"content": b"\xa1\x61x\x6bfile-abcdefg", "headers": {"content-type": "application/cbor"}},
        {"content": "<x><![CDATA[file]]>-abc</x>", "headers": {"content-type": "application/xml"}},
        {"content": "x: !!binary ZmlsZS1hYmM=", "headers": {"content-type": "application/yaml"}},
        {"content": b"\x0a\x0bfile-abcdefg", "headers": {}},
        {"files": {"request": ("a.json", '{"x": "y"}', "application/json")}},
        {"files": {"request": (None, "<x/>", "application/xml")}},
    ],
    ids=["cbor", "xml", "yaml", "no type", "a file of JSON", "a part of XML"],
)
def test_what_is_of_a_type_that_hides_ids_is_refused(proxied: Proxied, options: dict[str, Any]) -> None:
    answer = proxied.send(proxied.ada, "echo", **options)
    assert_ours(answer, 415, "unsupported_media_type", answer.json()["error"]["param"])
    assert proxied.upstream.requests() == []


def test_a_packed_form_is_refused(proxied: Proxied) -> None:
    headers = {"content-type": "multipart/form-data; boundary=x", "content-encoding": "gzip"}
    assert_ours(proxied.send(proxied.ada, "echo", content=b"x", headers=headers), 415, "unsupported_media_type")


def test_a_token_for_one_model(proxied: Proxied) -> None:
    limited = proxied.gateway.token("only-mini", [f"{ACCOUNT}/gpt-4o-mini"], user="bob@example.com")
    assert (
        proxied.send(limited, "echo", json={"model": "gpt-4o-mini"}).headers["x-gatehouse-error-origin"] == "upstream"
    )
    for body in ({}, {"model": "something-else"}, {"models": ["gpt-4o-mini", "something-else"]}, {"a": "gpt-4o-mini"}):
        assert_ours(proxied.send(limited, "echo", json=body), 404, "model_not_found", "model")
