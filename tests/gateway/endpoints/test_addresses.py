"""Other addresses of the same endpoints, packed bodies, and what clients get wrong in their key."""

import gzip
import json
import zlib
from typing import Any

import brotli
import httpx
import pytest
import zstandard
from google import genai
from openai import AzureOpenAI, OpenAI

from gateway.endpoints import chat as chat_views
from gateway.endpoints import files, gemini, model_shapes, rerank, resources
from gateway.realtime.routing import sockets
from gateway.server.handler import resolve
from tests.support.calls import CHAT_PATH, assert_ours, chat
from tests.support.fixtures import ACCOUNT, CHAT
from tests.support.installation import Gateway

HI: Any = [{"role": "user", "content": "hi"}]
BARE = CHAT.partition("/")[2]


@pytest.mark.parametrize("root", ["/v1", "/v1/v1", "/api/llm", "/api/llm/v1", "/api/llm/api/inference/openai"])
@pytest.mark.parametrize("model", [CHAT, BARE])
def test_the_account_in_the_address(gateway: Gateway, token: str, root: str, model: str) -> None:
    client = OpenAI(base_url=f"{gateway.origin}{root}/accounts/{ACCOUNT}", api_key=token)
    assert client.chat.completions.create(model=model, messages=HI).choices[0].message.content
    assert client.files.list() is not None  # needs no header, however many accounts there are


def test_an_account_in_the_address_binds(gateway: Gateway, token: str) -> None:
    path = f"/v1/accounts/{ACCOUNT}/chat/completions"
    assert_ours(gateway.post(token, path, chat(model="foreign/gpt-4o-mini")), 400, "model_on_other_account", "model")
    answer = gateway.post(token, path, chat(), headers={"x-tfy-provider-name": "foreign"})
    assert_ours(answer, 400, "invalid_request", "x-tfy-provider-name")
    unknown = gateway.post(token, "/v1/accounts/none/chat/completions", chat(model="gpt-4o-mini"))
    assert_ours(unknown, 404, "model_not_found", "model")


@pytest.mark.parametrize("headers", [{}, {"anthropic-version": "2023-06-01"}, {"x-goog-api-key": "1"}], ids=str)
def test_an_account_in_the_address_lists_its_models(gateway: Gateway, token: str, headers: dict[str, str]) -> None:
    def listed(account: str) -> httpx.Response:
        address = f"{gateway.origin}/v1/accounts/{account}/models"
        return gateway.http.get(address, headers={"authorization": f"Bearer {token}", **headers})

    answer = listed(ACCOUNT).json()
    assert answer.get("data") or answer["models"]
    for hidden in ("none", "foreign"):
        assert listed(hidden).status_code == 404


def test_an_account_in_the_address_knows_its_own_models(gateway: Gateway, token: str) -> None:
    path = f"/v1/accounts/{ACCOUNT}/models"
    for name in (CHAT, BARE):
        assert gateway.get(token, f"{path}/{name}").json()["id"] == CHAT
    for hidden in (f"{path}/foreign/gpt-4o-mini", f"/v1/accounts/none/models/{BARE}"):
        assert_ours(gateway.get(token, hidden), 404, "model_not_found", "model")
    assert_ours(gateway.get(token, f"/v1/accounts/none/models/{CHAT}"), 404, "model_not_found", "model")


HEADS = [
    "/v1/models", f"/v1/models/{CHAT}", f"/v1/accounts/{ACCOUNT}/models", "/v1beta/models", "/healthz", "/readyz",
    f"/v1/accounts/{ACCOUNT}/files", f"/v1/accounts/{ACCOUNT}/batches", "/v1/models/none", "/v1/chat/completions/none",
    "/v1/nothing", "/api/llm/models",
]  # fmt: skip


@pytest.mark.parametrize("path", HEADS)
def test_head_is_get_without_the_body(gateway: Gateway, token: str, path: str) -> None:
    """Whoever watches a service asks for heads; RFC 9110 wants what a GET has."""
    headers = {"authorization": f"Bearer {token}"}
    got = gateway.http.get(gateway.origin + path, headers=headers)
    head = gateway.http.head(gateway.origin + path, headers=headers)
    assert (head.status_code, head.content) == (got.status_code, b"")
    assert head.headers["content-type"] == got.headers["content-type"]


