"""Start, pin, watch and stop the processes of a benchmark.

Every child leads its own process group, is pinned to cores, logs to a file, and is stopped with its whole group. Where
util-linux's ``setpriv`` is there, the kernel also ends a child whose harness was killed.
"""

import os
import shutil
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.errors import BenchmarkError

STOP_SECONDS = 20
LOG_TAIL_LINES = 25
PROC = Path("/proc")
CLOCK_TICKS = os.sysconf("SC_CLK_TCK")
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
# A proxy of the surroundings must not come between the servers, and no credential of theirs is needed.
KEPT_VARIABLES = ("PATH", "LANG", "LC_ALL", "TMPDIR")


@dataclass(frozen=True)
class Child:
    """A running child: its name for messages, its process, and the file that holds what it printed."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path

    @property
    def pid(self) -> int:
        return self.process.pid

    def tail(self) -> str:
        """Return the last lines that the child printed."""
        lines = self.log.read_text(errors="replace").splitlines()
        return "\n".join(f"    {line[:400]}" for line in lines[-LOG_TAIL_LINES:])


def free_port() -> int:
    """Return a loopback port that no one listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def environment(home: Path, extra: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that a child gets: a few of ours, ``extra``, and ``home`` as its home."""
    kept = {name: os.environ[name] for name in KEPT_VARIABLES if name in os.environ}
    return kept | {"HOME": str(home), "NO_PROXY": "*"} | dict(extra)


@contextmanager
def running(
    name: str, argv: Sequence[str], *, cores: Sequence[int], home: Path, env: Mapping[str, str], cwd: Path | None = None
) -> Iterator[Child]:
    """Run ``argv`` pinned to ``cores``, logging to ``home``; stop its whole group at the end."""
    log = home / f"{name}.log"
    guard = ["setpriv", "--pdeathsig", "KILL", "--"] if shutil.which("setpriv") else []
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*guard, "taskset", "-c", ",".join(map(str, cores)), *argv],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=environment(home, env),
            cwd=cwd or home,
            start_new_session=True,
        )
    try:
        yield Child(name, process, log)
    finally:
        stop(process)


def stop(process: subprocess.Popen[bytes], seconds: float = STOP_SECONDS) -> None:
    """End a child and its group: ask first, then kill."""
    if process.poll() is None:
        _signal_group(process.pid, signal.SIGTERM)
        thaw(process.pid)
        try:
            process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            pass
    _signal_group(process.pid, signal.SIGKILL)  # what is left of the group
    process.wait(timeout=seconds)


def freeze(group: int) -> None:
    """Let a child and its group stand still until :func:`thaw`."""
    _signal_group(group, signal.SIGSTOP)


def thaw(group: int) -> None:
    """Let a child and its group go on."""
    _signal_group(group, signal.SIGCONT)


def _signal_group(group: int, number: signal.Signals) -> None:
    try:
        os.killpg(group, number)
    except ProcessLookupError:
        pass


def wait_ready(child: Child, url: str, *, seconds: float) -> None:
    """Wait until ``url`` answers with a 2xx; raise BenchmarkError when the child ends or the time is over."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def ready() -> bool:
        try:
            with opener.open(url, timeout=5):
                return True
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            return False

    wait_for(child, ready, what=f"answer at {url}", seconds=seconds)


def wait_for(child: Child, ready: Callable[[], bool], *, what: str, seconds: float) -> None:
    """Poll ``ready`` until it is true; raise BenchmarkError, with the child's last words, when it never is."""
    end = time.monotonic() + seconds
    while not ready():
        if child.process.poll() is not None:
            raise BenchmarkError(f"{child.name} ended with code {child.process.returncode}:\n{child.tail()}")
        if time.monotonic() > end:
            raise BenchmarkError(f"{child.name} did not {what} within {seconds:g} s:\n{child.tail()}")
        time.sleep(0.1)


def tree(root: int) -> list[int]:
    """Return ``root`` and all processes below it."""
    children: dict[int, list[int]] = {}
    for entry in PROC.iterdir():
        if entry.name.isdigit():
            fields = _stat(int(entry.name))
            if fields:
                children.setdefault(int(fields[1]), []).append(int(entry.name))
    found = [root]
    for pid in found:
        found.extend(children.get(pid, ()))
    return found


def cpu_seconds(root: int) -> float:
    """Return the CPU time, in seconds, of a process tree so far, its ended and reaped children included."""
    ticks = sum(int(value) for pid in tree(root) for value in _stat(pid)[11:15])
    return ticks / CLOCK_TICKS


def thread_seconds(pid: int) -> dict[int, float]:
    """Return the CPU time, in seconds, of each thread of a process so far, by the thread's id."""
    found = {}
    for entry in (PROC / str(pid) / "task").iterdir():
        try:
            found[int(entry.name)] = int((entry / "schedstat").read_text().split()[0]) / 1e9
        except (FileNotFoundError, ProcessLookupError):
            continue
    return found


def core_seconds(core: int) -> float:
    """Return the CPU time, in seconds, that processes of anybody have spent on a core, interrupts left out."""
    for line in (PROC / "stat").read_text().splitlines():
        name, *ticks = line.split()
        if name == f"cpu{core}":
            return sum(int(value) for value in ticks[:3]) / CLOCK_TICKS
    raise BenchmarkError(f"This machine does not have the core {core}.")


def rss_bytes(root: int) -> int:
    """Return the resident bytes of a process tree: the sum over its processes."""
    pages = 0
    for pid in tree(root):
        try:
            pages += int((PROC / str(pid) / "statm").read_text().split()[1])
        except (FileNotFoundError, ProcessLookupError):
            continue
    return pages * PAGE_BYTES


def forget_peak(root: int) -> None:
    """Let :func:`peak_bytes` count from now on."""
    for pid in tree(root):
        try:
            (PROC / str(pid) / "clear_refs").write_text("5")
        except (FileNotFoundError, ProcessLookupError):
            continue


def peak_bytes(root: int) -> int:
    """Return the most resident bytes of a process tree since :func:`forget_peak`: the sum over its processes' own
    peaks.
    """
    total = 0
    for pid in tree(root):
        try:
            status = (PROC / str(pid) / "status").read_text()
        except (FileNotFoundError, ProcessLookupError):
            continue
        total += int(status.split("VmHWM:")[1].split()[0]) * 1024 if "VmHWM:" in status else 0
    return total


def _stat(pid: int) -> list[str]:
    """Return the fields of /proc/PID/stat from the state on, or none if the process is gone."""
    try:
        text = (PROC / str(pid) / "stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return []
    return text[text.rindex(")") + 2 :].split()
