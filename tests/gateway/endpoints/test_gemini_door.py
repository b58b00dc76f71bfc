"""Google's GenAI SDK works through Gatehouse: with its own vendor as it comes, with any other model by conversion."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from google import genai
from google.genai import errors, types

from tests.gateway.pipeline.test_usage_records import dollars, record_of
from tests.support.fixtures import ACCOUNT, CHAT
from tests.support.installation import Gateway
from tests.support.sandbox_process import SandboxProcess
from tests.support.vendor_accounts import CLAUDE_PATH, EMBEDDER, GEMINI_PATH, GEMINI_STREAM, model_of
from tests.support.vendor_upstream import (
    CONTENT,
    EXHAUSTED,
    GEMINI,
    KEY,
    MESSAGE,
    VendorUpstream,
    content_events,
    message_events,
    sse,
)

ASKED = "Count from 1 to 3."
BODY: dict[str, Any] = {"contents": [{"role": "user", "parts": [{"text": ASKED}]}]}


def actions(model: str, action: str) -> str:
    return f"/v1beta/models/{model}:{action}"


@pytest.fixture
def google(gateway: Gateway, token: str) -> Iterator[genai.Client]:
    """Google's SDK in front of the shared gateway; it sends its key as ``x-goog-api-key``."""
    with genai.Client(api_key=token, http_options=types.HttpOptions(base_url=gateway.origin)) as client:
        yield client


def weather(city: str) -> str:
    """Tell the weather of a city."""
    return f"sunny in {city}"


# --- with a model of OpenAI's dialect -----------------------------------------------------------------------


def test_content(google: genai.Client, gateway: Gateway, upstream: SandboxProcess) -> None:
    config = types.GenerateContentConfig(system_instruction="Be brief.", max_output_tokens=50, temperature=0.5)
    answer = google.models.generate_content(model=CHAT, contents=ASKED, config=config)
    assert answer.sdk_http_response is not None
    assert answer.text
    assert answer.candidates is not None
    assert answer.candidates[0].finish_reason == types.FinishReason.STOP
    assert answer.usage_metadata is not None
    sent = json.loads(upstream.requests()[-1]["body"])
    assert sent["messages"][0] == {"role": "system", "content": "Be brief."}
    assert sent["temperature"] == 0.5
    request_id = (answer.sdk_http_response.headers or {})["x-request-id"]
    (record,) = gateway.installation.records(1, request_id=request_id)
    assert record["operation"] == "generate_content"
    assert record["input_tokens"] == answer.usage_metadata.prompt_token_count
    assert record["cost_pico"] > 0


def test_a_stream(google: genai.Client) -> None:
    chunks = list(google.models.generate_content_stream(model=CHAT, contents=ASKED))
    assert "".join(chunk.text or "" for chunk in chunks)
    assert chunks[-1].candidates is not None
    assert chunks[-1].candidates[0].finish_reason == types.FinishReason.STOP
    assert chunks[-1].usage_metadata is not None


def test_tools(google: genai.Client) -> None:
    mode = types.FunctionCallingConfigMode.ANY
    config = types.GenerateContentConfig(
        tools=[weather],
        tool_config=types.ToolConfig(function_calling_config=types.FunctionCallingConfig(mode=mode)),
        automatic_function_calling=types.AutomaticFunctionCallingConfig(disable=True),
    )
    calls = google.models.generate_content(model=CHAT, contents="The weather in Rome?", config=config).function_calls
    assert calls
    assert calls[0].name == "weather"
    assert calls[0].args is not None
    assert isinstance(calls[0].args["city"], str)


def test_counts_are_estimated(google: genai.Client) -> None:
    counted = google.models.count_tokens(model=CHAT, contents=ASKED)
    assert counted.total_tokens is not None
    assert 5 < counted.total_tokens < 30


def test_embeddings(google: genai.Client, gateway: Gateway, token: str) -> None:
    model = f"{ACCOUNT}/text-embedding-3-small"
    config = types.EmbedContentConfig(output_dimensionality=8)
    made = google.models.embed_content(model=model, contents=["one", "two"], config=config)
    assert made.embeddings is not None
    assert [len(each.values or ()) for each in made.embeddings] == [8, 8]
    body = {"model": f"models/{model}", "content": {"parts": [{"text": "one"}]}}
    response = gateway.post(token, actions(model, "embedContent"), body)
    assert len(response.json()["embedding"]["values"]) == 1536
    record = record_of(gateway, response)
    assert (record["operation"], record["output_tokens"]) == ("embed_content", 0)
    assert record["cost_pico"] > 0


