"""What bounds sessions: time, silence, number, and the server's end."""

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.gateway.realtime.conftest import Scripted, seed
from tests.support.fixtures import ACCOUNT, USER
from tests.support.installation import Gateway, Installation
from tests.support.sandbox_process import SandboxProcess
from tests.support.servers import wait_until
from tests.support.talk import MODEL, client, dial, events_until, refusal, say, text_session

BOUNDS = {
    "GATEHOUSE_REALTIME_MAX_SECONDS": "3",
    "GATEHOUSE_REALTIME_IDLE_SECONDS": "1",
    "GATEHOUSE_REALTIME_SESSIONS_PER_SUBJECT": "2",
    "GATEHOUSE_REALTIME_SESSIONS_PER_ACCOUNT": "3",
    "GATEHOUSE_DRAIN_SECONDS": "6",
}


class Bounded:
    """An installation with tight bounds: two server processes, and tokens of two people."""

    def __init__(self, installation: Installation) -> None:
        self.installation = installation
        self.token: str = installation.do("token", "ada", user=USER)
        self.other: str = installation.do("token", "bob", user="bob@example.com")
        self.first = installation.gateway()
        self.second = installation.gateway()


@pytest.fixture(scope="module")
def bounded(
    tmp_path_factory: pytest.TempPathFactory, migrated_data: Path, realtime_upstream: SandboxProcess
) -> Iterator[Bounded]:
    with Installation(tmp_path_factory.mktemp("bounded") / "data", migrated_data, BOUNDS) as installation:
        seed(installation, realtime_upstream)
        yield Bounded(installation)


async def test_a_silent_session_ends(bounded: Bounded) -> None:
    async with dial(bounded.first, bounded.token) as socket:
        await socket.event()
        started = time.monotonic()
        event = await socket.until("error")
        assert event["error"]["code"] == "session_idle"
        assert await socket.closed() == (4408, "session_idle")
        assert 0.8 < time.monotonic() - started < 2


async def test_a_long_session_ends(bounded: Bounded) -> None:
    async with dial(bounded.first, bounded.token) as socket:
        started = time.monotonic()
        talking = asyncio.create_task(_keep_talking(socket))
        event = await socket.until("error")
        talking.cancel()
        assert event["error"]["code"] == "session_expired"
        assert await socket.closed() == (4408, "session_expired")
        assert 2.5 < time.monotonic() - started < 4.5


async def _keep_talking(socket: Any) -> None:
    while True:
        await socket.send("input_audio_buffer.clear")
        await asyncio.sleep(0.2)


async def test_sessions_are_counted_over_all_workers(bounded: Bounded) -> None:
    async with dial(bounded.first, bounded.token), dial(bounded.second, bounded.token):
        for gateway in (bounded.first, bounded.second):
            status, error = await refusal(gateway, bounded.token)
            assert (status, error["code"]) == (429, "too_many_sessions")
            assert USER in error["message"]
        async with dial(bounded.second, bounded.other):
            status, error = await refusal(bounded.first, bounded.other)
            assert (status, error["code"]) == (429, "too_many_sessions")
            assert "openai-main" in error["message"]
    # The slots are free again once the sessions are over: within a second, however often.
    for _ in range(5):
        async with freed(bounded.first, bounded.token), freed(bounded.second, bounded.token):
            await asyncio.sleep(0)


@asynccontextmanager
async def freed(gateway: Gateway, token: str) -> AsyncIterator[None]:
    """A session that may have to wait a second for a slot of one that has just ended."""
    deadline = time.monotonic() + 1
    async with AsyncExitStack() as stack:
        while True:
            try:
                await stack.enter_async_context(dial(gateway, token))
                break
            except aiohttp.WSServerHandshakeError as refused:
                if refused.status != 429 or time.monotonic() > deadline:
                    raise
                await asyncio.sleep(0.05)
        yield


