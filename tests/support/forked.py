"""Processes that begin as forks of one that has imported already what needs no settings: a start in half the time.

This file, run as a program, is the process that forks; each test process has one. A fork sets Django up by itself, in
an environment of its own. What a new interpreter does at its start is what a fork leaves out: tests of that start one.
"""

import gc
import json
import os
import runpy
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from importlib import import_module
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
OPERATOR = b"o"
PROGRAM = b"p"
LONGEST_REQUEST = 1 << 17
# What takes long to import and needs no settings: of others, then of Gatehouse's own.
MODULES = (
    "aiohttp",
    "celery.beat",
    "celery.worker",
    "channels.routing",
    "cryptography.fernet",
    "cryptography.x509",
    "django.contrib.admin.options",
    "django.contrib.postgres.fields",
    "django.core.management",
    "django.db.migrations.executor",
    "django.db.models",
    "django.forms",
    "django.template.defaulttags",
    "django.views.debug",
    "django.db.backends.sqlite3.base",
    "drf_spectacular.utils",
    "google.oauth2.service_account",
    "httptools",
    "httpx",
    "kombu.transport.memory",
    "msgspec",
    "psycopg",
    "pydantic.dataclasses",
    "redis.asyncio",
    "requests",
    "rest_framework.mixins",
    "sqlparse",
    "uvicorn.protocols.http.httptools_impl",
    "uvicorn.protocols.websockets.websockets_sansio_impl",
    "uvicorn.supervisors.multiprocess",
    "uvloop",
    "yaml",
    "providers.media.fetcher",
    "providers.dialects.conversions",
    "providers.probe.vertex",
    "gateway.access.listings",
    "gateway.billing.estimate",
    "gateway.billing.pricing",
    "gateway.body.travel",
    "gateway.call.doors",
    "gateway.objects.selection",
    "gateway.openapi.components",
    "gateway.pipeline.cleaning",
    "gateway.realtime.frames",
    "gateway.realtime.slots",
    "gateway.server.http",
)


class Forked:
    """A program in a fork: ``manage.py`` or the name of a module, and its arguments.

    It has what tests use of ``subprocess.Popen``: ``out`` and ``err`` are the numbers of files for its two outputs, and
    ``session`` makes it the leader of a process group of its own.
    """

    def __init__(
        self, arguments: list[str], env: Mapping[str, str], out: int, err: int, *, session: bool = False
    ) -> None:
        self.args = arguments
        self.returncode: int | None = None
        self._said, theirs = socket.socketpair(type=socket.SOCK_SEQPACKET)
        with theirs:
            ask(PROGRAM, [theirs.fileno(), out, err])
        self._said.send(json.dumps([arguments, dict(env), session]).encode())
        self.pid = int(self._said.recv(16))

    def poll(self) -> int | None:
        """Return the exit code, negative for a signal, or ``None`` while the process runs."""
        if self.returncode is None:
            self._said.setblocking(False)
            with suppress(BlockingIOError):
                self._end(self._said.recv(16))
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Return the exit code once there is one. Raises ``subprocess.TimeoutExpired``."""
        if self.returncode is None:
            self._said.settimeout(timeout)
            try:
                self._end(self._said.recv(16))
            except TimeoutError:
                raise subprocess.TimeoutExpired(self.args, timeout or 0) from None
        assert self.returncode is not None
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Send a signal, unless the process has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def _end(self, code: bytes) -> None:
        self.returncode = int(code)
        self._said.close()


def finished(arguments: list[str], env: Mapping[str, str], seconds: float) -> subprocess.CompletedProcess[str]:
    """Return how a program went in a fork. Raises ``subprocess.TimeoutExpired`` after so many seconds, and ends it."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        process = Forked(arguments, env, out.fileno(), err.fileno())
        try:
            code = process.wait(seconds)
        finally:
            process.kill()
        for file in (out, err):
            file.seek(0)
        return subprocess.CompletedProcess(arguments, code, out.read().decode(), err.read().decode())


def ask(kind: bytes, files: list[int]) -> None:
    """Have a process forked that gets these files; what it needs to know is sent to the first."""
    socket.send_fds(_forking(), [kind], files)


@cache
def _forking() -> socket.socket:
    """Return the socket of the process that forks; it ends when this one does."""
    ours, theirs = socket.socketpair()
    with theirs:
        # Without ours: what asks for settings before a fork has its own must fail.
        env = {name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"}
        command = [sys.executable, "-m", "tests.support.forked", str(theirs.fileno())]
        subprocess.Popen(command, cwd=ROOT, env=env, pass_fds=[theirs.fileno()])
    return ours


def fork(control: socket.socket) -> None:
    """Fork for each message that arrives, until the other end is closed; return in each fork when it is to end."""
    for name in MODULES:
        import_module(name)
    gc.freeze()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # no one waits for these: they close their sockets
    while True:
        kind, files, _, _ = socket.recv_fds(control, 1, 3)
        if not files:
            return None
        if os.fork() == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            control.close()
            tempfile.tempdir = None
            return operate(*files) if kind == OPERATOR else run(*files)
        for file in files:
            os.close(file)


def operate(channel: int) -> None:
    from tests.support import operator_process  # a fork's own

    operator_process.serve(channel)


def run(channel: int, out: int, err: int) -> None:
    """Run a program in one more fork, and tell its process id, then its exit code."""
    with socket.socket(fileno=channel) as said:
        arguments, env, session = json.loads(said.recv(LONGEST_REQUEST))
        child = os.fork()
        if child:
            os.close(out)
            os.close(err)
            signal.signal(signal.SIGINT, signal.SIG_IGN)  # the child ends by it, or does not
            said.send(b"%d" % child)
            code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
            with suppress(OSError):  # who asked may be gone
                said.send(b"%d" % code)
            os._exit(0)
    if session:
        os.setsid()
    with open(os.devnull) as nothing:
        os.dup2(nothing.fileno(), 0)
    for stream, file in ((1, out), (2, err)):
        os.dup2(file, stream)
        os.close(file)
    os.environ.clear()
    os.environ.update(env)
    time.tzset()
    sys.argv = arguments
    if arguments[0].endswith(".py"):
        runpy.run_path(arguments[0], run_name="__main__")
    else:
        runpy.run_module(arguments[0], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    fork(socket.socket(fileno=int(sys.argv[1])))