def test_errors_are_googles(google: genai.Client, gateway: Gateway) -> None:
    stranger = genai.Client(api_key="gh-wrong", http_options=types.HttpOptions(base_url=gateway.origin))
    with pytest.raises(errors.ClientError) as refused:
        stranger.models.generate_content(model=CHAT, contents=ASKED)
    assert (refused.value.code, refused.value.status) == (401, "UNAUTHENTICATED")
    with pytest.raises(errors.ClientError) as unknown:
        google.models.generate_content(model="nobody/nothing", contents=ASKED)
    assert (unknown.value.code, unknown.value.status) == (404, "NOT_FOUND")
    with pytest.raises(errors.ServerError) as down:
        google.models.generate_content(model=CHAT, contents="hi [[sandbox: status=503]]")
    assert down.value.status == "UNAVAILABLE"


def test_the_key_in_the_query_and_streams_as_arrays(gateway: Gateway, token: str, upstream: SandboxProcess) -> None:
    path = f"{gateway.origin}/api/llm{actions(CHAT, 'streamGenerateContent')}?key={token}"
    response = gateway.http.post(path, json=BODY)
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "application/json"
    parts = response.json()
    assert len(parts) > 1
    assert parts[-1]["candidates"][0]["finishReason"] == "STOP"
    assert token not in str(upstream.requests()[-1])
    assert token not in gateway.log
    for method, path, status in (
        ("POST", f"/v1/models/{CHAT}:generateContent", 200),
        ("GET", "/v1beta/models", 200),
        ("GET", "/v1/models", 401),
        ("POST", "/v1/chat/completions", 401),
    ):
        answered = gateway.http.request(method, f"{gateway.origin}{path}?key={token}", json=BODY)
        assert answered.status_code == status, path


def test_an_array_whose_parts_come_one_by_one(gateway: Gateway, token: str) -> None:
    body = {"contents": [{"role": "user", "parts": [{"text": f"{ASKED} [[sandbox: token-delay=30]]"}]}]}
    parts = gateway.post(token, actions(CHAT, "streamGenerateContent"), body).json()
    assert len(parts) > 2
    assert parts[-1]["candidates"][0]["finishReason"] == "STOP"


def test_models_in_googles_words(google: genai.Client, gateway: Gateway, token: str) -> None:
    names = [model.name for model in google.models.list(config={"page_size": 3})]
    assert f"models/{CHAT}" in names
    model = google.models.get(model=CHAT)
    assert model.supported_actions == ["generateContent", "countTokens"]
    listed = gateway.get(token, "/v1beta/models?pageSize=1").json()
    assert len(listed["models"]) == 1
    again = gateway.get(token, f"/v1beta/models?pageSize=1&pageToken={listed['nextPageToken']}").json()
    assert again["models"] != listed["models"]
    assert gateway.get(token, "/v1beta/models?pageToken=x").json()["error"]["status"] == "INVALID_ARGUMENT"
    assert gateway.get(token, f"/v1beta/models/{CHAT}").json()["name"] == f"models/{CHAT}"


# --- with Google's own models -------------------------------------------------------------------------------


def test_its_own_vendor_gets_and_gives_the_same_bytes(gateway: Gateway, token: str, vendor: VendorUpstream) -> None:
    vendor.answer(GEMINI_PATH, CONTENT)
    body = {**BODY, "anything": {"new": [1.0]}}
    response = gateway.post(token, actions(model_of("google-gemini"), "generateContent") + f"?key={token}", body)
    assert response.content == json.dumps(CONTENT).encode()
    _, path, headers, sent = vendor.asked[-1]
    assert path == GEMINI_PATH
    assert sent == body
    assert headers["x-goog-api-key"] == KEY
    record = record_of(gateway, response)
    assert (record["input_tokens"], record["output_tokens"], record["reasoning_tokens"]) == (100, 50, 30)
    assert record["cost_pico"] == dollars("0.0001442")


def test_its_own_streams_pass_byte_for_byte(gateway: Gateway, token: str, vendor: VendorUpstream) -> None:
    events = content_events("Hello ", "there.")
    vendor.answer(GEMINI_STREAM, events)
    path = actions(model_of("google-gemini"), "streamGenerateContent")
    response = gateway.post(token, f"{path}?alt=sse", BODY)
    assert response.content == sse(events)
    assert vendor.asked[-1][1] == f"{GEMINI_STREAM}?alt=sse"
    record = record_of(gateway, response)
    assert (record["output_tokens"], record["error_class"]) == (50, "")
    assert record["ttft_us"] > 0
    array = gateway.post(token, path, BODY)
    assert array.json() == events