async def test_the_server_ends_gracefully(bounded: Bounded) -> None:
    gateway, token = bounded.installation.gateway(env={"GATEHOUSE_REALTIME_IDLE_SECONDS": "60"}), bounded.token
    async with dial(gateway, token) as idle, client(gateway, token).realtime.connect(model=MODEL) as busy:
        await idle.event()
        await text_session(busy)
        await say(busy, "[[sandbox: tokens=40 token-delay=25]]")
        await events_until(busy, "response.output_text.delta")
        gateway.process.send_signal(signal.SIGTERM)
        assert (await idle.closed())[0] == 1001
        done = (await events_until(busy, "response.done"))[-1].response
        assert (done.status, len(done.output)) == ("completed", 1)
        await busy._connection.wait_closed()
        assert (busy._connection.close_code, busy._connection.close_reason) == (1001, "shutting_down")
    assert await asyncio.to_thread(gateway.process.wait, 15) in (0, -signal.SIGTERM)
    assert _last(bounded, USER, "realtime")["output_tokens"] == 40


async def test_the_server_does_not_wait_for_ever(bounded: Bounded) -> None:
    gateway = bounded.installation.gateway(env={"GATEHOUSE_REALTIME_MAX_SECONDS": "60", "GATEHOUSE_DRAIN_SECONDS": "4"})
    async with client(gateway, bounded.other).realtime.connect(model=MODEL) as busy:
        await text_session(busy)
        await say(busy, "[[sandbox: tokens=5000 token-delay=25]]")
        await events_until(busy, "response.output_text.delta")
        started = time.monotonic()
        gateway.process.send_signal(signal.SIGTERM)
        async for _ in busy:
            continue
        assert busy._connection.close_code == 1001
        assert time.monotonic() - started < 4
    await asyncio.to_thread(gateway.process.wait, 15)
    assert _last(bounded, "bob@example.com", "realtime")["output_tokens"] > 0
    assert _last(bounded, "bob@example.com", "realtime_session")["error_class"] == "shutting_down"


def _last(bounded: Bounded, subject: str, operation: str) -> dict[str, Any]:
    """The last record of its kind; the process that wrote it is gone, so all of them are there."""
    rows: list[dict[str, Any]] = bounded.installation.records(subject_name=subject)
    return [row for row in rows if row["operation"] == operation][-1]


@pytest.mark.parametrize(
    ("code", "reason"), [(1000, ""), (1001, "bye"), (3000, "ours"), (4999, "ünd Schluss"), (1011, "")]
)
async def test_the_clients_close_goes_on(voice_token: str, code: int, reason: str, scripted_either: Scripted) -> None:
    scripted = scripted_either
    async with dial(scripted.gateway, voice_token, scripted.path) as socket:
        await socket.socket.close(code=code, message=reason.encode())
    assert await scripted.closed() == (code, reason)


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (1000, "done"),
        (1001, ""),
        (1008, "policy"),
        (1011, "broken"),
        (1013, "later"),
        (4001, "ünd Schluss"),
        (None, ""),
    ],
)
async def test_the_upstreams_close_goes_on(
    voice_token: str, code: int | None, reason: str, scripted_either: Scripted
) -> None:
    scripted = scripted_either
    scripted.close = (code, reason)
    async with dial(scripted.gateway, voice_token, scripted.path) as socket:
        assert await socket.closed() == (1000 if code is None else code, reason)


async def test_no_budget_moves_a_response_to_another_account(bounded: Bounded) -> None:
    """Its cheaper target gets the same caller's calls over HTTP, but a socket is one account's."""
    user, asked = "thrifty@example.com", f"{ACCOUNT}/gpt-4o-mini"
    cheaper = "other/gpt-4o-mini"
    bounded.installation.apply(
        {
            "type": "tenant-budget-config",
            "name": "thrifty",
            "when": {"subjects": {"users": {"in": [user]}}},
            "limits": {"cost_per_day": 10},
            "applies_to": {"type": "aggregate"},
            "mode": "enforce",
            "cheaper": {"from_percent": 0.0001, "target": cheaper},
        }
    )
    with bounded.first.sdk(bounded.first.token("thrifty-http", user=user)) as sdk:
        call = sdk.responses.with_raw_response.create
        wait_until(lambda: call(model=asked, input="hi").headers["x-tfy-resolved-model"] == cheaper)
    token = bounded.first.token("thrifty-socket", user=user)
    async with dial(bounded.first, token, f"/live/{ACCOUNT}/responses") as socket:
        for _ in range(2):
            await socket.send("response.create", model=asked, input="hi")
            await socket.until("response.completed")
    rows = bounded.installation.records(2, token_prefix=token[:10], operation__exact="responses")
    assert {row["account"] for row in rows} == {ACCOUNT}
