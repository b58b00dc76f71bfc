"""The list of models."""

import pytest
from openai import NotFoundError, OpenAI, PermissionDeniedError

from sandbox.app import create_app
from sandbox.model.catalog import FINE_TUNED, Model
from sandbox.store.auth import owned
from sandbox.wire.messages import Request, Response
from tests.support.openapi import assert_valid
from tests.support.sandbox_process import SandboxProcess


def test_every_name_is_listed_and_found(client: OpenAI, sandbox: SandboxProcess) -> None:
    listed = sandbox.get("/models").json()
    assert_valid("ListModelsResponse", listed)
    names = {item["id"] for item in listed["data"]}

    assert {"gpt-4o-mini", "o3", "dall-e-3", "whisper-1", "tts-1", "gpt-realtime", "text-embedding-3-large"} <= names
    assert_valid("Model", sandbox.get("/models/gpt-4o").json())
    assert {model.id for model in client.models.list()} == names


def test_an_unknown_name(client: OpenAI) -> None:
    with pytest.raises(NotFoundError) as caught:
        client.models.retrieve("gpt-99")
    assert caught.value.code == "model_not_found"
    assert "`gpt-99` does not exist or you do not have access to it" in caught.value.message


def test_openais_own_models_cannot_be_deleted(client: OpenAI) -> None:
    with pytest.raises(PermissionDeniedError):
        client.models.delete("gpt-4o")
    with pytest.raises(NotFoundError):
        client.models.delete("ft:gpt-4o-mini:none")


async def test_a_fine_tuned_model_can_be_deleted() -> None:
    app = create_app()
    name = "ft:gpt-4o-mini-2024-07-18:org::abc"
    owned(app.state, FINE_TUNED).put(name, Model(name, "chat"))

    answers = [await app.answer(Request(app, "DELETE", f"/v1/models/{name}")) for _ in range(2)]

    assert [answer.status for answer in answers] == [200, 404]
    assert isinstance(answers[0], Response)
    assert answers[0].body == b'{"id":"ft:gpt-4o-mini-2024-07-18:org::abc","object":"model","deleted":true}'
