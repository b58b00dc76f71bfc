"""Both clients in both event loops that a server may run in: uvloop under ``manage.py serve``, asyncio's under
daphne.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import uvloop

from providers.upstream.aiohttp_client import AiohttpClient
from providers.upstream.client import UpstreamClient
from providers.upstream.lean import LeanClient

CLIENTS = {"lean": LeanClient, "aiohttp": AiohttpClient}


def pytest_asyncio_loop_factories(config: Any, item: Any) -> dict[str, Any]:
    return {"uvloop": uvloop.new_event_loop, "asyncio": asyncio.new_event_loop}


@pytest.fixture
def dialable(settings: Any) -> None:
    """This machine is a public address, for a while."""
    settings.EGRESS_ALLOW = ["127.0.0.0/8"]


@pytest.fixture(params=list(CLIENTS))
async def client(request: pytest.FixtureRequest, dialable: None) -> AsyncIterator[UpstreamClient]:
    made = CLIENTS[request.param]()
    yield made
    await made.close()


@pytest.fixture
async def lean(dialable: None) -> AsyncIterator[LeanClient]:
    made = LeanClient()
    yield made
    await made.close()


def pytest_collection_modifyitems(config: Any, items: list[pytest.Item]) -> None:
    """Leave aiohttp in asyncio's loop out: it is the fallback, and the time is better spent."""
    items[:] = [item for item in items if not ("asyncio" in item.keywords and "[asyncio-aiohttp" in item.name)]
