"""What is measured: a row per server, in the order in which they run and stand in the tables."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass

from benchmarks.servers import direct, gatehouse, litellm, nginx, portkey
from benchmarks.servers.base import Host, Running


@dataclass(frozen=True)
class Server:
    """A server: its key on the command line, its title in tables, how to start it, and its version."""

    key: str
    title: str
    start: Callable[[Host], AbstractContextManager[Running]]
    version: Callable[[], str]


SERVERS = (
    Server("direct", "upstream itself (no gateway)", direct.start, direct.version),
    Server("nginx", "nginx (bare proxy)", nginx.start, nginx.version),
    Server("gatehouse", "Gatehouse (governance on)", gatehouse.start, gatehouse.version),
    Server("portkey", "Portkey gateway", portkey.start, portkey.version),
    Server("litellm", "LiteLLM proxy (1 worker, no database)", litellm.start, litellm.version),
)
BY_KEY = {server.key: server for server in SERVERS}
