"""Run the chosen scenarios against the chosen servers, one server at a time, and gather results."""

import asyncio
import math
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import streams, wrk
from benchmarks.calls import PLAIN_CHAT
from benchmarks.endpoint import CHAT
from benchmarks.errors import BenchmarkError, VoidRun
from benchmarks.options import Options
from benchmarks.processes import core_seconds
from benchmarks.scenarios import Bench, Metrics, Scenario
from benchmarks.servers import Server
from benchmarks.servers.base import Host
from benchmarks.upstream import STREAMING, upstreams

# Scenario key -> server key -> metrics, or {"void": why}.
Results = dict[str, dict[str, dict[str, Any]]]
# Records reach the database in batches: how long the last ones may take.
RECORDED_SECONDS = 60


@dataclass(frozen=True)
class Plan:
    """What to run, and on which cores: servers on the first, upstreams and load on the second."""

    servers: Sequence[Server]
    scenarios: Sequence[Scenario]
    options: Options
    cores: tuple[int, int]


def say(text: str) -> None:
    """Tell progress, on stderr."""
    print(f"benchmarks: {text}", file=sys.stderr, flush=True)


def run(plan: Plan) -> Results:
    """Run everything and return the results; every process is gone when this returns or raises."""
    os.sched_setaffinity(0, {plan.cores[1]})
    results: Results = {scenario.key: {} for scenario in plan.scenarios}
    with ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="gatehouse-bench-")))
        behind = stack.enter_context(upstreams(plan.cores[1], home))
        for server in plan.servers:
            for number, rows in enumerate(groups(server, plan.scenarios)):
                folder = home / f"{server.key}-{number}"
                folder.mkdir()
                for key, metrics in _measure(server, Host(plan.cores[0], folder, behind), rows, plan.options).items():
                    results[key][server.key] = metrics
    _add_latency(results)
    return results


def groups(server: Server, scenarios: Sequence[Scenario]) -> list[list[Scenario]]:
    """Return the scenarios that ``server`` can do, in groups that each have a server of their own."""
    rows = [one for one in scenarios if not one.servers or server.key in one.servers]
    together = [one for one in rows if not one.fresh]
    return ([together] if together else []) + [[one] for one in rows if one.fresh]


def _measure(server: Server, host: Host, rows: list[Scenario], options: Options) -> dict[str, dict[str, Any]]:
    """Start one server, run scenarios, stop it."""
    say(f"{server.title}: starting")
    try:
        with server.start(host) as running:
            bench = Bench(running, host.upstreams, options)
            wanted = [one for one in rows if running.pid or not one.needs_process]
            if wanted:
                _warm_up(bench)
            return {one.key: _scenario(one, bench, server, host.core) for one in wanted}
    except (BenchmarkError, VoidRun) as error:
        say(f"{server.title}: VOID: {error}")
        return {one.key: {"void": str(error)} for one in rows}


def _scenario(scenario: Scenario, bench: Bench, server: Server, core: int) -> dict[str, Any]:
    metrics: dict[str, Any]
    started = time.monotonic()
    before = core_seconds(core) - bench.cpu()
    try:
        found = scenario.run(bench)
        # The part of the server's core that went to others: with much of it the numbers mean little.
        foreign = (core_seconds(core) - bench.cpu() - before) / (time.monotonic() - started) * 100
        # What a server without a process can't have is not a number.
        metrics = {
            name: value for name, value in (found | {"foreign_percent": foreign}).items() if not math.isnan(value)
        }
    except VoidRun as error:
        metrics = {"void": str(error)}
        if bench.server.recorded:
            bench.sent = bench.server.recorded()  # the failed run left records of its own
    else:
        metrics |= _audit(bench)
    main = metrics.get(scenario.main)
    told = f"{scenario.main} {main:,.2f}" if main is not None else ""
    void = f"VOID: {metrics['void']}" if "void" in metrics else ""
    say(f"{server.title}: {scenario.key}: {void or told} ({time.monotonic() - started:.0f} s)")
    return metrics


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


def _warm_up(bench: Bench) -> None:
    """See that both kinds of call come back whole, then let caches and pools fill."""
    bench.probe(PLAIN_CHAT)
    bench.upstreams.plan(chunks=3, interval_ms=1)
    streams.check(asyncio.run(streams.one_by_one(bench.server.endpoint(CHAT, STREAMING), 3)), each=3)
    bench.sent += 3
    bench.load(wrk.Load(16, bench.options.warm_up_seconds))


def _add_latency(results: Results) -> None:
    """Set ``added_p50_ms``: what a server adds to the median of the upstream's own, to a call or to a message one way."""
    for key, name, parts in (("chat-1", "p50_ms", 1), ("sockets", "one_p50_ms", 2)):
        rows: dict[str, Metrics] = results.get(key, {})
        base = rows.get("direct", {}).get(name)
        for metrics in rows.values():
            if base is not None and name in metrics:
                metrics["added_p50_ms"] = (metrics[name] - base) / parts
