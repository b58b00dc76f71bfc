"""Upstreams that refuse ``stream_options``: asked once more without, and never because of a caller's own fault."""

import asyncio
import json
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.calls import chat
from tests.support.installation import Gateway, Installation
from tests.support.manifests import chat_model, provider
from tests.support.raw_upstream import Peer, RawServer, serving
from tests.support.servers import wait_until

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


Running = tuple[Gateway, str]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, migrated_data: Path) -> Iterator[Running]:
    with Installation(tmp_path_factory.mktemp("stream-usage") / "data", migrated_data) as installation:
        gateway = installation.gateway()
        yield gateway, gateway.token("ada", user="ada@example.com")


class Account:
    """An account of its own, which knows nothing of its server yet, and who may call it."""

    def __init__(self, running: Running, origin: str, **fields: Any) -> None:
        self.gateway, self.token = running
        self.name = f"strict-{secrets.token_hex(4)}"
        models = [chat_model("m"), chat_model("grumpy")]
        self.gateway.installation.apply(provider(self.name, f"{origin}/v1", models=models, **fields))
        wait_until(lambda: f'"{self.name}/m"' in self.gateway.get(self.token, "/v1/models").text)

    def post(self, path: str, model: str, body: dict[str, Any]) -> httpx.Response:
        return self.gateway.post(self.token, path, {**body, "model": f"{self.name}/{model}"})


async def account(running: Running, server: RawServer, **fields: Any) -> Account:
    return await asyncio.to_thread(Account, running, server.origin, **fields)


async def call(account: Account, model: str = "m", **fields: Any) -> httpx.Response:
    return await asyncio.to_thread(account.post, "/v1/chat/completions", model, chat(stream=True, **fields))


async def test_it_is_asked_once_more_and_then_never_again(running: Running) -> None:
    async with serving(strict) as server:
        here = await account(running, server)
        for _ in range(3):
            response = await call(here)
            assert (response.status_code, response.content) == (200, STREAM)
        assert asked(server) == [True, False, False, False]
        records = await asyncio.to_thread(here.gateway.installation.records, 4, account=here.name)
        assert sorted((row["upstream_status"], row["attempt_number"]) for row in records) == [
            (200, 1),
            (200, 1),
            (200, 2),
            (422, 1),
        ]


async def test_a_converted_call_is_asked_once_more_too(running: Running) -> None:
    """Anthropic's clients in front of a server that speaks OpenAI's dialect, strictly."""
    body = {"max_tokens": 9, "stream": True, "messages": [{"role": "user", "content": "hi"}]}
    async with serving(strict) as server:
        here = await account(running, server)
        for _ in range(2):
            response = await asyncio.to_thread(here.post, "/v1/messages", "m", body)
            assert response.status_code == 200, response.text
            assert '"text":"Hi"' in response.text
        assert asked(server) == [True, False, False]


async def test_a_fault_of_a_callers_own_switches_nothing_off(running: Running) -> None:
    async with serving(strict) as server:
        here = await account(running, server)
        for _ in range(2):
            response = await call(here, "grumpy")
            assert (response.status_code, response.json()) == (422, REFUSAL)
        assert asked(server) == [True, False, True, False]


async def test_what_the_caller_asks_for_is_the_callers(running: Running) -> None:
    async with serving(strict) as server:
        response = await call(await account(running, server), stream_options={"include_usage": True})
        assert response.status_code == 422
        assert asked(server) == [True]


@pytest.mark.parametrize(("setting", "expected"), [("never", [False]), ("always", [True, False])])
async def test_the_accounts_switch(running: Running, setting: str, expected: list[bool]) -> None:
    async with serving(strict) as server:
        assert (await call(await account(running, server, stream_usage=setting))).status_code == 200
        assert asked(server) == expected
