"""Chat completions through the SDK, each answer valid by OpenAI's description."""

import base64
import io
import wave
from typing import Any

import pytest
from openai import AsyncOpenAI, BadRequestError, OpenAI

from tests.support.openapi import assert_valid
from tests.support.sandbox_process import SandboxProcess

MODEL = "gpt-4o-mini"
PIXEL = "data:image/png;base64," + base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(200)).decode()


def ask(client: OpenAI, content: Any, **options: Any) -> Any:
    """The parsed answer to one user message, after validating what came over the wire."""
    options = {"model": MODEL, **options}
    raw = client.chat.completions.with_raw_response.create(messages=[{"role": "user", "content": content}], **options)
    assert_valid("CreateChatCompletionResponse", raw.http_response.json())
    return raw.parse()


def said(answer: Any) -> str:
    return answer.choices[0].message.content


def test_a_plain_answer_has_every_field(client: OpenAI) -> None:
    answer = ask(client, "Hello, how are you?")

    assert said(answer) == "Hello! How can I assist you today?"
    assert answer.object == "chat.completion"
    assert answer.model == "gpt-4o-mini-2024-07-18"
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens
    assert answer.service_tier == "default"
    assert answer.system_fingerprint.startswith("fp_")


def test_the_same_question_gets_the_same_answer_under_another_id(client: OpenAI) -> None:
    first, second = (ask(client, "Write about a robot learning to paint.") for _ in range(2))

    assert "Write about a robot learning to paint." in said(first)
    assert first.id != second.id
    assert first.model_dump(exclude={"id", "created"}) == second.model_dump(exclude={"id", "created"})


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("Count from 1 to 5.", "1 2 3 4 5"),
        ("Say hi in French.", "Bonjour !"),
        ("Say hi in Japanese.", "こんにちは！"),
        ("Repeat after me: blue moon", "blue moon"),
        ("Reply with exactly: pong", "pong"),
        ("What is 6*7?", "42"),
    ],
)
def test_examples_get_sensible_answers(client: OpenAI, question: str, answer: str) -> None:
    assert said(ask(client, question)) == answer


async def test_the_async_sdk_works_too(running_sandbox: SandboxProcess) -> None:
    client: AsyncOpenAI = running_sandbox.async_client()
    async with client:
        answer = await client.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": "hi"}])
    assert answer.choices[0].message.content == "Hello! How can I assist you today?"


def test_several_choices_differ(client: OpenAI) -> None:
    answer = ask(client, "Name a colour", n=3)

    assert [choice.index for choice in answer.choices] == [0, 1, 2]
    assert len({choice.message.content for choice in answer.choices}) == 3
    assert answer.usage.completion_tokens > ask(client, "Name a colour").usage.completion_tokens


def test_stop_cuts_before_the_sequence(client: OpenAI) -> None:
    answer = ask(client, "Count from 1 to 9.", stop=[" 4", "never"])

    assert said(answer) == "1 2 3"
    assert answer.choices[0].finish_reason == "stop"


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens"])
def test_a_limit_ends_with_length(client: OpenAI, name: str) -> None:
    answer = ask(client, "Count from 1 to 9.", **{name: 3})

    assert said(answer) == "1 2 3"
    assert answer.choices[0].finish_reason == "length"
    assert answer.usage.completion_tokens == 3


def test_log_probabilities_cover_the_text(client: OpenAI) -> None:
    answer = ask(client, "Count from 1 to 3.", logprobs=True, top_logprobs=2)

    listed = answer.choices[0].logprobs.content
    assert "".join(item.token for item in listed) == said(answer)
    assert bytes(byte for item in listed for byte in item.bytes).decode() == said(answer)
    assert all(len(item.top_logprobs) == 2 for item in listed)
    assert all(item.top_logprobs[0].logprob == item.logprob > item.top_logprobs[1].logprob for item in listed)
    assert answer.choices[0].logprobs.refusal is None


def test_top_logprobs_need_logprobs(client: OpenAI) -> None:
    with pytest.raises(BadRequestError, match="only allowed when 'logprobs' is enabled"):
        ask(client, "x", top_logprobs=2)


