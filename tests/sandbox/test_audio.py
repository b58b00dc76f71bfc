"""Speech and what is heard of it, through the SDK: files are real, texts come back, answers are valid."""

import base64
import io
import json
import wave
from typing import Any

import httpx
import pytest
from openai import APIStatusError, AsyncOpenAI, BadRequestError, NotFoundError, OpenAI, RateLimitError

from tests.support.openapi import assert_valid
from tests.support.sandbox_process import SandboxProcess

TTS = "gpt-4o-mini-tts"
TEXT = "Hello from the sandbox. How are you? Füße, 日本語!"
FORMATS = ("mp3", "opus", "aac", "flac", "wav", "pcm")
BEGINNINGS = {"mp3": b"ID3", "opus": b"OggS", "aac": b"ID3", "flac": b"fLaC", "wav": b"RIFF"}


def speak(client: OpenAI, text: str = TEXT, **options: Any) -> bytes:
    return client.audio.speech.create(**{"model": TTS, "voice": "alloy", "input": text, **options}).content


def wav(client: OpenAI, text: str = TEXT, **options: Any) -> tuple[str, bytes]:
    return "speech.wav", speak(client, text, response_format="wav", **options)


def silence(seconds: float) -> tuple[str, bytes]:
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(2)
        writer.setframerate(8000)
        writer.writeframes(bytes(int(16_000 * seconds)))
    return "silence.wav", file.getvalue()


def events(answer: httpx.Response, schema: str) -> list[dict[str, Any]]:
    """The events of a stream, which have no names here, each valid."""
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
    found = [json.loads(line.removeprefix("data: ")) for line in answer.text.removesuffix("\n\n").split("\n\n")]
    for event in found:
        assert_valid(schema, event)
    return found


class TestSpeech:
    @pytest.mark.parametrize("form", FORMATS)
    def test_every_format(self, client: OpenAI, form: Any) -> None:
        answer = client.audio.speech.create(model=TTS, voice="nova", input=TEXT, response_format=form)
        expected = {"mp3": "audio/mpeg"}.get(form, f"audio/{form}")
        assert answer.response.headers["content-type"] == expected
        assert answer.content.startswith(BEGINNINGS.get(form, b""))

    def test_a_wav_has_audible_sound_of_the_right_length(self, client: OpenAI) -> None:
        with wave.open(io.BytesIO(wav(client, "x" * 30)[1])) as reader:
            assert (reader.getnchannels(), reader.getsampwidth(), reader.getframerate()) == (1, 2, 24_000)
            assert reader.getnframes() == 48_000
            sound = memoryview(reader.readframes(48_000)).cast("h")
        assert max(sound) > 5000

    def test_texts_voices_and_speeds_differ(self, client: OpenAI) -> None:
        plain = speak(client, response_format="pcm")
        assert plain == speak(client, response_format="pcm")
        assert plain != speak(client, response_format="pcm", voice="echo")
        assert plain != speak(client, TEXT.swapcase(), response_format="pcm")
        assert len(speak(client, response_format="pcm", speed=2)) == len(plain) // 2

    def test_it_comes_in_pieces(self, running_sandbox: SandboxProcess) -> None:
        body = {"model": TTS, "voice": "alloy", "input": "Hello there, this takes a while.", "response_format": "wav"}
        url = f"{running_sandbox.url}/audio/speech"
        with running_sandbox.http.stream("POST", url, json=body, headers={"x-sandbox": "token-delay=5"}) as answer:
            pieces = list(answer.iter_raw())
        assert len(pieces) > 3
        assert b"".join(pieces) == running_sandbox.http.post(url, json=body).content

    def test_the_sdk_streams_to_a_file(self, client: OpenAI, tmp_path: Any) -> None:
        with client.audio.speech.with_streaming_response.create(model="tts-1", voice="alloy", input=TEXT) as answer:
            answer.stream_to_file(tmp_path / "out.mp3")
        assert (tmp_path / "out.mp3").read_bytes() == speak(client, model="tts-1")

    async def test_the_async_sdk_works_too(self, running_sandbox: SandboxProcess) -> None:
        client: AsyncOpenAI = running_sandbox.async_client()
        async with client:
            answer = await client.audio.speech.create(model=TTS, voice="alloy", input=TEXT)
            heard = await client.audio.transcriptions.create(model="whisper-1", file=("a.mp3", answer.content))
        assert heard.text == TEXT

    def test_events_instead_of_bytes(self, sandbox: SandboxProcess, client: OpenAI) -> None:
        body = {"model": TTS, "voice": "alloy", "input": TEXT, "response_format": "wav", "stream_format": "sse"}
        *deltas, done = events(sandbox.post("/audio/speech", body), "CreateSpeechResponseStreamEvent")

        assert b"".join(base64.b64decode(event["audio"]) for event in deltas) == wav(client)[1]
        assert done["usage"]["total_tokens"] == done["usage"]["input_tokens"] + done["usage"]["output_tokens"] > 20

    @pytest.mark.parametrize(
        ("options", "param"),
        [
            ({"voice": "darth"}, "voice"),
            ({"response_format": "midi"}, "response_format"),
            ({"speed": 5}, "speed"),
            ({"text": "x" * 4097}, "input"),
            ({"text": ""}, "input"),
            ({"model": "tts-1", "stream_format": "sse"}, "stream_format"),
            ({"model": "whisper-1"}, "model"),
            ({"extra_body": {"pitch": 2}}, "pitch"),
        ],
    )
    def test_what_does_not_fit_is_refused(self, client: OpenAI, options: dict[str, Any], param: str) -> None:
        with pytest.raises(BadRequestError) as caught:
            speak(client, options.pop("text", TEXT), **options)
        assert caught.value.param == param

    def test_directives_in_the_input_hold_and_are_not_spoken(self, client: OpenAI) -> None:
        with pytest.raises(RateLimitError):
            speak(client, "Hello [[sandbox: status=429]]")
        heard = client.audio.transcriptions.create(
            model="whisper-1", file=wav(client, "Hello there [[sandbox: latency=1]]")
        )
        assert heard.text == "Hello there"


