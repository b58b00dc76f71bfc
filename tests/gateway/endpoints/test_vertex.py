"""Gemini's models on Vertex AI, as the sandbox has them, with a service account: through the SDKs of three vendors."""

import json
from collections.abc import Iterator
from typing import Any

import anthropic
import pytest
from google import genai
from google.genai import errors, types
from openai import BadRequestError, NotFoundError, OpenAI

from tests.gateway.pipeline.test_usage_records import record_of
from tests.support.installation import Gateway
from tests.support.manifests import provider
from tests.support.sandbox_process import KEY, SandboxProcess
from tests.support.token_server import key_file
from tests.support.vendor_specs import assert_vertex

ACCOUNT = "vertex-native"
PLACE = "/v1/projects/project-1/locations/us-central1"
MODELS = {
    "gemini-3.8-flash": "chat",
    "gemini-embedding-001": "embedding",
    "text-embedding-005": "embedding",
    "gemini-2.5-flash-image": "image",
    "gemini-2.5-flash-preview-tts": "text_to_speech",
    "imagen-4.0-generate-001": "image",
    "no-such-model": "chat",
}
CHAT, EMBEDDER, OLDER = (f"{ACCOUNT}/{name}" for name in list(MODELS)[:3])
ASKED = "Count from 1 to 3."


@pytest.fixture(scope="module")
def running(running_gateway: Gateway, running_upstream: SandboxProcess, user_token: str) -> Gateway:
    """The shared gateway with an account that signs in at the sandbox."""
    kind, origin = "google-vertex", running_upstream.origin
    models = [{"type": f"integration/model/{kind}", "name": name, "model_types": [as_]} for name, as_ in MODELS.items()]
    auth = {"type": "service-account", "key_file": key_file(origin)}
    made = provider(ACCOUNT, origin + PLACE, models=models, type=f"provider-account/{kind}", auth_data=auth)
    running_gateway.installation.apply(made)
    running_gateway.wait_for(user_token, CHAT)
    return running_gateway


@pytest.fixture
def openai(running: Gateway, user_token: str) -> Iterator[OpenAI]:
    with running.sdk(user_token) as client:
        yield client


@pytest.fixture
def google(running: Gateway, user_token: str) -> Iterator[genai.Client]:
    with genai.Client(api_key=user_token, http_options=types.HttpOptions(base_url=running.origin)) as client:
        yield client


def sent(upstream: SandboxProcess, call: str) -> Any:
    """The body of the last request, which was for ``call`` and signed with a token alone."""
    last = upstream.requests()[-1]
    assert last["path"] == f"{PLACE}/publishers/google/models/{call}"
    headers = dict(last["headers"])
    assert headers["authorization"] == f"Bearer {KEY}"
    assert "x-goog-api-key" not in headers
    assert "key=" not in last["query"]
    return json.loads(last["body"])


def test_openais_chat(openai: OpenAI, running: Gateway, upstream: SandboxProcess) -> None:
    messages: Any = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": ASKED}]
    raw = openai.chat.completions.with_raw_response.create(model=CHAT, messages=messages, max_completion_tokens=500)
    answer = raw.parse()
    assert answer.choices[0].message.content == "1 2 3"
    assert_vertex("GenerateContentRequest", sent(upstream, "gemini-3.8-flash:generateContent"))
    [record] = running.installation.records(1, request_id=raw.headers["x-request-id"])
    assert answer.usage is not None
    assert record["input_tokens"] == answer.usage.prompt_tokens
    assert record["cost_pico"] > 0
    options: Any = {"stream_options": {"include_usage": True}}
    chunks = list(openai.chat.completions.create(model=CHAT, messages=messages, stream=True, **options))
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == "1 2 3"
    assert chunks[-1].usage is not None
    assert upstream.requests()[-1]["query"] == "alt=sse"


def test_openais_tools_and_responses(openai: OpenAI, upstream: SandboxProcess) -> None:
    schema = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
    tool: Any = {"type": "function", "function": {"name": "get_weather", "description": "d", "parameters": schema}}
    messages: Any = [{"role": "user", "content": "What's the weather in Paris?"}]
    said = openai.chat.completions.create(model=CHAT, messages=messages, tools=[tool]).choices[0].message
    assert said.tool_calls
    messages += [said.model_dump(exclude_none=True)]
    messages += [{"role": "tool", "tool_call_id": said.tool_calls[0].id, "content": "sunny"}]
    answer = openai.chat.completions.create(model=CHAT, messages=messages, tools=[tool])
    assert answer.choices[0].message.content == "get_weather says: sunny."
    body = sent(upstream, "gemini-3.8-flash:generateContent")
    assert_vertex("GenerateContentRequest", body)
    assert body["contents"][1]["parts"][0]["thoughtSignature"]
    assert openai.responses.create(model=CHAT, input=ASKED).output_text == "1 2 3"
    events = list(openai.responses.create(model=CHAT, input=ASKED, stream=True))
    assert events[-1].type == "response.completed"


