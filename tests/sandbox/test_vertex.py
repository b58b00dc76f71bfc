"""Vertex AI's side of the sandbox: through Google's own SDK, and valid by Google's own description."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from google.auth import exceptions
from google.auth.transport.requests import Request as Transport
from google.genai import Client, errors, types
from google.oauth2.service_account import Credentials

from tests.support.sandbox_process import KEY, SandboxProcess
from tests.support.token_server import EMAIL, PEM
from tests.support.vendor_sdks import vertex_client
from tests.support.vendor_specs import assert_vertex

MODEL, SIGNED, EMBEDDER = "gemini-2.5-flash", "gemini-3.8-flash", "text-embedding-005"
PLACE = "v1/projects/project-1/locations/us-central1/publishers/google/models"
CLOUD = "https://www.googleapis.com/auth/cloud-platform"
TURN: dict[str, Any] = {"role": "user", "parts": [{"text": "Count from 1 to 3."}]}


@pytest.fixture(scope="module")
def vertex(running_sandbox: SandboxProcess) -> Iterator[Client]:
    with vertex_client(running_sandbox.origin, KEY) as client:
        yield client


def raw(sandbox: SandboxProcess, call: str, body: Any, **headers: str) -> httpx.Response:
    headers = headers or {"authorization": f"Bearer {KEY}"}
    return httpx.post(f"{sandbox.origin}/{PLACE}/{call}", json=body, headers=headers, trust_env=False)


def test_answers_and_streams(sandbox: SandboxProcess, vertex: Client) -> None:
    assert vertex.models.generate_content(model=MODEL, contents="Count from 1 to 5.").text == "1 2 3 4 5"
    pieces = [chunk.text for chunk in vertex.models.generate_content_stream(model=MODEL, contents="Count from 1 to 3.")]
    assert [piece for piece in pieces if piece] == ["1", " 2", " 3"]
    assert_vertex("GenerateContentResponse", raw(sandbox, f"{MODEL}:generateContent", {"contents": [TURN]}).json())


def test_calls_have_no_ids(sandbox: SandboxProcess, vertex: Client) -> None:
    declared = {"name": "get_weather", "parameters": {"type": "OBJECT", "properties": {"city": {"type": "STRING"}}}}
    asked = {"role": "user", "parts": [{"text": "What's the weather in Paris?"}]}
    body = {"contents": [asked], "tools": [{"functionDeclarations": [declared]}]}
    answer = raw(sandbox, f"{SIGNED}:generateContent", body).json()
    assert_vertex("GenerateContentResponse", answer)
    [part] = answer["candidates"][0]["content"]["parts"]
    assert part["functionCall"] == {"name": "get_weather", "args": {"city": "Paris"}}
    assert part["thoughtSignature"]

    def get_weather(city: str) -> str:
        """Get the current weather for a city."""
        return f"sunny in {city}"

    config = types.GenerateContentConfig(tools=[get_weather])
    answer = vertex.models.generate_content(model=SIGNED, contents="What's the weather in Paris?", config=config)
    assert answer.text == "get_weather says: sunny in Paris."


def test_counts(sandbox: SandboxProcess, vertex: Client) -> None:
    bare = vertex.models.count_tokens(model=MODEL, contents="Count from 1 to 3.").total_tokens or 0
    config = types.CountTokensConfig(system_instruction="Be very brief.")
    assert (
        vertex.models.count_tokens(model=MODEL, contents="Count from 1 to 3.", config=config).total_tokens or 0
    ) > bare
    assert_vertex("CountTokensResponse", raw(sandbox, f"{MODEL}:countTokens", {"contents": [TURN]}).json())


def test_embeddings(sandbox: SandboxProcess, vertex: Client) -> None:
    config = types.EmbedContentConfig(output_dimensionality=8, task_type="RETRIEVAL_QUERY")
    for model in ("gemini-embedding-001", EMBEDDER):
        for texts in (["one"], ["one", "two"]):
            made = vertex.models.embed_content(model=model, contents=texts, config=config).embeddings or []
            assert [len(each.values or ()) for each in made] == [8] * len(texts)
    answer = raw(sandbox, "gemini-embedding-001:embedContent", {"content": TURN}).json()
    assert_vertex("EmbedContentResponse", answer)
    answer = raw(sandbox, f"{EMBEDDER}:predict", {"instances": [{"content": "one two"}]}).json()
    assert_vertex("PredictResponse", answer)
    assert answer["predictions"][0]["embeddings"]["statistics"] == {"token_count": 2, "truncated": False}


@pytest.mark.parametrize(
    ("call", "body", "status", "said"),
    [
        (f"{MODEL}:generateContent", {"contents": [{"parts": TURN["parts"]}]}, 400, "valid role"),
        (f"{MODEL}:generateContent", {"contents": [TURN], "model": MODEL}, 400, 'Unknown name "model"'),
        (f"{MODEL}:countTokens", {"generateContentRequest": {"contents": [TURN]}}, 400, "generateContentRequest"),
        ("gemini-embedding-001:embedContent", {"content": TURN, "model": "models/x"}, 400, 'Unknown name "model"'),
        (f"{EMBEDDER}:embedContent", {"content": TURN}, 400, "not supported"),
        (f"{EMBEDDER}:predict", {"instances": []}, 400, "0 instance(s)"),
        (f"{EMBEDDER}:predict", {"instances": [{"content": ""}]}, 400, "empty"),
        ("no-such-model:generateContent", {"contents": [TURN]}, 404, "projects/project-1/locations/us-central1"),
        (f"{MODEL}:nothing", {}, 404, "not found"),
    ],
)
def test_what_it_refuses(sandbox: SandboxProcess, call: str, body: Any, status: int, said: str) -> None:
    refused = raw(sandbox, call, body)
    assert refused.status_code == status
    assert said in refused.json()["error"]["message"]


def test_signing_in(sandbox: SandboxProcess) -> None:
    assert raw(sandbox, f"{MODEL}:generateContent", {"contents": [TURN]}, **{"x-goog-api-key": KEY}).status_code == 200
    for headers in ({"authorization": "Bearer ya29.wrong"}, {"x-goog-api-key": "wrong"}, {"accept": "*/*"}):
        refused = raw(sandbox, f"{MODEL}:generateContent", {"contents": [TURN]}, **headers)
        assert (refused.status_code, refused.json()["error"]["status"]) == (401, "UNAUTHENTICATED")
    with vertex_client(sandbox.origin, "ya29.wrong") as stranger, pytest.raises(errors.ClientError) as wrong:
        stranger.models.generate_content(model=MODEL, contents="hi")
    assert wrong.value.code == 401
    listed = httpx.get(f"{sandbox.origin}/{PLACE}", headers={"authorization": f"Bearer {KEY}"}, trust_env=False)
    assert listed.status_code == 404


def test_tokens_for_a_service_account(sandbox: SandboxProcess) -> None:
    sandbox.advance(7200)  # whose clock is not the signer's
    info = {"client_email": EMAIL, "private_key": PEM, "token_uri": f"{sandbox.origin}/token"}
    account: Any = Credentials.from_service_account_info(info, scopes=[CLOUD])  # type: ignore[no-untyped-call]
    account.refresh(Transport())
    assert account.token == KEY
    for scopes in ([], ["https://www.googleapis.com/auth/drive"]):
        other: Any = Credentials.from_service_account_info(info, scopes=scopes)  # type: ignore[no-untyped-call]
        with pytest.raises(exceptions.RefreshError, match="scope"):
            other.refresh(Transport())
    for form in ({"grant_type": "password"}, {"grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer"}):
        refused = httpx.post(f"{sandbox.origin}/token", data=form, trust_env=False)
        assert (refused.status_code, "error_description" in refused.json()) == (400, True)
