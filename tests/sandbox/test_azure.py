"""Azure's surfaces and Claude's other places: the vendors' own SDKs, straight against the sandbox."""

from collections.abc import Iterator
from typing import Any

import anthropic
import httpx
import pytest
from openai import AuthenticationError, AzureOpenAI, BadRequestError, NotFoundError

from tests.support.sandbox_process import KEY, SandboxProcess

HI: Any = [{"role": "user", "content": "Count from 1 to 3."}]
VERSION = "2025-04-01-preview"


@pytest.fixture
def azure(sandbox: SandboxProcess) -> Iterator[AzureOpenAI]:
    with AzureOpenAI(azure_endpoint=sandbox.origin, api_key=KEY, api_version=VERSION, max_retries=0) as client:
        yield client


def test_azures_client(azure: AzureOpenAI) -> None:
    answer = azure.chat.completions.create(model="gpt-4o", messages=HI)
    assert answer.choices[0].message.content == "1 2 3"
    assert answer.choices[0].model_dump()["content_filter_results"]["hate"] == {"filtered": False, "severity": "safe"}
    chunks = list(azure.chat.completions.create(model="gpt-4o", messages=HI, stream=True))
    assert (chunks[0].choices, chunks[0].model_dump()["prompt_filter_results"][0]["prompt_index"]) == ([], 0)
    assert azure.embeddings.create(model="text-embedding-3-small", input="a").data
    assert azure.responses.create(model="gpt-4o", input="Hi").output_text
    assert azure.files.list().data == []


def test_azures_errors(azure: AzureOpenAI, sandbox: SandboxProcess) -> None:
    with pytest.raises(NotFoundError) as missing:
        azure.chat.completions.create(model="not-deployed", messages=HI)
    assert missing.value.code == "DeploymentNotFound"
    with pytest.raises(AuthenticationError):
        azure.with_options(api_key="wrong").chat.completions.create(model="gpt-4o", messages=HI)
    filtered: Any = [{"role": "user", "content": "hi [[sandbox: status=400 code=content_filter]]"}]
    with pytest.raises(BadRequestError) as blocked:
        azure.chat.completions.create(model="gpt-4o", messages=filtered)
    body: Any = blocked.value.body
    assert body["innererror"]["code"] == "ResponsibleAIPolicyViolation"
    key = {"api-key": KEY}
    for path in ("chat/completions", "moderations", "v1/moderations", "models", "deployments/gpt-4o/chat/completions"):
        answer = httpx.post(f"{sandbox.origin}/openai/{path}", headers=key, json={"messages": HI})
        assert answer.status_code in (404, 405), path
    versioned = httpx.get(f"{sandbox.origin}/openai/v1/models?api-version=2024-10-21", headers=key)
    assert versioned.json()["error"]["message"] == "API version not supported"


def test_entras_tokens(sandbox: SandboxProcess) -> None:
    form = {
        "grant_type": "client_credentials",
        "client_id": "c",
        "scope": "https://cognitiveservices.azure.com/.default",
    }
    address = f"{sandbox.origin}/contoso.example/oauth2/v2.0/token"
    assert httpx.post(address, data={**form, "client_secret": KEY}).json()["access_token"] == KEY
    refused = httpx.post(address, data={**form, "client_secret": "expired"})
    assert (refused.status_code, refused.json()["error"]) == (401, "invalid_client")


@pytest.mark.parametrize("where", ["vertex", "bedrock", "foundry"])
def test_claude(sandbox: SandboxProcess, where: str) -> None:
    vertex = {"region": "us-east5", "project_id": "p", "access_token": KEY, "base_url": f"{sandbox.origin}/v1"}
    client: Any = {
        "vertex": lambda: anthropic.AnthropicVertex(**vertex),  # type: ignore[arg-type]
        "bedrock": lambda: anthropic.AnthropicBedrockMantle(api_key=KEY, base_url=f"{sandbox.origin}/anthropic"),
        "foundry": lambda: anthropic.AnthropicFoundry(api_key=KEY, base_url=f"{sandbox.origin}/anthropic/"),
    }[where]()
    model = {"vertex": "claude-sonnet-4-5@20250929", "bedrock": "anthropic.claude-opus-5-5"}.get(
        where, "claude-opus-4-6"
    )
    with client:
        said = client.messages.create(model=model, messages=HI, max_tokens=500).content
        assert said[-1].text == "1 2 3"
        with client.messages.stream(model=model, messages=HI, max_tokens=500) as stream:
            assert stream.get_final_text() == "1 2 3"
        assert client.messages.count_tokens(model=model, messages=HI).input_tokens > 3
        with pytest.raises(anthropic.NotFoundError):
            client.messages.create(model="claude-none", messages=HI, max_tokens=5)
