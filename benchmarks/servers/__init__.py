"""What is measured: a row per server, in the order in which they run and appear in the tables."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial

from benchmarks import revisions, tools
from benchmarks.servers import direct, envoy, ferro, gatehouse, litellm, nginx, portkey, tensorzero
from benchmarks.servers.base import Host, Running

AGAINST = "against"


def nothing() -> None:
    """Prepare a server that needs nothing."""


@dataclass(frozen=True)
class Server:
    """A server: its key on the command line, its title in tables, how to start it, its version, and what it needs
    first.

    ``prepare`` may use the network; ``start`` may not. ``kind`` is the key by which a scenario names it, ``both_cores``
    gives it the load's core too, and ``everywhere`` says that it listens on every interface, whatever is configured.
    ``translates`` is false for an early Gatehouse that knows OpenAI's dialect alone.
    """

    key: str
    title: str
    start: Callable[[Host], AbstractContextManager[Running]]
    version: Callable[[], str]
    prepare: Callable[[], None] = nothing
    kind: str = ""
    both_cores: bool = False
    everywhere: bool = False
    translates: bool = True


SERVERS = (
    Server("direct", "upstream itself (no gateway)", direct.start, direct.version),
    Server("nginx", "nginx (bare proxy)", nginx.start, nginx.version),
    Server("envoy", "Envoy (bare proxy)", envoy.start, envoy.version, tools.install_packages),
    Server("gatehouse", "Gatehouse (governance on)", gatehouse.start, gatehouse.version),
    Server(
        "gatehouse-2",
        "Gatehouse, 2 workers",
        partial(gatehouse.start, workers=2),
        direct.version,  # that of the row above
        tools.install_packages,
        both_cores=True,
    ),
    *(
        Server(key, f"Gatehouse, {title}", partial(gatehouse.start, observed=observed), direct.version)
        for key, title, observed in (
            ("gatehouse-traced", "all traces and metrics sent", partial(gatehouse.traced, ratio=1)),
            ("gatehouse-sampled", "1 % of the traces and all metrics sent", partial(gatehouse.traced, ratio=0.01)),
            ("gatehouse-bodies", "all bodies kept", gatehouse.keeping_bodies),
        )
    ),
    *(
        Server(key, f"Gatehouse, {title}", partial(gatehouse.start, ruled=True, shared=shared), direct.version, prepare)
        for key, title, shared, prepare in (
            ("gatehouse-ruled", "3 limits, 2 budgets, a virtual model", False, nothing),
            ("gatehouse-shared", "the same with Redis", True, tools.install_packages),
        )
    ),
    Server("ferro", "Ferro (no governance)", ferro.start, ferro.version, tools.install_packages, everywhere=True),
    Server("tensorzero", "TensorZero (no governance)", tensorzero.start, tensorzero.version, tools.install_packages),
    Server("portkey", "Portkey gateway", portkey.start, portkey.version, tools.install_node_packages, everywhere=True),
    Server("litellm", "LiteLLM proxy (1 worker, no database)", litellm.start, litellm.version, tools.install_packages),
)
BY_KEY = {server.key: server for server in SERVERS}


def previous(revision: str) -> Server:
    """Return the row of another commit of Gatehouse, with its own code, data and, where the locks differ,
    environment.
    """
    commit = revisions.resolve(revision)
    source = revisions.source(commit)
    return Server(
        AGAINST,
        f"Gatehouse at {commit[:7]}",
        partial(gatehouse.start, source=source),
        partial(gatehouse.version, source=source, commit=commit[:7]),
        kind="gatehouse",
        translates=gatehouse.translates(source),
    )
