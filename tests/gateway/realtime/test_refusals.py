"""Who and what is refused before the upstream is connected to, and in which words."""

import base64
import json
import socket
from typing import Any
from urllib.parse import quote

import aiohttp
import pytest
from multidict import CIMultiDict

from tests.support.fixtures import ACCOUNT
from tests.support.installation import Gateway
from tests.support.sandbox_process import SandboxProcess
from tests.support.servers import wait_until
from tests.support.talk import MODEL, address, dial, refusal

REALTIME = f"/live/{ACCOUNT}/realtime"
REFUSALS: list[tuple[str, str, int, str]] = [
    ("an unknown account", f"/live/nobody/realtime?model={MODEL}", 404, "provider_account_not_found"),
    ("an account of others", f"/live/foreign/realtime?model={MODEL}", 404, "provider_account_not_found"),
    ("a disabled account", f"/live/off/realtime?model={MODEL}", 403, "provider_account_disabled"),
    ("an unknown model", f"{REALTIME}?model=gpt-nothing", 404, "model_not_found"),
    ("a model that is not listed", f"{REALTIME}?model=gpt-realtime-2", 404, "model_not_found"),
    ("a model of another account", f"{REALTIME}?model=other/gpt-4o-mini", 400, "model_on_other_account"),
    ("a model for other calls", f"{REALTIME}?model=gpt-4o-mini", 400, "unsupported_model_type"),
    ("no model", REALTIME, 400, "missing_required_parameter"),
    ("no model of a translation", f"{REALTIME}/translations", 400, "missing_required_parameter"),
    ("an unknown call to join", f"{REALTIME}?call_id=rtc_1", 404, "not_found"),
    ("two calls to join", f"{REALTIME}?call_id=rtc_1&Call_ID=rtc_2", 400, "invalid_value"),
    ("a call to join in a translation", f"{REALTIME}/translations?call_id=rtc_1", 400, "invalid_value"),
    ("an unknown path", f"/live/{ACCOUNT}/nothing", 404, "unknown_url"),
    ("a path elsewhere", "/elsewhere", 404, "unknown_url"),
    ("an unknown model below a prefix", "/v1/realtime?model=openai-main/nothing", 404, "model_not_found"),
]
each_refusal = pytest.mark.parametrize(
    ("path", "status", "code"), [row[1:] for row in REFUSALS], ids=[row[0].replace(" ", "-") for row in REFUSALS]
)


@each_refusal
async def test_a_handshake_is_refused_with_a_status(
    voices: Gateway, voice_token: str, realtime_upstream: SandboxProcess, path: str, status: int, code: str
) -> None:
    realtime_upstream.clear()
    answered, error = await refusal(voices, voice_token, path)
    assert (answered, error["code"]) == (status, code)
    assert error["message"]
    assert realtime_upstream.requests() == []


@each_refusal
async def test_daphne_opens_and_says_why(daphne: Gateway, voice_token: str, path: str, status: int, code: str) -> None:
    async with dial(daphne, voice_token, path) as socket:
        event = await socket.event()
        assert (event["type"], event["status"], event["error"]["code"]) == ("error", status, code)
        assert (await socket.closed())[0] == {400: 4400, 403: 4403, 404: 4404}[status]


@pytest.mark.parametrize(
    ("token", "code"),
    [
        ("", "missing_api_key"),
        ("sk-wrong", "invalid_api_key"),
        ("ek_gh_wrong", "invalid_api_key"),
        ("ek_gh_", "invalid_api_key"),
    ],
)
async def test_tokens_that_open_nothing(voices: Gateway, token: str, code: str) -> None:
    status, error = await refusal(voices, token)
    assert (status, error["code"]) == (401, code)


async def test_a_header_that_was_sent_twice(voices: Gateway, voice_token: str) -> None:
    headers = CIMultiDict([("x-tfy-provider-name", ACCOUNT), ("x-tfy-provider-name", "other")])
    path = f"/v1/realtime?model={MODEL}"
    headers["authorization"] = f"Bearer {voice_token}"
    with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
        async with aiohttp.ClientSession() as session:
            await session.ws_connect(address(voices, path), headers=headers)
    assert caught.value.status == 400


