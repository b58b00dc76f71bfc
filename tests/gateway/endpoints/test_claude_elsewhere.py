"""Claude on Vertex AI, Amazon Bedrock and Microsoft Foundry, as the sandbox has them: through two vendors' SDKs."""

import json
from collections.abc import Iterator
from typing import Any

import anthropic
import pytest
from openai import NotFoundError, OpenAI, RateLimitError

from tests.gateway.pipeline.test_usage_records import record_of
from tests.support.installation import Gateway
from tests.support.manifests import provider
from tests.support.sandbox_process import KEY, SandboxProcess
from tests.support.token_server import key_file
from tests.support.vendor_specs import assert_anthropic

PLACE = "/v1/projects/project-1/locations/us-east5"
MODELS = f"{PLACE}/publishers/anthropic/models"
VERTEX, BEDROCK, FOUNDRY = "claude-vertex", "claude-bedrock", "claude-foundry"
CLAUDE = {
    VERTEX: "claude-sonnet-4-5@20250929",
    BEDROCK: "global.anthropic.claude-opus-5-5",
    FOUNDRY: "claude-sonnet-4-5",
}
KINDS = {VERTEX: "google-vertex-anthropic", BEDROCK: "aws-bedrock-anthropic", FOUNDRY: "azure-anthropic"}
HI: Any = [{"role": "user", "content": "Count from 1 to 3."}]
WEATHER: Any = {
    "name": "get_weather",
    "description": "d",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}
everywhere = pytest.mark.parametrize("account", KINDS)


@pytest.fixture(scope="module")
def running(running_gateway: Gateway, running_upstream: SandboxProcess, user_token: str) -> Gateway:
    """The shared gateway with an account at each of them."""
    origin = running_upstream.origin
    made = []
    for name, kind in KINDS.items():
        names = [CLAUDE[name], *(["no-such-claude"] if name == VERTEX else [])]
        models = [{"type": f"integration/model/{kind}", "name": each, "model_types": ["chat"]} for each in names]
        more = {"auth_data": {"type": "service-account", "key_file": key_file(origin)}} if name == VERTEX else {}
        url = origin + (PLACE if name == VERTEX else "/anthropic/v1")
        made.append(provider(name, url, models=models, type=f"provider-account/{kind}", **more))
    running_gateway.installation.apply(*made)
    running_gateway.wait_for(user_token, *(f"{name}/{CLAUDE[name]}" for name in KINDS))
    return running_gateway


@pytest.fixture
def openai(running: Gateway, user_token: str) -> Iterator[OpenAI]:
    with running.sdk(user_token) as client:
        yield client


@pytest.fixture
def claude(running: Gateway, user_token: str) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(base_url=running.origin, api_key=user_token, max_retries=0) as client:
        yield client


def sent(upstream: SandboxProcess, account: str, call: str) -> Any:
    """The body of the last request, which went where the platform has it, signed as it wants it."""
    last = upstream.requests()[-1]
    headers = dict(last["headers"])
    if account == VERTEX:
        counts = call == "messages/count_tokens"
        place = "count-tokens:rawPredict" if counts else f"{CLAUDE[VERTEX]}:{call}"
        assert (last["path"], last["query"]) == (f"{MODELS}/{place}", "")
        assert headers["authorization"] == f"Bearer {KEY}"
        assert not headers.keys() & {"anthropic-version", "x-goog-api-key", "x-api-key"}
    else:
        assert last["path"] == f"/anthropic/v1/{call if '/' in call else 'messages'}"
        assert headers["anthropic-version"]
        signed = "authorization" if account == BEDROCK else "x-api-key"
        assert KEY in headers[signed]
    return json.loads(last["body"])


@everywhere
def test_openais_chat(openai: OpenAI, running: Gateway, upstream: SandboxProcess, account: str) -> None:
    model = f"{account}/{CLAUDE[account]}"
    raw = openai.chat.completions.with_raw_response.create(model=model, messages=HI, max_completion_tokens=500)
    answer = raw.parse()
    assert answer.choices[0].message.content == "1 2 3"
    body = sent(upstream, account, "rawPredict")
    if account == VERTEX:
        assert body.pop("anthropic_version") == "vertex-2023-10-16"
        assert "model" not in body
    assert_anthropic("CreateMessageParams", {"model": CLAUDE[account], **body})
    [record] = running.installation.records(1, request_id=raw.headers["x-request-id"])
    assert record["cost_pico"] > 0
    assert record["provider"] == {VERTEX: "google-vertex", BEDROCK: "aws-bedrock", FOUNDRY: "azure-anthropic"}[account]
    chunks = list(openai.chat.completions.create(model=model, messages=HI, stream=True, max_completion_tokens=500))
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == "1 2 3"
    assert sent(upstream, account, "streamRawPredict")["stream"] is True
    assert openai.responses.create(model=model, input="Count from 1 to 3.").output_text == "1 2 3"


