"""What is done to a server: each function gets a :class:`Bench` and returns metrics by name.

It raises VoidRun when a call failed.
"""

import asyncio
import math
import statistics
import time
from dataclasses import dataclass

from benchmarks import calls, sockets, streams, uploads, wrk
from benchmarks.calls import PLAIN_CHAT, UPLOAD, Call
from benchmarks.endpoint import CHAT, MODEL, OTHERS, REALTIME
from benchmarks.errors import VoidRun
from benchmarks.options import Options
from benchmarks.payloads import MEGABYTE
from benchmarks.processes import cpu_seconds, forget_peak, peak_bytes, rss_bytes
from benchmarks.servers.base import Running
from benchmarks.upstream import INSTANT, STREAMING, TALKING, Upstreams

Metrics = dict[str, float]
UPLOADS_AT_ONCE = 4
BURSTS_AT_ONCE = 16
# A burst has 203 events: these chunks, and the three others of a chat.
BURST_CHUNKS = 200
# Work in the background may begin this long after a load.
REST_SECONDS = 1.0
WINDOW_SECONDS = 0.25
# More than the kernel's clock of CPU time may err by, in a window.
NOTHING_SECONDS = 0.02
LONGEST_REST_SECONDS = 20.0
IDLE_SECONDS = 2.0


@dataclass
class Bench:
    """A server under test, the upstreams behind it, the knobs, and how many calls it was sent so far.

    ``behind`` is the upstream in use, for servers that have a process for each; ``idle`` is the CPU time, in seconds a
    second, that the server takes without a load.
    """

    server: Running
    upstreams: Upstreams
    options: Options
    sent: int = 0
    start_mb: float = 0.0
    behind: str = INSTANT
    idle: float = 0.0

    def __post_init__(self) -> None:
        self.start_mb = self.rss_mb()

    @property
    def pid(self) -> int | None:
        """The root of the processes that are measured."""
        return self.server.pid_behind(self.behind)

    def cpu(self) -> float:
        """CPU seconds of the server so far; not a number when it has no process."""
        return cpu_seconds(self.pid) if self.pid else math.nan

    def spent(self) -> float:
        """CPU seconds of the server so far, once it rests: what a load left to be done in the background counts.

        What it takes for waiting, as it does without a load, is left out.
        """
        if not self.pid:
            return math.nan
        started = time.monotonic()
        time.sleep(REST_SECONDS)
        used = self.cpu()
        while time.monotonic() - started < LONGEST_REST_SECONDS:
            time.sleep(WINDOW_SECONDS)
            before, used = used, self.cpu()
            if used - before <= self.idle * WINDOW_SECONDS + NOTHING_SECONDS:
                break
        return used - self.idle * (time.monotonic() - started)

    def learn_idle(self) -> None:
        """Measure what the server takes without a load."""
        self.spent()
        before, started = self.cpu(), time.monotonic()
        time.sleep(IDLE_SECONDS if self.pid else 0)
        self.idle = (self.cpu() - before) / max(time.monotonic() - started, WINDOW_SECONDS)

    def rss_mb(self) -> float:
        """Resident megabytes of the server; not a number when it has no process."""
        return rss_bytes(self.pid) / MEGABYTE if self.pid else math.nan

    def forget_peak(self) -> None:
        """Let :meth:`peak_mb` count from now on."""
        if self.pid:
            forget_peak(self.pid)

    def peak_mb(self) -> float:
        """The most resident megabytes since :meth:`forget_peak`; not a number when the server has no process."""
        return peak_bytes(self.pid) / MEGABYTE if self.pid else math.nan

    def load(self, load: wrk.Load, call: Call = PLAIN_CHAT) -> Metrics:
        """Drive plain calls and count them; adds ``cpu_us`` a call to wrk's metrics."""
        endpoint = self.server.endpoint(call.path, INSTANT, call.model)
        before = self.cpu()
        metrics = wrk.run(endpoint, call.body(endpoint.model), load, call.content_type)
        self.sent += metrics["completed"]
        return metrics | {"cpu_us": (self.spent() - before) / metrics["completed"] * 1e6}

    def probe(self, call: Call) -> None:
        """Make one call and see that its answer comes back whole; raise VoidRun otherwise."""
        calls.probe(call, self.server.endpoint(call.path, INSTANT, call.model))
        self.sent += 1