async def test_a_revoked_token(voices: Gateway) -> None:
    token = voices.token("short-lived", user="eve@example.com")
    voices.installation.do("revoke", "short-lived")
    wait_until(lambda: voices.get(token, "/v1/models").status_code == 401)
    status, error = await refusal(voices, token)
    assert (status, error["code"]) == (401, "token_revoked")


async def test_a_token_that_is_limited_to_another_model(voices: Gateway) -> None:
    token = voices.token("narrow", limits=[f"{ACCOUNT}/gpt-4o-mini"], user="ada@example.com")
    assert (await refusal(voices, token))[1]["code"] == "model_not_found"
    token = voices.token("narrower", limits=[f"{ACCOUNT}/{MODEL}"], user="ada@example.com")
    async with dial(voices, token) as socket:
        assert (await socket.event())["type"] == "session.created"


async def test_the_upstreams_refusal_comes_with_its_status(voices: Gateway, voice_token: str) -> None:
    status, error = await refusal(voices, voice_token, f"{REALTIME}?model={MODEL}&x-sandbox=status%3D429")
    assert (status, error["code"]) == (429, "upstream_refused")


async def test_a_redirect_is_not_followed(voices: Gateway, voice_token: str, realtime_upstream: SandboxProcess) -> None:
    realtime_upstream.clear()
    elsewhere = quote(f"redirect={realtime_upstream.url}/realtime?model={MODEL}", safe="")
    status, error = await refusal(voices, voice_token, f"{REALTIME}?model={MODEL}&x-sandbox={elsewhere}")
    assert (status, error["code"]) == (502, "upstream_broken_answer")
    assert len(realtime_upstream.requests()) == 1


async def test_an_object_of_others_in_the_address(voices: Gateway, voice_token: str) -> None:
    status, error = await refusal(voices, voice_token, f"{REALTIME}?model={MODEL}&conversation=conv_of_others")
    assert (status, error["code"]) == (404, "not_found")


async def test_an_upstream_that_is_away(voices: Gateway, voice_token: str) -> None:
    status, error = await refusal(voices, voice_token, f"{REALTIME}?model={MODEL}&x-sandbox=cut")
    assert (status, error["code"]) == (502, "upstream_disconnected")


@pytest.mark.parametrize(
    ("headers", "protocols"),
    [
        ({"api-key": "TOKEN"}, ()),
        ({"authorization": "bearer TOKEN"}, ()),
        ({}, ("realtime", "openai-insecure-api-key.TOKEN")),
        ({}, ("realtime", "openai-insecure-api-key.TOKEN", "openai-beta.realtime-v1")),
    ],
)
async def test_every_way_to_present_a_token(
    server: Gateway,
    voice_token: str,
    realtime_upstream: SandboxProcess,
    headers: dict[str, str],
    protocols: tuple[str, ...],
) -> None:
    realtime_upstream.clear()
    given = {name: value.replace("TOKEN", voice_token) for name, value in headers.items()}
    offered = tuple(each.replace("TOKEN", voice_token) for each in protocols)
    async with dial(server, "", headers=given, protocols=offered) as socket:
        assert (await socket.event())["type"] == "session.created"
        assert socket.socket.protocol == ("realtime" if protocols else None)
    sent = dict(realtime_upstream.requests()[0]["headers"])
    assert sent["authorization"] == "Bearer sk-sandbox"
    assert voice_token not in str(sent)
    assert sent.get("openai-beta") == ("realtime=v1" if len(protocols) == 3 else None)


