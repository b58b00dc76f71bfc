"""Spoken chats: an earlier answer's audio, and a custom voice, are their owner's alone."""

import json
from typing import Any

import pytest
from openai import BadRequestError, NotFoundError, OpenAI

from tests.support.calls import assert_ours
from tests.support.surface import Surface

MODEL = "media/gpt-audio"
ASKED: dict[str, Any] = {
    "model": MODEL,
    "modalities": ["text", "audio"],
    "messages": [{"role": "user", "content": "Say hi in French."}],
}
HEARD: dict[str, Any] = {**ASKED, "audio": {"voice": "alloy", "format": "pcm16"}}


def after(audio_id: str, **more: Any) -> dict[str, Any]:
    """A chat that goes on from what was said."""
    said = [{"role": "assistant", "audio": {"id": audio_id}}, {"role": "user", "content": "And in German?"}]
    return {**ASKED, "modalities": ["text"], "messages": [*ASKED["messages"], *said], **more}


def spoken(sdk: OpenAI, form: str) -> str:
    """The id of an answer's audio, as soon as the client knows it."""
    if form == "stream":
        with sdk.chat.completions.create(**HEARD, stream=True) as stream:
            for chunk in stream:
                told = chunk.choices[0].to_dict()["delta"] if chunk.choices else {}
                if isinstance(told, dict) and "audio" in told:
                    return str(told["audio"]["id"])
    message = sdk.chat.completions.create(**HEARD, store=form == "stored").choices[0].message
    assert message.audio is not None
    return message.audio.id


@pytest.mark.parametrize("form", ["whole", "stored", "stream"])
def test_an_answers_audio_is_its_owners(surface: Surface, form: str) -> None:
    audio_id = spoken(surface.sdk(), form)
    (record,) = surface.installation.do("owned", object_id=audio_id)
    assert (record["kind"], record["owner_name"]) == ("chat_audio", "ada@example.com")
    assert surface.sdk().chat.completions.create(**after(audio_id)).choices
    surface.upstream.clear()
    for stranger_id in (audio_id, "audio_unknown"):
        answer = surface.gateway.post(surface.bob, "/v1/chat/completions", after(stranger_id))
        error = assert_ours(answer, 404, "not_found", "audio")
        assert stranger_id in error["message"]
    assert surface.upstream.requests() == []


@pytest.mark.parametrize("hidden", [b'"aud\\u0069o"', b'"audio"'])
def test_an_id_in_a_long_or_escaped_body(surface: Surface, hidden: bytes) -> None:
    audio_id = spoken(surface.sdk(), "whole")
    body = json.dumps(after(audio_id, user="x" * 9000)).encode().replace(b'"audio"', hidden)
    headers = {"content-type": "application/json"}
    answer = surface.gateway.post(surface.bob, "/v1/chat/completions", content=body, headers=headers)
    assert_ours(answer, 404, "not_found", "audio")


def test_plain_chats_write_nothing_down(surface: Surface) -> None:
    made = surface.sdk().chat.completions.create(**{**ASKED, "modalities": ["text"]})
    assert surface.installation.do("owned", object_id=made.id) == []
    assert surface.installation.do("owned", kind="chat_audio", model_name="media/gpt-4o-mini") == []


def test_a_custom_voice_is_its_owners(surface: Surface) -> None:
    sound = ("a.wav", b"RIFF", "audio/wav")
    ada, bob = surface.sdk(), surface.sdk(surface.bob)
    consent = ada.audio.voice_consents.create(name="Ada", language="en-US", recording=sound)
    voice: Any = {"id": ada.audio.voices.create(name="mine", consent=consent.id, audio_sample=sound).id}
    surface.upstream.clear()
    with pytest.raises(NotFoundError):
        bob.audio.speech.create(model="media/gpt-4o-mini-tts", voice=voice, input="Hi.")
    with pytest.raises(NotFoundError):
        bob.chat.completions.create(**{**HEARD, "audio": {"voice": voice, "format": "wav"}})
    assert surface.upstream.requests() == []
    with pytest.raises(BadRequestError, match="lives on the provider account 'wide'"):
        ada.audio.speech.create(model="media/gpt-4o-mini-tts", voice=voice, input="Hi.")