@everywhere
def test_anthropics_own_words(
    claude: anthropic.Anthropic, running: Gateway, upstream: SandboxProcess, account: str
) -> None:
    model = f"{account}/{CLAUDE[account]}"
    asked: Any = [{"role": "user", "content": "What's the weather in Paris?"}]
    said = claude.beta.messages.create(
        model=model, messages=asked, tools=[WEATHER], max_tokens=500, betas=["context-1m-2025-08-07"]
    )
    call = next(block for block in said.content if block.type == "tool_use")
    assert dict(upstream.requests()[-1]["headers"])["anthropic-beta"] == "context-1m-2025-08-07"
    body = sent(upstream, account, "rawPredict")
    assert (account == VERTEX) == ("model" not in body) == ("anthropic_version" in body)
    results = [{"type": "tool_result", "tool_use_id": call.id, "content": "sunny"}]
    asked += [{"role": "assistant", "content": said.content}, {"role": "user", "content": results}]
    with claude.messages.stream(model=model, messages=asked, tools=[WEATHER], max_tokens=500) as stream:
        assert stream.get_final_text() == "get_weather says: sunny."
    sent(upstream, account, "streamRawPredict")
    counted = claude.messages.count_tokens(model=model, messages=HI).input_tokens
    assert counted > 3
    assert sent(upstream, account, "messages/count_tokens")["model"] == CLAUDE[account]
    contents = [{"role": "user", "parts": [{"text": "Count from 1 to 3."}]}]
    answer = running.post(str(claude.api_key), f"/v1beta/models/{model}:countTokens", {"contents": contents})
    assert answer.json()["totalTokens"] == counted


def test_errors_of_vertex(openai: OpenAI, claude: anthropic.Anthropic) -> None:
    missing = f"{VERTEX}/no-such-claude"
    with pytest.raises(NotFoundError) as gone:
        openai.chat.completions.create(model=missing, messages=HI, max_completion_tokens=5)
    assert gone.value.code == "model_not_found"
    with pytest.raises(anthropic.NotFoundError) as also:
        claude.messages.create(model=missing, messages=HI, max_tokens=5)
    body: Any = also.value.body
    assert (body["type"], body["error"]["type"]) == ("error", "not_found_error")
    model = f"{VERTEX}/{CLAUDE[VERTEX]}"
    with pytest.raises(anthropic.BadRequestError) as bad:
        claude.messages.create(model=model, messages=HI, max_tokens=5, extra_body={"temperature": 3.0})
    assert "temperature" in str(bad.value)
    limited: Any = [{"role": "user", "content": "hi [[sandbox: status=429]]"}]
    with pytest.raises(RateLimitError):
        openai.chat.completions.create(model=model, messages=limited, max_completion_tokens=5)
    with pytest.raises(anthropic.RateLimitError) as slow:
        claude.messages.create(model=model, messages=limited, max_tokens=5)
    said: Any = slow.value.body
    assert said["error"]["type"] == "rate_limit_error"


def test_a_version_of_the_callers_goes_into_the_body(
    running: Gateway, user_token: str, upstream: SandboxProcess
) -> None:
    body = {"model": f"{VERTEX}/{CLAUDE[VERTEX]}", "messages": HI, "max_tokens": 50}
    for given, expected in (("2023-06-01", "vertex-2023-10-16"), ("2026-10-21", "2026-10-21")):
        answer = running.post(user_token, "/v1/messages?beta=true", body, headers={"anthropic-version": given})
        assert record_of(running, answer)["cost_pico"] > 0
        assert sent(upstream, VERTEX, "rawPredict")["anthropic_version"] == expected


@everywhere
def test_credentials_are_tested(running: Gateway, account: str) -> None:
    tested = running.installation.manage("test_credentials", account, "--json")
    states = {row["model"].partition("/")[2]: row["state"] for row in json.loads(tested.stdout)}
    expected = {CLAUDE[account]: "works"} | ({"no-such-claude": "no_model"} if account == VERTEX else {})
    assert states == expected
