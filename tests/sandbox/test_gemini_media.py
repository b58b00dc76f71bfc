"""Images, sound, video and documents: into the sandbox's Gemini, and out of it."""

import base64
import io
from typing import Any

import pytest
from google.genai import Client, errors, types
from openai import OpenAI
from PIL import Image

from sandbox.media.hearing import listen
from tests.sandbox.test_gemini import MODEL, ask, raw
from tests.support.dialect_cases import PNG
from tests.support.sandbox_process import SandboxProcess
from tests.support.vendor_specs import assert_gemini


def modalities(answer: types.GenerateContentResponse) -> dict[str, int]:
    assert answer.usage_metadata is not None
    return {
        each.modality.name: each.token_count or 0
        for each in answer.usage_metadata.prompt_tokens_details or []
        if each.modality
    }


def test_media_are_described_and_counted_apart(gemini: Client) -> None:
    parts = [
        types.Part.from_bytes(data=base64.b64decode(PNG), mime_type="image/png"),
        types.Part.from_bytes(data=b"\0" * 1000, mime_type="video/mp4"),
        types.Part.from_bytes(data=b"%PDF-1.4 ...", mime_type="application/pdf"),
        types.Part(file_data=types.FileData(file_uri="https://www.youtube.com/watch?v=fxqE27gIZcc")),
        types.Part(text="What is this?"),
    ]
    answer = ask(gemini, parts)
    for said in ("image/png, 70 bytes", "video/mp4, 1000 bytes", "application/pdf", "youtube.com/watch?v=fxqE27gIZcc"):
        assert said in (answer.text or "")
    assert modalities(answer).keys() == {"TEXT", "IMAGE", "VIDEO", "DOCUMENT"}


def test_sound_is_heard(gemini: Client, client: OpenAI) -> None:
    spoken = client.audio.speech.create(
        model="tts-1", voice="alloy", input="Good morning.", response_format="wav"
    ).read()
    sound = types.Part.from_bytes(data=spoken, mime_type="audio/wav")
    answer = ask(gemini, [types.Part(text="Transcribe this audio"), sound])
    assert answer.text == "Good morning."
    assert modalities(answer)["AUDIO"] == int(len("Good morning.") / 15 * 32) + 1
    assert "an audio clip (audio/wav" in (ask(gemini, [types.Part(text="What is this?"), sound]).text or "")


def inline(answer: types.GenerateContentResponse) -> types.Blob:
    assert answer.candidates is not None
    assert answer.candidates[0].content is not None
    [blob] = [part.inline_data for part in answer.candidates[0].content.parts or [] if part.inline_data]
    return blob


def test_an_image_is_drawn(gemini: Client) -> None:
    config = types.ImageConfig(aspect_ratio="16:9")
    answer = ask(gemini, "A red house", "gemini-2.5-flash-image", image_config=config)
    blob = inline(answer)
    assert blob.mime_type == "image/png"
    assert Image.open(io.BytesIO(blob.data or b"")).size == (1344, 768)
    assert answer.usage_metadata is not None
    [detail] = answer.usage_metadata.candidates_tokens_details or []
    assert (detail.modality, detail.token_count) == (types.MediaModality.IMAGE, 1290)


def test_imagen_draws(sandbox: SandboxProcess) -> None:
    body = {"instances": [{"prompt": "A red house"}], "parameters": {"sampleCount": 2, "aspectRatio": "1:1"}}
    answer = raw(sandbox, body, "predict", "imagen-4.0-generate-001").json()
    assert_gemini("PredictResponse", answer)
    first, second = answer["predictions"]
    assert first != second
    assert Image.open(io.BytesIO(base64.b64decode(first["bytesBase64Encoded"]))).size == (1024, 1024)


@pytest.mark.parametrize(
    ("form", "mime"),
    [(None, "audio/L16;codec=pcm;rate=24000"), ("AUDIO_MP3", "audio/mpeg"), ("AUDIO_WAV", "audio/wav")],
)
def test_speech(sandbox: SandboxProcess, form: str | None, mime: str) -> None:
    voice = {"voiceConfig": {"prebuiltVoiceConfig": {"voiceName": "Kore"}}}
    config: dict[str, Any] = {"responseModalities": ["AUDIO"], "speechConfig": voice}
    if form:
        config["responseFormat"] = {"audio": {"mimeType": form}}
    body = {"contents": [{"parts": [{"text": "Good morning."}]}], "generationConfig": config}
    answer = raw(sandbox, body, model="gemini-3.1-flash-tts-preview").json()
    assert_gemini("GenerateContentResponse", answer)
    [part] = answer["candidates"][0]["content"]["parts"]
    assert part["inlineData"]["mimeType"] == mime
    assert listen(io.BytesIO(base64.b64decode(part["inlineData"]["data"]))).text == "Good morning."


def test_what_a_model_cannot_make(gemini: Client) -> None:
    for model, modality in (
        (MODEL, "IMAGE"),
        ("gemini-2.5-flash-image", "AUDIO"),
        ("gemini-2.5-flash-preview-tts", "TEXT"),
    ):
        with pytest.raises(errors.ClientError, match="modalities"):
            ask(gemini, "hi", model, response_modalities=[modality])
    voice = types.SpeechConfig(
        voice_config=types.VoiceConfig(prebuilt_voice_config=types.PrebuiltVoiceConfig(voice_name="Bob"))
    )
    with pytest.raises(errors.ClientError, match="Voice name Bob"):
        ask(gemini, "hi", "gemini-2.5-flash-preview-tts", response_modalities=["AUDIO"], speech_config=voice)
