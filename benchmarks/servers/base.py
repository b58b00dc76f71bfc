"""What a server's driver is given, and what it hands back."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.endpoint import Endpoint
from benchmarks.upstream import Upstreams


@dataclass(frozen=True)
class Host:
    """Where a server runs: its cores, an empty folder of its own, the upstreams to pass calls to, and the load's
    core.
    """

    cores: Sequence[int]
    home: Path
    upstreams: Upstreams
    load_core: int


@dataclass(frozen=True)
class Running:
    """A started server.

    ``endpoint(path, which, model)`` returns where to send a call for the path below ``/v1`` that should reach the
    model ``model`` at the upstream ``which``. ``pid`` is the root of its processes, or ``None`` when it has none of its
    own; where an upstream needs a process for itself, ``parts`` has the root of that one by the upstream's name.
    ``recorded()`` returns how many successful calls its own records hold; ``None`` when it keeps none.
    """

    endpoint: Callable[[str, str, str], Endpoint]
    pid: int | None = None
    recorded: Callable[[], int] | None = None
    parts: Mapping[str, int] = field(default_factory=dict)

    def pid_behind(self, which: str) -> int | None:
        """Return the root of the processes that serve the upstream ``which``."""
        return self.parts.get(which, self.pid)

    def groups(self) -> set[int]:
        """Return the roots of all processes."""
        return {*self.parts.values(), *([self.pid] if self.pid else [])}
