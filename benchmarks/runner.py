"""Run the chosen scenarios against the chosen servers in turn, round by round, and gather results.

All servers that share scenarios are started once. One at a time runs; the others are frozen, so that none takes from
the core while another is measured. A round visits each server once: what else the machine does then falls on all of
them.
"""

import asyncio
import math
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import processes, streams, wrk
from benchmarks.calls import PLAIN_CHAT
from benchmarks.endpoint import CHAT, MODEL
from benchmarks.errors import BenchmarkError, VoidRun
from benchmarks.measures import Bench, Metrics
from benchmarks.options import Options
from benchmarks.processes import core_seconds
from benchmarks.scenarios import Scenario
from benchmarks.servers import Server
from benchmarks.servers.base import Host
from benchmarks.upstream import STREAMING, Upstreams, upstreams

# Scenario key -> server key -> metrics, or {"void": why}.
Results = dict[str, dict[str, dict[str, Any]]]
# Records reach the database in batches: how long the last ones may take.
RECORDED_SECONDS = 60
# How long a server may catch up once it goes on.
THAW_SECONDS = 0.5


@dataclass(frozen=True)
class Plan:
    """What to run, and on which cores: servers on the first, upstreams and load on the second."""

    servers: Sequence[Server]
    scenarios: Sequence[Scenario]
    options: Options
    cores: tuple[int, int]

    def rows(self, server: Server, *, fresh: bool) -> list[Scenario]:
        """Return the scenarios that ``server`` can do: those that share a server, or those that each need a fresh
        one.
        """
        kind = server.kind or server.key
        return [
            one
            for one in self.scenarios
            if kind in one.servers and one.fresh is fresh and (server.translates or not one.translated)
        ]


@dataclass(frozen=True)
class Subject:
    """A started and warm server with its bench, and the core that is its own."""

    server: Server
    bench: Bench
    core: int


def say(text: str) -> None:
    """Report progress, on stderr."""
    print(f"benchmarks: {text}", file=sys.stderr, flush=True)


def run(plan: Plan) -> Results:
    """Run everything and return the results; every process is gone when this returns or raises."""
    os.sched_setaffinity(0, {plan.cores[1]})
    with ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="gatehouse-bench-")))
        behind = stack.enter_context(upstreams(plan.cores[1], home))
        shared = _run_shared(plan, home, behind)
        alone = _run_alone(plan, home, behind)
    results: Results = {}
    for scenario in plan.scenarios:
        found = shared.get(scenario.key, {}) | alone.get(scenario.key, {})
        results[scenario.key] = {server.key: found[server.key] for server in plan.servers if server.key in found}
    _add_latency(results)
    return results


def _run_shared(plan: Plan, home: Path, behind: Upstreams) -> Results:
    """Start every server, and run the scenarios that share one, each in rounds over all servers."""
    results: Results = {}
    with ExitStack() as stack:
        subjects: list[tuple[Subject, list[Scenario]]] = []
        for server in plan.servers:
            rows = plan.rows(server, fresh=False)
            if not rows:
                continue
            try:
                subjects.append((stack.enter_context(_started(server, plan, home / server.key, behind)), rows))
            except (BenchmarkError, VoidRun) as error:
                _void(results, server, rows, error)
        for scenario in plan.scenarios:
            wanted = [subject for subject, rows in subjects if scenario in rows]
            results.setdefault(scenario.key, {}).update(_rounds(scenario, wanted, plan.options.rounds))
    return results


def _run_alone(plan: Plan, home: Path, behind: Upstreams) -> Results:
    """Run the scenarios that need a fresh server, each once."""
    results: Results = {}
    for server in plan.servers:
        for scenario in plan.rows(server, fresh=True):
            try:
                with _started(server, plan, home / f"{server.key}-{scenario.key}", behind) as subject:
                    found = _rounds(scenario, [subject], 1)
            except (BenchmarkError, VoidRun) as error:
                _void(results, server, [scenario], error)
            else:
                results.setdefault(scenario.key, {}).update(found)
    return results


def _void(results: Results, server: Server, rows: Sequence[Scenario], error: Exception) -> None:
    say(f"{server.title}: VOID: {error}")
    for scenario in rows:
        results.setdefault(scenario.key, {})[server.key] = {"void": str(error)}


@contextmanager
def _started(server: Server, plan: Plan, home: Path, behind: Upstreams) -> Iterator[Subject]:
    """Start a server, warm it up, learn what it takes when idle, and freeze it until its turn."""
    say(f"{server.title}: starting")
    home.mkdir()
    own, load_core = plan.cores
    cores = plan.cores if server.both_cores else (own,)
    with server.start(Host(cores, home, behind, load_core)) as running:
        bench = Bench(running, behind, plan.options)
        _warm_up(bench)
        bench.learn_idle()
        _freeze(bench)
        yield Subject(server, bench, own)


