"""Celery's own processes beside a gateway: workers and a clock, each of which a test may kill."""

import os
import signal
import subprocess
import sys
from types import TracebackType
from typing import Self

from tests.support.forked import ROOT, Forked
from tests.support.installation import Installation, environment


class CeleryProcess:
    """``celery -A gateway worker`` or ``beat`` on an installation. Ends, with its children, with the ``with`` block."""

    def __init__(self, installation: Installation, *arguments: str) -> None:
        self.installation = installation
        self.arguments = arguments
        self.log = installation.data / f"celery-{arguments[0]}-{id(self)}.log"

    def __enter__(self) -> Self:
        env = environment(self.installation.data, self.installation.env)
        command = ["celery", "-A", "gateway", *self.arguments]
        with self.log.open("wb") as log:
            self.process: subprocess.Popen[bytes] | Forked
            if "PYTHONPATH" in env:
                given = {"cwd": ROOT, "stdin": subprocess.DEVNULL, "stdout": log, "stderr": log}
                self.process = subprocess.Popen(
                    [sys.executable, "-m", *command], env=env, **given, start_new_session=True
                )
            else:
                self.process = Forked(command, env, log.fileno(), log.fileno(), session=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.kill()

    def kill(self) -> None:
        """Kill it and its children, as the kernel would."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(20)


def worker(installation: Installation) -> CeleryProcess:
    """Return a worker, not started."""
    return CeleryProcess(
        installation, "worker", "--concurrency=1", "--without-gossip", "--without-mingle", "--loglevel=INFO"
    )


def clock(installation: Installation) -> CeleryProcess:
    """Return a clock, not started."""
    return CeleryProcess(installation, "beat", "--loglevel=INFO", "--pidfile=")
