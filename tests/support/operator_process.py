"""A process with an installation's settings that carries out operations: a JSON line in, a JSON line out, until EOF.

One warm process does in milliseconds what would cost a second of start-up for each ``manage.py`` call. Such processes
are forks (``tests.support.forked``), or, with ``PYTHONPATH``, new interpreters.
"""

import json
import socket
import subprocess
import sys
import traceback
from collections.abc import Mapping

import django

from tests.support import forked
from tests.support.forked import ROOT

COMMAND = [sys.executable, "-m", "tests.support.operator_process"]


def start(env: Mapping[str, str]) -> socket.socket:
    """Start an operator with this environment; it ends when the returned socket is closed for writing."""
    ours, theirs = socket.socketpair()
    env = {**env, "DJANGO_SETTINGS_MODULE": "gateway.settings"}
    with theirs:
        if "PYTHONPATH" in env:
            subprocess.Popen([*COMMAND, str(theirs.fileno())], cwd=ROOT, env=env, pass_fds=[theirs.fileno()])
        else:
            forked.ask([theirs.fileno()], env)
    return ours


def serve(channel: int) -> None:
    """Carry out operations until the other end is closed."""
    asked, answers = open(channel, closefd=False), open(channel, "w", closefd=False)  # noqa: SIM115 open until we end
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
    serve(int(sys.argv[1]))
