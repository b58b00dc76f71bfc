"""Celery's own processes beside a gateway: workers and a clock, each of which a test may kill."""

import os
import signal
import subprocess
import sys
from types import TracebackType
from typing import Self

from tests.gateway.server import ROOT, House, environment


class CeleryProcess:
    """``celery -A gateway worker`` or ``beat`` on an installation. Ends, with its children, with the ``with`` block."""

    def __init__(self, house: House, *arguments: str) -> None:
        self.house = house
        self.arguments = arguments
        self.log = house.data / f"celery-{arguments[0]}-{id(self)}.log"

    def __enter__(self) -> Self:
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "celery", "-A", "gateway", *self.arguments],
                cwd=ROOT,
                env=environment(self.house.data, self.house.env),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
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


def worker(house: House) -> CeleryProcess:
    """Return a worker, not started."""
    return CeleryProcess(house, "worker", "--concurrency=1", "--without-gossip", "--without-mingle", "--loglevel=INFO")


def clock(house: House) -> CeleryProcess:
    """Return a clock, not started."""
    return CeleryProcess(house, "beat", "--loglevel=INFO", "--pidfile=")