def test_head_where_only_posts_go(gateway: Gateway, token: str) -> None:
    answer = gateway.http.head(f"{gateway.origin}/v1/embeddings", headers={"authorization": f"Bearer {token}"})
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")


@pytest.mark.parametrize("model", [CHAT, f"{ACCOUNT}/named-model"])
def test_azures_client(gateway: Gateway, token: str, model: str) -> None:
    azure = AzureOpenAI(azure_endpoint=gateway.origin, api_key=token, api_version="2024-10-21")
    assert azure.chat.completions.create(model=model, messages=HI).choices[0].message.content
    stream = azure.chat.completions.create(model=model, messages=HI, stream=True)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices)
    assert azure.embeddings.create(model=f"{ACCOUNT}/text-embedding-3-small", input="a").data
    assert azure.models.list().data
    v1 = OpenAI(base_url=f"{gateway.origin}/openai/v1/", api_key=token)
    assert v1.chat.completions.create(model=model, messages=HI).choices


def test_every_door_below_an_account(gateway: Gateway, token: str) -> None:
    below = f"{gateway.origin}/v1/accounts/{ACCOUNT}"
    for client in (
        AzureOpenAI(azure_endpoint=below, api_key=token, api_version="2024-10-21"),
        OpenAI(base_url=f"{below}/openai/v1/", api_key=token),
    ):
        assert client.chat.completions.create(model=BARE, messages=HI).choices
    for version in ("v1", "v1beta", "v1alpha"):
        google = genai.Client(api_key=token, http_options={"base_url": below, "api_version": version})
        assert google.models.generate_content(model=BARE, contents="hi").text
    body = {"model": "gpt-4o-mini", "query": "a", "documents": ["b"]}
    assert_ours(gateway.post(token, f"/v1/accounts/{ACCOUNT}/v2/rerank", body), 400, "unsupported_model_type", "model")


ANY = "/v1/accounts/acme"


@pytest.mark.parametrize(
    "before", ["", "/v1", "/api/llm", "/api/llm/v1", ANY, "/api/llm/api/inference/openai/accounts/a"]
)
@pytest.mark.parametrize(
    ("door", "view"),
    [
        ("v1beta/models", model_shapes.GoogleModels),
        ("v1alpha/models/a/b", model_shapes.GoogleModel),
        ("v1alpha/models/a/b:generateContent", gemini.GenerateContent),
        ("v2/rerank", rerank.Rerank),
        ("openai/deployments/a/b/chat/completions", chat_views.ChatCompletions),
        ("openai/v1/files", files.Files),
        ("openai/vector_stores", resources.ResourceView),
    ],
)
def test_every_door_is_below_every_base_and_account(before: str, door: str, view: type) -> None:
    match = resolve(f"{before}/{door}")
    assert match.func.cls is view  # type: ignore[attr-defined]
    assert ("account" in match.kwargs) is ("accounts" in before)


@pytest.mark.parametrize("before", ["", "v1/", "api/llm/", "v1/accounts/acme/", "api/llm/v1/accounts/acme/"])
def test_azures_sockets_are_below_every_base_and_account(before: str) -> None:
    found = [match for route in sockets.routes[:-1] if (match := route.pattern.match(f"{before}openai/realtime"))]
    assert [match[2] for match in found] == [{"azure": "openai"} | ({"account": "acme"} if "acme" in before else {})]


def test_a_deployment_names_the_model_of_a_body_that_names_none(gateway: Gateway, token: str) -> None:
    path = f"/openai/deployments/{CHAT}/chat/completions?api-version=2024-10-21"
    answer = httpx.post(f"{gateway.origin}{path}", headers={"api-key": token}, json={"messages": HI})
    assert answer.status_code == 200, answer.text
    assert answer.headers["x-tfy-resolved-model"] == CHAT