@pytest.mark.parametrize(
    "path",
    [
        f"/live/{ACCOUNT}?model={MODEL}",
        f"/live/{ACCOUNT}/realtime?model={ACCOUNT}/{MODEL}",
        f"/v1/realtime?model={ACCOUNT}/{MODEL}",
        f"/api/llm/realtime?model={ACCOUNT}/{MODEL}",
        f"/api/llm/v1/realtime?model={ACCOUNT}/{MODEL}",
        f"/api/llm/api/inference/openai/realtime?model={ACCOUNT}/{MODEL}",
        f"/v1/realtime?model={MODEL}",
        f"/live/{ACCOUNT}/realtime?model=voice",
        f"/live/{ACCOUNT}/realtime?model=gpt-realtime&key=secret&token=secret",
    ],
)
async def test_every_address(voices: Gateway, voice_token: str, realtime_upstream: SandboxProcess, path: str) -> None:
    realtime_upstream.clear()
    async with dial(voices, voice_token, path) as socket:
        session = (await socket.event())["session"]
        resolved = socket.socket._response.headers["x-tfy-resolved-model"]
    expected = "gpt-realtime" if "voice" in path or "gpt-realtime" in path else MODEL
    assert session["model"] == expected
    assert resolved == f"{ACCOUNT}/{'voice' if expected == 'gpt-realtime' else MODEL}"
    assert realtime_upstream.requests()[0]["query"] == f"model={expected}"


async def test_the_account_from_the_header(voices: Gateway, voice_token: str) -> None:
    headers = {"x-tfy-provider-name": ACCOUNT}
    async with dial(voices, voice_token, f"/v1/realtime?model={MODEL}", headers=headers) as socket:
        assert (await socket.event())["type"] == "session.created"
    status, error = await refusal(
        voices, voice_token, f"/v1/realtime?model={MODEL}", headers={"x-tfy-provider-name": "other"}
    )
    assert (status, error["code"]) == (404, "model_not_found")


# --- events that are checked like requests ------------------------------------------------------------------

FILE_PART = {"type": "message", "role": "user", "content": [{"type": "input_image", "file_id": "file-of-somebody"}]}
TRANSCRIBER = {"audio": {"input": {"transcription": {"model": "whisper-1"}}}}
DUPLICATE = '{"type":"session.update","session":{"model":"gpt-realtime-2","model":"gpt-4o-realtime-preview"}}'
ESCAPED = '{"type":"session.update","session":{"\\u006dodel":"gpt-realtime-2"}}'
EVENTS: list[tuple[str, Any, str]] = [
    ("another model", {"type": "session.update", "session": {"model": "gpt-realtime-2"}}, "model_not_found"),
    ("a model's hidden name", ESCAPED, "model_not_found"),
    (
        "a model without the type",
        {"type": "session.update", "session": {"model": "gpt-4o-mini"}},
        "unsupported_model_type",
    ),
    ("another transcriber", {"type": "session.update", "session": TRANSCRIBER}, "model_not_found"),
    ("a file of others", {"type": "conversation.item.create", "item": FILE_PART}, "not_found"),
    ("a conversation", {"type": "response.create", "response": {"conversation": "conv_of_others"}}, "not_found"),
    ("a name twice", '{"type":"response.create","type":"session.update"}', "duplicate_field"),
    ("no JSON", "hello", "invalid_json"),
    ("a list", "[]", "invalid_json"),
]


@pytest.mark.parametrize(("event", "code"), [row[1:] for row in EVENTS], ids=[row[0] for row in EVENTS])
@pytest.mark.parametrize("binary", [False, True], ids=["text", "bytes"])
async def test_an_event_is_refused(
    voices: Gateway,
    voice_token: str,
    realtime_upstream: SandboxProcess,
    event: Any,
    code: str,
    binary: bool,
) -> None:
    realtime_upstream.clear()
    text = event if isinstance(event, str) else json.dumps({**event, "event_id": "mine"})
    async with dial(voices, voice_token) as socket:
        await socket.event()
        await (socket.socket.send_bytes(text.encode()) if binary else socket.socket.send_str(text))
        answer = await socket.event()
        assert (answer["type"], answer["error"]["code"]) == ("error", code)
        assert answer["error"]["event_id"] == ("mine" if not isinstance(event, str) else None)
        await socket.send("input_audio_buffer.clear")
        await socket.until("input_audio_buffer.cleared")
    assert realtime_upstream.requests()[0]["messages"] == ['{"type": "input_audio_buffer.clear"}']


