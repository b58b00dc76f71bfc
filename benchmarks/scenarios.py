"""What is measured: a row per scenario. A further one (another endpoint, a socket) is a further row.

A scenario's ``run`` gets a :class:`Bench` and returns its metrics by name; it raises VoidRun when a call failed.
"""

import asyncio
import math
import statistics
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from benchmarks import streams, wrk
from benchmarks.errors import VoidRun
from benchmarks.options import Options
from benchmarks.payloads import MEGABYTE, chat_body
from benchmarks.processes import cpu_seconds, rss_bytes
from benchmarks.servers.base import CHAT, Running
from benchmarks.upstream import INSTANT, STREAMING, Upstreams

Metrics = dict[str, float]


@dataclass
class Bench:
    """A server under test, the upstreams behind it, the knobs, and how many calls it was sent so far."""

    server: Running
    upstreams: Upstreams
    options: Options
    sent: int = 0
    start_mb: float = 0.0

    def __post_init__(self) -> None:
        self.start_mb = self.rss_mb()

    def cpu(self) -> float:
        """CPU seconds of the server so far; not a number when it has no process."""
        return cpu_seconds(self.server.pid) if self.server.pid else math.nan

    def rss_mb(self) -> float:
        """Resident megabytes of the server; not a number when it has no process."""
        return rss_bytes(self.server.pid) / MEGABYTE if self.server.pid else math.nan

    def load(self, load: wrk.Load, image_bytes: int = 0) -> Metrics:
        """Drive plain chat completions and count them; adds ``cpu_us`` a request to wrk's metrics."""
        endpoint = self.server.endpoint(CHAT, INSTANT)
        before = self.cpu()
        metrics = wrk.run(endpoint, chat_body(endpoint.model, image_bytes=image_bytes), load)
        self.sent += metrics["completed"]
        return metrics | {"cpu_us": (self.cpu() - before) / metrics["completed"] * 1e6}


@dataclass(frozen=True)
class Column:
    """A metric in a table: its name, its title, and how it is written."""

    name: str
    title: str
    form: str = "{:,.2f}"


@dataclass(frozen=True)
class Scenario:
    """A row: its key on the command line, its title, how it is run, and what its table shows.

    ``main`` names the metric of the ratios, ``more`` says whether more of it is better, and ``needs_process`` leaves
    out the line without a server.
    """

    key: str
    title: str
    run: Callable[[Bench], Metrics]
    main: str
    more: bool
    columns: tuple[Column, ...]
    needs_process: bool = False
    servers: frozenset[str] = field(default_factory=frozenset)  # empty: every server can


