"""Processes that begin as forks of one that has imported already what takes long: a start in a fraction of the time.

This file, run as a program, is the process that forks; each test process has one. It begins as two: one has Django set
up already (``tests.support.set_up``). Where its forks are of no use, because the settings of an installation are others
than what was read already, the other has imported at least what needs no settings. What a new interpreter does at its
start is what a fork leaves out: tests of that start one.
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
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
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
    "sandbox.__main__",
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
            ask([theirs.fileno(), out, err], env, arguments=arguments, session=session)
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


def ask(files: list[int], env: Mapping[str, str], **wanted: Any) -> None:
    """Have a process forked that gets these files and this environment: an operator, or a program with arguments."""
    socket.send_fds(_forking(), [json.dumps({"env": dict(env), **wanted}).encode()], files)


@cache
def _forking() -> socket.socket:
    """Return the socket of the process that forks; it ends when this one does."""
    ours, theirs = socket.socketpair(type=socket.SOCK_SEQPACKET)
    with theirs:
        # Without ours: what asks for settings before a fork has its own must fail.
        env = {name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"}
        command = [sys.executable, "-m", "tests.support.forked", str(theirs.fileno())]
        subprocess.Popen(command, cwd=ROOT, env=env, pass_fds=[theirs.fileno()])
    return ours


def fork(control: socket.socket) -> None:
    """Become the two processes that fork for each message that arrives, until the other end is closed."""
    for name in MODULES:
        import_module(name)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # no one waits for these: they close their sockets
    plain, passed_on = socket.socketpair(type=socket.SOCK_SEQPACKET)
    if os.fork() == 0:
        plain.close()
        from tests.support import set_up  # the other process's forks choose their settings first

        set_up.set_up()
        listen(control, passed_on)
    else:
        control.close()
        passed_on.close()
        listen(plain)


def listen(control: socket.socket, passed_on: socket.socket | None = None) -> None:
    """Fork for each message, until the other end is closed; return in each fork when it is to end."""
    gc.freeze()
    while True:
        message, files, _, _ = socket.recv_fds(control, LONGEST_REQUEST, 3)
        if not message:
            return None
        if os.fork() == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            control.close()
            return begin(message, files, passed_on)
        for file in files:
            os.close(file)


def begin(message: bytes, files: list[int], passed_on: socket.socket | None) -> None:
    """Be what a message wants, or have it passed on to the process whose forks set up Django by themselves."""
    wanted = json.loads(message)
    os.environ.clear()
    os.environ.update({"DJANGO_SETTINGS_MODULE": "gateway.settings", **wanted["env"]})
    time.tzset()
    tempfile.tempdir = None
    if passed_on is not None:
        from tests.support import set_up  # as above

        if not set_up.take_over():
            socket.send_fds(passed_on, [message], files)
            return
        passed_on.close()
    if "arguments" in wanted:
        run(*files, wanted["arguments"], wanted["session"])
    else:
        from tests.support import operator_process  # it imports this file

        operator_process.serve(*files)


def run(channel: int, out: int, err: int, arguments: list[str], session: bool) -> None:
    """Run a program in one more fork, and tell its process id, then its exit code."""
    with socket.socket(fileno=channel) as said:
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
    sys.argv = arguments
    if arguments[0].endswith(".py"):
        runpy.run_path(arguments[0], run_name="__main__")
    else:
        runpy.run_module(arguments[0], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    fork(socket.socket(fileno=int(sys.argv[1])))
