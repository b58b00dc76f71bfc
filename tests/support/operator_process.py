"""A process with an installation's settings that carries out operations: a JSON line in, a JSON line out, until EOF.

One warm process does in milliseconds what would cost a second of start-up for each ``manage.py`` call. Such processes
are forks of one that has imported already what needs no settings, or, with ``PYTHONPATH``, new interpreters.
"""

import gc
import json
import os
import signal
import socket
import subprocess
import sys
import traceback
from collections.abc import Mapping
from functools import cache
from importlib import import_module
from pathlib import Path

import django

COMMAND = [sys.executable, "-m", "tests.support.operator_process"]
ROOT = Path(__file__).resolve().parents[2]
# What Gatehouse imports of others', takes long, and needs no settings.
OTHERS = (
    "aiohttp",
    "cryptography.x509",
    "django.contrib.admin.options",
    "django.contrib.postgres.fields",
    "django.core.management",
    "django.db.models",
    "django.forms",
    "django.template.defaulttags",
    "google.oauth2.service_account",
    "httptools",
    "httpx",
    "msgspec",
    "psycopg",
    "pydantic",
    "redis.asyncio",
    "requests",
    "rest_framework",
    "sqlparse",
    "yaml",
)


def start(env: Mapping[str, str]) -> socket.socket:
    """Start an operator in this environment; it ends when the socket is closed for writing."""
    ours, theirs = socket.socketpair()
    with theirs:
        if "PYTHONPATH" in env:
            subprocess.Popen([*COMMAND, str(theirs.fileno())], cwd=ROOT, env=env, pass_fds=[theirs.fileno()])
        else:
            socket.send_fds(_forking(), [b"."], [theirs.fileno()])
    ours.sendall(json.dumps(dict(env)).encode() + b"\n")
    return ours


@cache
def _forking() -> socket.socket:
    """Return the socket of the process that forks; it ends when this one does."""
    ours, theirs = socket.socketpair()
    with theirs:
        # Without ours: what asks for settings before an operator has its own must fail.
        env = {name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"}
        subprocess.Popen([*COMMAND, str(theirs.fileno()), "fork"], cwd=ROOT, env=env, pass_fds=[theirs.fileno()])
    return ours


def fork(control: socket.socket) -> None:
    """Fork an operator for each socket that arrives, until the other end is closed."""
    for name in OTHERS:
        import_module(name)
    gc.freeze()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # no one waits for an operator: it closes its socket
    while fds := socket.recv_fds(control, 1, 1)[1]:
        if os.fork() == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            control.close()
            return serve(fds[0])
        os.close(fds[0])


def serve(channel: int) -> None:
    """Carry out operations until the other end is closed. The first line is the environment."""
    asked, answers = open(channel, closefd=False), open(channel, "w", closefd=False)  # noqa: SIM115 open until we end
    os.environ.clear()
    os.environ.update(json.loads(asked.readline()), DJANGO_SETTINGS_MODULE="gateway.settings")
    django.setup()
    from tests.support import operations  # needs Django set up

    sys.stdout = sys.stderr
    for line in asked:
        name, arguments, named = json.loads(line)
        try:
            answer = {"result": getattr(operations, name)(*arguments, **named)}
        except Exception:  # the operation's boundary: the test that asked shows what went wrong
            answer = {"error": traceback.format_exc()}
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    channel = int(sys.argv[1])
    if "fork" in sys.argv:
        fork(socket.socket(fileno=channel))
    else:
        serve(channel)
