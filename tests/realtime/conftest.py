"""An installation whose accounts have models for every kind of socket, behind a gateway and beside a sandbox of its own."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fixtures import ACCOUNT, USER
from tests.gateway.manifests import provider
from tests.gateway.server import Gateway, House
from tests.sandbox.server import SandboxProcess

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


def furnish(house: House, upstream: SandboxProcess) -> None:
    """Set up ``openai-main`` for everybody, ``other`` with a chat model, ``foreign`` for nobody, ``off`` switched off."""
    house.apply(
        provider(ACCOUNT, upstream.url, models=MODELS),
        provider("other", upstream.url, models=["gpt-4o-mini"]),
        provider("foreign", upstream.url, models=["gpt-4o-realtime-preview"], access=()),
        provider("off", upstream.url, models=["gpt-4o-realtime-preview"]),
    )
    house.do("change_account", "off", enabled=False)


@pytest.fixture(scope="session")
def realtime_upstream() -> Iterator[SandboxProcess]:
    with SandboxProcess() as sandbox:
        yield sandbox


@pytest.fixture(scope="session")
def realtime_house(
    tmp_path_factory: pytest.TempPathFactory, migrated_data: Path, realtime_upstream: SandboxProcess
) -> Iterator[House]:
    with House(tmp_path_factory.mktemp("realtime") / "data", migrated_data) as house:
        furnish(house, realtime_upstream)
        yield house


@pytest.fixture(scope="session")
def voice_token(realtime_house: House) -> str:
    token: str = realtime_house.do("token", "voice", user=USER)
    return token


@pytest.fixture(scope="session")
def voices(realtime_house: House, voice_token: str) -> Gateway:
    """The session's gateway for sockets, under uvicorn; after the token is made, so that it knows it at once."""
    return realtime_house.gateway()


@pytest.fixture(scope="session")
def daphne(realtime_house: House, voice_token: str) -> Gateway:
    """The same installation served by daphne."""
    return realtime_house.gateway(server="daphne")


@pytest.fixture(params=["voices", "daphne"])
def server(request: pytest.FixtureRequest) -> Gateway:
    """The gateway under each of the two servers."""
    found: Gateway = request.getfixturevalue(request.param)
    return found
