"""OpenAI's SDK gets embeddings, images and speech from Gemini's models."""

import base64
import wave
from io import BytesIO
from typing import Any

import pytest
from openai import APIStatusError, BadRequestError, OpenAI

from tests.gateway.pipeline.test_usage_records import record_of
from tests.support.installation import Gateway
from tests.support.vendor_accounts import EMBEDDER, PAINTER, SPEAKER
from tests.support.vendor_specs import assert_gemini
from tests.support.vendor_upstream import CONTENT, VendorUpstream

PIXEL = base64.b64encode(b"\x89PNG\r\n\x1a\n" + b"\0" * 16).decode()
SOUND = b"\x01\x00" * 240


def content(part: dict[str, Any]) -> dict[str, Any]:
    """An answer of Gemini's with one part."""
    candidate = {"content": {"role": "model", "parts": [part]}, "finishReason": "STOP", "index": 0}
    return {**CONTENT, "candidates": [candidate]}


def test_embeddings(sdk: OpenAI, vendor: VendorUpstream) -> None:
    embedded = {
        "embeddings": [{"values": [0.25, 0.5]}, {"values": [1.0, 2.0]}],
        "usageMetadata": {"promptTokenCount": 7},
    }
    vendor.answer(f"/models/{EMBEDDER}:batchEmbedContents", embedded)
    made = sdk.embeddings.create(model=f"internal-google/{EMBEDDER}", input=["a", "b"], dimensions=2)
    assert [each.embedding for each in made.data] == [[0.25, 0.5], [1.0, 2.0]]
    assert made.usage.prompt_tokens == 7
    assert made.model == EMBEDDER
    assert_gemini("BatchEmbedContentsRequest", vendor.body)
    with pytest.raises(BadRequestError) as refused:
        sdk.embeddings.create(model=f"internal-google/{EMBEDDER}", input=[[1, 2]])
    assert refused.value.param == "input"


def test_embeddings_are_metered(gateway: Gateway, token: str, vendor: VendorUpstream) -> None:
    embedded = {"embeddings": [{"values": [0.25]}], "usageMetadata": {"promptTokenCount": 1000}}
    vendor.answer(f"/models/{EMBEDDER}:batchEmbedContents", embedded)
    body = {"model": f"internal-google/{EMBEDDER}", "input": "a"}
    record = record_of(gateway, gateway.post(token, "/v1/embeddings", body))
    assert (record["operation"], record["input_tokens"]) == ("embeddings", 1000)
    assert record["cost_pico"] == 150_000_000  # 0.15 a million


def test_images(sdk: OpenAI, vendor: VendorUpstream) -> None:
    vendor.answer(
        f"/models/{PAINTER}:generateContent", content({"inlineData": {"mimeType": "image/png", "data": PIXEL}})
    )
    made = sdk.images.generate(model=f"internal-google/{PAINTER}", prompt="A pixel.", size="1024x1536")
    assert made.data is not None
    assert made.data[0].b64_json == PIXEL
    assert vendor.body["generationConfig"]["imageConfig"] == {"aspectRatio": "2:3"}
    vendor.answer(f"/models/{PAINTER}:generateContent", content({"text": "I would rather not."}))
    with pytest.raises(BadRequestError, match="I would rather not"):
        sdk.images.generate(model=f"internal-google/{PAINTER}", prompt="A pixel.")


def test_edits(sdk: OpenAI, vendor: VendorUpstream) -> None:
    edited = content({"inlineData": {"mimeType": "image/png", "data": PIXEL}})
    vendor.answer(f"/models/{PAINTER}:generateContent", edited)
    model, first, second = f"internal-google/{PAINTER}", base64.b64decode(PIXEL), b"\xff\xd8\xff\r\n--x\r\n\r\n"
    images = [("a.png", first, "image/png"), ("b.jpg", second, "application/octet-stream")]
    made = sdk.images.edit(model=model, image=images, prompt="Add a hat.", n=1, size="1024x1536")
    assert made.data is not None
    assert made.data[0].b64_json == PIXEL
    assert made.usage is not None
    assert_gemini("GenerateContentRequest", vendor.body)
    parts = vendor.body["contents"][0]["parts"]
    jpeg = {"mimeType": "image/jpeg", "data": base64.b64encode(second).decode()}
    assert parts == [
        {"inlineData": {"mimeType": "image/png", "data": PIXEL}}, {"inlineData": jpeg}, {"text": "Add a hat."}
    ]  # fmt: skip
    assert vendor.body["generationConfig"]["imageConfig"] == {"aspectRatio": "2:3"}
    # The JSON form of the same.
    named = {"model": model, "prompt": "Add a hat.", "images": [{"image_url": f"data:image/png;base64,{PIXEL}"}]}
    sdk.post("/images/edits", body=named, cast_to=object)
    assert vendor.body["contents"][0]["parts"] == [parts[0], parts[2]]


def test_edits_that_can_not_be_converted(sdk: OpenAI, vendor: VendorUpstream) -> None:
    asked: dict[str, Any] = {"model": f"internal-google/{PAINTER}", "prompt": "Add a hat."}
    image = ("a.png", base64.b64decode(PIXEL), "image/png")
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"image": image, "mask": image}, "mask"),
        ({"image": image, "n": 2}, "n"),
        ({"image": ("a.txt", b"text", "text/plain")}, "images[0].image_url"),
        ({"image": ("a", b"\x00\x01", "application/octet-stream")}, "images[0].image_url"),
        ({"image": []}, "images"),
    ]
    for fields, param in wrong:
        with pytest.raises(BadRequestError) as refused:
            sdk.images.edit(**asked, **fields)
        assert refused.value.param == param
    with pytest.raises(APIStatusError) as large:
        sdk.images.edit(**asked, image=("a.png", b"\x89PNG\r\n\x1a\n" + bytes(21 * 2**20), "image/png"))
    assert large.value.status_code == 413
    assert vendor.asked == []


def test_speech(sdk: OpenAI, vendor: VendorUpstream) -> None:
    data = base64.b64encode(SOUND).decode()
    spoken = content({"inlineData": {"mimeType": "audio/L16;codec=pcm;rate=24000", "data": data}})
    vendor.answer(f"/models/{SPEAKER}:generateContent", spoken)
    made = sdk.audio.speech.create(
        model=f"internal-google/{SPEAKER}", voice="alloy", input="Hi.", response_format="wav"
    )
    assert made.response.headers["content-type"] == "audio/wav"
    with wave.open(BytesIO(made.content)) as sound:
        assert (sound.getframerate(), sound.readframes(1000)) == (24_000, SOUND)
    with pytest.raises(BadRequestError) as refused:
        sdk.audio.speech.create(model=f"internal-google/{SPEAKER}", voice="alloy", input="Hi.")
    assert refused.value.param == "response_format"