def chat(bench: Bench, *, connections: int, image_bytes: int = 0) -> Metrics:
    """Plain chat completions for some seconds; the round with the median rate counts."""
    load = wrk.Load(connections, bench.options.seconds)
    rounds = [bench.load(load, image_bytes) for _ in range(bench.options.rounds)]
    rounds.sort(key=lambda metrics: metrics["rps"])
    return rounds[len(rounds) // 2]


def stream(bench: Bench) -> Metrics:
    """Streams one by one for the time to the first chunk, then several together for the CPU time of a chunk."""
    options, endpoint = bench.options, bench.server.endpoint(CHAT, STREAMING)
    bench.upstreams.plan(chunks=5, interval_ms=0)
    alone = asyncio.run(streams.one_by_one(endpoint, options.lone_streams))
    bench.sent += len(alone)
    streams.check(alone, each=5)
    bench.upstreams.plan(options.stream_chunks, options.stream_interval_ms)
    before = bench.cpu()
    many = asyncio.run(streams.together(endpoint, options.streams, options.stream_timeout))
    used = bench.cpu() - before
    bench.sent += len(many)
    streams.check(many, each=options.stream_chunks)
    return {
        "cpu_us_chunk": used / (len(many) * options.stream_chunks) * 1e6,
        "chunks": len(many) * options.stream_chunks,
        "first_ms": statistics.median(one.first_ms for one in alone),
    }


def memory(bench: Bench) -> Metrics:
    """Resident memory before and after a long run, both after the same warm-up."""
    options = bench.options
    bench.load(wrk.Load(16, options.memory_seconds, options.memory_warm_up))
    before = bench.rss_mb()
    run = bench.load(wrk.Load(16, options.memory_seconds, options.memory_requests))
    after = bench.rss_mb()
    growth = (after / before - 1) * 100
    return {
        "requests": run["completed"],
        "start_mb": bench.start_mb,
        "before_mb": before,
        "after_mb": after,
        "growth_percent": growth,
    }


def open_streams(bench: Bench) -> Metrics:
    """Many streams open at once, a chunk a second in each, held and then ended."""
    return asyncio.run(_open_streams(bench))


async def _open_streams(bench: Bench) -> Metrics:
    options, endpoint = bench.options, bench.server.endpoint(CHAT, STREAMING)
    bench.upstreams.plan(chunks=3600, interval_ms=1000)
    before = bench.rss_mb()
    async with streams.held(endpoint, options.open_streams, options.stream_timeout) as opened:
        bench.sent += len(opened)
        streams.check(opened)
        cpu = bench.cpu()
        await asyncio.sleep(options.hold_seconds)
        busy = (bench.cpu() - cpu) / options.hold_seconds * 100
        held, during = bench.upstreams.state()["open"], bench.rss_mb()
        bench.upstreams.release()
    streams.check(opened)
    state, received = bench.upstreams.state(), sum(one.chunks for one in opened)
    if not held == state["finished"] == options.open_streams or state["sent"] != received:
        raise VoidRun(f"{held} open at once, {state['finished']} finished, {received} of {state['sent']} chunks")
    firsts = sorted(one.first_ms for one in opened)
    return {
        "open": held,
        "rss_mb": during,
        "kb_stream": (during - before) * 1024 / held,
        "busy_percent": busy,
        "first_p50_ms": firsts[len(firsts) // 2],
        "first_p99_ms": firsts[len(firsts) * 99 // 100],
    }


CHAT_COLUMNS = (
    Column("rps", "requests/s", "{:,.0f}"),
    Column("p50_ms", "p50 ms"),
    Column("p99_ms", "p99 ms"),
    Column("cpu_us", "CPU µs a request", "{:,.0f}"),
)
ADDED = Column("added_p50_ms", "p50 added ms")
SCENARIOS = (
    Scenario(
        "chat-1",
        "Chat, 1 connection",
        partial(chat, connections=1),
        "rps",
        True,
        (*CHAT_COLUMNS[:2], ADDED, *CHAT_COLUMNS[2:]),
    ),
    Scenario("chat-16", "Chat, 16 connections", partial(chat, connections=16), "rps", True, CHAT_COLUMNS),
    Scenario("chat-64", "Chat, 64 connections", partial(chat, connections=64), "rps", True, CHAT_COLUMNS),
    Scenario(
        "vision",
        "Chat with a 1 MB picture, 4 connections",
        partial(chat, connections=4, image_bytes=MEGABYTE),
        "rps",
        True,
        CHAT_COLUMNS,
    ),
    Scenario(
        "stream",
        "Streamed chat",
        stream,
        "cpu_us_chunk",
        False,
        (
            Column("cpu_us_chunk", "CPU µs a chunk", "{:,.0f}"),
            Column("first_ms", "first chunk, p50 ms"),
            Column("chunks", "chunks", "{:,.0f}"),
        ),
    ),
    Scenario(
        "open-streams",
        "Open streams at once, a chunk a second in each",
        open_streams,
        "kb_stream",
        False,
        (
            Column("open", "open at once", "{:,.0f}"),
            Column("rss_mb", "resident MiB", "{:,.0f}"),
            Column("kb_stream", "KiB a stream", "{:,.0f}"),
            Column("busy_percent", "CPU while held %", "{:,.0f}"),
            Column("first_p50_ms", "first chunk, p50 ms", "{:,.0f}"),
            Column("first_p99_ms", "p99 ms", "{:,.0f}"),
        ),
        needs_process=True,
    ),
    Scenario(
        "memory",
        "Resident memory over a long run, 16 connections",
        memory,
        "after_mb",
        False,
        (
            Column("requests", "requests", "{:,.0f}"),
            Column("start_mb", "MiB at start", "{:,.0f}"),
            Column("before_mb", "MiB warm", "{:,.0f}"),
            Column("after_mb", "MiB after", "{:,.0f}"),
            Column("growth_percent", "growth %", "{:+,.1f}"),
        ),
        needs_process=True,
    ),
)
BY_KEY = {scenario.key: scenario for scenario in SCENARIOS}
