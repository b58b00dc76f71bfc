"""What an answer is, and what an error in it is, is the same at every door, whatever the content type says."""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.support.calls import CHAT_PATH, assert_ours, chat
from tests.support.installation import Gateway
from tests.support.manifests import provider
from tests.support.scripted import ScriptedUpstream
from tests.support.servers import wait_until

TEXT = b'data: {"choices":[{"index":0,"delta":{"content":"hello"},"finish_reason":"stop"}]}\n\n'
USAGE = b'data: {"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":2}}\n\n'
DONE = b"data: [DONE]\n\n"
EVENTS = TEXT + USAGE + DONE
ANSWER = (
    b'{"id":"c","choices":[{"index":0,"message":{"role":"assistant","content":"hello"},"finish_reason":"stop"}],'
    b'"usage":{"prompt_tokens":3,"completion_tokens":2}}'
)
MESSAGES: Any = [{"role": "user", "content": "hi"}]
DOORS = ("chat", "messages", "google", "responses")
JSON, SSE, PLAIN = "application/json", "text/event-stream", "text/plain"
HTML, OCTETS = "text/html; charset=utf-8", "application/octet-stream"


@pytest.fixture(scope="module")
def scripted() -> Iterator[ScriptedUpstream]:
    with ScriptedUpstream() as upstream:
        yield upstream


@pytest.fixture(scope="module")
def model(running_gateway: Gateway, user_token: str, scripted: ScriptedUpstream) -> str:
    """A model of a vendor without a Responses API, so that only ``chat`` passes."""
    kind = "integration/model/together-ai"
    heard = {"type": kind, "name": "audio", "model_types": ["audio_transcription", "text_to_speech"]}
    models = [{"type": kind, "name": "m", "model_types": ["chat"]}, heard]
    manifest = provider("kinds", f"{scripted.origin}/v1", models=models, type="provider-account/together-ai")
    running_gateway.installation.apply(manifest)
    wait_until(lambda: running_gateway.get(user_token, "/v1/models/kinds/m").status_code == 200)
    return "kinds/m"


@pytest.fixture(scope="module")
def hearing(model: str) -> str:
    """The same account's model for audio."""
    return model.replace("/m", "/audio")


def answer(scripted: ScriptedUpstream, body: bytes, media: str = JSON) -> None:
    kind = f"content-type: {media}\r\n" if media else ""
    scripted.answer(f"HTTP/1.1 200 OK\r\nconnection: close\r\n{kind}\r\n".encode() + body)


def call(gateway: Gateway, token: str, door: str, model: str, *, stream: bool) -> httpx.Response:
    bodies: dict[str, tuple[str, Any]] = {
        "chat": (CHAT_PATH, chat(model=model, stream=stream)),
        "messages": ("/v1/messages", {"model": model, "max_tokens": 9, "messages": MESSAGES, "stream": stream}),
        "responses": ("/v1/responses", {"model": model, "input": "hi", "stream": stream}),
        "google": (
            f"/v1beta/models/{model}:{'streamGenerateContent?alt=sse' if stream else 'generateContent'}",
            {"contents": [{"role": "user", "parts": [{"text": "hi"}]}]},
        ),
    }
    path, body = bodies[door]
    return gateway.post(token, path, body)


def recorded(gateway: Gateway, response: httpx.Response) -> dict[str, Any]:
    (record,) = gateway.installation.records(1, request_id=response.headers["x-request-id"])
    return record


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("media", [SSE, PLAIN, JSON, HTML, OCTETS, ""])
def test_a_stream_is_one_whatever_its_type_and_mark(
    gateway: Gateway, token: str, scripted: ScriptedUpstream, model: str, door: str, media: str
) -> None:
    answer(scripted, b"\xef\xbb\xbf" + EVENTS, media)
    response = call(gateway, token, door, model, stream=True)
    assert response.headers["content-type"].startswith(SSE)
    assert b"hello" in response.content
    assert b"truncated" not in response.content
    if door == "chat":
        assert response.content == TEXT + DONE
    record = recorded(gateway, response)
    assert (record["input_tokens"], record["output_tokens"], record["error_class"]) == (3, 2, "")


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("media", [JSON, PLAIN, HTML, OCTETS, ""])
def test_a_body_is_json_whatever_its_type_and_mark(
    gateway: Gateway, token: str, scripted: ScriptedUpstream, model: str, door: str, media: str
) -> None:
    answer(scripted, b"\xef\xbb\xbf" + ANSWER, media)
    response = call(gateway, token, door, model, stream=False)
    assert response.headers["content-type"] == JSON
    assert "hello" in json.dumps(response.json())
    if door == "chat":
        assert response.json()["provider"] == "together-ai"
    record = recorded(gateway, response)
    assert (record["input_tokens"], record["output_tokens"], record["ttft_us"]) == (3, 2, None)