def hear(client: OpenAI, file: Any, **options: Any) -> Any:
    """The parsed transcription, after validating what came over the wire."""
    raw = client.audio.transcriptions.with_raw_response.create(
        **{"model": "gpt-4o-transcribe", "file": file, **options}
    )
    schema = {
        "verbose_json": "CreateTranscriptionResponseVerboseJson",
        "diarized_json": "CreateTranscriptionResponseDiarizedJson",
    }.get(options.get("response_format", ""), "CreateTranscriptionResponseJson")
    assert_valid(schema, raw.http_response.json())
    return raw.parse()


class TestTranscriptions:
    @pytest.mark.parametrize("form", FORMATS)
    def test_what_was_spoken_is_heard(self, client: OpenAI, form: Any) -> None:
        name = {"opus": "ogg", "pcm": "wav", "aac": "m4a"}.get(form, form)
        heard = hear(client, (f"a.{name}", speak(client, response_format=form)))
        assert heard.text == TEXT

    def test_raw_samples_in_another_callers_file(self, client: OpenAI) -> None:
        file = io.BytesIO()
        with wave.open(file, "wb") as writer:
            writer.setnchannels(1)
            writer.setsampwidth(2)
            writer.setframerate(24_000)
            writer.writeframes(speak(client, response_format="pcm"))
        assert hear(client, ("a.wav", file.getvalue())).text == TEXT

    def test_other_sound_is_described(self, client: OpenAI) -> None:
        assert hear(client, silence(1)).text == "This recording of 16044 bytes was not made by the sandbox."

    def test_usage_by_tokens_or_by_duration(self, client: OpenAI) -> None:
        by_tokens = hear(client, silence(2), prompt="Names: Ada, Grace").usage
        assert (by_tokens.type, by_tokens.input_token_details.audio_tokens) == ("tokens", 21)
        assert by_tokens.input_token_details.text_tokens == 5
        assert by_tokens.total_tokens == 26 + by_tokens.output_tokens
        by_duration = hear(client, silence(1.2), model="whisper-1").usage
        assert (by_duration.type, by_duration.seconds) == ("duration", 2)

    def test_segments_and_words(self, client: OpenAI) -> None:
        options: dict[str, Any] = {"model": "whisper-1", "response_format": "verbose_json", "language": "de"}
        heard = hear(client, wav(client), **options)
        assert (heard.language, heard.text, heard.words) == ("german", TEXT, None)
        assert [segment.text for segment in heard.segments] == [
            *(" Hello from the sandbox.", " How are you?", " Füße, 日本語!"),
        ]
        assert heard.segments[0].start == 0
        assert heard.segments[-1].end == pytest.approx(heard.duration, abs=0.01)

        heard = hear(client, wav(client), timestamp_granularities=["word", "segment"], **options)
        assert [word.word for word in heard.words][:5] == ["Hello", "from", "the", "sandbox", "How"]
        assert heard.segments

    def test_subtitles_and_text(self, client: OpenAI) -> None:
        file = wav(client, "One two three. Four five.")
        create: Any = client.audio.transcriptions.create
        made = {form: create(model="whisper-1", file=file, response_format=form) for form in ("text", "srt", "vtt")}
        assert made["text"] == "One two three. Four five.\n"
        assert made["srt"].startswith("1\n00:00:00,000 --> 00:00:00,933\nOne two three.\n\n2\n00:00:01,000 --> ")
        assert made["vtt"].startswith("WEBVTT\n\n00:00:00.000 --> 00:00:00.933\nOne two three.\n\n")

    def test_log_probabilities(self, client: OpenAI) -> None:
        heard = hear(client, wav(client), include=["logprobs"])
        assert "".join(item.token for item in heard.logprobs) == TEXT

    def test_speakers(self, client: OpenAI) -> None:
        options: dict[str, Any] = {"model": "gpt-4o-transcribe-diarize", "response_format": "diarized_json"}
        heard = hear(client, wav(client, "Hello. Who is it? Me."), chunking_strategy="auto", **options)
        assert [(part.speaker, part.text) for part in heard.segments] == [
            *(("A", "Hello."), ("B", "Who is it?"), ("A", "Me.")),
        ]
        heard = hear(client, wav(client, "Ann: Hello.\nBob: Hi Ann. Tea?"), **options)
        assert [(part.speaker, part.text) for part in heard.segments] == [("Ann", "Hello."), ("Bob", "Hi Ann. Tea?")]
        heard = hear(client, wav(client), known_speaker_names=["agent"], **options)
        assert heard.segments[0].speaker == "agent"
        with pytest.raises(BadRequestError, match="chunking_strategy is required"):
            hear(client, silence(31), **options)

    def test_a_stream(self, sandbox: SandboxProcess, client: OpenAI) -> None:
        fields = {"model": "gpt-4o-mini-transcribe", "stream": "true", "include[]": "logprobs"}
        answer = sandbox.http.post(f"{sandbox.url}/audio/transcriptions", data=fields, files={"file": wav(client)})
        *deltas, done = events(answer, "CreateTranscriptionResponseStreamEvent")
        assert "".join(event["delta"] for event in deltas) == TEXT == done["text"]
        assert all(event["logprobs"] for event in deltas)
        assert done["usage"]["output_tokens"] == len(deltas)

    def test_a_stream_of_speakers(self, client: OpenAI) -> None:
        stream = client.audio.transcriptions.create(
            model="gpt-4o-transcribe-diarize", file=wav(client, "Hello. Hi."), stream=True
        )
        kinds = [event.type for event in stream]
        assert kinds.count("transcript.text.segment") == 2
        assert kinds[-1] == "transcript.text.done"

    def test_whisper_does_not_stream(self, client: OpenAI, running_sandbox: SandboxProcess) -> None:
        answer = running_sandbox.http.post(
            f"{running_sandbox.url}/audio/transcriptions",
            data={"model": "whisper-1", "stream": "true"},
            files={"file": wav(client)},
        )
        assert answer.json()["text"] == TEXT

    @pytest.mark.parametrize(
        ("options", "param"),
        [
            ({"response_format": "srt"}, "response_format"),
            ({"response_format": "yaml"}, "response_format"),
            ({"model": "whisper-1", "response_format": "diarized_json"}, "response_format"),
            ({"timestamp_granularities": ["word"]}, "timestamp_granularities"),
            ({"model": "whisper-1", "include": ["logprobs"]}, "include"),
            ({"model": "gpt-4o"}, "model"),
            ({"temperature": 2}, "temperature"),
            ({"file": ("a.txt", b"x")}, "file"),
            ({"file": silence(0.05)}, "file"),
            ({"extra_body": {"mood": "good"}}, "mood"),
        ],
    )
    def test_what_does_not_fit_is_refused(self, client: OpenAI, options: dict[str, Any], param: str) -> None:
        with pytest.raises(BadRequestError) as caught:
            hear(client, **{"file": silence(1), **options})
        assert caught.value.param == param

    def test_directives_in_the_prompt_hold(self, client: OpenAI) -> None:
        for _ in range(2):
            with pytest.raises(RateLimitError):
                hear(client, silence(1), prompt="[[sandbox: status=429 times=2 key=in-a-form]]")
        assert hear(client, silence(1), prompt="[[sandbox: status=429 times=2 key=in-a-form]]").text

    def test_large_uploads_are_no_problem_unless_asked(self) -> None:
        name, data = silence(1)
        data += bytes(3 * 1024 * 1024)
        fields = {"model": "whisper-1"}
        with SandboxProcess("--max-body", "100000") as sandbox:
            url = f"{sandbox.url}/audio/transcriptions"
            assert sandbox.http.post(url, data=fields, files={"file": (name, data)}).status_code == 200
            headers = {"x-sandbox": "max-file=999"}
            refused = sandbox.http.post(url, data=fields, files={"file": (name, data[:1000])}, headers=headers)
        assert refused.status_code == 413
        assert "(999) exceeded (1000 bytes read)" in refused.json()["error"]["message"]


