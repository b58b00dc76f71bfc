"""Every OpenAI model that the catalogue lists answers on the sandbox for each of its types."""

import json
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import pytest
from openai import BadRequestError, OpenAI
from websockets.sync.client import connect

from providers.catalogue.models import KnownModel, known_models
from tests.support.sandbox_process import KEY, SandboxProcess

MODELS = known_models("openai")
# What a realtime model is for, where it is not a conversation: the rest of the socket's address.
SOCKETS = {"gpt-realtime-translate": "/realtime/translations?model="}
TRANSCRIBERS = ("transcribe", "whisper")


@pytest.fixture(scope="module")
def sandbox() -> Iterator[SandboxProcess]:
    with SandboxProcess("--no-record") as process:
        yield process


@cache
def spoken(client: OpenAI) -> bytes:
    return client.audio.speech.create(model="tts-1", input="Hello.", voice="alloy", response_format="wav").read()


def chat(client: OpenAI, name: str) -> Any:
    answer = client.chat.completions.create(model=name, messages=[{"role": "user", "content": "Say hi in French."}])
    return answer.choices[0].message.content == "Bonjour !"


def respond(client: OpenAI, name: str) -> Any:
    return client.responses.create(model=name, input="Say hi in French.").output_text == "Bonjour !"


def complete(client: OpenAI, name: str) -> Any:
    return client.completions.create(model=name, prompt="Say hi in French.").choices[0].text


def embed(client: OpenAI, name: str) -> Any:
    return client.embeddings.create(model=name, input="x").data[0].embedding


def moderate(client: OpenAI, name: str) -> Any:
    return client.moderations.create(model=name, input="x").results


def draw(client: OpenAI, name: str) -> Any:
    return client.images.generate(model=name, prompt="x").data


def speak(client: OpenAI, name: str) -> Any:
    return client.audio.speech.create(model=name, input="x", voice="alloy").read()


def transcribe(client: OpenAI, name: str) -> Any:
    return client.audio.transcriptions.create(model=name, file=("a.wav", spoken(client))).text == "Hello."


def translate(client: OpenAI, name: str) -> Any:
    return client.audio.translations.create(model=name, file=("a.wav", spoken(client))).text


def converse(client: OpenAI, name: str) -> Any:
    path = SOCKETS.get(name, "/realtime?model=")
    if any(word in name for word in TRANSCRIBERS):
        path = "/realtime?intent=transcription&model="
    url = str(client.base_url).replace("http", "ws", 1).rstrip("/") + path + name
    with connect(url, additional_headers={"authorization": f"Bearer {KEY}"}) as socket:
        return json.loads(socket.recv())["type"] == "session.created"


def batch(client: OpenAI, name: str) -> Any:
    """A batch reads its lines by the models that the sandbox has, for any endpoint."""
    return client.models.retrieve(name).id == name


def tune(client: OpenAI, name: str) -> Any:
    with pytest.raises(BadRequestError, match="No such File object"):
        client.fine_tuning.jobs.create(model=name, training_file="file-none")
    return True


CALLS: dict[str, Callable[[OpenAI, str], Any]] = {
    "chat": chat,
    "responses": respond,
    "completion": complete,
    "embedding": embed,
    "moderation": moderate,
    "image": draw,
    "text_to_speech": speak,
    "audio_transcription": transcribe,
    "audio_translation": translate,
    "realtime": converse,
    "batch": batch,
    "fine_tuning": tune,
}


@pytest.mark.parametrize("kind", CALLS)
def test_every_model_of_a_type_answers(sandbox: SandboxProcess, kind: str) -> None:
    named: list[KnownModel] = [model for model in MODELS if kind in model.model_types]
    assert named
    failed = {}
    with sandbox.client() as client:
        for model in named:
            try:
                answered = CALLS[kind](client, model.name)
            except Exception as error:  # whatever it is, the test names the model and goes on
                answered, failed[model.name] = True, str(error)
            if not answered:
                failed[model.name] = "an empty or wrong answer"
    assert failed == {}


def test_every_type_of_the_catalogue_is_tried() -> None:
    assert {kind for model in MODELS for kind in model.model_types} == set(CALLS)