@pytest.mark.parametrize("door", ["chat", "messages"])
@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(
    "body", [b"<!doctype html><p>hi", b"<!-- a -->", b"Welcome", b'{"choices":[', b"{{ page }}", b""]
)
def test_a_web_page_is_none_of_our_answers(
    gateway: Gateway, token: str, scripted: ScriptedUpstream, model: str, door: str, stream: bool, body: bytes
) -> None:
    answer(scripted, body, HTML)
    response = call(gateway, token, door, model, stream=stream)
    assert response.status_code == 502
    assert recorded(gateway, response)["error_class"] == "upstream_broken_answer"


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("media", [SSE, JSON, PLAIN])
def test_a_stream_that_no_one_asked_for_is_refused_and_metered(
    gateway: Gateway, token: str, scripted: ScriptedUpstream, model: str, door: str, media: str
) -> None:
    answer(scripted, EVENTS, media)
    response = call(gateway, token, door, model, stream=False)
    assert response.status_code == 502
    assert response.headers["content-type"] == JSON
    record = recorded(gateway, response)
    assert (record["input_tokens"], record["error_class"]) == (3, "upstream_broken_answer")


ERRORS: list[tuple[bytes, int, str]] = [
    (b'{"error":{"message":"slow down","code":429}}', 429, "slow down"),
    (b'[{"error":{"code":429,"message":"slow down","status":"RESOURCE_EXHAUSTED"}}]', 429, "slow down"),
    (b'{"error":"bad thing"}', 502, "bad thing"),
    (b'{"error":"bad thing","code":503}', 503, "bad thing"),
    (b'{"object":"error","message":"boom"}', 502, "boom"),
    (b'{"id":"c","error":{"message":"slow down","code":429}}', 429, "slow down"),
    (b'{"detail":"Not authenticated"}', 502, "Not authenticated"),
    (b'{"errors":[{"message":"no model","code":7003}],"success":false,"result":null,"messages":[]}', 502, "no model"),
]


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize(("body", "status", "message"), ERRORS)
def test_an_error_in_a_200_is_one_at_every_door(
    gateway: Gateway,
    token: str,
    scripted: ScriptedUpstream,
    model: str,
    door: str,
    body: bytes,
    status: int,
    message: str,
) -> None:
    """Whole; as a stream's first event, where only what is converted may still have a status; and retried alike."""
    answer(scripted, body)
    response = call(gateway, token, door, model, stream=False)
    assert response.status_code == status
    assert message in response.text
    record = recorded(gateway, response)
    assert (record["status"], record["error_class"], record["error_message"]) == (status, "upstream_error", message)
    answer(scripted, b"data: " + body + b"\n\n", SSE)
    response = call(gateway, token, door, model, stream=True)
    assert response.status_code == (200 if door == "chat" else status)
    assert message in response.text
    assert "truncated" not in response.text
    record = recorded(gateway, response)
    assert (record["error_class"], record["error_message"], record["ttft_us"]) == ("upstream_error", message, None)


BESIDE = b'"id":"x","error":{"code":503,"message":"cut short"},"usage":{"prompt_tokens":3,"completion_tokens":2}'
HALF = b'{"index":0,"message":{"role":"assistant","content":"half"},"finish_reason":"stop"}'


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("half", [HALF, b""])
def test_an_error_beside_a_result_is_recorded_at_every_door(
    gateway: Gateway, token: str, scripted: ScriptedUpstream, model: str, door: str, half: bytes
) -> None:
    """What came goes on; an empty list of choices is nothing that came."""
    answer(scripted, b'{%b,"choices":[%b]}' % (BESIDE, half))
    response = call(gateway, token, door, model, stream=False)
    assert (response.status_code, "half" in response.text) == (200 if half else 503, bool(half))
    record = recorded(gateway, response)
    assert (record["error_class"], record["error_message"]) == ("upstream_error", "cut short")
    assert (record["status"], record["input_tokens"], record["output_tokens"]) == (response.status_code, 3, 2)


