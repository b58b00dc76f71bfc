"""What a server's driver is given, and what it hands back."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.endpoint import Endpoint
from benchmarks.upstream import Upstreams


@dataclass(frozen=True)
class Host:
    """Where a server runs: its core, an empty folder of its own, and the upstreams to pass calls to."""

    core: int
    home: Path
    upstreams: Upstreams


@dataclass(frozen=True)
class Running:
    """A started server.

    ``endpoint(path, which)`` tells where to send a call for the OpenAI path below ``/v1`` that should reach the
    upstream ``which``. ``pid`` is the root of its processes, or ``None`` when it has none of its own. ``recorded()``
    returns how many successful calls its own records hold; ``None`` when it keeps none.
    """

    endpoint: Callable[[str, str], Endpoint]
    pid: int | None = None
    recorded: Callable[[], int] | None = None