# The SDK says that translations are deprecated.
@pytest.mark.filterwarnings("ignore:deprecated:DeprecationWarning")
class TestTranslations:
    def test_french_becomes_english(self, client: OpenAI) -> None:
        file = wav(client, "Bonjour le monde, je suis un chat.")
        raw = client.audio.translations.with_raw_response.create(model="whisper-1", file=file)
        assert_valid("CreateTranslationResponseJson", raw.http_response.json())
        assert raw.parse().text == "Hello the world, I am a cat."

    def test_other_formats(self, client: OpenAI) -> None:
        file = wav(client, "Guten Morgen. Danke.")
        raw = client.audio.translations.with_raw_response.create(
            model="whisper-1", file=file, response_format="verbose_json"
        )
        assert_valid("CreateTranslationResponseVerboseJson", raw.http_response.json())
        assert raw.http_response.json()["language"] == "english"
        create: Any = client.audio.translations.create
        for form, beginning in (("text", "Good Morning"), ("srt", "1\n00:00"), ("vtt", "WEBVTT")):
            assert create(model="whisper-1", file=file, response_format=form).startswith(beginning)

    def test_only_whisper_translates(self, client: OpenAI) -> None:
        with pytest.raises(BadRequestError, match="does not support translation"):
            client.audio.translations.create(model="gpt-4o-transcribe", file=silence(1))


