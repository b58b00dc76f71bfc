"""What is measured: a row per scenario. A further one (another endpoint, a socket) is a further row."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from benchmarks import calls, measures, streams
from benchmarks.calls import PLAIN_RESPONSE, VISION, Call
from benchmarks.measures import Bench, Metrics, plain
from benchmarks.upstream import INSTANT, STREAMING, TALKING

# Servers by kind. TensorZero has no /responses and no uploads, Ferro no sockets, and Portkey's sockets go to OpenAI's
# own host, whatever they are configured with.
EVERY = frozenset({"direct", "nginx", "envoy", "gatehouse", "ferro", "tensorzero", "portkey", "litellm"})
ALL_PATHS = EVERY - {"tensorzero"}
SOCKETS = ALL_PATHS - {"ferro", "portkey"}
WORKERS = frozenset({"gatehouse", "gatehouse-2"})
OBSERVED = frozenset({"gatehouse", "gatehouse-traced", "gatehouse-sampled", "gatehouse-bodies"})
RULED = frozenset({"gatehouse", "gatehouse-ruled", "gatehouse-shared"})
PROCESSES = EVERY - {"direct"}
# Those beside which translation is measured. TensorZero takes no messages, and its address of Gemini is fixed; Ferro
# passes messages on as they are.
TRANSLATORS = frozenset({"gatehouse", "ferro", "tensorzero", "litellm"})
GEMINI_CALLERS = TRANSLATORS - {"tensorzero"}
MESSAGE_TAKERS = GEMINI_CALLERS - {"ferro"}


@dataclass(frozen=True)
class Column:
    """A metric in a table: its name, its title, and how it is written."""

    name: str
    title: str
    form: str = "{:,.2f}"


@dataclass(frozen=True)
class Scenario:
    """A row: its key on the command line, its title, how it is run, and what its table shows.

    ``main`` names the metric of the ratios, and ``more`` says whether more of it is better. ``fresh`` gives it a server
    of its own and a single round, because what others left behind in memory would hide what it takes. ``upstream`` is
    the one whose server is measured, where each has a process. ``servers`` are the kinds of servers that can do it, and
    ``translated`` says that they have to translate.
    """

    key: str
    title: str
    run: Callable[[Bench], Metrics]
    main: str
    more: bool
    columns: tuple[Column, ...]
    fresh: bool = False
    servers: frozenset[str] = EVERY
    upstream: str = INSTANT
    translated: bool = False


CALL_COLUMNS = (
    Column("rps", "requests/s", "{:,.0f}"),
    Column("p50_ms", "p50 ms"),
    Column("p99_ms", "p99 ms"),
    Column("cpu_us", "CPU µs a call", "{:,.0f}"),
)
LONE_COLUMNS = (
    CALL_COLUMNS[0],
    Column("p50_ms", "p50 ms", "{:,.3f}"),
    Column("added_p50_ms", "p50 added ms", "{:,.3f}"),
    Column("p99_ms", "p99 ms", "{:,.3f}"),
    Column("p99_to_p50", "p99 ÷ p50", "{:,.1f}"),
    CALL_COLUMNS[3],
)
EVENT = Column("cpu_us_event", "CPU µs an event", "{:,.1f}")
EVENTS = Column("events", "events", "{:,.0f}")
STREAM_COLUMNS = (EVENT, Column("first_ms", "first chunk, p50 ms"), EVENTS)
BURST_COLUMNS = (
    EVENT,
    Column("streams_s", "streams/s", "{:,.0f}"),
    Column("first_ms", "first chunk, p50 ms"),
    EVENTS,
)


@dataclass(frozen=True)
class Translation:
    """From callers of one dialect to a vendor of another: its key and title, a plain call, a stream, and who can."""

    key: str
    title: str
    call: Call
    stream: streams.Dialect
    servers: frozenset[str]

    def scenarios(self) -> tuple[Scenario, ...]:
        """Return its rows: as ``chat-16``, ``stream`` and ``burst``, but translated."""
        row = partial(Scenario, fresh=False, servers=self.servers, translated=True)
        event = partial(row, main=EVENT.name, more=False, upstream=STREAMING)
        return (
            row(
                f"{self.key}-16",
                f"{self.title}, 16 connections",
                partial(plain, connections=16, call=self.call),
                main="rps",
                more=True,
                columns=CALL_COLUMNS,
            ),
            event(
                f"{self.key}-stream",
                f"{self.title}: streams, paced",
                partial(measures.stream, dialect=self.stream),
                columns=STREAM_COLUMNS,
            ),
            event(
                f"{self.key}-burst",
                f"{self.title}: streams in one burst",
                partial(measures.burst, dialect=self.stream),
                columns=BURST_COLUMNS,
            ),
        )


TRANSLATIONS = (
    Translation(
        "claude", "Chat to Anthropic's dialect", calls.CHAT_TO_ANTHROPIC, streams.CHAT_TO_ANTHROPIC, TRANSLATORS
    ),
    Translation("gemini", "Chat to Gemini's dialect", calls.CHAT_TO_GEMINI, streams.CHAT_TO_GEMINI, GEMINI_CALLERS),
    Translation(
        "messages", "Messages to OpenAI's dialect", calls.MESSAGE_TO_OPENAI, streams.MESSAGE_TO_OPENAI, MESSAGE_TAKERS
    ),
)
SCENARIOS = (
    Scenario("chat-1", "Chat, a lone caller", partial(plain, connections=1), "rps", True, LONE_COLUMNS),
    Scenario("chat-16", "Chat, 16 connections", partial(plain, connections=16), "rps", True, CALL_COLUMNS),
    Scenario("chat-64", "Chat, 64 connections", partial(plain, connections=64), "rps", True, CALL_COLUMNS),
    Scenario(
        "workers",
        "Two workers on both cores beside one on one, 64 connections",
        partial(plain, connections=64),
        "rps",
        True,
        CALL_COLUMNS,
        servers=WORKERS,
    ),
    Scenario(
        "observed",
        "Chat, 16 connections, with calls that others see more of",
        partial(plain, connections=16),
        "cpu_us",
        False,
        CALL_COLUMNS,
        servers=OBSERVED,
    ),
    Scenario(
        "ruled",
        "Chat, 16 connections, with limits, budgets and a virtual model",
        partial(plain, connections=16),
        "cpu_us",
        False,
        CALL_COLUMNS,
        servers=RULED,
    ),
    Scenario(
        "ruled-1",
        "Chat, a lone caller, with limits, budgets and a virtual model",
        partial(plain, connections=1),
        "p99_ms",
        False,
        LONE_COLUMNS,
        servers=RULED,
    ),
    Scenario(
        "stream",
        "Streamed chat, paced: 32 streams with a chunk each 10 ms",
        measures.stream,
        "cpu_us_event",
        False,
        STREAM_COLUMNS,
        upstream=STREAMING,
    ),
    Scenario(
        "burst",
        "Streamed chat, 203 events (45 kB) in one burst, 16 streams at a time",
        measures.burst,
        "cpu_us_event",
        False,
        BURST_COLUMNS,
        upstream=STREAMING,
    ),
    Scenario(
        "responses-16",
        "Responses, 16 connections",
        partial(plain, connections=16, call=PLAIN_RESPONSE),
        "rps",
        True,
        CALL_COLUMNS,
        servers=ALL_PATHS,
    ),
    Scenario(
        "responses-stream",
        "Streamed responses, paced: 32 streams with a delta each 10 ms",
        partial(measures.stream, dialect=streams.RESPONSE_STREAM),
        "cpu_us_event",
        False,
        (EVENT, Column("first_ms", "first delta, p50 ms"), EVENTS),
        servers=ALL_PATHS,
        upstream=STREAMING,
    ),
    *(row for each in TRANSLATIONS for row in each.scenarios()),
    Scenario(
        "sockets",
        "Realtime sockets",
        measures.talks,
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
        servers=SOCKETS,
        upstream=TALKING,
    ),
    Scenario(
        "open-streams",
        "Open streams at once, a chunk a second in each",
        measures.open_streams,
        "kb_stream",
        False,
        (
            Column("open", "open at once", "{:,.0f}"),
            Column("rss_mb", "resident MiB", "{:,.0f}"),
            Column("kb_stream", "KiB a stream", "{:,.1f}"),
            Column("busy_percent", "CPU while held %", "{:,.0f}"),
            Column("first_p50_ms", "first chunk, p50 ms", "{:,.0f}"),
            Column("first_p99_ms", "p99 ms", "{:,.0f}"),
        ),
        fresh=True,
        servers=PROCESSES,
        upstream=STREAMING,
    ),
    Scenario(
        "vision",
        "Chat with a 1 MB image, 4 connections",
        partial(plain, connections=4, call=VISION),
        "rps",
        True,
        CALL_COLUMNS,
    ),
    Scenario(
        "upload",
        "Upload of a 20 MB audio file, 4 connections",
        measures.upload,
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
        servers=ALL_PATHS,
    ),
    Scenario(
        "memory",
        "Resident memory over a long run, 16 connections",
        measures.memory,
        "after_mb",
        False,
        (
            Column("requests", "requests", "{:,.0f}"),
            Column("start_mb", "MiB at start", "{:,.0f}"),
            Column("before_mb", "MiB warm", "{:,.0f}"),
            Column("after_mb", "MiB after", "{:,.0f}"),
            Column("growth_percent", "growth %", "{:+,.1f}"),
        ),
        fresh=True,
        servers=PROCESSES,
    ),
)
BY_KEY = {scenario.key: scenario for scenario in SCENARIOS}
