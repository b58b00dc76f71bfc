"""Client secrets: made without the upstream, good for one account, model and time, and only for sockets."""

import time
from typing import Any

import pytest
from openai import OpenAI

from tests.support.fixtures import ACCOUNT
from tests.support.installation import Gateway
from tests.support.openapi import assert_valid
from tests.support.sandbox_process import SandboxProcess
from tests.support.talk import MODEL, client, dial, events_until, refusal, text_session

SESSION = {
    "type": "realtime",
    "model": f"{ACCOUNT}/{MODEL}",
    "instructions": "You reply in one short sentence.",
    "output_modalities": ["text"],
}
SECRETS = "/v1/realtime/client_secrets"


def make(gateway: Gateway, token: str, path: str = SECRETS, **body: Any) -> dict[str, Any]:
    answer = gateway.post(token, path, body)
    assert answer.status_code == 200, answer.text
    made: dict[str, Any] = answer.json()
    return made


def browser(secret: str) -> dict[str, Any]:
    return {"protocols": ("realtime", f"openai-insecure-api-key.{secret}")}


async def test_a_browsers_session(server: Gateway, voice_token: str, realtime_upstream: SandboxProcess) -> None:
    realtime_upstream.clear()
    with OpenAI(base_url=f"{server.origin}/v1", api_key=voice_token) as sdk:
        made = sdk.realtime.client_secrets.create(session=SESSION)  # type: ignore[arg-type]  # a plain dict
    assert made.value.startswith("ek_gh_")
    assert 590 < made.expires_at - time.time() <= 600
    assert realtime_upstream.requests() == [], "the upstream was asked"
    async with dial(server, "", f"/live/{ACCOUNT}/realtime?model={MODEL}", **browser(made.value)) as socket:
        assert socket.socket.protocol == "realtime"
        session = (await socket.until("session.updated"))["session"]
    assert session["instructions"] == SESSION["instructions"]
    assert session["output_modalities"] == ["text"]
    assert "ek_gh_" not in str(realtime_upstream.requests()[0]["headers"])


async def test_the_sdk_with_a_secret(voices: Gateway, voice_token: str) -> None:
    value = make(voices, voice_token, session=SESSION)["value"]
    async with client(voices, value).realtime.connect(model=MODEL) as connection:
        await text_session(connection)
        await events_until(connection, "session.updated")
    async with dial(voices, value, "/v1/realtime") as socket:  # account and model are the secret's
        assert (await socket.event())["session"]["model"] == MODEL


def test_the_answers_satisfy_the_description(voices: Gateway, voice_token: str) -> None:
    made = make(voices, voice_token, session=SESSION, expires_after={"anchor": "created_at", "seconds": 60})
    assert_valid("RealtimeCreateClientSecretResponse", made)
    transcriber = {"type": "transcription", "audio": {"input": {"transcription": {"model": "gpt-4o-mini-transcribe"}}}}
    assert_valid("RealtimeCreateClientSecretResponse", make(voices, voice_token, session=transcriber))
    made = make(
        voices, voice_token, "/v1/realtime/translations/client_secrets", session={"model": "gpt-realtime-translate"}
    )
    assert_valid("RealtimeTranslationClientSecretCreateResponse", made)
    made = make(voices, voice_token, "/v1/realtime/sessions", model=MODEL, voice="alloy")
    assert made["client_secret"]["value"].startswith("ek_gh_")
    made = make(
        voices,
        voice_token,
        "/v1/realtime/transcription_sessions",
        input_audio_transcription={"model": "gpt-4o-mini-transcribe"},
    )
    assert_valid("RealtimeTranscriptionSessionCreateResponse", made)


async def test_transcription_and_translation_secrets(voices: Gateway, voice_token: str) -> None:
    transcriber = {"type": "transcription", "audio": {"input": {"transcription": {"model": "gpt-4o-mini-transcribe"}}}}
    value = make(voices, voice_token, session=transcriber)["value"]
    async with dial(voices, value, "/v1/realtime") as socket:
        session = (await socket.until("session.updated"))["session"]
        assert session["audio"]["input"]["transcription"]["model"] == "gpt-4o-mini-transcribe"
    made = make(
        voices,
        voice_token,
        "/v1/realtime/translations/client_secrets",
        session={"model": "gpt-realtime-translate", "audio": {"output": {"language": "es"}}},
    )
    async with dial(voices, made["value"], f"/live/{ACCOUNT}/realtime/translations") as socket:
        assert (await socket.until("session.updated"))["session"]["audio"]["output"]["language"] == "es"
    status, error = await refusal(voices, made["value"])
    assert (status, error["code"]) == (403, "client_secret_scope")


