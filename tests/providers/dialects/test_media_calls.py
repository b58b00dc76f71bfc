"""Embeddings, images and speech between OpenAI's endpoints and Gemini's."""

import base64
import json
import struct
import wave
from io import BytesIO

import pytest

from providers.dialects import embeddings, images, speech
from providers.dialects.failures import DialectError
from providers.dialects.gemini import embeddings as gemini_embeddings
from providers.dialects.gemini import images as gemini_images
from providers.dialects.gemini import speech as gemini_speech
from tests.support.dialect_cases import PNG, generated
from tests.support.openapi import assert_valid
from tests.support.vendor_specs import assert_gemini


@pytest.mark.parametrize("form", ["float", "base64"])
def test_embeddings_of_gemini_for_an_openai_client(form):
    request = embeddings.read_request(
        {"model": "m", "input": ["a", "b"], "dimensions": 2, "encoding_format": form, "user": "u"}
    )
    action, body, dropped = gemini_embeddings.write_request(request, "gemini-embedding-001")
    assert action == "batchEmbedContents"
    assert_gemini("BatchEmbedContentsRequest", json.loads(body))
    assert json.loads(body)["requests"][1]["outputDimensionality"] == 2
    assert dropped == ["user"]
    upstream = {"embeddings": [{"values": [0.5, -1]}, {"values": [0.25, 2]}], "usageMetadata": {"promptTokenCount": 4}}
    answer = json.loads(embeddings.write_answer(gemini_embeddings.read_answer(json.dumps(upstream).encode()), request))
    assert_valid("CreateEmbeddingResponse", answer) if form == "float" else None
    vectors = [each["embedding"] for each in answer["data"]]
    if form == "base64":
        vectors = [list(struct.unpack("<2f", base64.b64decode(vector))) for vector in vectors]
    assert vectors == [[0.5, -1], [0.25, 2]]
    assert answer["usage"] == {"prompt_tokens": 4, "total_tokens": 4}


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"input": [1, 2]}, "input"),
        ({"input": []}, "input"),
        ({}, "input"),
        ({"input": "a", "encoding_format": "hex"}, "encoding_format"),
        ({"input": "a", "dimensions": "x"}, "dimensions"),
    ],
)
def test_a_wrong_field_of_embeddings_is_named(fields, param):
    with pytest.raises(DialectError) as refused:
        embeddings.read_request(fields)
    assert refused.value.param == param


def test_embeddings_of_openai_for_a_google_client():
    one = {
        "model": "models/m",
        "content": {"parts": [{"text": "a"}]},
        "taskType": "CLUSTERING",
        "outputDimensionality": 2,
    }
    single = gemini_embeddings.read_request(one)
    assert json.loads(embeddings.write_request(single, "text-embedding-3-small")) == {
        "model": "text-embedding-3-small", "input": ["a"], "encoding_format": "float", "dimensions": 2}  # fmt: skip
    upstream = {
        "data": [{"index": 0, "embedding": base64.b64encode(struct.pack("<2f", 0.5, 1)).decode()}],
        "usage": {"prompt_tokens": 1, "total_tokens": 1},
    }
    answer = embeddings.read_answer(json.dumps(upstream).encode())
    assert_gemini("EmbedContentResponse", json.loads(gemini_embeddings.write_answer(answer, single)))
    several = gemini_embeddings.read_request({"requests": [one, one]})
    assert several.inputs == ["a", "a"]
    assert_gemini("BatchEmbedContentsResponse", json.loads(gemini_embeddings.write_answer(answer, several)))
    for wrong in (
        {"content": {"parts": [{"inlineData": {}}]}},
        {"content": {}},
        {"requests": []},
        {"requests": [one, {**one, "outputDimensionality": 3}]},
    ):
        with pytest.raises(DialectError):
            gemini_embeddings.read_request(wrong)


@pytest.mark.parametrize(
    "body", [b"{}", b'{"embeddings": [{"values": "x"}]}', b'{"embedding": {"values": ["x"]}}', b"<"]
)
def test_unreadable_embeddings(body):
    with pytest.raises(DialectError) as refused:
        gemini_embeddings.read_answer(body)
    assert refused.value.status == 502


def test_images_by_gemini():
    request = images.read_request({"prompt": "a cat", "size": "1536x1024", "quality": "high"})
    body, dropped = gemini_images.write_request(request, "gemini-3.1-flash-image-preview")
    assert_gemini("GenerateContentRequest", json.loads(body))
    assert json.loads(body)["generationConfig"]["imageConfig"] == {"aspectRatio": "3:2"}
    assert dropped == ["quality"]
    usage = {
        "promptTokenCount": 9,
        "candidatesTokenCount": 1290,
        "candidatesTokensDetails": [{"modality": "IMAGE", "tokenCount": 1290}],
    }
    upstream = generated(
        [{"text": "Here."}, {"inlineData": {"mimeType": "image/png", "data": PNG}}], usageMetadata=usage
    )
    answer = gemini_images.read_answer(json.dumps(upstream).encode())
    shown = json.loads(images.write_answer(answer, request))
    assert_valid("ImagesResponse", shown)
    assert shown["data"] == [{"b64_json": PNG, "revised_prompt": "Here."}]
    assert (shown["usage"]["total_tokens"], answer.usage.image_output) == (1299, 1290)
    link = json.loads(images.write_answer(answer, images.read_request({"prompt": "x", "response_format": "url"})))
    assert link["data"][0]["url"] == f"data:image/png;base64,{PNG}"


