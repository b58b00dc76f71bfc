"""Reranking: one request and one answer, whichever way the server writes them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.gateway.pipeline.test_usage_records import record_of
from tests.support.fixtures import USER
from tests.support.installation import Gateway, Installation
from tests.support.manifests import provider
from tests.support.sandbox_process import SandboxProcess

DOCUMENTS = ["a recipe for bread", "the capital of France is Paris", {"text": "the French capital"}]
ASKED = {"query": "capital of France", "documents": DOCUMENTS, "top_n": 2, "return_documents": True}
PRICES = {"cohere": {"request": "0.002"}, "voyage-ai": {"input_mtok": "0.05"}, "self-hosted-model": {"input_mtok": "1"}}
# kind of account: the path of its address at the sandbox, and the path that is asked
SERVERS = {
    "cohere": ("/compatibility/v1", "/v2/rerank"),
    "voyage-ai": ("/v1", "/v1/rerank"),
    "jina-ai": ("/v1", "/v1/rerank"),
    "vllm": ("/v1", "/v1/rerank"),
    "self-hosted-model": ("/v1", "/v1/rerank"),
    "tei": ("/v1", "/rerank"),
}


@pytest.fixture(scope="module")
def gateway(
    tmp_path_factory: pytest.TempPathFactory, migrated_data: Path, running_upstream: SandboxProcess
) -> Iterator[Gateway]:
    accounts = []
    for kind, (path, _) in SERVERS.items():
        model: dict[str, Any] = {"type": f"integration/model/{kind}", "name": "ranker", "model_types": ["rerank"]}
        if kind in PRICES:
            model["cost"] = {"metric": "per_unit", "value": PRICES[kind]}
        accounts.append(provider(kind, running_upstream.origin + path, models=[model], type=f"provider-account/{kind}"))
    chat = {"type": "integration/model/anthropic", "name": "claude-opus-5", "model_types": ["chat"]}
    accounts.append(provider("claude", running_upstream.url, models=[chat], type="provider-account/anthropic"))
    with Installation(tmp_path_factory.mktemp("rerank") / "data", migrated_data) as installation:
        installation.apply(*accounts)
        yield installation.gateway()


@pytest.fixture(scope="module")
def token(gateway: Gateway) -> str:
    return gateway.token("rerank", user=USER)


def test_every_server(gateway: Gateway, token: str, upstream: SandboxProcess) -> None:
    for kind, (_, path) in SERVERS.items():
        for door in ("/v1/rerank", "/v2/rerank", "/api/llm/rerank"):
            upstream.clear()
            response = gateway.post(token, door, {"model": f"{kind}/ranker", **ASKED})
            assert response.status_code == 200, f"{kind}: {response.text}"
            results = response.json()["results"]
            assert [result["index"] for result in results] in ([1, 2], [2, 1]), kind
            assert results[0]["relevance_score"] >= results[1]["relevance_score"]
            assert {result["document"]["text"] for result in results} == {DOCUMENTS[1], "the French capital"}
            assert [request["path"] for request in upstream.requests()] == [path]


def test_what_it_costs(gateway: Gateway, token: str) -> None:
    search = gateway.post(token, "/v1/rerank", {"model": "cohere/ranker", **ASKED})
    assert search.json()["meta"]["billed_units"] == {"search_units": 1}
    assert record_of(gateway, search)["cost_pico"] == 2_000_000_000
    many = {"query": "capital", "documents": ["a capital"] * 250}
    assert (
        record_of(gateway, gateway.post(token, "/v1/rerank", {"model": "cohere/ranker", **many}))["cost_pico"]
        == 6_000_000_000
    )
    for kind, picos in (("voyage-ai", 50_000), ("self-hosted-model", 1_000_000)):
        answered = gateway.post(token, "/v1/rerank", {"model": f"{kind}/ranker", **ASKED})
        record = record_of(gateway, answered)
        assert record["input_tokens"] == answered.json()["usage"]["total_tokens"] > 0
        assert record["cost_pico"] == record["input_tokens"] * picos
        assert (record["operation"], record["price_gaps"]) == ("rerank", "")


@pytest.mark.parametrize(
    ("changes", "param"),
    [
        ({"query": ""}, "query"),
        ({"documents": []}, "documents"),
        ({"documents": ["a", 5]}, "documents[1]"),
        ({"top_n": 0}, "top_n"),
        ({"model": "claude/claude-opus-5"}, "model"),
    ],
)
def test_what_can_not_be_asked(gateway: Gateway, token: str, changes: dict[str, Any], param: str) -> None:
    refused = gateway.post(token, "/v1/rerank", {"model": "cohere/ranker", **ASKED, **changes})
    assert refused.status_code == 400, refused.text
    assert refused.json()["error"]["param"] == param