async def test_names_that_stand_twice_mean_one_thing(
    voices: Gateway, voice_token: str, realtime_upstream: SandboxProcess
) -> None:
    realtime_upstream.clear()
    async with dial(voices, voice_token) as socket:
        await socket.event()
        await socket.socket.send_str(DUPLICATE)
        await socket.until("session.updated")
    assert realtime_upstream.requests()[0]["messages"] == [
        '{"type":"session.update","session":{"model":"gpt-4o-realtime-preview"}}'
    ]


async def test_other_encodings_are_refused(voices: Gateway, voice_token: str) -> None:
    hidden = '{"type":"session.update","session":{"model":"gpt-realtime-2"}}'
    async with dial(voices, voice_token) as socket:
        await socket.event()
        for encoding in ("utf-16", "utf-16-le", "utf-32", "utf-8-sig"):
            await socket.socket.send_bytes(hidden.encode(encoding))
            assert (await socket.event())["error"]["code"] in ("invalid_encoding", "invalid_json")


async def test_frames_pass_as_they_came(voices: Gateway, voice_token: str, realtime_upstream: SandboxProcess) -> None:
    realtime_upstream.clear()
    sound = base64.b64encode(bytes(4800)).decode()
    frames = [
        f'{{ "type" : "input_audio_buffer.append",\n "audio":"{sound}"}}',
        '{"type":"response.create",'
        '"response":{"conversation":"none","input":[{"type":"item_reference","id":"item_1"}]}}',
        '{"type":"something.new","naïve":"☃"}',
    ]
    async with dial(voices, voice_token) as socket:
        for frame in frames:
            await socket.socket.send_str(frame)
        await socket.socket.send_bytes(frames[0].encode())
        await socket.send("input_audio_buffer.clear")
        await socket.until("input_audio_buffer.cleared")
    found = realtime_upstream.requests()[0]["messages"]
    assert found[:4] == [*frames, base64.b64encode(frames[0].encode()).decode()]


async def test_bytes_that_are_no_event_are_refused(
    voices: Gateway, voice_token: str, realtime_upstream: SandboxProcess
) -> None:
    realtime_upstream.clear()
    async with dial(voices, voice_token) as socket:
        await socket.event()
        for message in (b"\x00\x01\xff", b'\x0b{"ty\\u0070e":"session.update","session":{"model":"gpt-realtime-2"}}'):
            await socket.socket.send_bytes(message)
            assert (await socket.event())["error"]["code"] in ("invalid_encoding", "invalid_json")
        await socket.send("input_audio_buffer.clear")
        await socket.until("input_audio_buffer.cleared")
    assert realtime_upstream.requests()[0]["messages"] == ['{"type": "input_audio_buffer.clear"}']


BROKEN_HANDSHAKES = {
    "no key": "sec-websocket-version: 13\r\n",
    "another version": "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-version: 7\r\n",
    "a bad key": "sec-websocket-key: short\r\nsec-websocket-version: 13\r\n",
    "no version": "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
}


def handshake(gateway: Gateway, token: str, path: str, headers: str) -> bytes:
    """What a server answers to a handshake with ``headers``."""
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=10) as raw:
        raw.sendall(
            f"GET {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer {token}\r\n"
            f"connection: upgrade\r\nupgrade: websocket\r\n{headers}\r\n".encode()
        )
        return raw.recv(2**16)


@pytest.mark.parametrize("server", ["voices", "daphne"])
async def test_refused_handshakes_write_no_error_line(
    request: pytest.FixtureRequest, voice_token: str, server: str
) -> None:
    """They are the client's faults: a line that wakes an operator would be for anyone to write."""
    gateway: Gateway = request.getfixturevalue(server)
    for _, path, _, _ in REFUSALS[:4]:
        if server == "voices":
            await refusal(gateway, voice_token, path)
        else:
            async with dial(gateway, voice_token, path) as opened:
                await opened.event()
    if server == "voices":
        await refusal(gateway, "sk-wrong")
    for headers in BROKEN_HANDSHAKES.values():
        assert handshake(gateway, voice_token, f"{REALTIME}?model={MODEL}", headers).startswith(b"HTTP/1.1 4")
    assert [line for line in gateway.log.splitlines() if "ERROR" in line or "Traceback" in line] == []
