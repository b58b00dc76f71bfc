"""How long and how hard: the knobs of a run."""

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Options:
    """Bounds of the scenarios. Seconds are seconds, counts are counts, intervals are milliseconds."""

    rounds: int = 3
    seconds: float = 4
    warm_up_seconds: float = 3
    memory_warm_up: int = 10_000
    memory_requests: int = 200_000
    memory_warm_up_seconds: float = 20
    memory_seconds: float = 150
    streams: int = 32
    stream_chunks: int = 600
    stream_interval_ms: float = 10
    lone_streams: int = 50
    open_streams: int = 1_000
    hold_seconds: float = 5
    stream_timeout: float = 180
    lone_seconds: float = 12
    idle_sockets: int = 500
    talking_sockets: int = 200
    talk_rate: float = 50
    talk_seconds: float = 10


def quick(options: Options) -> Options:
    """Return the options of a short run, whose numbers only say that everything works."""
    return replace(
        options,
        rounds=1,
        seconds=2,
        warm_up_seconds=1,
        memory_warm_up=500,
        memory_requests=2_000,
        memory_warm_up_seconds=5,
        memory_seconds=15,
        streams=8,
        stream_chunks=100,
        lone_streams=10,
        open_streams=100,
        hold_seconds=2,
        stream_timeout=60,
        lone_seconds=2,
        idle_sockets=50,
        talking_sockets=20,
        talk_seconds=2,
    )