def test_an_edit_sends_its_images():
    request = images.read_edit({"prompt": "with a hat", "images": [{"image_url": f"data:image/png;base64,{PNG}"}]})
    body, _ = gemini_images.write_request(request, "gemini-2.5-flash-image")
    assert [next(iter(part)) for part in json.loads(body)["contents"][0]["parts"]] == ["inlineData", "text"]
    with pytest.raises(DialectError):
        gemini_images.write_request(request, "imagen-4.0-generate-001")


def test_images_by_imagen():
    request = images.read_request({"prompt": "a cat", "size": "1024x1792", "n": 2})
    body, _ = gemini_images.write_request(request, "imagen-4.0-generate-001")
    assert_gemini("PredictRequest", json.loads(body))
    assert json.loads(body)["parameters"] == {"sampleCount": 2, "aspectRatio": "9:16", "imageSize": "1K"}
    upstream = {"predictions": [{"bytesBase64Encoded": PNG, "mimeType": "image/png"}] * 2}
    answer = gemini_images.read_answer(json.dumps(upstream).encode(), "imagen-4.0-generate-001")
    assert len(json.loads(images.write_answer(answer, request))["data"]) == 2
    with pytest.raises(DialectError) as blocked:
        gemini_images.read_answer(b'{"predictions": [{"raiFilteredReason": "x"}]}', "imagen-4.0-generate-001")
    assert blocked.value.code == "content_filter"


@pytest.mark.parametrize(
    ("parts", "reason", "code"), [([], "IMAGE_SAFETY", "content_filter"), ([{"text": "I can't."}], "STOP", "no_image")]
)
def test_an_answer_without_an_image_says_why(parts, reason, code):
    with pytest.raises(DialectError) as refused:
        gemini_images.read_answer(json.dumps(generated(parts, reason)).encode())
    assert (refused.value.status, refused.value.code) == (400, code)


@pytest.mark.parametrize(
    ("fields", "param"),
    [({}, "prompt"), ({"prompt": "x", "size": "big"}, "size"), ({"prompt": "x", "n": 11}, "n")],
)
def test_a_wrong_field_of_images_is_named(fields, param):
    with pytest.raises(DialectError) as refused:
        images.read_request(fields)
    assert refused.value.param == param


PCM = base64.b64encode(b"\xff\xfb\x02\x00" * 100).decode()  # raw audio that begins like MP3


@pytest.mark.parametrize("form", ["pcm", "wav"])
def test_speech(form):
    request = speech.read_request(
        {"input": "Hello", "voice": "alloy", "instructions": "Say cheerfully:", "response_format": form, "speed": 1.5}
    )
    body, dropped = gemini_speech.write_request(request, "gemini-2.5-flash-preview-tts")
    assert_gemini("GenerateContentRequest", json.loads(body))
    assert json.loads(body)["contents"][0]["parts"] == [{"text": "Say cheerfully: Hello"}]
    assert dropped == ["speed"]
    upstream = generated([{"inlineData": {"mimeType": "audio/L16;codec=pcm;rate=16000", "data": PCM}}])
    sound, mime, usage = gemini_speech.read_answer(json.dumps(upstream).encode(), request)
    assert (mime, usage.output) == (speech.FORMATS[form], 5)
    if form == "wav":
        with wave.open(BytesIO(sound)) as file:
            assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (16000, 1, 2)
            sound = file.readframes(1000)
    assert sound == base64.b64decode(PCM)


def test_containers_that_only_newer_voices_make():
    request = speech.read_request({"input": "Hello", "voice": "Kore"})
    with pytest.raises(DialectError) as refused:
        gemini_speech.write_request(request, "gemini-2.5-flash-preview-tts")
    assert refused.value.param == "response_format"
    body, _ = gemini_speech.write_request(request, "gemini-3.8-flash-tts")
    assert_gemini("GenerateContentRequest", json.loads(body))
    assert "AUDIO_MP3" in body.decode()


def test_an_answer_without_sound():
    request = speech.read_request({"input": "Hello", "voice": "Kore", "response_format": "wav"})
    for reason, status in (("SAFETY", 400), ("OTHER", 502)):
        with pytest.raises(DialectError) as refused:
            gemini_speech.read_answer(json.dumps(generated([], reason)).encode(), request)
        assert refused.value.status == status


def test_the_head_of_a_stream_of_sound():
    assert speech.wav_head(None)[:4] == b"RIFF"
    assert speech.wav(b"\0\0")[-2:] == b"\0\0"
