"""Where Gatehouse's time goes: ``python -m benchmarks.hotspots [--seconds N] [--write]``.

py-spy samples the server from outside while the load of a scenario runs; the samples are summed up by package (time in
its own lines) and by Gatehouse's own functions (time in them and below). Nothing is timed: sampling slows the server.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

from benchmarks import report, runner, scenarios, tools, wrk
from benchmarks.__main__ import PAGE
from benchmarks.errors import BenchmarkError
from benchmarks.options import Options
from benchmarks.scenarios import Bench
from benchmarks.servers import BY_KEY
from benchmarks.servers.base import Host
from benchmarks.upstream import ROOT, upstreams

BEGIN, END = "<!-- hotspots:begin -->", "<!-- hotspots:end -->"
OUR_ROOMS = frozenset({"gateway", "accounts", "providers", "usage", "batches"})
SAMPLES_PER_SECOND = 200
MOST_ROWS = 18
# A thread whose innermost frame is in one of these waits, or sleeps in the ledger's ``give_way``: py-spy takes some for busy.
WAITING = frozenset(
    {
        *("concurrent/futures/thread.py", "threading.py", "selectors.py", "queue.py"),
        *("kombu/transport/virtual/base.py", "celery/beat.py"),  # where idle jobs sleep
    }
)
LIBRARY = re.compile(r".*/(?:site-packages|lib/python3\.\d+)/")
Stacks = list[tuple[list[str], int]]


def stacks(lines: Iterable[str]) -> Stacks:
    """Return py-spy's raw lines (``outermost;...;innermost count``) as frames and samples, without waiting threads."""
    found = []
    for line in lines:
        frames, _, count = line.strip().rpartition(" ")
        if frames and not _waits(frames.split(";")[-1]):
            found.append((frames.split(";"), int(count)))
    return found


def _waits(innermost: str) -> bool:
    return _path(innermost) in WAITING or innermost.startswith("give_way (")


def package(frame: str) -> str:
    """Return the package or standard module of a frame, which py-spy writes as ``function (/path/to/file.py)``."""
    return _path(frame).split("/")[0].removesuffix(".py")


def _path(frame: str) -> str:
    return LIBRARY.sub("", frame.rpartition("(")[2].rstrip(")").removeprefix(f"{ROOT}/"))


def by_package(samples: Stacks) -> Counter[str]:
    """Return the samples by the package of the innermost frame."""
    counts: Counter[str] = Counter()
    for frames, count in samples:
        counts[package(frames[-1])] += count
    return counts


def by_function(samples: Stacks) -> Counter[str]:
    """Return the samples by function of Gatehouse's own, that function and all below it."""
    counts: Counter[str] = Counter()
    for frames, count in samples:
        # A function that stands twice in a stack is counted once.
        counts.update(dict.fromkeys({_function(frame) for frame in frames if package(frame) in OUR_ROOMS}, count))
    return counts


def _function(frame: str) -> str:
    return f"{_path(frame)} {frame.rpartition(' (')[0]}"


def render(title: str, samples: Stacks) -> str:
    """Return the two tables of one load."""
    total = sum(count for _, count in samples)
    if not total:
        raise BenchmarkError(f"{title}: py-spy took no sample")
    parts = [f"### {title} ({total:,} samples)"]
    for head, counts in (("package, own lines", by_package(samples)), ("function and below", by_function(samples))):
        rows = [[f"`{name}`", f"{count / total:.1%}"] for name, count in counts.most_common(MOST_ROWS)]
        parts.append(report.table([head, "share"], rows))
    return "\n\n".join(parts) + "\n"


def sample(pid: int, seconds: int, load: Callable[[], object], folder: Path) -> Stacks:
    """Sample the process ``pid`` while ``load`` runs; ``load`` must last longer than ``seconds``."""
    output = folder / "stacks.txt"
    argv = [
        *(str(tools.VENV_PYTHON.with_name("py-spy")), "record", "--pid", str(pid), "--duration", str(seconds)),
        *(
            "--rate",
            str(SAMPLES_PER_SECOND),
            "--format",
            "raw",
            "--nolineno",
            "--subprocesses",
            "--output",
            str(output),
        ),
    ]
    with subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as spy:
        try:
            load()
            _, errors = spy.communicate(timeout=60)
        except BaseException:
            spy.kill()
            raise
    if spy.returncode or not output.exists():
        raise BenchmarkError(f"py-spy failed (it needs the right to trace processes, as root has):\n{errors[-1000:]}")
    return stacks(output.read_text().splitlines())


def profile(seconds: int) -> str:
    """Run both loads against a fresh Gatehouse and return the report."""
    tools.need_programs(tools.ALWAYS)
    tools.install_litellm()  # py-spy lives in the same environment
    os.sched_setaffinity(0, {1})
    options = replace(Options(), streams=32, stream_interval_ms=10, stream_chunks=(seconds + 2) * 100, lone_streams=1)
    with tempfile.TemporaryDirectory(prefix="gatehouse-bench-") as folder, upstreams(1, Path(folder)) as behind:
        home = Path(folder) / "gatehouse"
        home.mkdir()
        with BY_KEY["gatehouse"].start(Host(0, home, behind)) as server:
            bench = Bench(server, behind, options)
            bench.load(wrk.Load(16, options.warm_up_seconds))
            assert server.pid
            parts = []
            for title, load in (
                ("Plain chat, 16 connections", lambda: bench.load(wrk.Load(16, seconds + 2))),
                ("Streamed chat, 32 streams with a chunk each 10 ms", lambda: scenarios.stream(bench)),
            ):
                runner.say(f"sampling: {title}")
                parts.append(render(title, sample(server.pid, seconds, load, home)))
    return "\n".join(parts)


def main() -> int:
    """Run the command and return its exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.hotspots", description="Show where Gatehouse's time goes under load."
    )
    parser.add_argument("--seconds", type=int, default=10, choices=range(2, 121), metavar="2..120")
    parser.add_argument("--write", action="store_true", help=f"put the tables into docs/{PAGE.name}")
    arguments = parser.parse_args()
    try:
        text = profile(arguments.seconds)
    except BenchmarkError as error:
        runner.say(str(error))
        return 2
    print(text)
    if arguments.write:
        report.write(PAGE, text, (BEGIN, END))
    return 0


if __name__ == "__main__":
    sys.exit(main())
