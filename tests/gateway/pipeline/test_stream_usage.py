"""Upstreams that refuse ``stream_options``: asked once more without, and never because of a caller's own fault."""

import asyncio
import json
from typing import Any

import httpx
import pytest

from tests.support.calls import chat
from tests.support.fixtures import InstallationMaker
from tests.support.installation import Gateway
from tests.support.manifests import chat_model, provider
from tests.support.raw_upstream import Peer, RawServer, serving

CHUNK = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m"}
DELTA = {**CHUNK, "choices": [{"index": 0, "delta": {"content": "Hi"}, "finish_reason": "stop"}]}
STREAM = f"data: {json.dumps(DELTA)}\n\ndata: [DONE]\n\n".encode()
REFUSAL = {
    "detail": [{"type": "extra_forbidden", "loc": ["body", "stream_options"], "msg": "Extra inputs are not permitted"}]
}


def answer(status: str, kind: str, body: bytes) -> bytes:
    return f"HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body


async def strict(peer: Peer) -> None:
    """A server that validates its input strictly; nothing pleases it when it is called ``grumpy``."""
    while True:
        _, _, body = await peer.request()
        fields = json.loads(body)
        if "stream_options" in fields or fields["model"] == "grumpy":
            await peer.send(answer("422 Unprocessable", "application/json", json.dumps(REFUSAL).encode()))
        else:
            await peer.send(answer("200 OK", "text/event-stream", STREAM))


def asked(server: RawServer) -> list[bool]:
    """Whether each request so far had ``stream_options``."""
    return [b'"stream_options"' in body for _, _, body in server.requests]


@pytest.fixture
def prepare(make_installation: InstallationMaker) -> Any:
    """A gateway in front of a server, and a token."""

    def make(origin: str, **fields: Any) -> tuple[Gateway, str]:
        installation = make_installation(seeded=False)
        models = [chat_model("m"), chat_model("grumpy")]
        installation.apply(provider("strict", f"{origin}/v1", models=models, **fields))
        gateway = installation.gateway()
        return gateway, gateway.token("ada", user="ada@example.com")

    return make


async def call(gateway: Gateway, token: str, model: str = "strict/m", **fields: Any) -> httpx.Response:
    body = chat(model=model, stream=True, **fields)
    return await asyncio.to_thread(gateway.post, token, "/v1/chat/completions", body)


async def test_it_is_asked_once_more_and_then_never_again(prepare: Any) -> None:
    async with serving(strict) as server:
        gateway, token = await asyncio.to_thread(prepare, server.origin)
        for _ in range(3):
            response = await call(gateway, token)
            assert (response.status_code, response.content) == (200, STREAM)
        assert asked(server) == [True, False, False, False]
        records = await asyncio.to_thread(gateway.installation.records, 4)
        assert sorted((row["upstream_status"], row["attempt_number"]) for row in records) == [
            (200, 1),
            (200, 1),
            (200, 2),
            (422, 1),
        ]


async def test_a_converted_call_is_asked_once_more_too(prepare: Any) -> None:
    """Anthropic's clients in front of a server that speaks OpenAI's dialect, strictly."""
    body = {"model": "strict/m", "max_tokens": 9, "stream": True, "messages": [{"role": "user", "content": "hi"}]}
    async with serving(strict) as server:
        gateway, token = await asyncio.to_thread(prepare, server.origin)
        for _ in range(2):
            response = await asyncio.to_thread(gateway.post, token, "/v1/messages", body)
            assert response.status_code == 200, response.text
            assert '"text":"Hi"' in response.text
        assert asked(server) == [True, False, False]


async def test_a_fault_of_a_callers_own_switches_nothing_off(prepare: Any) -> None:
    async with serving(strict) as server:
        gateway, token = await asyncio.to_thread(prepare, server.origin)
        for _ in range(2):
            response = await call(gateway, token, "strict/grumpy")
            assert (response.status_code, response.json()) == (422, REFUSAL)
        assert asked(server) == [True, False, True, False]


async def test_what_the_caller_asks_for_is_the_callers(prepare: Any) -> None:
    async with serving(strict) as server:
        gateway, token = await asyncio.to_thread(prepare, server.origin)
        response = await call(gateway, token, stream_options={"include_usage": True})
        assert response.status_code == 422
        assert asked(server) == [True]


@pytest.mark.parametrize(("setting", "expected"), [("never", [False]), ("always", [True, False])])
async def test_the_accounts_switch(prepare: Any, setting: str, expected: list[bool]) -> None:
    async with serving(strict) as server:
        gateway, token = await asyncio.to_thread(prepare, server.origin, stream_usage=setting)
        assert (await call(gateway, token)).status_code == 200
        assert asked(server) == expected
