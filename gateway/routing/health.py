"""How the targets of virtual models do, as this process sees them: who failed, and who is how fast.

Two failures within two minutes put a target behind the others (a refused key: one). After a rest it gets one call as a
probe, whose success puts it back. A ``retry-after`` makes the rest as long. Counted are targets of virtual models only,
so that memory is bounded by the configuration.
"""

from collections import deque
from dataclasses import dataclass, field
from time import monotonic
from typing import Final

FAILED: Final = frozenset({401, 403, 408, 429, *range(500, 600)})
KEY_REFUSED: Final = frozenset({401, 403})
FAILURES: Final = 2
WINDOW_SECONDS: Final = 120.0
REST_SECONDS: Final = 30.0
LONGEST_REST_SECONDS: Final = 300.0
PROBE_SECONDS: Final = 60.0
"""How long a probe may be under way before another call may be one."""
LATENCY_SECONDS: Final = 1200.0
SLA_SECONDS: Final = 180.0
SLA_SAMPLES: Final = 3
KEPT_SAMPLES: Final = 200


@dataclass(slots=True)
class Sample:
    """One answer: when it ended (monotonic seconds), milliseconds to its first token and for each output token."""

    at: float
    first_ms: float | None
    token_ms: float | None


@dataclass(slots=True)
class TargetHealth:
    """What is known of one target."""

    failures: deque[float] = field(default_factory=lambda: deque(maxlen=FAILURES))
    resting_until: float = 0.0
    ejected: bool = False
    probing_until: float = 0.0
    samples: deque[Sample] = field(default_factory=lambda: deque(maxlen=KEPT_SAMPLES))
    cause: int = 0
    """The status that it failed with last."""

    def note_failure(self, status: int, now: float, rest: float | None) -> bool:
        """Take a failure; return whether the target is ejected by it."""
        was = self.ejected
        self.cause = status
        self.failures.append(now)
        in_window = len(self.failures) == FAILURES and now - self.failures[0] <= WINDOW_SECONDS
        if was or in_window or status in KEY_REFUSED:
            self.ejected = True
            self.resting_until = max(self.resting_until, now + min(rest or REST_SECONDS, LONGEST_REST_SECONDS))
            self.probing_until = 0.0
        return self.ejected and not was

    def note_success(self, sample: Sample) -> bool:
        """Take a good answer; return whether the target is back by it."""
        was, self.ejected = self.ejected, False
        self.failures.clear()
        self.resting_until = self.probing_until = 0.0
        self.samples.append(sample)
        return was

    def usable(self, now: float) -> bool:
        """Whether a call may go there in its turn: the target is well, or the call becomes the probe."""
        return not self.ejected or (now >= self.resting_until and now >= self.probing_until)

    def median(self, now: float, seconds: float, *, first: bool) -> tuple[float | None, int]:
        """Return the median of the last ``seconds``, to the first token or for each one, and of how many samples."""
        values = sorted(
            value
            for sample in self.samples
            if now - sample.at <= seconds and (value := sample.first_ms if first else sample.token_ms) is not None
        )
        return (values[len(values) // 2] if values else None), len(values)

    def keeps(self, sla: tuple[float | None, float | None], now: float) -> bool:
        """Whether the target kept its bounds over the last minutes; with few samples it is taken to."""
        for bound, first in zip(sla, (True, False), strict=True):
            if bound is not None:
                median, count = self.median(now, SLA_SECONDS, first=first)
                if median is not None and count >= SLA_SAMPLES and median > bound:
                    return False
        return True


class Health:
    """The targets by public name. Used in the event loop only."""

    def __init__(self) -> None:
        self._targets: dict[str, TargetHealth] = {}

    def of(self, name: str) -> TargetHealth:
        """Return what is known of a target; begin to note it."""
        found = self._targets.get(name)
        if found is None:
            found = self._targets[name] = TargetHealth()
        return found

    def begin_probe(self, name: str, now: float | None = None) -> None:
        """Note that a call goes to a target that rested: no other is its probe meanwhile."""
        target = self._targets.get(name)
        if target is not None and target.ejected:
            target.probing_until = (monotonic() if now is None else now) + PROBE_SECONDS

    def forget(self, kept: set[str]) -> None:
        """Drop what is known of targets that are not ``kept``: no virtual model names them any more."""
        for name in self._targets.keys() - kept:
            del self._targets[name]


health = Health()
"""This process's only one."""
