"""No server at all: the load goes straight to the upstream. The base line for added latency."""

from collections.abc import Iterator
from contextlib import contextmanager

from benchmarks.endpoint import Endpoint, address
from benchmarks.servers.base import Host, Running


def version() -> str:
    """There is nothing to name."""
    return ""


@contextmanager
def start(host: Host) -> Iterator[Running]:
    """Hand back the upstreams' own addresses."""

    def endpoint(path: str, which: str, model: str) -> Endpoint:
        return Endpoint(address(host.upstreams.origin(which), path, model), {}, model)

    yield Running(endpoint)
