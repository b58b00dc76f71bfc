"""Where Gatehouse's CPU time goes: ``python -m benchmarks.hotspots [--seconds N] [--write]``.

A load runs twice: once alone, for what a call or an event costs, and once while py-spy samples the server from outside, for
the shares. Samples are summed by component (time in its own lines, and in the C code and system calls below them) and by
Gatehouse's own functions (time in them and all below). Sampling slows the server, so only its shares are used.
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

from benchmarks import isolation, measures, report, runner, tools, wrk
from benchmarks.__main__ import PAGE
from benchmarks.calls import PLAIN_CHAT, PLAIN_RESPONSE, Call
from benchmarks.errors import BenchmarkError
from benchmarks.measures import Bench
from benchmarks.options import Options
from benchmarks.servers import BY_KEY
from benchmarks.servers.base import Host
from benchmarks.upstream import ROOT, upstreams

BEGIN, END = "<!-- hotspots:begin -->", "<!-- hotspots:end -->"
OURS = frozenset({"accounts", "batches", "console", "gateway", "mcp", "providers", "rules", "usage"})
SAMPLES_PER_SECOND = 200
# How long py-spy may take to count its samples.
LAST_SECONDS = 180
MOST_ROWS = 24
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


def component(frame: str) -> str:
    """Return what a frame, which py-spy writes as ``function (/path/to/file.py)``, belongs to: a package, a module of
    Python's, or a folder of Gatehouse's.
    """
    first, *rest = _path(frame).split("/")
    return f"{first}/{rest[0].removesuffix('.py')}" if first in OURS and rest else first.removesuffix(".py")


def _path(frame: str) -> str:
    return LIBRARY.sub("", frame.rpartition("(")[2].rstrip(")").removeprefix(f"{ROOT}/"))


def by_component(samples: Stacks) -> Counter[str]:
    """Return the samples by the component of the innermost frame."""
    counts: Counter[str] = Counter()
    for frames, count in samples:
        counts[component(frames[-1])] += count
    return counts


def by_function(samples: Stacks) -> Counter[str]:
    """Return the samples by function of Gatehouse's own, that function and all below it."""
    counts: Counter[str] = Counter()
    for frames, count in samples:
        # A function that is twice in a stack is counted once.
        mine = {_function(frame) for frame in frames if component(frame).split("/")[0] in OURS}
        counts.update(dict.fromkeys(mine, count))
    return counts


def _function(frame: str) -> str:
    return f"{_path(frame)} {frame.rpartition(' (')[0]}"


def render(title: str, samples: Stacks, cost_us: float) -> str:
    """Return the two tables of one load, whose unit (a call, an event) costs ``cost_us`` of CPU time."""
    total = sum(count for _, count in samples)
    if not total:
        raise BenchmarkError(f"{title}: py-spy took no sample")
    parts = [f"### {title}: {cost_us:,.1f} µs ({total:,} samples)"]
    for head, counts in (("component, own lines", by_component(samples)), ("function and below", by_function(samples))):
        rows = [
            [f"`{name}`", f"{count / total * cost_us:,.1f}", f"{count / total:.1%}"]
            for name, count in counts.most_common(MOST_ROWS)
        ]
        parts.append(report.table([head, "µs", "share"], rows))
    return "\n\n".join(parts) + "\n"


def sample(pid: int, seconds: int, load: Callable[[], object], folder: Path) -> Stacks:
    """Sample the process ``pid`` while ``load`` runs; ``load`` must last longer than ``seconds``."""
    output = folder / "stacks.txt"
    argv = [
        *(tools.program("py-spy"), "record", "--pid", str(pid), "--subprocesses", "--duration", str(seconds)),
        *("--rate", str(SAMPLES_PER_SECOND), "--format", "raw", "--nolineno", "--output", str(output)),
    ]
    with subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as spy:
        try:
            load()
            _, errors = spy.communicate(timeout=LAST_SECONDS)
        except subprocess.TimeoutExpired:
            spy.kill()
            raise BenchmarkError(f"py-spy was not done {LAST_SECONDS} s after the load; is the machine busy?") from None
        except BaseException:
            spy.kill()
            raise
    if spy.returncode or not output.exists():
        raise BenchmarkError(f"py-spy failed (it needs the right to trace processes, as root has):\n{errors[-1000:]}")
    return stacks(output.read_text().splitlines())


def _plain(bench: Bench, call: Call) -> float:
    return bench.load(wrk.Load(16, bench.options.seconds), call)["cpu_us"]


# Title -> the load, which returns the µs of CPU time of its unit.
LOADS: dict[str, Callable[[Bench], float]] = {
    "A plain chat call, 16 connections": lambda bench: _plain(bench, PLAIN_CHAT),
    "A plain response, 16 connections": lambda bench: _plain(bench, PLAIN_RESPONSE),
    "An event of a paced stream, 32 streams with a chunk each 10 ms": lambda bench: measures.stream(bench)[
        "cpu_us_event"
    ],
    "An event of a burst, 16 streams at a time": lambda bench: measures.burst(bench)["cpu_us_event"],
}


def profile(seconds: int) -> str:
    """Run the loads against a fresh Gatehouse and return the report."""
    tools.need_programs(tools.ALWAYS)
    tools.install_packages()
    isolation.enter()
    os.sched_setaffinity(0, {1})
    options = replace(Options(), seconds=seconds + 2, stream_chunks=(seconds + 2) * 100, lone_streams=1)
    parts = []
    with tempfile.TemporaryDirectory(prefix="gatehouse-bench-") as folder, upstreams(1, Path(folder)) as behind:
        home = Path(folder) / "gatehouse"
        home.mkdir()
        with BY_KEY["gatehouse"].start(Host((0,), home, behind, 1)) as server:
            bench = Bench(server, behind, options)
            bench.load(wrk.Load(16, options.warm_up_seconds))
            bench.learn_idle()
            assert server.pid
            for title, load in LOADS.items():
                runner.say(f"measuring and sampling: {title}")
                cost = load(bench)
                parts.append(render(title, sample(server.pid, seconds, lambda load=load: load(bench), home), cost))
    return "\n".join(parts)


def main() -> int:
    """Run the command and return its exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.hotspots", description="Show where Gatehouse's CPU time goes under load."
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
