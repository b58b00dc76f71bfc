"""What every endpoint of images, audio, resources and the proxy shares: hang-ups, the contract's headers, large and
slow bodies.
"""

import hashlib
import json
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.support.calls import assert_ours
from tests.support.servers import wait_until
from tests.support.surface import Surface, picture

PROMISED_SECONDS = 0.2
BOUND_SECONDS = 2.0
RUNS = 3
ENDLESS = {"x-sandbox": "endless; token-delay=20"}
WIDE = {"x-tfy-provider-name": "wide"}
MEGABYTE = 2**20
LARGE_BYTES = 20 * MEGABYTE


@pytest.fixture(scope="module")
def sound(running_surface: Surface) -> bytes:
    made: bytes = running_surface.sdk().audio.speech.create(model="media/tts-1", voice="alloy", input="Hi.").read()
    return made


def request_of(surface: Surface, name: str, sound: bytes) -> tuple[str, dict[str, Any]]:
    """Return the path of an endpoint that streams, and what to send."""
    image = {"model": "media/gpt-image-1", "prompt": "a", "quality": "low", "size": "1024x1024"}
    speech = {"model": "media/gpt-4o-mini-tts", "voice": "alloy", "input": "Hello there, how are you?"}
    chat = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hi"}], "stream": True}
    if name == "a-run":
        assistant = surface.sdk().beta.assistants.create(model="wide/gpt-4o-mini")
        thread = {"messages": [{"role": "user", "content": "Count from 1 to 500."}]}  # outlasts the client
        return "threads/runs", {"json": {"assistant_id": assistant.id, "thread": thread, "stream": True}}
    forms: dict[str, Any] = {
        "an-edit": (
            "images/edits",
            {"data": {**image, "stream": "true", "partial_images": "3"}, "files": {"image": ("a.png", picture())}},
        ),
        "a-transcription": (
            "audio/transcriptions",
            {"data": {"model": "media/gpt-4o-transcribe", "stream": "true"}, "files": {"file": ("a.mp3", sound)}},
        ),
        "images": ("images/generations", {"json": {**image, "stream": True, "partial_images": 3}}),
        "speech": ("audio/speech", {"json": speech}),
        "speech-events": ("audio/speech", {"json": {**speech, "stream_format": "sse"}}),
        "the-proxy": ("proxy/v1/chat/completions", {"json": chat, "headers": WIDE}),
    }
    path, sent = forms[name]
    return path, sent


STREAMS = ("images", "an-edit", "speech", "speech-events", "a-transcription", "a-run", "the-proxy")


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("name", STREAMS)
def test_a_client_that_leaves_a_stream(surface: Surface, sound: bytes, name: str) -> None:
    path, sent = request_of(surface, name, sound)
    headers = {"authorization": f"Bearer {surface.ada}", **ENDLESS, **sent.pop("headers", {})}
    delays = []
    for _ in range(RUNS):
        surface.upstream.clear()
        with (
            httpx.Client(trust_env=False, timeout=10) as client,
            client.stream("POST", f"{surface.gateway.origin}/v1/{path}", headers=headers, **sent) as answer,
        ):
            assert answer.status_code == 200, answer.read()
            next(answer.iter_raw())
        moment = time.time()
        wait_until(lambda: surface.upstream.requests()[-1]["disconnected"], 5)
        delays.append(surface.upstream.requests()[-1]["disconnected_at"] - moment)
    assert min(delays) <= PROMISED_SECONDS, delays
    assert max(delays) <= BOUND_SECONDS, delays


# --- the contract's headers ---------------------------------------------------------------------------------


def send(surface: Surface, name: str, sound: bytes, **headers: str) -> httpx.Response:
    path, sent = request_of(surface, name, sound)
    given = {**sent.pop("headers", {}), **{key.replace("_", "-"): value for key, value in headers.items()}}
    given["authorization"] = f"Bearer {surface.ada}"
    return surface.gateway.http.post(f"{surface.gateway.origin}/v1/{path}", headers=given, **sent)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("name", STREAMS)
def test_timeouts_and_metadata(surface: Surface, sound: bytes, name: str) -> None:
    answer = send(surface, name, sound, x_sandbox="latency=3000", x_tfy_request_timeout="150")
    assert_ours(answer, 504, "upstream_timeout")
    tagged = send(surface, name, sound, x_tfy_metadata=json.dumps({"stream": name}))
    assert tagged.status_code == 200
    (record,) = surface.installation.records(1, metadata__stream=name)
    assert record["request_id"] == tagged.headers["x-request-id"]
    assert record["upstream_status"] == 200
    assert record["bytes_out"] > 0


@pytest.mark.parametrize("name", ["images", "a-transcription"])
def test_a_first_token_that_does_not_come(surface: Surface, sound: bytes, name: str) -> None:
    answer = send(surface, name, sound, x_sandbox="hang", x_tfy_ttft_timeout_ms="150")
    assert_ours(answer, 408, "first_token_timeout")


def test_a_first_token_that_does_not_come_when_the_stream_is_asked_for_late(surface: Surface) -> None:
    def part(name: str, value: str) -> bytes:
        return f'--gate\r\ncontent-disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()

    def body() -> Iterator[bytes]:
        yield part("model", "media/gpt-4o-transcribe")
        time.sleep(0.4)  # longer than the first token may take: the call is under way, and no stream yet
        yield part("stream", "true") + b"--gate--\r\n"

    headers = {
        "authorization": f"Bearer {surface.ada}",
        "content-type": "multipart/form-data; boundary=gate",
        "x-sandbox": "hang",
        "x-tfy-ttft-timeout-ms": "150",
    }
    url = f"{surface.gateway.origin}/v1/audio/transcriptions"
    assert_ours(surface.gateway.http.post(url, headers=headers, content=body()), 408, "first_token_timeout")


@pytest.mark.parametrize(("name", "outcome"), [("speech", (200, 2)), ("an-edit", (503, 1))])
def test_retries_but_not_of_what_streamed_through(
    surface: Surface, sound: bytes, name: str, outcome: tuple[int, int]
) -> None:
    """An upload is sent once: the first of it leaves behind the head, before this answer comes."""
    answer = send(
        surface,
        name,
        sound,
        x_sandbox=f"status=503 latency=200 times=1 key=retry-{name}",
        x_tfy_retry_config='{"attempts": 2}',
    )
    requests = surface.upstream.requests()
    assert (answer.status_code, len(requests)) == outcome


# --- large and slow -----------------------------------------------------------------------------------------


def test_a_large_file_goes_in_and_comes_out_slowly(surface: Surface) -> None:
    sdk = surface.sdk(account="wide")
    content = bytes(range(256)) * (LARGE_BYTES // 256)
    container = sdk.containers.create(name="large")
    made = sdk.containers.files.create(container.id, file=("large.bin", content))
    digest = hashlib.sha256()
    with sdk.containers.files.content.with_streaming_response.retrieve(made.id, container_id=container.id) as answer:
        for number, piece in enumerate(answer.iter_bytes(MEGABYTE)):
            if number < 5:
                time.sleep(0.05)
            digest.update(piece)
    assert digest.hexdigest() == hashlib.sha256(content).hexdigest()


def test_a_large_image_in_a_body(surface: Surface) -> None:
    link = "data:image/png;base64," + "A" * (8 * MEGABYTE)
    body = {"model": "media/gpt-image-1", "prompt": "a", "images": [{"image_url": link}]}
    answer = surface.gateway.post(surface.ada, "/v1/images/edits", body)
    assert answer.status_code == 200, answer.text[:300]
    assert surface.upstream.requests()[-1]["body_bytes"] > 8 * MEGABYTE