def test_a_deployment_decides_whatever_the_body_says(gateway: Gateway, token: str) -> None:
    """As at Azure, whose client writes both."""
    azure = AzureOpenAI(
        azure_endpoint=gateway.origin,
        api_key=token,
        api_version="2024-10-21",
        azure_deployment=f"{ACCOUNT}/named-model",
    )
    answer = azure.chat.completions.with_raw_response.create(model="gpt-4o", messages=HI)
    assert answer.headers["x-tfy-resolved-model"] == f"{ACCOUNT}/named-model"
    path = f"/openai/deployments/{CHAT.replace('/', '%2F')}/chat/completions"
    raw = gateway.post(token, path, {"model": f"{ACCOUNT}/none", "messages": HI})
    assert raw.headers["x-tfy-resolved-model"] == CHAT
    heard = f"/openai/deployments/{ACCOUNT}/whisper-1/audio/transcriptions"
    file = {"file": ("a.mp3", b"ID3" + bytes(2000), "audio/mpeg")}
    for fields in ({}, {"model": "none"}):
        headers = {"api-key": token}
        form = httpx.post(gateway.origin + heard, headers=headers, data=fields, files=file, timeout=30)
        assert form.status_code == 200, form.text
        assert form.headers["x-tfy-resolved-model"] == f"{ACCOUNT}/whisper-1"


def test_geminis_verbs_are_no_models(gateway: Gateway, token: str) -> None:
    assert_ours(gateway.post(token, "/v1/models/gemini-2.5-pro:predict", {}), 404, "unknown_url")
    for verb in ("generateContent", "streamGenerateContent", "countTokens"):
        answer = gateway.post(token, f"/v1/models/gemini-2.5-pro:{verb}", {"contents": []})
        assert answer.status_code == 404
        assert "'gemini-2.5-pro' does not exist" in answer.json()["error"]["message"]


PACKED = {
    "gzip": gzip.compress,
    "x-gzip": gzip.compress,
    "deflate": zlib.compress,
    "zstd": zstandard.compress,
    "br": brotli.compress,
    "identity": bytes,
    "gzip, zstd": lambda body: zstandard.compress(gzip.compress(body)),
}


@pytest.mark.parametrize("encoding", PACKED)
def test_a_packed_body(gateway: Gateway, token: str, encoding: str) -> None:
    body = PACKED[encoding](json.dumps(chat()).encode())
    headers = {"content-encoding": encoding, "content-type": "application/json"}
    assert gateway.post(token, CHAT_PATH, content=body, headers=headers).status_code == 200


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "zstd", "br"])
def test_a_packed_body_that_is_a_bomb_cut_or_something_else(gateway: Gateway, token: str, encoding: str) -> None:
    headers = {"content-encoding": encoding, "content-type": "application/json"}
    bomb = PACKED[encoding](b" " * (64 * 2**20))
    assert_ours(gateway.post(token, CHAT_PATH, content=bomb, headers=headers), 413, "request_too_large")
    whole = PACKED[encoding](json.dumps(chat("x" * 5000)).encode())
    assert gateway.post(token, CHAT_PATH, content=whole[: len(whole) // 2], headers=headers).status_code == 400
    assert gateway.post(token, CHAT_PATH, content=b"{}no", headers=headers).status_code == 400


def test_a_coding_that_nobody_knows(gateway: Gateway, token: str) -> None:
    for encoding in ("lzma", "gzip, gzip, gzip"):
        answer = gateway.post(token, CHAT_PATH, content=b"{}", headers={"content-encoding": encoding})
        assert_ours(answer, 415, "unsupported_media_type")


@pytest.mark.parametrize("key", ["Bearer {}", '"{}"', "'{}'"])
def test_a_key_that_is_more_than_the_key(gateway: Gateway, token: str, key: str) -> None:
    answer = gateway.http.get(f"{gateway.origin}/v1/models", headers={"authorization": f"Bearer {key.format(token)}"})
    error = assert_ours(answer, 401, "invalid_api_key")
    assert "Bearer" in error["message"] or "quotation" in error["message"]
    assert token not in error["message"]
