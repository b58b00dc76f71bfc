"""What is measured: a row per scenario. A further one (another endpoint, a socket) is a further row.

A scenario's ``run`` gets a :class:`Bench` and returns its metrics by name; it raises VoidRun when a call failed.
"""

import asyncio
import math
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from benchmarks import calls, sockets, streams, uploads, wrk
from benchmarks.calls import PLAIN_CHAT, PLAIN_RESPONSE, UPLOAD, VISION, Call
from benchmarks.endpoint import CHAT, REALTIME
from benchmarks.errors import VoidRun
from benchmarks.options import Options
from benchmarks.payloads import MEGABYTE
from benchmarks.processes import cpu_seconds, forget_peak, peak_bytes, rss_bytes
from benchmarks.servers.base import Running
from benchmarks.upstream import INSTANT, STREAMING, TALKING, Upstreams

Metrics = dict[str, float]
UPLOADS_AT_ONCE = 4


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

    def forget_peak(self) -> None:
        """Let :meth:`peak_mb` count from now on."""
        if self.server.pid:
            forget_peak(self.server.pid)

    def peak_mb(self) -> float:
        """The most resident megabytes since :meth:`forget_peak`; not a number when the server has no process."""
        return peak_bytes(self.server.pid) / MEGABYTE if self.server.pid else math.nan

    def load(self, load: wrk.Load, call: Call = PLAIN_CHAT) -> Metrics:
        """Drive plain calls and count them; adds ``cpu_us`` a request to wrk's metrics."""
        endpoint = self.server.endpoint(call.path, INSTANT)
        before = self.cpu()
        metrics = wrk.run(endpoint, call.body(endpoint.model), load, call.content_type)
        self.sent += metrics["completed"]
        return metrics | {"cpu_us": (self.cpu() - before) / metrics["completed"] * 1e6}

    def probe(self, call: Call) -> None:
        """Make one call and see that its answer comes back whole; raise VoidRun otherwise."""
        calls.probe(call, self.server.endpoint(call.path, INSTANT))
        self.sent += 1


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
    out the line without a server, and ``fresh`` gives it a server of its own, because what others left behind in memory would
    hide what it takes.
    """

    key: str
    title: str
    run: Callable[[Bench], Metrics]
    main: str
    more: bool
    columns: tuple[Column, ...]
    needs_process: bool = False
    fresh: bool = False
    servers: frozenset[str] = field(default_factory=frozenset)  # empty: every server can


def plain(bench: Bench, *, connections: int, call: Call = PLAIN_CHAT) -> Metrics:
    """Plain calls for some seconds; the round with the median rate counts."""
    bench.probe(call)
    load = wrk.Load(connections, bench.options.seconds)
    rounds = [bench.load(load, call) for _ in range(bench.options.rounds)]
    rounds.sort(key=lambda metrics: metrics["rps"])
    return rounds[len(rounds) // 2]


def upload(bench: Bench) -> Metrics:
    """Large uploads, and the most memory that the server took for them."""
    before = bench.rss_mb()
    bench.forget_peak()
    found = plain(bench, connections=UPLOADS_AT_ONCE, call=UPLOAD)
    more = {"mb_s": found["rps"] * uploads.BYTES / MEGABYTE, "cpu_ms": found["cpu_us"] / 1000}
    return found | more | {"before_mb": before, "peak_mb": bench.peak_mb()}


def stream(bench: Bench, *, dialect: streams.Dialect = streams.CHAT_STREAM) -> Metrics:
    """Streams one by one for the time to the first chunk, then several together for the CPU time of a chunk."""
    options, endpoint = bench.options, bench.server.endpoint(dialect.path, STREAMING)
    bench.upstreams.plan(chunks=5, interval_ms=0)
    alone = asyncio.run(streams.one_by_one(endpoint, options.lone_streams, dialect))
    bench.sent += len(alone)
    streams.check(alone, each=5)
    bench.upstreams.plan(options.stream_chunks, options.stream_interval_ms)
    before = bench.cpu()
    many = asyncio.run(streams.together(endpoint, options.streams, options.stream_timeout, dialect))
    used = bench.cpu() - before
    bench.sent += len(many)
    streams.check(many, each=options.stream_chunks)
    chunks = len(many) * (options.stream_chunks + dialect.others)
    return {
        "cpu_us_chunk": used / chunks * 1e6,
        "chunks": chunks,
        "first_ms": statistics.median(one.first_ms for one in alone),
    }


def talks(bench: Bench) -> Metrics:
    """Realtime sockets: one alone for the time that a message takes, then many silent ones, then many that talk beside them."""
    return sockets.run(_talks(bench))


async def _talks(bench: Bench) -> Metrics:
    options = bench.options
    async with sockets.client(bench.server.endpoint(REALTIME, TALKING)) as client:
        lone = await client.open(1, options.stream_timeout)
        alone = sorted(await sockets.say(lone, options.talk_rate, options.rounds * options.seconds))
        before = bench.rss_mb()
        await client.open(options.idle_sockets, options.stream_timeout)
        idle = bench.rss_mb()
        talking = await client.open(options.talking_sockets, options.stream_timeout)
        bench.sent += 1 + options.idle_sockets + options.talking_sockets
        start, cpu, started = bench.rss_mb(), bench.cpu(), time.monotonic()
        took = sorted(await sockets.say(talking, options.talk_rate, options.talk_seconds))
        used, seconds = bench.cpu() - cpu, time.monotonic() - started
        end = bench.rss_mb()
    return {
        "one_p50_ms": statistics.median(alone),
        "one_p99_ms": alone[len(alone) * 99 // 100],
        "kb_idle": (idle - before) * 1024 / options.idle_sockets,
        "frames_s": len(took) / seconds,
        "p50_ms": statistics.median(took),
        "p99_ms": took[len(took) * 99 // 100],
        "cpu_us_frame": used / len(took) * 1e6,
        "busy_percent": used / seconds * 100,
        "start_mb": start,
        "rss_mb": end,
    }


def memory(bench: Bench) -> Metrics:
    """Resident memory before and after a long run, both after the same warm-up."""
    options = bench.options
    bench.load(wrk.Load(16, options.memory_warm_up_seconds, options.memory_warm_up))
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


CALL_COLUMNS = (
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
        partial(plain, connections=1),
        "rps",
        True,
        (*CALL_COLUMNS[:2], ADDED, *CALL_COLUMNS[2:]),
    ),
    Scenario("chat-16", "Chat, 16 connections", partial(plain, connections=16), "rps", True, CALL_COLUMNS),
    Scenario("chat-64", "Chat, 64 connections", partial(plain, connections=64), "rps", True, CALL_COLUMNS),
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
        "responses-16",
        "Responses, 16 connections",
        partial(plain, connections=16, call=PLAIN_RESPONSE),
        "rps",
        True,
        CALL_COLUMNS,
    ),
    Scenario(
        "responses-stream",
        "Streamed responses",
        partial(stream, dialect=streams.RESPONSE_STREAM),
        "cpu_us_chunk",
        False,
        (
            Column("cpu_us_chunk", "CPU µs an event", "{:,.0f}"),
            Column("first_ms", "first delta, p50 ms"),
            Column("chunks", "events", "{:,.0f}"),
        ),
    ),
    Scenario(
        "sockets",
        "Realtime sockets",
        talks,
        "cpu_us_frame",
        False,
        (
            Column("one_p50_ms", "one: p50 ms"),
            Column("one_p99_ms", "p99 ms"),
            Column("added_p50_ms", "added a message, p50 ms", "{:,.3f}"),
            Column("kb_idle", "KiB an idle one", "{:,.0f}"),
            Column("frames_s", "many: frames/s", "{:,.0f}"),
            Column("p50_ms", "p50 ms"),
            Column("p99_ms", "p99 ms"),
            Column("cpu_us_frame", "CPU µs a frame", "{:,.0f}"),
            Column("busy_percent", "CPU %", "{:,.0f}"),
            Column("rss_mb", "resident MiB", "{:,.0f}"),
        ),
        fresh=True,
        servers=frozenset(
            {"direct", "nginx", "gatehouse", "litellm"}
        ),  # Portkey's dial OpenAI's own host, whatever it is told
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
        fresh=True,
    ),
    Scenario(
        "vision",
        "Chat with a 1 MB picture, 4 connections",
        partial(plain, connections=4, call=VISION),
        "rps",
        True,
        CALL_COLUMNS,
    ),
    Scenario(
        "upload",
        "Upload of a 20 MB sound file, 4 connections",
        upload,
        "rps",
        True,
        (
            Column("rps", "uploads/s", "{:,.1f}"),
            Column("mb_s", "MiB/s", "{:,.0f}"),
            Column("p50_ms", "p50 ms", "{:,.0f}"),
            Column("p99_ms", "p99 ms", "{:,.0f}"),
            Column("cpu_ms", "CPU ms an upload", "{:,.1f}"),
            Column("before_mb", "resident MiB before", "{:,.0f}"),
            Column("peak_mb", "most", "{:,.0f}"),
        ),
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
        fresh=True,
    ),
)
BY_KEY = {scenario.key: scenario for scenario in SCENARIOS}