@pytest.mark.parametrize("body", [b"null", b"[]", b"{}", b"5"])
@pytest.mark.parametrize("door", DOORS)
def test_json_without_a_field_is_no_answer_at_any_door(
    gateway: Gateway, token: str, scripted: ScriptedUpstream, model: str, door: str, body: bytes
) -> None:
    answer(scripted, body)
    response = call(gateway, token, door, model, stream=False)
    assert response.status_code == 502
    assert recorded(gateway, response)["error_class"] == "upstream_broken_answer"


def test_an_error_amid_a_stream_has_the_calls_id_for_anthropics_clients(
    gateway: Gateway, token: str, scripted: ScriptedUpstream, model: str
) -> None:
    answer(scripted, TEXT + b'data: {"error":{"message":"cut short","code":503}}\n\n', SSE)
    response = call(gateway, token, "messages", model, stream=True)
    last = json.loads(response.text.strip().rpartition("data: ")[2])
    assert last["error"]["message"] == "cut short"
    assert last["request_id"] == response.headers["x-request-id"]


@pytest.mark.parametrize("pause", [0.0, 0.1], ids=["together", "apart"])
def test_usage_behind_the_end_is_withheld_even_with_a_role(
    gateway: Gateway, token: str, scripted: ScriptedUpstream, model: str, pause: float
) -> None:
    """Behind the end a role says nothing; at the beginning it does."""
    role = (
        b'data: {"choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}],"usage":%b}\n\n'
    )
    first, last = (role % (b'{"prompt_tokens":3,"completion_tokens":%d}' % made) for made in (0, 2))
    head = f"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-type: {SSE}\r\n\r\n".encode()
    scripted.answer(head + first + TEXT, last + DONE, pause=pause)
    response = call(gateway, token, "chat", model, stream=True)
    assert response.content == first + TEXT + DONE
    assert recorded(gateway, response)["output_tokens"] == 2


@pytest.mark.parametrize("door", DOORS)
def test_plain_text_in_an_error_event_is_its_message(
    gateway: Gateway, token: str, scripted: ScriptedUpstream, model: str, door: str
) -> None:
    answer(scripted, b"event: error\ndata: out of memory\n\n", SSE)
    response = call(gateway, token, door, model, stream=True)
    assert "out of memory" in response.text
    assert recorded(gateway, response)["error_message"] == "out of memory"


def test_a_web_page_is_one_whatever_its_type(
    gateway: Gateway, token: str, scripted: ScriptedUpstream, model: str
) -> None:
    answer(scripted, b"<!DOCTYPE html><p>Welcome", PLAIN)
    assert_ours(call(gateway, token, "chat", model, stream=False), 502, "upstream_broken_answer")


@pytest.mark.parametrize(
    ("media", "body"),
    [("text/plain", b"[Music] hello"), ("text/plain", b"data: the new oil"), ("text/plain", b"")],
)
def test_a_transcript_may_begin_with_anything(
    gateway: Gateway, token: str, scripted: ScriptedUpstream, hearing: str, media: str, body: bytes
) -> None:
    answer(scripted, body, media)
    form = {"model": hearing, "response_format": "text"}
    response = gateway.http.post(
        gateway.origin + "/v1/audio/transcriptions",
        headers={"authorization": f"Bearer {token}"},
        data=form,
        files={"file": ("a.wav", b"RIFF")},
    )
    assert (response.status_code, response.content, response.headers["content-type"]) == (200, body, media)


@pytest.mark.parametrize("body", [b":\x00\x01", b"{\x00\x01", b"[\x00\x01"])
def test_audio_may_begin_with_anything(
    gateway: Gateway, token: str, scripted: ScriptedUpstream, hearing: str, body: bytes
) -> None:
    answer(scripted, body, "audio/pcm")
    speech = {"model": hearing, "input": "hi", "voice": "alloy", "response_format": "pcm"}
    response = gateway.post(token, "/v1/audio/speech", speech)
    assert (response.status_code, response.content) == (200, body)