def test_a_refusal_on_request(client: OpenAI) -> None:
    answer = ask(client, "Something bad [[sandbox: refusal]]")

    assert said(answer) is None
    assert answer.choices[0].message.refusal == "I'm sorry, but I can't help with that request."


def test_tiers_and_metadata_come_back(client: OpenAI) -> None:
    answer = ask(client, "x", service_tier="flex", metadata={"job": "7"})

    assert answer.service_tier == "flex"
    assert answer.metadata == {"job": "7"}
    assert ask(client, "x", service_tier="auto").service_tier == "default"


def test_unknown_parameters_are_accepted(client: OpenAI) -> None:
    assert said(ask(client, "What is 1+1?", extra_body={"brand_new_parameter": {"deep": [1]}})) == "2"


class TestReasoning:
    def test_thinking_is_counted(self, client: OpenAI) -> None:
        answer = ask(client, "A bat and ball cost $1.10. How much is the ball?", model="o4-mini")

        assert said(answer) == "The ball costs $0.05."
        details = answer.usage.completion_tokens_details
        assert details.reasoning_tokens == 128
        assert answer.usage.completion_tokens > 128

    def test_effort_changes_it(self, client: OpenAI) -> None:
        counts = [
            ask(client, "x", model="gpt-5", reasoning_effort=effort).usage.completion_tokens_details.reasoning_tokens
            for effort in ("minimal", "low", "high")
        ]
        assert counts == [0, 64, 256]

    def test_a_small_limit_is_spent_on_thinking(self, client: OpenAI) -> None:
        answer = ask(client, "x", model="o3", max_completion_tokens=50)

        assert said(answer) == ""
        assert answer.choices[0].finish_reason == "length"
        assert answer.usage.completion_tokens == answer.usage.completion_tokens_details.reasoning_tokens == 50

    def test_other_models_do_not_think(self, client: OpenAI) -> None:
        assert ask(client, "x").usage.completion_tokens_details.reasoning_tokens == 0

    @pytest.mark.parametrize(
        ("options", "code"),
        [
            ({"temperature": 0.2}, "unsupported_value"),
            ({"top_p": 0.5}, "unsupported_value"),
            ({"max_tokens": 5}, "unsupported_parameter"),
            ({"logprobs": True}, "unsupported_parameter"),
            ({"stop": ["x"]}, "unsupported_parameter"),
        ],
    )
    def test_sampling_parameters_are_refused(self, client: OpenAI, options: dict[str, Any], code: str) -> None:
        with pytest.raises(BadRequestError) as caught:
            ask(client, "x", model="o3", **options)
        assert caught.value.code == code
        assert caught.value.param == next(iter(options))

    def test_the_default_temperature_is_allowed(self, client: OpenAI) -> None:
        assert ask(client, "x", model="o3", temperature=1).choices


class TestInputs:
    def test_a_picture_is_acknowledged_and_counted(self, client: OpenAI) -> None:
        parts = [{"type": "text", "text": "What's in this image?"}, {"type": "image_url", "image_url": {"url": PIXEL}}]
        answer = ask(client, parts)

        assert "an image (image/png, 208 bytes)" in said(answer)
        assert answer.usage.prompt_tokens > 765
        parts[1]["image_url"]["detail"] = "low"  # type: ignore[index]
        assert answer.usage.prompt_tokens - ask(client, parts).usage.prompt_tokens == 680

    def test_a_picture_by_address(self, client: OpenAI) -> None:
        parts = [{"type": "image_url", "image_url": {"url": "https://example.com/boardwalk.jpg"}}]
        assert said(ask(client, parts)) == "I received an image (https://example.com/boardwalk.jpg)."

    def test_a_pdf_is_acknowledged(self, client: OpenAI) -> None:
        data = "data:application/pdf;base64," + base64.b64encode(b"%PDF-1.4 " + bytes(91)).decode()
        parts = [
            {"type": "text", "text": "What text is in this PDF?"},
            {"type": "file", "file": {"filename": "sample.pdf", "file_data": data}},
        ]
        assert "a file (sample.pdf, application/pdf, 100 bytes)" in said(ask(client, parts))

    def test_audio_is_acknowledged_and_counted(self, client: OpenAI) -> None:
        data = base64.b64encode(bytes(48_000)).decode()
        parts = [{"type": "input_audio", "input_audio": {"data": data, "format": "wav"}}]
        answer = ask(client, parts, model="gpt-4o-audio-preview")

        assert "an audio clip (audio/wav, 48000 bytes)" in said(answer)
        assert answer.usage.prompt_tokens_details.audio_tokens == 11

    def test_only_the_last_user_message_counts(self, client: OpenAI) -> None:
        answer = client.chat.completions.create(
            model=MODEL,
            messages=[
                {"role": "developer", "content": "Be brief."},
                {"role": "user", "content": [{"type": "image_url", "image_url": {"url": PIXEL}}]},
                {"role": "assistant", "content": "Nice."},
                {"role": "user", "content": "Count from 3 to 1"},
            ],
        )
        assert answer.choices[0].message.content == "3 2 1"