def plain(bench: Bench, *, connections: int, call: Call = PLAIN_CHAT) -> Metrics:
    """Plain calls for some seconds."""
    bench.probe(call)
    found = bench.load(wrk.Load(connections, bench.options.seconds), call)
    return found | {"p99_to_p50": found["p99_ms"] / found["p50_ms"]}


def upload(bench: Bench) -> Metrics:
    """Large uploads, and the most memory that the server took for them."""
    before = bench.rss_mb()
    bench.forget_peak()
    found = plain(bench, connections=UPLOADS_AT_ONCE, call=UPLOAD)
    more = {"mb_s": found["rps"] * uploads.BYTES / MEGABYTE, "cpu_ms": found["cpu_us"] / 1000}
    return found | more | {"before_mb": before, "peak_mb": bench.peak_mb()}


def stream(bench: Bench, *, dialect: streams.Dialect = streams.CHAT_STREAM) -> Metrics:
    """Streams one by one for the time to the first chunk, then several together for the CPU time of an event."""
    options, endpoint = bench.options, bench.server.endpoint(dialect.path, STREAMING, dialect.model)
    bench.upstreams.plan(chunks=5, interval_ms=0)
    alone = asyncio.run(streams.one_by_one(endpoint, options.lone_streams, dialect))
    bench.sent += len(alone)
    streams.check(alone, each=5)
    bench.upstreams.plan(options.stream_chunks, options.stream_interval_ms)
    bench.spent()
    before = bench.cpu()
    many = asyncio.run(streams.together(endpoint, options.streams, options.stream_timeout, dialect))
    bench.sent += len(many)
    streams.check(many, each=options.stream_chunks)
    events = len(many) * (options.stream_chunks + dialect.others)
    return {
        "cpu_us_event": (bench.spent() - before) / events * 1e6,
        "events": events,
        "first_ms": statistics.median(one.first_ms for one in alone),
    }


def burst(bench: Bench, *, dialect: streams.Dialect = streams.CHAT_STREAM) -> Metrics:
    """Streams whose upstream sends all events in one write, one after another over several connections."""
    options, endpoint = bench.options, bench.server.endpoint(dialect.path, STREAMING, dialect.model)
    bench.upstreams.plan_burst(BURST_CHUNKS)
    before, started = bench.cpu(), time.monotonic()
    found = sockets.run(streams.repeated(endpoint, BURSTS_AT_ONCE, options.seconds, dialect))
    seconds = time.monotonic() - started
    bench.sent += len(found)
    streams.check(found, each=BURST_CHUNKS)
    events = len(found) * (BURST_CHUNKS + dialect.others)
    return {
        "cpu_us_event": (bench.spent() - before) / events * 1e6,
        "streams_s": len(found) / seconds,
        "first_ms": statistics.median(one.first_ms for one in found),
        "events": events,
    }


def talks(bench: Bench) -> Metrics:
    """Realtime sockets: one alone for the time that a message takes, then many silent ones, then many that talk beside
    them.
    """
    return sockets.run(_talks(bench))


async def _talks(bench: Bench) -> Metrics:
    options = bench.options
    async with sockets.client(bench.server.endpoint(REALTIME, TALKING, OTHERS[REALTIME])) as client:
        lone = await client.open(1, options.stream_timeout)
        alone = sorted(await sockets.say(lone, options.talk_rate, options.lone_seconds))
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
    options, endpoint = bench.options, bench.server.endpoint(CHAT, STREAMING, MODEL)
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