def test_openais_embeddings(openai: OpenAI, running: Gateway, upstream: SandboxProcess) -> None:
    for model, texts, action in (
        (EMBEDDER, ["one"], "embedContent"),
        (EMBEDDER, ["one", "two"], "batchEmbedContents"),
        (OLDER, ["one", "two"], "predict"),
    ):
        made = openai.embeddings.create(model=model, input=texts, dimensions=8)
        assert [len(each.embedding) for each in made.data] == [8] * len(texts)
        assert made.usage.prompt_tokens == len(texts)
        sent(upstream, f"{model.partition('/')[2]}:{action}")
    response = running.post(openai.api_key, "/v1/embeddings", {"model": EMBEDDER, "input": "one"})
    assert record_of(running, response)["cost_pico"] > 0


def test_openais_images_and_speech(openai: OpenAI, upstream: SandboxProcess) -> None:
    for model, action in (("gemini-2.5-flash-image", "generateContent"), ("imagen-4.0-generate-001", "predict")):
        painted = openai.images.generate(model=f"{ACCOUNT}/{model}", prompt="a cat", size="1024x1024")
        assert painted.data
        assert painted.data[0].b64_json
        sent(upstream, f"{model}:{action}")
    speaker: Any = {"model": f"{ACCOUNT}/gemini-2.5-flash-preview-tts", "voice": "alloy", "input": "Hi"}
    assert openai.audio.speech.create(**speaker, response_format="wav").content.startswith(b"RIFF")


def test_googles_own_words(google: genai.Client, upstream: SandboxProcess) -> None:
    config = types.GenerateContentConfig(system_instruction="Be brief.")
    assert google.models.generate_content(model=CHAT, contents=ASKED, config=config).text == "1 2 3"
    assert "model" not in sent(upstream, "gemini-3.8-flash:generateContent")
    chunks = list(google.models.generate_content_stream(model=CHAT, contents=ASKED))
    assert "".join(chunk.text or "" for chunk in chunks) == "1 2 3"
    assert (google.models.count_tokens(model=CHAT, contents=ASKED).total_tokens or 0) > 3
    assert_vertex("CountTokensRequest", sent(upstream, "gemini-3.8-flash:countTokens"))
    sizes = types.EmbedContentConfig(output_dimensionality=8)
    for model in (EMBEDDER, OLDER):
        for texts in (["one"], ["one", "two"]):
            made = google.models.embed_content(model=model, contents=texts, config=sizes).embeddings or []
            assert [len(each.values or ()) for each in made] == [8] * len(texts)

    def get_weather(city: str) -> str:
        """Get the current weather for a city."""
        return f"sunny in {city}"

    tools = types.GenerateContentConfig(tools=[get_weather])
    answer = google.models.generate_content(model=CHAT, contents="What's the weather in Paris?", config=tools)
    assert answer.text == "get_weather says: sunny in Paris."


def test_bodies_of_geminis_api_work(running: Gateway, user_token: str, upstream: SandboxProcess) -> None:
    contents = [{"parts": [{"text": ASKED}]}]
    path = f"/v1beta/models/{CHAT}"
    answer = running.post(user_token, f"{path}:generateContent", {"contents": contents})
    assert answer.json()["candidates"][0]["content"]["parts"][-1]["text"] == "1 2 3"
    system = {"parts": [{"text": "Be very brief."}]}
    wrapped = {"generateContentRequest": {"model": "models/x", "contents": contents, "systemInstruction": system}}
    counts = [
        running.post(user_token, f"{path}:countTokens", body).json()["totalTokens"]
        for body in ({"contents": contents}, wrapped)
    ]
    assert counts[1] > counts[0] > 3
    with anthropic.Anthropic(base_url=running.origin, api_key=user_token, max_retries=0) as claude:
        messages: Any = [{"role": "user", "content": ASKED}]
        assert claude.messages.count_tokens(model=CHAT, messages=messages).input_tokens == counts[0]
        assert claude.messages.create(model=CHAT, messages=messages, max_tokens=500).content
    sent(upstream, "gemini-3.8-flash:generateContent")


def test_errors(openai: OpenAI, google: genai.Client, upstream: SandboxProcess) -> None:
    messages: Any = [{"role": "user", "content": ASKED}]
    with pytest.raises(NotFoundError):
        openai.chat.completions.create(model=f"{ACCOUNT}/no-such-model", messages=messages)
    with pytest.raises(errors.ClientError) as missing:
        google.models.generate_content(model=f"{ACCOUNT}/no-such-model", contents=ASKED)
    assert (missing.value.code, missing.value.status) == (404, "NOT_FOUND")
    with pytest.raises(BadRequestError):
        openai.embeddings.create(model=EMBEDDER, input="one", dimensions=9999)
    with pytest.raises(errors.ServerError):
        google.models.generate_content(model=CHAT, contents="hi [[sandbox: status=503]]")


def test_its_credentials_are_tested_and_its_models_not_listed(running: Gateway) -> None:
    tested = running.installation.manage("test_credentials", ACCOUNT, "--json")
    states = {row["model"].partition("/")[2]: row["state"] for row in json.loads(tested.stdout)}
    assert states == {name: "no_model" if name == "no-such-model" else "works" for name in MODELS}
    listed = running.installation.manage("discover", ACCOUNT)
    assert listed.returncode != 0
    assert "lists no models" in listed.stderr
