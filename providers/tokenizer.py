"""Counts tokens in a process of its own.

Loading an encoding takes up to a second, in which no other thread of a process can run: in a server every call would
wait.
"""

import contextlib
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from threading import Lock, Timer
from typing import Final

PROGRAM: Final = Path(__file__).with_name("tokenizer_process.py")
SECONDS: Final = 20.0
TRIES: Final = 2


class CountFailed(Exception):
    """The process ended, or did not answer in time."""


class Tokenizer:
    """One process, started by the first count, and again when it has ended. For any thread, one count at a time."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._process: subprocess.Popen[bytes] | None = None

    def count(self, texts: Sequence[str], encoding: str) -> int:
        """Return how many tokens ``texts`` are together. Blocks: not for an event loop. Raises :class:`CountFailed`."""
        line = json.dumps([encoding, texts]).encode() + b"\n"
        with self._lock:
            for _ in range(TRIES):  # it may just have ended for want of work
                answer = self._ask(line)
                if answer:
                    return int(answer)
                self._end()
        raise CountFailed(f"Text can't be counted in the encoding {encoding!r}.")

    def close(self) -> None:
        """End the process."""
        with self._lock:
            self._end()

    def _ask(self, line: bytes) -> bytes:
        """Return the answer's line; empty when the process ends instead, or has to be ended for being slow."""
        process = self._process
        if process is None or process.poll() is not None:
            process = self._process = subprocess.Popen(
                [sys.executable, "-I", str(PROGRAM)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        assert process.stdin is not None
        assert process.stdout is not None
        timer = Timer(SECONDS, process.kill)
        timer.start()
        try:
            process.stdin.write(line)
            process.stdin.flush()
            return process.stdout.readline()
        except OSError:
            return b""
        finally:
            timer.cancel()

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                with contextlib.suppress(OSError):  # what it did not read any more
                    pipe.close()  # type: ignore[union-attr]  # both are pipes


tokenizer = Tokenizer()
"""This process's own."""
