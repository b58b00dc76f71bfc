"""Gatehouse as real processes: a :class:`Installation` is an installation, a :class:`Gateway` one of its server
processes.

Tests come through the front door with the customer's own SDK; the installation is set up as an operator does it.
"""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

import httpx
from openai import AsyncOpenAI, OpenAI

from tests.support import forked, operator_process, servers
from tests.support.forked import ROOT, Forked
from tests.support.servers import free_port, wait_until

START_SECONDS = 60
STOP_SECONDS = 40
PORT_TRIES = 3
SETTLE_SECONDS = 0.2
MOST_STRETCHED = 3.0
KEYS = ("secret_key", "encryption_key")


def environment(data: Path, env: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a process of the installation in ``data``: ours without Gatehouse's own variables.

    Its upstreams are asked for nothing by themselves: tests count what they are asked. Usage records are written sooner
    than they are to be by default: tests wait for them.
    """
    own = ("GATEHOUSE_", "DJANGO_", "PYTEST_")
    names = {"DATABASE_URL", "REDIS_URL", "SECRET_KEY", "DEBUG", "PORT"}
    kept = {name: value for name, value in os.environ.items() if not name.startswith(own) and name not in names}
    ours = {
        "GATEHOUSE_DATA_DIR": str(data),
        "GATEHOUSE_EGRESS_ALLOW": "127.0.0.1",
        "GATEHOUSE_DISCOVER_SECONDS": "0",
        "GATEHOUSE_USAGE_FLUSH_SECONDS": "0.1",
    }
    return {**kept, **ours, **env}


def migrated_postgres_url() -> str:
    """Return the address of a new database on the session's PostgreSQL that has all tables."""

    def migrate(url: str) -> None:
        with tempfile.TemporaryDirectory() as data:
            env = environment(Path(data), {"DATABASE_URL": url})
            done = forked.finished(["manage.py", "migrate", "--verbosity=0"], env, 120)
        assert done.returncode == 0, done.stderr

    return servers.migrated_postgres_url(migrate)


class Installation:
    """An installation: a data directory, a database and settings, and an operator who works on it.

    ``template`` is a migrated data directory to start from; none is needed with the ``DATABASE_URL`` of
    :func:`migrated_postgres_url`. Ends, with everything it started, at the end of its ``with`` block.
    """

    def __init__(self, data: Path, template: Path | None = None, env: Mapping[str, str] | None = None) -> None:
        self.data = data
        self.env = dict(env or {})
        self._operator: IO[str] | None = None
        self._exits = contextlib.ExitStack()
        if template is not None:
            shutil.copytree(template, data)
        else:
            data.mkdir(parents=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._exits.close()
        if self._operator is not None:
            self._channel.shutdown(socket.SHUT_WR)
            self._channel.settimeout(STOP_SECONDS)
            self._operator.read()  # until it has ended
            self._channel.close()

    def do(self, operation: str, *arguments: Any, **named: Any) -> Any:
        """Carry out one of ``tests.support.operations`` and return its result; what it wrote is committed then."""
        if self._operator is None:
            self._channel = operator_process.start(environment(self.data, self.env))
            self._operator = self._channel.makefile()
        self._channel.sendall(json.dumps([operation, arguments, named]).encode() + b"\n")
        answer = json.loads(self._operator.readline() or '{"error": "the operator died"}')
        if "error" in answer:
            raise RuntimeError(f"{operation} failed:\n{answer['error']}")
        return answer["result"]

    def elsewhere(self, env: Mapping[str, str]) -> "Installation":
        """Return the same installation as another host has it, with more environment; it ends with this one."""
        other = Installation.__new__(Installation)
        other.data, other.env, other._operator = self.data, {**self.env, **env}, None
        other._exits = contextlib.ExitStack()
        return self._exits.enter_context(other)

    def apply(self, *manifests: dict[str, Any]) -> str:
        """Apply manifests, as ``manage.py apply`` does, and return the plan that it printed."""
        file = self.data / "manifests.yaml"
        file.write_text("\n---\n".join(json.dumps(manifest) for manifest in manifests))
        plan: str = self.do("manage", "apply", "-f", str(file))
        return plan

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Do what ``manage.py`` does with these arguments, in the operator's warm process: for what a command says and
        does. Use :meth:`manage` where the process is what counts: its start, its end, its log.
        """
        return subprocess.CompletedProcess(arguments, *self.do("command", *arguments))

    def manage(self, *arguments: str, env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        """Run ``manage.py`` in a process of its own and return how it went."""
        return forked.finished(["manage.py", *arguments], environment(self.data, {**self.env, **(env or {})}), 120)

    def gateway(
        self, *options: str, env: Mapping[str, str] | None = None, server: str = "serve", awaits: str = "/readyz"
    ) -> "Gateway":
        """Start a server process that ends with the installation, and wait until its path ``awaits`` answers 200.

        ``options`` are those of ``manage.py serve``, or of ``demo`` or ``daphne``, which ``server`` may be. ``serve``
        is a fork (``tests.support.forked``) unless a clock is to be skewed; the others are new interpreters.
        """
        made = Gateway(self, *options, env=env, server=server, awaits=awaits).__enter__()
        self._exits.callback(made.end)
        return made

    def records(self, count: int = 0, seconds: float = 10, **filters: Any) -> list[dict[str, Any]]:
        """Return exactly ``count`` usage records (columns of ``UsageRecord``) once they are there; fail when there are
        more, also a moment later. Without ``count`` return those that are there.
        """
        deadline = time.monotonic() + seconds
        while True:
            found: list[dict[str, Any]] = self.do("records", **filters)
            if not count:
                return found
            if len(found) >= count:
                time.sleep(SETTLE_SECONDS)
                found = self.do("records", **filters)
                assert len(found) == count, f"{len(found)} records of {filters}, not {count}"
                return found
            if time.monotonic() > deadline:
                raise TimeoutError(f"{len(found)} records of {filters} within {seconds} s, not {count}")
            time.sleep(0.05)


class Gateway:
    """A server process on a free port.

    ``origin`` is its address; use :meth:`sdk` for calls and ``http`` for the rest.
    """

    def __init__(
        self,
        installation: Installation,
        *options: str,
        env: Mapping[str, str] | None = None,
        server: str = "serve",
        awaits: str = "/readyz",
    ) -> None:
        self.installation = installation
        self.options = options
        self.env = {**installation.env, **(env or {})}
        self.server = server
        self.awaits = awaits
        self.http = httpx.Client(timeout=30, trust_env=False)

    def __enter__(self) -> Self:
        for _ in range(PORT_TRIES):
            self._spawn(free_port())
            if self._ready():
                return self
            if "address already in use" not in self.log.lower():
                break
        log = self.log
        self.kill()
        raise RuntimeError(f"the gateway did not start:\n{log}")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.http.close()
        if self.process.poll() is None:
            self.process.terminate()
        try:
            self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()

    def end(self) -> None:
        """End it with its installation, of which no one asks anything more: at once, unless others depend on it."""
        if self.server == "serve" and "--workers" not in self.options:
            self.http.close()
            self.kill()
        else:
            self.__exit__(None, None, None)

    @property
    def log(self) -> str:
        """What the process wrote so far on standard output and standard error."""
        return self._log.read_text(errors="replace")

    def sdk(self, token: str, path: str = "/v1", **options: Any) -> OpenAI:
        """Return a client of the SDK without retries of its own; close it, or let it live as long as the test."""
        return OpenAI(**{"base_url": self.origin + path, "api_key": token, "max_retries": 0, "timeout": 30, **options})

    def async_sdk(self, token: str, path: str = "/v1", **options: Any) -> AsyncOpenAI:
        """Return an asynchronous client of the SDK without retries of its own."""
        given = {"base_url": self.origin + path, "api_key": token, "max_retries": 0, "timeout": 30, **options}
        return AsyncOpenAI(**given)

    def token(self, name: str, limits: list[str] | None = None, **owner: str) -> str:
        """Create a token (``user=`` or ``virtual_account=``) and return it once this process knows it."""
        made: str = self.installation.do("token", name, limits, **owner)
        wait_until(lambda: self.get(made, "/v1/models").status_code == 200)
        return made

    def wait_for(self, token: str, *models: str) -> None:
        """Wait until the caller may see the models."""
        for model in models:
            wait_until(lambda model=model: self.get(token, f"/v1/models/{model}").status_code == 200)

    def get(self, token: str, path: str) -> httpx.Response:
        """Send a GET past the SDK."""
        return self.http.get(self.origin + path, headers={"authorization": f"Bearer {token}"})

    def post(
        self, token: str, path: str, body: Any = None, headers: Mapping[str, str | bytes] | None = None, **options: Any
    ) -> httpx.Response:
        """Send a JSON body, or bytes as they are (``content=``), past the SDK."""
        sent: dict[str, str | bytes] = {
            "authorization": f"Bearer {token}",
            "content-type": "application/json",
            **(headers or {}),
        }
        given = options if "content" in options else {"content": json.dumps(body).encode(), **options}
        pairs = [(name.encode(), value if isinstance(value, bytes) else value.encode()) for name, value in sent.items()]
        return self.http.post(self.origin + path, headers=pairs, **given)

    def stop(self) -> int:
        """Ask the process to end and return its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(STOP_SECONDS)

    def kill(self) -> None:
        """Kill the process as the kernel would."""
        self.process.kill()
        self.process.wait(STOP_SECONDS)

    def _spawn(self, port: int) -> None:
        self.port = port
        self.origin = f"http://127.0.0.1:{port}"
        self._log = self.installation.data / f"server-{port}.log"
        with self._log.open("wb") as log:
            env = environment(self.installation.data, self.env)
            self.process: subprocess.Popen[bytes] | Forked
            if self.server != "serve" or "PYTHONPATH" in env:
                given = {"cwd": ROOT, "env": env, "stdin": subprocess.DEVNULL, "stdout": log, "stderr": log}
                self.process = subprocess.Popen(self._command(port), **given)
            else:
                self.process = Forked(self._command(port)[1:], env, log.fileno(), log.fileno())

    def _command(self, port: int) -> list[str]:
        if self.server == "daphne":
            bound = ["-b", "127.0.0.1", "-p", str(port)]
            return [sys.executable, "-m", "daphne", *bound, *self.options, "gateway.asgi:application"]
        return [sys.executable, "manage.py", self.server, "--port", str(port), *self.options]

    def _ready(self) -> bool:
        deadline = time.monotonic() + START_SECONDS
        while self.process.poll() is None and time.monotonic() < deadline:
            with contextlib.suppress(httpx.TransportError):
                if self.http.get(self.origin + self.awaits).status_code == 200:
                    return True
            time.sleep(0.03)
        return False


def promised(seconds: float) -> float:
    """Return what a promise of so many seconds means now: other programs that want the machine stretch every time, but
    not without end, or no promise could be broken.
    """
    return seconds * min(max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1) / 2), MOST_STRETCHED)


@contextlib.contextmanager
def within(seconds: float, what: str = "it") -> Iterator[Callable[[], float]]:
    """Fail when the block takes longer than ``seconds``; yields a function that returns how long it took so far."""
    started = time.monotonic()
    yield lambda: time.monotonic() - started
    took, bound = time.monotonic() - started, promised(seconds)
    assert took <= bound, f"{what} took {took:.2f} s, more than {bound:.2f} s"