class TestSpeech:
    VOICE: Any = {"modalities": ["text", "audio"], "audio": {"voice": "alloy", "format": "wav"}}

    def test_a_spoken_answer_is_a_real_wav(self, client: OpenAI) -> None:
        answer = ask(client, "Count from 1 to 5.", model="gpt-4o-audio-preview", **self.VOICE)

        spoken = answer.choices[0].message.audio
        assert said(answer) is None
        assert spoken.transcript == "1 2 3 4 5"
        with wave.open(io.BytesIO(base64.b64decode(spoken.data))) as sound:
            assert (sound.getframerate(), sound.getnchannels(), sound.getnframes()) == (24_000, 1, 12_000)
        assert answer.usage.completion_tokens_details.audio_tokens == 10
        assert answer.usage.completion_tokens == 15

    def test_a_spoken_stream(self, client: OpenAI) -> None:
        audio = {"voice": "alloy", "format": "pcm16"}
        chunks = client.chat.completions.create(
            model="gpt-audio",
            messages=[{"role": "user", "content": "Count from 1 to 3."}],
            modalities=["text", "audio"],
            audio=audio,  # type: ignore[arg-type]
            stream=True,
        )
        parts = [chunk.choices[0].delta.audio for chunk in chunks if chunk.choices[0].delta.audio]
        assert "".join(part.transcript or "" for part in parts) == "1 2 3"
        assert sum(len(base64.b64decode(part.data)) for part in parts if part.data) == 3 * 4800
        assert parts[-1].expires_at

    @pytest.mark.parametrize(
        ("options", "param"),
        [
            ({"model": "gpt-4o", **VOICE}, "modalities"),
            ({"model": "gpt-audio", "modalities": ["text", "audio"]}, "audio"),
            ({"model": "gpt-audio", **VOICE, "stream": True}, "audio.format"),
        ],
    )
    def test_what_cannot_be_spoken(self, client: OpenAI, options: Any, param: str) -> None:
        with pytest.raises(BadRequestError) as caught:
            client.chat.completions.create(messages=[{"role": "user", "content": "hi"}], **options)
        assert caught.value.param == param


class TestCaching:
    LONG = "All work and no play makes Jack a dull boy. " * 200

    def test_a_long_prefix_is_cached_the_second_time(self, client: OpenAI) -> None:
        def cached(question: str, system: str) -> int:
            answer = client.chat.completions.create(
                model=MODEL,
                messages=[{"role": "system", "content": system}, {"role": "user", "content": question}],
            )
            assert answer.usage is not None
            assert answer.usage.prompt_tokens_details is not None
            return answer.usage.prompt_tokens_details.cached_tokens or 0

        assert cached("One?", self.LONG) == 0
        again = cached("Two?", self.LONG)
        assert again >= 1024
        assert again % 128 == 0
        assert cached("Three?", "Something else. " + self.LONG) == 0
        assert cached("Four?", "Short.") == cached("Four?", "Short.") == 0

    def test_a_cache_key_caches_short_prompts(self, client: OpenAI) -> None:
        first, second, other = (
            ask(client, "What should I check in a Helm chart review?", prompt_cache_key=key).usage
            for key in ("my-key", "my-key", "other-key")
        )
        assert first.prompt_tokens_details.cached_tokens == other.prompt_tokens_details.cached_tokens == 0
        assert 0 < second.prompt_tokens_details.cached_tokens <= second.prompt_tokens
