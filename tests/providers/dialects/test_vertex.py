"""Gemini's dialect as Vertex AI speaks it: every body is one of Google's description."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers.dialects.conversion import Ask
from providers.dialects.conversions import CONVERSIONS, VERTEX, maker_of, passes
from providers.dialects.gemini import vertex
from providers.dialects.gemini.dialect import model_path
from providers.dialects.media_conversion import GeminiImages, GeminiSpeech, OpenAIEmbeddings, VertexEmbeddings
from providers.dialects.neutral import Settings
from providers.vendors import VENDORS
from tests.support.vendor_specs import assert_vertex

EMBEDDER, OLDER = "gemini-embedding-001", "text-embedding-005"
TURN = {"role": "user", "parts": [{"text": "Hi"}]}
WEATHER = {
    "name": "weather",
    "description": "d",
    "parameters": {"type": "object", "properties": {"c": {"type": "string"}}},
}
CHAT: dict[str, Any] = {
    "model": "m",
    "messages": [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "The weather?"},
        {
            "role": "assistant",
            "tool_calls": [
                {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"c":"R"}'}}
            ],
        },
        {"role": "tool", "tool_call_id": "call_1", "content": "sunny"},
    ],
    "tools": [{"type": "function", "function": WEATHER}],
    "max_completion_tokens": 50,
    "temperature": 0.5,
    "reasoning_effort": "low",
    "response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "object"}}},
    "service_tier": "flex",
}


def settings(model: str) -> Settings:
    return Settings(model=model, vendor="google-vertex", usage="gemini", vertex=True)


def raws(fields: Any) -> dict[str, msgspec.Raw]:
    return msgspec.json.decode(json.dumps(fields), type=dict[str, msgspec.Raw])


@pytest.mark.parametrize(
    ("model", "place"),
    [
        ("gemini-3.8-flash", "publishers/google/models/gemini-3.8-flash"),
        ("models/gemini-3.8-flash", "publishers/google/models/gemini-3.8-flash"),
        ("google/gemini-3.8-flash", "publishers/google/models/gemini-3.8-flash"),
        ("meta/llama-4-maas", "publishers/meta/models/llama-4-maas"),
        ("publishers/meta/models/llama-4-maas", "publishers/meta/models/llama-4-maas"),
        ("endpoints/123", "endpoints/123"),
    ],
)
def test_where_a_model_is(model: str, place: str) -> None:
    assert model_path(model, "predict", vertex=True) == f"{place}:predict"


@pytest.mark.parametrize("model", ["gemini-3.8-flash", "gemini-2.5-flash"])
@pytest.mark.parametrize("stream", [False, True])
def test_a_chat(model: str, stream: bool) -> None:
    fields = CHAT if model.startswith("gemini-3") else CHAT | {"response_format": None}
    conversion = CONVERSIONS["chat/completions", "gemini"](Ask(fields=fields | {"stream": stream}, stream=stream))
    written = conversion.write(settings(model))
    action = "streamGenerateContent?alt=sse" if stream else "generateContent"
    assert written.path == f"publishers/google/models/{model}:{action}"
    assert_vertex("GenerateContentRequest", json.loads(written.body))


def test_counts_stand_alone() -> None:
    fields = {"model": "m", "max_tokens": 5, "system": "Be brief.", "messages": [{"role": "user", "content": "Hi"}]}
    fields |= {"tools": [{"name": "weather", "input_schema": WEATHER["parameters"]}], "tool_choice": {"type": "any"}}
    written = CONVERSIONS["messages/count_tokens", "gemini"](Ask(fields=fields)).write(settings("gemini-2.5-flash"))
    body = json.loads(written.body)
    assert_vertex("CountTokensRequest", body)
    assert body.keys() >= {"contents", "systemInstruction", "tools"}
    wrapped = {
        "generateContentRequest": {"model": "models/m", "contents": [{"parts": TURN["parts"]}], "safetySettings": []}
    }
    assert json.loads(vertex.count_body(raws(wrapped), b"")) == {"contents": [TURN]}
    assert json.loads(vertex.count_body(raws({"contents": [TURN], "model": "m"}), b"")) == {"contents": [TURN]}


def test_a_body_passes_as_it_came_unless_vertex_would_refuse_it() -> None:
    whole = b'{"contents" : [ {"role":"user","parts":[{"text":"Hi"}]} ]}'
    assert vertex.generate_body(raws(json.loads(whole)), whole) is whole
    assert vertex.count_body(raws(json.loads(whole)), whole) is whole
    bare = {"contents": [{"parts": TURN["parts"]}, {"role": "model", "parts": []}], "model": "m", "labels": {"a": "b"}}
    changed = json.loads(vertex.generate_body(raws(bare), b""))
    assert changed == {"contents": [TURN, {"role": "model", "parts": []}], "labels": {"a": "b"}}


LEAVES = st.none() | st.integers() | st.text()
VALUES = st.recursive(LEAVES, lambda each: st.lists(each) | st.dictionaries(st.text(), each), max_leaves=6)
NAMES = st.sampled_from(["contents", "generateContentRequest", "model", "x"])


@given(st.dictionaries(NAMES, VALUES))
def test_any_body_stays_json(fields: dict[str, Any]) -> None:
    raw = json.dumps(fields).encode()
    for write in (vertex.generate_body, vertex.count_body):
        assert isinstance(json.loads(write(raws(fields), raw)), dict)


def test_openais_embeddings() -> None:
    def written(model: str, *texts: str, **more: Any) -> tuple[str, Any, list[str]]:
        conversion = OpenAIEmbeddings(Ask(fields={"model": "m", "input": list(texts), **more}))
        upstream = conversion.write(settings(model))
        return upstream.path.rpartition(":")[2], json.loads(upstream.body), conversion.dropped

    action, body, dropped = written(EMBEDDER, "a", dimensions=8, user="u")
    assert (action, dropped) == ("embedContent", ["user"])
    assert_vertex("EmbedContentRequest", body)
    assert body["embedContentConfig"] == {"outputDimensionality": 8}
    action, body, _ = written(EMBEDDER, "a", "b")
    assert (action, len(body["requests"])) == ("batchEmbedContents", 2)
    assert_vertex("BatchEmbedContentsRequest", body)
    action, body, _ = written(OLDER, "a", "b", dimensions=8)
    assert (action, body["parameters"]) == ("predict", {"outputDimensionality": 8})
    assert body["instances"] == [{"content": "a"}, {"content": "b"}]
    assert_vertex("PredictRequest", body)


def test_embeddings_of_predictions() -> None:
    conversion = OpenAIEmbeddings(Ask(fields={"model": "m", "input": ["a", "b"]}))
    conversion.write(settings(OLDER))
    found = [{"embeddings": {"values": [0.5], "statistics": {"token_count": n, "truncated": False}}} for n in (2, 3)]
    answer = conversion.answer(json.dumps({"predictions": found}).encode())
    assert json.loads(answer.body)["usage"] == {"prompt_tokens": 5, "total_tokens": 5}
    assert answer.usage is not None
    assert (answer.usage.input, answer.model) == (5, OLDER)
    for broken in ({"predictions": []}, {"predictions": [{}]}, {"predictions": [{"embeddings": 5}]}):
        with pytest.raises(Exception, match="no embeddings"):
            conversion.answer(json.dumps(broken).encode())


def test_googles_embeddings() -> None:
    image = {"parts": [{"inlineData": {"mimeType": "image/png", "data": "aGk="}}]}
    one = {"model": "models/m", "content": image, "outputDimensionality": 8}
    answered = b'{"embedding": {"values": [1.0]}, "usageMetadata": {"promptTokenCount": 3}}'
    single = VertexEmbeddings(Ask(fields=one))
    upstream = single.write(settings("gemini-embedding-2"))
    assert upstream.path.endswith("models/gemini-embedding-2:embedContent")
    assert json.loads(upstream.body) == {"content": image, "outputDimensionality": 8}
    assert single.answer(answered).body is answered
    lone = VertexEmbeddings(Ask(fields={"requests": [one]}))
    assert lone.write(settings(EMBEDDER)).path.endswith(":embedContent")
    assert json.loads(lone.answer(answered).body) == {
        "embeddings": [{"values": [1.0]}], "usageMetadata": {"promptTokenCount": 3}
    }  # fmt: skip
    several = VertexEmbeddings(Ask(fields={"requests": [one, one]}))
    upstream = several.write(settings(EMBEDDER))
    assert upstream.path.endswith(":batchEmbedContents")
    assert_vertex("BatchEmbedContentsRequest", json.loads(upstream.body))
    older = VertexEmbeddings(Ask(fields={"content": TURN, "taskType": "CLUSTERING"}))
    upstream = older.write(settings(OLDER))
    assert upstream.path.endswith(":predict")
    assert json.loads(upstream.body) == {"instances": [{"content": "Hi", "task_type": "CLUSTERING"}]}


def test_images_and_speech() -> None:
    painted = GeminiImages(Ask(fields={"model": "m", "prompt": "a cat", "size": "1024x1024"}))
    upstream = painted.write(settings("imagen-4.0-generate-001"))
    assert upstream.path == "publishers/google/models/imagen-4.0-generate-001:predict"
    assert json.loads(upstream.body)["parameters"]["sampleImageSize"] == "1K"
    assert_vertex("GenerateContentRequest", json.loads(painted.write(settings("gemini-2.5-flash-image")).body))
    spoken = GeminiSpeech(Ask(fields={"model": "m", "input": "Hi", "voice": "alloy", "response_format": "wav"}))
    assert_vertex("GenerateContentRequest", json.loads(spoken.write(settings("gemini-3.1-flash-tts-preview")).body))
    packed = GeminiSpeech(Ask(fields={"model": "m", "input": "Hi", "voice": "alloy", "response_format": "mp3"}))
    assert packed.write(Settings(model="gemini-3.1-flash-tts-preview")).path
    with pytest.raises(Exception, match="'wav' and 'pcm'"):
        packed.write(settings("gemini-3.1-flash-tts-preview"))


def test_which_operations_pass() -> None:
    native = VENDORS["google-vertex"]
    for operation in ("generateContent", "countTokens"):
        assert passes(operation, "gemini", native)
    for operation in VERTEX:
        assert maker_of(operation, "gemini", native) is VertexEmbeddings
        assert passes(operation, "gemini", VENDORS["google-gemini"])