def _rounds(scenario: Scenario, subjects: Sequence[Subject], rounds: int) -> dict[str, dict[str, Any]]:
    """Visit each subject ``rounds`` times, in turn; return the medians by server, or why a server's runs are void."""
    found: dict[str, list[dict[str, Any]]] = {subject.server.key: [] for subject in subjects}
    for _ in range(rounds):
        for subject in subjects:
            mine = found[subject.server.key]
            if not mine or "void" not in mine[-1]:
                mine.append(_turn(scenario, subject))
    return {key: combined(runs, scenario.main) for key, runs in found.items()}


def combined(runs: Sequence[dict[str, Any]], main: str) -> dict[str, Any]:
    """Return the median of each metric over the rounds, and the ``low`` and ``high`` of the main one; or why they are
    void.
    """
    for each in runs:
        if "void" in each:
            return each
    metrics = {name: statistics.median(each[name] for each in runs) for name in runs[0]}
    values = [each[main] for each in runs if main in each]
    return metrics | ({"low": min(values), "high": max(values)} if len(values) > 1 else {})


def _turn(scenario: Scenario, subject: Subject) -> dict[str, Any]:
    """Let one server run, alone, for one round of a scenario."""
    bench, server = subject.bench, subject.server
    started = time.monotonic()
    bench.behind = scenario.upstream
    _thaw(bench)
    try:
        metrics = _measured(scenario, bench, None if server.both_cores else subject.core)
    finally:
        _freeze(bench)
    main = metrics.get(scenario.main)
    value = f"{scenario.main} {main:,.2f}" if main is not None else ""
    void = f"VOID: {metrics['void']}" if "void" in metrics else ""
    say(f"{server.title}: {scenario.key}: {void or value} ({time.monotonic() - started:.0f} s)")
    return metrics


def _measured(scenario: Scenario, bench: Bench, core: int | None) -> dict[str, Any]:
    """Return the metrics of a scenario that are numbers, and ``foreign_percent``, what others took of ``core``; or why
    it is void.
    """
    started = time.monotonic()
    before = core_seconds(core) - bench.cpu() if core is not None else math.nan
    try:
        found = scenario.run(bench)
        foreign = core_seconds(core) - bench.cpu() - before if core is not None else math.nan
        share = foreign / (time.monotonic() - started) * 100
        found |= {"foreign_percent": share, "idle_percent": bench.idle * 100 if bench.pid else math.nan}
    except (BenchmarkError, VoidRun) as error:
        if bench.server.recorded:
            bench.sent = bench.server.recorded()  # the failed run left records of its own
        return {"void": str(error)}
    # What a server without a process can't have is not a number.
    return {name: value for name, value in found.items() if not math.isnan(value)} | _audit(bench)


def _audit(bench: Bench) -> dict[str, Any]:
    """Compare the server's own records with the calls that were answered; a difference makes the run void."""
    if bench.server.recorded is None:
        return {}
    end = time.monotonic() + RECORDED_SECONDS
    while (found := bench.server.recorded()) != bench.sent and time.monotonic() < end:
        time.sleep(1)
    if found != bench.sent:
        answered, bench.sent = bench.sent, found
        return {"void": f"{answered} calls were answered, but {found} are on record"}
    return {"recorded": found}


def _freeze(bench: Bench) -> None:
    for group in bench.server.groups():
        processes.freeze(group)


def _thaw(bench: Bench) -> None:
    for group in bench.server.groups():
        processes.thaw(group)
    time.sleep(THAW_SECONDS if bench.server.groups() else 0)


def _warm_up(bench: Bench) -> None:
    """See that both kinds of call come back whole, then let caches and pools fill."""
    bench.probe(PLAIN_CHAT)
    bench.upstreams.plan(chunks=3, interval_ms=1)
    streams.check(asyncio.run(streams.one_by_one(bench.server.endpoint(CHAT, STREAMING, MODEL), 3)), each=3)
    bench.sent += 3
    bench.load(wrk.Load(16, bench.options.warm_up_seconds))


def _add_latency(results: Results) -> None:
    """Set ``added_p50_ms``: what a server adds to the median of the upstream's own, to a call or to a message one
    way.
    """
    for key, name, parts in (("chat-1", "p50_ms", 1), ("sockets", "one_p50_ms", 2)):
        rows: dict[str, Metrics] = results.get(key, {})
        base = rows.get("direct", {}).get(name)
        for metrics in rows.values():
            if base is not None and name in metrics:
                metrics["added_p50_ms"] = (metrics[name] - base) / parts
