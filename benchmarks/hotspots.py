"""Where Gatehouse's CPU time goes: ``python -m benchmarks.hotspots [--seconds N] [--write]``.

A load runs twice: once alone, for what a call or an event costs, and once while py-spy samples the server from outside,
for the shares. A thread's share is its part of the process's CPU time, by the kernel's count, and its samples divide
that: a sample can't say whether a thread works or waits for the core. Shares are summed by component (time in its own
lines, and in the C code and system calls below them) and by Gatehouse's own functions (time in them and all below).
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from benchmarks import isolation, measures, report, runner, tools, wrk
from benchmarks.__main__ import PAGE
from benchmarks.calls import PLAIN_CHAT, PLAIN_RESPONSE, Call
from benchmarks.errors import BenchmarkError
from benchmarks.measures import Bench
from benchmarks.options import Options
from benchmarks.processes import thread_seconds
from benchmarks.servers import BY_KEY
from benchmarks.servers.base import Host
from benchmarks.upstream import ROOT, upstreams

BEGIN, END = "<!-- hotspots:begin -->", "<!-- hotspots:end -->"
OURS = frozenset({"accounts", "batches", "console", "gateway", "mcp", "providers", "rules", "usage"})
SAMPLES_PER_SECOND = 200
# How long py-spy may take to count its samples.
LAST_SECONDS = 180
MOST_ROWS = 24
LIBRARY = re.compile(r".*/(?:site-packages|lib/python3\.\d+)/")
THREAD = re.compile(r"thread \((\d+)\)")
# Frames, the outermost first, and their share of the process's time.
Stacks = list[tuple[list[str], float]]


def stacks(lines: Iterable[str], seconds: Mapping[int, float]) -> Stacks:
    """Return py-spy's raw lines (``thread (ID): name;outermost;...;innermost count``) with their shares of the CPU
    time.

    ``seconds`` are the threads' CPU seconds; they add up to 1 over the threads that were sampled.
    """
    counts: Counter[int] = Counter()
    found = []
    for line in lines:
        stack, _, count = line.strip().rpartition(" ")
        thread, *frames = stack.split(";")
        match = THREAD.match(thread)
        if match and frames:
            counts[int(match[1])] += int(count)
            found.append((int(match[1]), frames, int(count)))
    total = sum(seconds.get(thread, 0.0) for thread in counts)
    if not total:
        return []
    return [(frames, count / counts[thread] * seconds.get(thread, 0.0) / total) for thread, frames, count in found]


def component(frame: str) -> str:
    """Return what a frame, which py-spy writes as ``function (/path/to/file.py)``, belongs to: a package, a module of
    Python's, or a folder of Gatehouse's.
    """
    first, *rest = _path(frame).split("/")
    return f"{first}/{rest[0].removesuffix('.py')}" if first in OURS and rest else first.removesuffix(".py")


def _path(frame: str) -> str:
    return LIBRARY.sub("", frame.rpartition("(")[2].rstrip(")").removeprefix(f"{ROOT}/"))


def by_component(samples: Stacks) -> dict[str, float]:
    """Return the shares by the component of the innermost frame."""
    shares: defaultdict[str, float] = defaultdict(float)
    for frames, share in samples:
        shares[component(frames[-1])] += share
    return dict(shares)


def by_function(samples: Stacks) -> dict[str, float]:
    """Return the shares by function of Gatehouse's own, that function and all below it."""
    shares: defaultdict[str, float] = defaultdict(float)
    for frames, share in samples:
        # A function that is twice in a stack is counted once.
        for function in {_function(frame) for frame in frames if component(frame).split("/")[0] in OURS}:
            shares[function] += share
    return dict(shares)


def _function(frame: str) -> str:
    return f"{_path(frame)} {frame.rpartition(' (')[0]}"


def render(title: str, samples: Stacks, cost_us: float) -> str:
    """Return the two tables of one load, whose unit (a call, an event) costs ``cost_us`` of CPU time."""
    if not samples:
        raise BenchmarkError(f"{title}: py-spy took no sample")
    parts = [f"### {title}: {cost_us:,.1f} µs"]
    for head, shares in (("component, own lines", by_component(samples)), ("function and below", by_function(samples))):
        most = sorted(shares.items(), key=lambda item: -item[1])[:MOST_ROWS]
        rows = [[f"`{name}`", f"{share * cost_us:,.1f}", f"{share:.1%}"] for name, share in most]
        parts.append(report.table([head, "µs", "share"], rows))
    return "\n\n".join(parts) + "\n"


def sample(pid: int, seconds: int, load: Callable[[], object], folder: Path) -> Stacks:
    """Sample the process ``pid`` while ``load`` runs; ``load`` must last longer than ``seconds``."""
    output = folder / "stacks.txt"
    # A thread that is stopped to be looked at seems to work, also when it waits: so none is stopped.
    argv = [
        *(
            tools.program("py-spy"),
            "record",
            "--nonblocking",
            "--threads",
            "--pid",
            str(pid),
            "--duration",
            str(seconds),
        ),
        *("--rate", str(SAMPLES_PER_SECOND), "--format", "raw", "--nolineno", "--output", str(output)),
    ]
    before = thread_seconds(pid)
    with subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as spy:
        try:
            load()
            _, errors = spy.communicate(timeout=LAST_SECONDS)
        except subprocess.TimeoutExpired:
            raise BenchmarkError(f"py-spy was not done {LAST_SECONDS} s after the load; is the machine busy?") from None
        finally:
            spy.kill()  # does nothing to one that has ended
    if spy.returncode or not output.exists():
        raise BenchmarkError(f"py-spy failed (it needs the right to trace processes, as root has):\n{errors[-1000:]}")
    used = {thread: now - before.get(thread, 0.0) for thread, now in thread_seconds(pid).items()}
    return stacks(output.read_text().splitlines(), used)


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
