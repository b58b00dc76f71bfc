"""Speech, transcriptions and translations through the customer's SDK in every form, the capability gate, and the
costs.
"""

import json
from pathlib import Path
from typing import Any

import pytest
from openai import BadRequestError, OpenAI

from tests.support.surface import Surface

pytestmark = pytest.mark.filterwarnings("ignore:deprecated:DeprecationWarning")
TEXT = "Hello from Gatehouse."
TTS = "media/gpt-4o-mini-tts"
WHISPER = "media/whisper-1"
HEARER = "media/gpt-4o-transcribe"
SPOKEN: dict[str, Any] = {"model": TTS, "voice": "alloy", "input": TEXT}


@pytest.fixture(scope="module")
def spoken(running_surface: Any) -> bytes:
    """Audio that says ``TEXT``."""
    sound: bytes = running_surface.sdk().audio.speech.create(**SPOKEN, response_format="wav").read()
    return sound


def heard(sound: bytes, **asked: Any) -> dict[str, Any]:
    return {"model": WHISPER, "file": ("a.wav", sound), **asked}


# --- speech -------------------------------------------------------------------------------------------------


def test_the_speech_example(surface: Surface, tmp_path: Path) -> None:
    target = tmp_path / "out.mp3"
    with surface.sdk().audio.speech.with_streaming_response.create(**SPOKEN) as response:
        response.stream_to_file(target)
    assert response.headers["content-type"] == "audio/mpeg"
    assert target.stat().st_size > 1000
    with target.open("rb") as sound:
        assert surface.sdk().audio.transcriptions.create(model=WHISPER, file=sound).text == TEXT


@pytest.mark.parametrize(
    ("form", "media"), [("opus", "audio/opus"), ("aac", "audio/aac"), ("flac", "audio/flac"), ("pcm", "audio/pcm")]
)
def test_every_form_of_sound_keeps_its_type_and_bytes(surface: Surface, form: str, media: str) -> None:
    raw = surface.sdk().audio.speech.with_raw_response.create(**SPOKEN, response_format=form)
    assert raw.headers["content-type"] == media
    direct = surface.upstream.client().audio.speech.create(
        model="gpt-4o-mini-tts", voice="alloy", input=TEXT, response_format=form
    )
    assert raw.content == direct.content


async def test_async_speech(surface: Surface, spoken: bytes) -> None:
    async with surface.async_sdk() as client:
        whole = await client.audio.speech.create(**SPOKEN, response_format="wav")
        async with client.audio.speech.with_streaming_response.create(**SPOKEN, response_format="wav") as response:
            pieces = [piece async for piece in response.iter_bytes()]
    assert whole.content == b"".join(pieces) == spoken


def test_speech_as_events(surface: Surface) -> None:
    with surface.sdk().audio.speech.with_streaming_response.create(**SPOKEN, stream_format="sse") as response:
        lines = [json.loads(line[6:]) for line in response.iter_lines() if line.startswith("data:")]
    assert response.headers["content-type"].startswith("text/event-stream")
    assert {line["type"] for line in lines} == {"speech.audio.delta", "speech.audio.done"}


# --- transcriptions and translations ------------------------------------------------------------------------


def test_every_format_of_a_transcription(surface: Surface, spoken: bytes) -> None:
    create = surface.sdk().audio.transcriptions.create
    assert create(**heard(spoken)).text == TEXT
    assert create(**heard(spoken, response_format="text")).strip() == TEXT
    assert TEXT in create(**heard(spoken, response_format="srt"))
    assert create(**heard(spoken, response_format="vtt")).startswith("WEBVTT")
    verbose = create(**heard(spoken, response_format="verbose_json", timestamp_granularities=["word", "segment"]))
    assert verbose.text == TEXT
    assert verbose.words
    diarized = heard(
        spoken, model="media/gpt-4o-transcribe-diarize", response_format="diarized_json", chunking_strategy="auto"
    )
    assert create(**diarized).segments


async def test_a_transcription_in_the_other_forms(surface: Surface, spoken: bytes) -> None:
    sdk = surface.sdk()
    raw = sdk.audio.transcriptions.with_raw_response.create(**heard(spoken))
    assert raw.headers["x-tfy-resolved-model"] == WHISPER
    assert raw.parse().text == TEXT
    with sdk.audio.transcriptions.with_streaming_response.create(**heard(spoken)) as response:
        assert response.parse().text == TEXT
    async with surface.async_sdk() as client:
        assert (await client.audio.transcriptions.create(**heard(spoken))).text == TEXT
        stream = await client.audio.transcriptions.create(**heard(spoken, model=HEARER, stream=True))
        events = [event async for event in stream]
    assert "".join(event.delta for event in events if event.type == "transcript.text.delta") == TEXT
    assert [event.type for event in events][-1] == "transcript.text.done"


async def test_translations(surface: Surface, spoken: bytes) -> None:
    sdk = surface.sdk()
    assert sdk.audio.translations.create(**heard(spoken)).text
    assert sdk.audio.translations.with_raw_response.create(**heard(spoken)).headers["x-tfy-resolved-model"] == WHISPER
    with sdk.audio.translations.with_streaming_response.create(**heard(spoken)) as response:
        assert response.parse().text
    async with surface.async_sdk() as client:
        assert str(await client.audio.translations.create(**heard(spoken, response_format="srt"))).startswith("1\n")


def test_text_to_french_speech_to_english_text(surface: Surface) -> None:
    sdk = surface.sdk()
    sound = sdk.audio.speech.create(model=TTS, voice="alloy", input="Bonjour.").read()
    assert sdk.audio.translations.create(model=WHISPER, file=("a.mp3", sound)).text == "Hello."


