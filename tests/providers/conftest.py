"""Fixtures of the providers' tests."""

import threading
from collections.abc import Iterator

import pytest

from tests.support.scripted_provider import Upstream


@pytest.fixture
def upstream(settings) -> Iterator[Upstream]:
    """A running upstream at an address that may be connected to."""
    settings.EGRESS_ALLOW = ["127.0.0.1"]
    server = Upstream()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