def test_a_stream_of_its_own_that_is_cut_off(gateway: Gateway, token: str, vendor: VendorUpstream) -> None:
    vendor.answer(GEMINI_STREAM, content_events("Hello ", "there.")[:1])
    path = actions(model_of("google-gemini"), "streamGenerateContent")
    content = gateway.post(token, f"{path}?alt=sse", BODY).content
    last = json.loads(content.rstrip().rsplit(b"data: ", 1)[-1])
    assert last["error"]["code"] == 502


def test_a_blocked_prompt_is_a_whole_stream(gateway: Gateway, token: str, vendor: VendorUpstream) -> None:
    blocked = {"promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": {"promptTokenCount": 4}}
    vendor.answer(GEMINI_STREAM, [blocked])
    path = actions(model_of("google-gemini"), "streamGenerateContent")
    response = gateway.post(token, f"{path}?alt=sse", BODY)
    assert response.content == sse([blocked])
    assert record_of(gateway, response)["error_class"] == ""


def test_its_own_errors_pass(google: genai.Client, vendor: VendorUpstream) -> None:
    vendor.answer(GEMINI_PATH, EXHAUSTED, status=429)
    with pytest.raises(errors.ClientError) as limited:
        google.models.generate_content(model=model_of("google-gemini"), contents=ASKED)
    assert limited.value.details == EXHAUSTED


def test_its_own_embeddings_have_the_models_own_name(google: genai.Client, vendor: VendorUpstream) -> None:
    vendor.answer(f"/models/{EMBEDDER}:batchEmbedContents", {"embeddings": [{"values": [0.5]}]})
    made = google.models.embed_content(model=f"internal-google/{EMBEDDER}", contents=["one"])
    assert made.embeddings is not None
    assert made.embeddings[0].values == [0.5]
    assert [each["model"] for each in vendor.body["requests"]] == [f"models/{EMBEDDER}"]


def test_files_of_others_are_unknown(gateway: Gateway, token: str, vendor: VendorUpstream) -> None:
    uri = "https://generativelanguage.googleapis.com/v1beta/files/of-a-stranger"
    part = {"fileData": {"fileUri": uri, "mimeType": "video/mp4"}}
    path = actions(model_of("google-gemini"), "generateContent")
    for body in ({"contents": [{"parts": [part]}]}, {**BODY, "cachedContent": "cachedContents/of-a-stranger"}):
        for text in (
            json.dumps(body),
            json.dumps(body).replace('"file', '"\\u0066ile').replace('"cached', '"cache\\u0064'),
        ):
            refused = gateway.post(token, path, content=text)
            assert refused.status_code == 404, refused.text
            assert "of-a-stranger" in refused.json()["error"]["message"]
    tuned = gateway.post(token, actions("internal-google/tunedModels/of-a-stranger", "generateContent"), BODY)
    assert tuned.status_code == 404, tuned.text
    assert vendor.asked == []


def test_files_of_others_are_unknown_to_chat(gateway: Gateway, token: str, vendor: VendorUpstream) -> None:
    link = {
        "type": "image_url",
        "image_url": {"url": "https://generativelanguage.googleapis.com/v1beta/files/of-a-stranger"},
    }
    body = {"model": model_of("google-gemini"), "messages": [{"role": "user", "content": [link]}]}
    refused = gateway.post(token, "/v1/chat/completions", body)
    assert refused.status_code == 404, refused.text
    assert vendor.asked == []


# --- with Claude --------------------------------------------------------------------------------------------


def test_with_claude(google: genai.Client, vendor: VendorUpstream) -> None:
    vendor.answer(CLAUDE_PATH, MESSAGE, message_events("Hello ", "there."))
    assert google.models.generate_content(model=model_of("anthropic"), contents=ASKED).text == "Hello from Claude."
    chunks = google.models.generate_content_stream(model=model_of("anthropic"), contents=ASKED)
    assert "".join(chunk.text or "" for chunk in chunks) == "Hello there."
    vendor.answer("/messages/count_tokens", {"input_tokens": 14})
    assert google.models.count_tokens(model=model_of("anthropic"), contents=ASKED).total_tokens == 14
    assert GEMINI not in json.dumps(vendor.body)