@pytest.mark.parametrize("model_last", [False, True])
def test_the_capability_gate(surface: Surface, spoken: bytes, model_last: bool) -> None:
    assert surface.sdk().audio.transcriptions.create(**heard(spoken, model="media/listener")).text == TEXT
    surface.upstream.clear()
    if model_last:
        files: Any = [("file", ("a.wav", spoken)), ("model", (None, "media/listener"))]
        headers = {"authorization": f"Bearer {surface.ada}"}
        address = f"{surface.gateway.origin}/v1/audio/translations"
        answer = surface.gateway.http.post(address, files=files, headers=headers)
        assert answer.status_code == 400
        assert answer.json()["message"] == "audio_translation is not supported for the model"
    else:
        with pytest.raises(BadRequestError) as refused:
            surface.sdk().audio.translations.create(**heard(spoken, model="media/listener"))
        body: Any = refused.value.body
        assert body["message"] == "audio_translation is not supported for the model"
    assert surface.upstream.requests() == []


# --- what it costs ------------------------------------------------------------------------------------------


def speak(sdk: OpenAI, model: str, **asked: Any) -> Any:
    return lambda: sdk.audio.speech.create(model=model, voice="alloy", input=TEXT, **asked).read()


def test_speech_is_paid_by_characters(surface: Surface) -> None:
    record = surface.record("speech", speak(surface.sdk(), "media/tts-1"))
    assert record["units"] == {"input_characters": len(TEXT)}
    assert record["cost_pico"] == len(TEXT) * 15_000_000


def test_speech_as_events_is_paid_by_tokens(surface: Surface) -> None:
    record = surface.record("speech", speak(surface.sdk(), TTS, stream_format="sse"))
    assert record["input_tokens"] > 0
    assert record["output_tokens"] > 0
    assert record["cost_pico"] > 0


@pytest.mark.parametrize("form", ["mp3", "opus", "aac", "flac", "wav", "pcm"])
def test_speech_as_a_file_is_measured(surface: Surface, form: str) -> None:
    """21 letters, 15 a second: 1.4 s, so 28 tokens of 50 ms; and six tokens of text. Containers round up."""
    record = surface.record("speech", speak(surface.sdk(), TTS, response_format=form))
    assert record["estimated"]
    assert 1390 <= record["units"]["output_audio_ms"] <= 1450
    assert record["input_tokens"] == 6
    assert record["output_tokens"] == record["audio_output_tokens"] in (28, 29)
    assert record["cost_pico"] == 6 * 600_000 + record["output_tokens"] * 12_000_000


def test_whisper_is_paid_by_time(surface: Surface, spoken: bytes) -> None:
    record = surface.record("transcription", lambda: surface.sdk().audio.transcriptions.create(**heard(spoken)))
    assert record["cost_pico"] == record["units"]["input_audio_ms"] * 100_000  # 0.006 dollars a minute


def test_a_transcription_is_paid_by_tokens(surface: Surface, spoken: bytes) -> None:
    asked = heard(spoken, model=HEARER)
    whole = surface.record("transcription", lambda: surface.sdk().audio.transcriptions.create(**asked))
    stream = surface.record(
        "transcription", lambda: list(surface.sdk().audio.transcriptions.create(**asked, stream=True))
    )
    assert whole["audio_input_tokens"] > 0
    assert whole["cost_pico"] == stream["cost_pico"] > 0
    assert stream["stream"] is True


@pytest.mark.parametrize("form", ["text", "srt", "vtt"])
def test_formats_without_usage_are_measured(surface: Surface, spoken: bytes, form: Any) -> None:
    asked = heard(spoken, response_format=form)
    record = surface.record("transcription", lambda: surface.sdk().audio.transcriptions.create(**asked))
    assert record["estimated"]
    assert record["units"] == {"input_audio_ms": 1400}
    assert record["cost_pico"] == 1400 * 100_000
    assert record["input_tokens"] == 0


def test_a_text_of_a_model_that_is_paid_by_tokens(surface: Surface, spoken: bytes) -> None:
    asked = heard(spoken, model=HEARER, response_format="text")
    record = surface.record("transcription", lambda: surface.sdk().audio.transcriptions.create(**asked))
    assert (record["estimated"], record["audio_input_tokens"], record["output_tokens"]) == (True, 14, 6)
    assert record["cost_pico"] == 14 * 6_000_000 + 6 * 10_000_000


def test_a_usage_that_comes_is_no_estimate(surface: Surface, spoken: bytes) -> None:
    for form in ("json", "verbose_json"):
        asked = heard(spoken, response_format=form)
        record = surface.record("transcription", lambda a=asked: surface.sdk().audio.transcriptions.create(**a))
        assert (record["estimated"], record["cost_pico"] > 0) == (False, True)


def test_audio_that_says_no_length_stays_unpriced(surface: Surface, spoken: bytes) -> None:
    """As browsers record it: the vendor hears it, and its answer as text says nothing."""
    address = f"{surface.gateway.origin}/v1/audio/transcriptions"
    files = {"model": (None, WHISPER), "response_format": (None, "text"), "file": ("a.wav", b"\0" + spoken[1:])}
    record = surface.record(
        "transcription",
        lambda: surface.gateway.http.post(address, files=files, headers={"authorization": f"Bearer {surface.ada}"}),
    )
    assert (record["estimated"], record["cost_pico"]) in ((False, None), (False, 0))
