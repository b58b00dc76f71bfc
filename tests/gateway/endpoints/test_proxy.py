"""``/proxy/``: the vendor's own paths and bodies, byte for byte, on accounts that allow them."""

import json
from typing import Any
from urllib.parse import parse_qsl

import httpx
import pytest

from gateway.endpoints.proxy import vendor_root
from tests.support.calls import assert_ours
from tests.support.surface import Surface

CHAT = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Count from 1 to 5."}]}


def send(surface: Surface, method: str, path: str, token: str = "", **options: Any) -> httpx.Response:
    """Send through the proxy; a path with a query or an escape goes as it is."""
    headers = {
        "authorization": f"Bearer {token or surface.ada}",
        "x-tfy-provider-name": "wide",
        **options.pop("headers", {}),
    }
    return surface.gateway.http.request(method, f"{surface.gateway.origin}/v1/proxy/{path}", headers=headers, **options)


@pytest.mark.parametrize("prefix", ["/v1", "/api/llm", "/api/llm/api/inference/openai/v1"])
def test_a_json_call_at_every_base_address(surface: Surface, prefix: str) -> None:
    headers = {"authorization": f"Bearer {surface.ada}", "x-tfy-provider-name": "wide"}
    address = f"{surface.gateway.origin}{prefix}/proxy/v1/chat/completions"
    answer = surface.gateway.http.post(address, json=CHAT, headers=headers)
    assert answer.json()["choices"][0]["message"]["content"] == "1 2 3 4 5"
    (sent,) = surface.upstream.requests()
    assert sent["path"] == "/v1/chat/completions"
    assert json.loads(sent["body"]) == CHAT


def test_a_stream(surface: Surface) -> None:
    answer = send(surface, "POST", "v1/chat/completions", json={**CHAT, "stream": True})
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.text.endswith("data: [DONE]\n\n")


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE"])
def test_methods_and_queries(surface: Surface, method: str) -> None:
    answer = send(surface, method, "echo/a%20b?x=1&y=%2F%26&x=2")
    assert answer.status_code in (404, 405)
    assert answer.headers["x-gatehouse-error-origin"] == "upstream"
    (sent,) = surface.upstream.requests()
    assert (sent["method"], sent["path"]) == (method, "/echo/a b")
    assert parse_qsl(sent["query"]) == [("x", "1"), ("y", "/&"), ("x", "2")]


BODIES: list[tuple[str, bytes]] = [
    ("application/octet-stream", bytes(range(256)) * 300),
    ("audio/wav", b"RIFF\xe4"),
    ("application/json; charset=utf-8", b'{ "a" : 1.0,\n "b":[] }'),
    ("application/json", b"[1, 2]"),
    ("application/x-ndjson", b'{"a":1}\n{"a":2}\n'),
    ("application/x-www-form-urlencoded", b"a=1&b=%20"),
    ("", b'{"a": "anything"}'),
    ("application/octet-stream", b""),
]


@pytest.mark.parametrize(("content_type", "content"), BODIES)
def test_any_body_arrives_as_it_is(surface: Surface, content_type: str, content: bytes) -> None:
    headers = {"content-type": content_type} if content_type else {}
    send(surface, "POST", "v1/embeddings", content=content, headers=headers)
    (sent,) = surface.upstream.requests()
    assert sent["body"] == content
    if content:
        assert dict(sent["headers"]).get("content-type", "") == content_type


def test_a_form_arrives_as_it_is(surface: Surface) -> None:
    made = send(surface, "POST", "v1/files", files={"file": ("a.txt", b"hello")}, data={"purpose": "user_data"})
    assert made.json()["bytes"] == 5
    (sent,) = surface.upstream.requests()
    assert sent["body"].startswith(b"--")
    content = send(surface, "GET", f"v1/files/{made.json()['id']}/content")
    assert content.content == b"hello"


def test_what_is_not_allowed(surface: Surface) -> None:
    assert "proxy_paths" in assert_ours(send(surface, "GET", "v1/models"), 403, "proxy_path_closed")["message"]
    assert_ours(send(surface, "GET", "v1/echo", headers={"x-tfy-provider-name": "shut"}), 403, "proxy_path_closed")
    nowhere = send(surface, "GET", "v1/echo", headers={"x-tfy-provider-name": ""})
    assert_ours(nowhere, 400, "provider_account_required", "x-tfy-provider-name")
    stranger = send(surface, "GET", "v1/echo", surface.stranger)
    assert_ours(stranger, 404, "provider_account_not_found", "x-tfy-provider-name")
    for path in ("echo//x", "echo/%2e%2e/v1/models", "echo/a%5Cb", "echo/a%2500"):
        assert_ours(send(surface, "GET", path), 400, "invalid_path")
    assert_ours(
        send(surface, "POST", "v1/echo", content=b"{", headers={"content-type": "application/json"}),
        400,
        "invalid_json",
    )
    assert surface.upstream.requests() == []


def test_ids_of_other_callers(surface: Surface) -> None:
    theirs = surface.sdk(account="wide").files.create(file=("a.txt", b"secret"), purpose="user_data").id
    surface.upstream.clear()
    attempts: list[dict[str, Any]] = [
        {"method": "GET", "path": f"v1/files/{theirs}/content"},
        {"method": "GET", "path": f"v1/files?after={theirs}"},
        {"method": "POST", "path": "echo/x", "json": {"file_id": theirs}},
        {"method": "POST", "path": "echo/x", "json": [{"file_id": theirs}]},
        {
            "method": "POST",
            "path": "echo/x",
            "content": json.dumps({"file_id": theirs}),
            "headers": {"content-type": "application/octet-stream"},
        },
        {"method": "POST", "path": "echo/x", "data": {"file_id": theirs}},
        {"method": "POST", "path": "echo/x", "files": {"source[file_id]": (None, theirs)}},
    ]
    for attempt in attempts:
        answer = send(surface, token=surface.bob, **attempt)
        assert answer.status_code == 404, (attempt, answer.text)
    assert surface.upstream.requests() == []
    assert send(surface, "GET", f"v1/files/{theirs}/content").content == b"secret"


def test_models_that_are_not_the_callers(surface: Surface) -> None:
    limited = surface.gateway.token("one-model", ["wide/gpt-4o"], user="ada@example.com")
    assert_ours(send(surface, "POST", "v1/chat/completions", limited, json=CHAT), 404, "model_not_found", "model")
    assert_ours(send(surface, "GET", "v1/files", limited), 404, "model_not_found", "model")
    assert send(surface, "POST", "v1/chat/completions", limited, json={**CHAT, "model": "gpt-4o"}).status_code == 200


def test_its_records(surface: Surface) -> None:
    record = surface.record("proxy", lambda: send(surface, "POST", "v1/chat/completions", json=CHAT))
    assert record["endpoint"] == "proxy/v1/chat/completions"
    assert record["output_tokens"] > 0
    assert record["cost_pico"] is None
    assert surface.record("proxy", lambda: send(surface, "GET", "v1/files"))["cost_pico"] == 0


@pytest.mark.parametrize(
    ("url", "root"),
    [
        ("https://api.openai.com/v1", "https://api.openai.com"),
        ("https://eu.api.openai.com/v1", "https://eu.api.openai.com"),
        ("https://vendor.example/openai/v1", "https://vendor.example/openai"),
        ("https://vendor.example/api", "https://vendor.example/api"),
    ],
)
def test_the_vendors_root(url: str, root: str) -> None:
    assert vendor_root(url) == root
