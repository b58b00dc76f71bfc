"""One installation for the tests of images, audio, multipart bodies, passthrough and stored chats: ``surface``.

Its upstream is a sandbox of its own; ``media`` has a model of each kind, ``wide`` opens every resource, ``shut`` opens
none.
"""

import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from openai import AsyncOpenAI, OpenAI
from PIL import Image

from tests.support.installation import Gateway, Installation
from tests.support.manifests import chat_model, provider
from tests.support.sandbox_process import SandboxProcess

SKETCH_PRICE = {"metric": "per_unit", "value": {"image": [{"quality": "low", "price": "0.05"}]}}
MEDIA = (
    "gpt-4o-mini",
    "gpt-audio",
    "gpt-image-1",
    "dall-e-2",
    "dall-e-3",
    "gpt-4o-mini-tts",
    "tts-1",
    "whisper-1",
    "gpt-4o-transcribe",
    "gpt-4o-transcribe-diarize",
    {"name": "listener", "model_id": "whisper-1", "model_types": ["audio_transcription"]},
    {"name": "sketcher", "model_id": "gpt-image-1", "model_types": ["image"], "cost": SKETCH_PRICE},
)
WIDE = (
    "gpt-4o-mini",
    "gpt-4o",
    {"name": "sora-2", "model_types": ["video"]},
    "gpt-image-1",
    chat_model("named-model", model_id="gpt-4o-mini"),
)
PROXY_PATHS = ["v1/embeddings", "v1/chat/*", "v1/files", "v1/files/*", "v1/echo", "echo/*"]
ENV = {
    "GATEHOUSE_FORWARD_HEADERS": "x-sandbox",
    "GATEHOUSE_MAX_UPLOAD_MB": "256",
    "GATEHOUSE_BODY_TIMEOUT_S": "5",
    "GATEHOUSE_BACKGROUND_POLL_SECONDS": "0",  # what no one asked for must not be among the upstream's requests
}


@dataclass
class Surface:
    """The installation: its installation, its server, its upstream, and the tokens of two users and of one who may use
    nothing.
    """

    installation: Installation
    gateway: Gateway
    upstream: SandboxProcess
    ada: str
    bob: str
    stranger: str
    clients: list[OpenAI] = field(default_factory=list)

    def sdk(self, token: str = "", account: str = "", **options: Any) -> OpenAI:
        """Return the SDK of a caller (Ada), whose calls go to ``account`` when it is named."""
        headers = {"x-tfy-provider-name": account} if account else {}
        client = self.gateway.sdk(token or self.ada, default_headers=headers, **options)
        self.clients.append(client)
        return client

    def async_sdk(self, token: str = "", account: str = "") -> AsyncOpenAI:
        """Return the asynchronous SDK of a caller."""
        headers = {"x-tfy-provider-name": account} if account else {}
        return self.gateway.async_sdk(token or self.ada, default_headers=headers)

    def record(self, operation: str, act: Callable[[], Any]) -> dict[str, Any]:
        """Return the usage record that ``act`` leaves under ``operation``."""
        started = datetime.now(UTC).isoformat()
        act()
        (record,) = self.installation.records(1, operation__exact=operation, created_at__gte=started)
        return record


def seed_surface(installation: Installation, upstream_url: str) -> None:
    """Set up the accounts that :class:`Surface` describes."""
    installation.do("user", "stranger@example.com")
    people = ("user:ada@example.com", "user:bob@example.com")
    for email in ("ada@example.com", "bob@example.com"):
        installation.do("user", email)
    installation.apply(
        provider("media", upstream_url, models=MEDIA, access=people),
        provider("wide", upstream_url, models=WIDE, access=people, open_resources=["*"], proxy_paths=PROXY_PATHS),
        provider("shut", upstream_url, models=["gpt-4o-mini"], access=people),
    )


@pytest.fixture(scope="session")
def running_surface(tmp_path_factory: pytest.TempPathFactory, migrated_data: Path) -> Iterator[Surface]:
    data = tmp_path_factory.mktemp("surface") / "data"
    with SandboxProcess() as upstream, Installation(data, migrated_data, ENV) as installation:
        seed_surface(installation, upstream.url)
        tokens = [installation.do("token", name, user=f"{name}@example.com") for name in ("ada", "bob", "stranger")]
        surface = Surface(installation, installation.gateway(), upstream, *tokens)
        yield surface
        for client in surface.clients:
            client.close()


@pytest.fixture
def surface(running_surface: Surface) -> Surface:
    """The installation, its upstream with nothing recorded yet."""
    assert running_surface.gateway.process.poll() is None, running_surface.gateway.log
    running_surface.upstream.clear()
    return running_surface


def picture(width: int = 64, height: int = 64, color: str = "teal") -> bytes:
    """Return a PNG."""
    made = io.BytesIO()
    Image.new("RGBA", (width, height), color).save(made, "PNG")
    return made.getvalue()