class TestVoices:
    def test_consents_and_voices(self, client: OpenAI) -> None:
        recording = ("a.wav", silence(1)[1], "audio/wav")
        raw = client.audio.voice_consents.with_raw_response.create(name="Ada", language="en-GB", recording=recording)
        assert_valid("VoiceConsentResource", raw.http_response.json())
        consent = raw.parse()
        assert client.audio.voice_consents.update(consent.id, name="Grace").name == "Grace"
        assert client.audio.voice_consents.retrieve(consent.id).language == "en-GB"
        listed = client.audio.voice_consents.with_raw_response.list()
        assert_valid("VoiceConsentListResource", listed.http_response.json())
        assert consent.id in [item.id for item in listed.parse().data]

        made = client.audio.voices.with_raw_response.create(name="v", consent=consent.id, audio_sample=recording)
        assert_valid("VoiceResource", made.http_response.json())
        voice = made.parse()
        assert speak(client, voice={"id": voice.id}).startswith(b"ID3")
        client.audio.voices.delete(voice.id)
        assert client.audio.voice_consents.delete(consent.id).deleted
        for call in (
            lambda: speak(client, voice={"id": voice.id}),
            lambda: client.audio.voice_consents.retrieve(consent.id),
            lambda: client.audio.voices.create(name="v", consent=consent.id, audio_sample=recording),
        ):
            with pytest.raises(NotFoundError):
                call()

    def test_a_voice_needs_sound(self, client: OpenAI) -> None:
        with pytest.raises(APIStatusError) as caught:
            client.audio.voice_consents.create(name="x", language="en", recording=("a.txt", b"x"))
        assert caught.value.code == "unsupported_file_mimetype"