@pytest.mark.parametrize(
    ("path", "code"),
    [
        (f"/live/{ACCOUNT}/realtime?model=gpt-realtime-mini", "client_secret_scope"),
        (f"/live/other/realtime?model={MODEL}", "client_secret_scope"),
        (f"/live/{ACCOUNT}/realtime?intent=transcription", "client_secret_scope"),
        (f"/live/{ACCOUNT}/responses", "client_secret_scope"),
    ],
)
async def test_a_secret_opens_nothing_else(voices: Gateway, voice_token: str, path: str, code: str) -> None:
    value = make(voices, voice_token, session=SESSION)["value"]
    status, error = await refusal(voices, value, path)
    assert (status, error["code"]) == (403, code)


async def test_a_changed_secret_is_none(voices: Gateway, voice_token: str) -> None:
    value = make(voices, voice_token, session=SESSION)["value"]
    changed = value[:-10] + ("A" if value[-10] != "A" else "B") + value[-9:]
    assert (await refusal(voices, changed))[1]["code"] == "invalid_api_key"
    assert SESSION["instructions"] not in value


def test_a_secret_is_no_token(voices: Gateway, voice_token: str) -> None:
    value = make(voices, voice_token, session=SESSION)["value"]
    assert voices.get(value, "/v1/models").status_code == 401
    assert voices.post(value, SECRETS, {"session": SESSION}).status_code == 401


async def test_a_secret_dies_with_its_token_and_its_time(voices: Gateway) -> None:
    token = voices.token("mother", user="ada@example.com")
    value = make(voices, token, session=SESSION)["value"]
    async with dial(voices, value) as socket:
        await socket.event()
        voices.installation.do("revoke", "mother")
        started = time.monotonic()
        assert (await socket.until("error"))["error"]["code"] == "token_revoked"
        assert (await socket.closed())[0] == 4401
        assert time.monotonic() - started < 1
    assert (await refusal(voices, value))[1]["code"] == "token_revoked"


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"session": {"type": "translation"}}, "invalid_request"),
        ({"session": {"type": "realtime", "model": "gpt-realtime-2"}}, "model_not_found"),
        ({"session": {"type": "realtime", "model": f"{ACCOUNT}/gpt-4o-mini"}}, "unsupported_model_type"),
        ({"session": {"type": "translation", "model": MODEL}}, "invalid_request"),
        ({"session": []}, "invalid_type"),
        ({"session": SESSION, "expires_after": {"anchor": "created_at", "seconds": 9}}, "invalid_value"),
        ({"session": SESSION, "expires_after": {"anchor": "created_at", "seconds": 7201}}, "invalid_value"),
        ({"session": {**SESSION, "audio": {"input": {"transcription": {"model": "whisper-1"}}}}}, "model_not_found"),
        ({"session": {**SESSION, "instructions": "".join(map(str, range(9000)))}}, "session_too_long"),
        (
            {"session": {**SESSION, "tools": [{"type": "file_search", "vector_store_ids": ["vs_of_others"]}]}},
            "not_found",
        ),
    ],
)
def test_secrets_that_are_not_made(voices: Gateway, voice_token: str, body: dict[str, Any], code: str) -> None:
    answer = voices.post(voice_token, SECRETS, body)
    assert answer.json()["error"]["code"] == code, answer.text
    assert 400 <= answer.status_code < 500


@pytest.mark.parametrize("path", ["/v1/live/sessions", "/v1/live/sessions/s/accept"])
def test_live_calls_are_refused(
    voices: Gateway, voice_token: str, realtime_upstream: SandboxProcess, path: str
) -> None:
    realtime_upstream.clear()
    secret = make(voices, voice_token, session=SESSION)["value"]
    for credential in (voice_token, secret):
        answer = voices.post(credential, path, content=b"v=0", headers={"content-type": "application/sdp"})
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "calls_not_supported")
    assert voices.post("nothing", path, {}).status_code == 401
    assert realtime_upstream.requests() == []
