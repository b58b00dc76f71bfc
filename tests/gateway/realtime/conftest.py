"""An installation whose accounts have models for every kind of socket, behind a gateway and beside a sandbox of its
own.
"""

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from websockets.asyncio.server import ServerConnection
from websockets.asyncio.server import serve as websocket_server
from websockets.exceptions import ConnectionClosed

from tests.support.fixtures import ACCOUNT, USER
from tests.support.installation import Gateway, Installation
from tests.support.manifests import provider
from tests.support.sandbox_process import SandboxProcess
from tests.support.servers import wait_until

LIVE = {"name": "gpt-live-1", "model_types": ["realtime"]}
NAMED = {"name": "voice", "model_id": "gpt-realtime", "model_types": ["realtime"]}
MODELS = (
    "gpt-4o-realtime-preview",
    "gpt-realtime-mini",
    "gpt-4o-mini-transcribe",
    "gpt-realtime-translate",
    "gpt-4o-mini",
    LIVE,
    NAMED,
)


def seed(installation: Installation, upstream: SandboxProcess) -> None:
    """Set up ``openai-main`` for everyone, ``other`` with a chat model, ``foreign`` for no one, ``off`` switched
    off.
    """
    installation.apply(
        provider(ACCOUNT, upstream.url, models=MODELS),
        provider("other", upstream.url, models=["gpt-4o-mini"]),
        provider("foreign", upstream.url, models=["gpt-4o-realtime-preview"], access=()),
        provider("off", upstream.url, models=["gpt-4o-realtime-preview"]),
    )
    installation.do("change_account", "off", enabled=False)


@pytest.fixture(scope="session")
def realtime_upstream() -> Iterator[SandboxProcess]:
    with SandboxProcess() as sandbox:
        yield sandbox


@pytest.fixture(scope="session")
def realtime_installation(
    tmp_path_factory: pytest.TempPathFactory, migrated_data: Path, realtime_upstream: SandboxProcess
) -> Iterator[Installation]:
    with Installation(tmp_path_factory.mktemp("realtime") / "data", migrated_data) as installation:
        seed(installation, realtime_upstream)
        yield installation


@pytest.fixture(scope="session")
def voice_token(realtime_installation: Installation) -> str:
    token: str = realtime_installation.do("token", "voice", user=USER)
    return token


@pytest.fixture(scope="session")
def voices(realtime_installation: Installation, voice_token: str) -> Gateway:
    """The session's gateway for sockets, under uvicorn; after the token is made, so that it knows it at once."""
    return realtime_installation.gateway()


@pytest.fixture(scope="session")
def daphne(realtime_installation: Installation, voice_token: str) -> Gateway:
    """The same installation served by daphne."""
    return realtime_installation.gateway(server="daphne")


@pytest.fixture(params=["voices", "daphne"])
def server(request: pytest.FixtureRequest) -> Gateway:
    """The gateway under each of the two servers."""
    found: Gateway = request.getfixturevalue(request.param)
    return found


class Scripted:
    """An upstream that does with its sockets what a test says. ``path`` is the gateway's socket to it."""

    def __init__(self, gateway: Gateway, name: str, url: str) -> None:
        self.path = f"/live/{name}/realtime?model={name}"
        self.close: tuple[int | None, str] | None = None
        self.flood = self.sent = 0
        self.deaf = self.echoes = False
        self.says = ""
        self.hear = asyncio.Event()
        self.gateway = gateway
        self.received: list[str | bytes] = []
        self._closed: asyncio.Queue[tuple[int, str]] = asyncio.Queue()
        # The model's name is its own: one that two accounts offer would be refused without the account.
        model = {"name": name, "model_id": "gpt-realtime", "model_types": ["realtime"]}
        gateway.installation.apply(provider(name, url, models=[model]))

    async def closed(self) -> tuple[int, str]:
        """Wait for the gateway's close; return its code and reason."""
        return await asyncio.wait_for(self._closed.get(), 10)

    async def serve(self, socket: ServerConnection) -> None:
        """Serve one socket."""
        if self.close is not None:
            code, reason = self.close
            if code is None:
                socket.protocol.send_close()
                socket.transport.write(b"".join(socket.protocol.data_to_send()))
            else:
                await socket.close(code, reason)
            return
        with contextlib.suppress(ConnectionClosed):
            for number in range(self.flood):
                await socket.send(FLOOD % number)
                self.sent += 1
            if self.says:
                await socket.send(self.says)
            if self.deaf:
                await self.hear.wait()
            async for message in socket:
                self.received.append(message)
                if self.echoes:
                    await socket.send(message)
        if socket.close_code is not None:
            await self._closed.put((socket.close_code, socket.close_reason or ""))


FLOOD = '{"type":"response.output_audio.delta","event_id":"event_%06d","delta":"' + "A" * 65536 + '"}'


@contextlib.asynccontextmanager
async def scripted_behind(gateway: Gateway, token: str) -> AsyncIterator[Scripted]:
    """A scripted upstream behind an account of its own on ``gateway``."""
    name = f"scripted-{secrets.token_hex(4)}"
    async with websocket_server(lambda socket: made.serve(socket), "127.0.0.1", 0, max_size=None) as server:
        port = server.sockets[0].getsockname()[1]
        made = Scripted(gateway, name, f"http://127.0.0.1:{port}/v1")
        await asyncio.to_thread(wait_until, lambda: name in gateway.get(token, "/v1/models").text)
        yield made


@pytest.fixture
async def scripted(voices: Gateway, voice_token: str) -> AsyncIterator[Scripted]:
    """A scripted upstream behind the shared gateway under uvicorn."""
    async with scripted_behind(voices, voice_token) as made:
        yield made


@pytest.fixture
async def scripted_either(server: Gateway, voice_token: str) -> AsyncIterator[Scripted]:
    """A scripted upstream behind the shared gateway under either server, which is its ``gateway``."""
    async with scripted_behind(server, voice_token) as made:
        yield made
