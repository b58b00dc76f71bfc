"""How the targets of virtual models do: who failed, as far as any worker saw it, and who is how fast for this one.

Two failures within two minutes put a target behind the others (a refused key: one). After a rest it gets one call as a
probe, whose success puts it back. A ``retry-after`` makes the rest as long. Counted are targets of virtual models only,
so that memory is bounded by the configuration.
"""

import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from time import monotonic
from typing import Final, NamedTuple

logger = logging.getLogger("gateway.routing")

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
REPORT_SECONDS: Final = 1.0
"""How often other workers hear of a target that fails again and again."""
REFUSED_KEY_SECONDS: Final = 300.0
"""How long a key rests that the provider does not know, of several that an account has."""
MOST_KEYS: Final = 10_000
FAILURE, SUCCESS, PROBE, PROBE_ENDED, KEY = "failure", "success", "probe", "probe-ended", "key"


class Event(NamedTuple):
    """What a worker reports of a target: a failure, with its status and how long to rest (0: as always); that
    it is back; that it is tried again, or that this ended without saying how it does; or that one of an account's keys
    rests."""

    name: str
    what: str
    status: int = 0
    rest: float = 0.0


@dataclass(slots=True)
class Sample:
    """One answer: when it ended (monotonic seconds), milliseconds to its first token, for each output token, and to its
    end."""

    at: float
    first_ms: float | None
    token_ms: float | None
    whole_ms: float = 0.0


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
    running: int = 0
    """How many attempts of virtual models' calls are under way there, in this worker."""
    reported_at: float = -REPORT_SECONDS
    """When other workers last heard of a failure."""

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

    def note_success(self, sample: Sample | None = None) -> bool:
        """Take a good answer, of another worker without its sample; return whether the target is back by it."""
        was, self.ejected = self.ejected, False
        self.failures.clear()
        self.resting_until = self.probing_until = 0.0
        if sample is not None:
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

    def slow(self, now: float, seconds: float, share: float, *, first: bool, least: int) -> float | None:
        """Return how many milliseconds a ``share`` of the answers of the last ``seconds`` took at most, to the first
        token or to the end; ``None`` with fewer than ``least``."""
        recent = [sample for sample in self.samples if now - sample.at <= seconds]
        known = [sample.first_ms if first else sample.whole_ms for sample in recent]
        values = sorted(value for value in known if value)
        return values[min(len(values) - 1, int(len(values) * share))] if len(values) >= least else None

    def keeps(self, sla: tuple[float | None, float | None], now: float) -> bool:
        """Whether the target kept its bounds over the last minutes; with few samples it is taken to."""
        for bound, first in zip(sla, (True, False), strict=True):
            if bound is not None:
                median, count = self.median(now, SLA_SECONDS, first=first)
                if median is not None and count >= SLA_SAMPLES and median > bound:
                    return False
        return True


class Health:
    """The targets by public name. Used in the event loop only. ``report`` sends events to other workers."""

    def __init__(self) -> None:
        self._targets: dict[str, TargetHealth] = {}
        self._keys: dict[str, float] = {}
        self.report: Callable[[Event], None] | None = None

    def of(self, name: str) -> TargetHealth:
        """Return what is known of a target; begin to note it."""
        found = self._targets.get(name)
        if found is None:
            found = self._targets[name] = TargetHealth()
        return found

    def began(self, name: str) -> None:
        """Note that an attempt goes to a target."""
        self.of(name).running += 1

    def ended(self, name: str) -> None:
        """Note that an attempt ended; its target may have been forgotten meanwhile."""
        target = self._targets.get(name)
        if target is not None and target.running:
            target.running -= 1

    def failed(self, name: str, status: int, rest: float | None) -> None:
        """Take a failure that this worker saw; ``rest`` is how many seconds the target asks to stay away."""
        target, now = self.of(name), monotonic()
        ejected = target.note_failure(status, now, rest)
        if ejected:
            logger.warning("The target %s of virtual models rests: it failed with %d.", name, status)
        if self.report is not None and (ejected or now - target.reported_at >= REPORT_SECONDS):
            target.reported_at = now
            self.report(Event(name, FAILURE, status, rest or 0.0))

    def succeeded(self, name: str, sample: Sample) -> None:
        """Take a good answer that this worker saw."""
        if self.of(name).note_success(sample):
            logger.warning("The target %s of virtual models is back.", name)
            if self.report is not None:
                self.report(Event(name, SUCCESS))

    def begin_probe(self, name: str, now: float | None = None) -> bool:
        """Note that a call goes to a target that rested: no other is its probe meanwhile. Return whether it is one."""
        target = self._targets.get(name)
        if target is None or not target.ejected:
            return False
        target.probing_until = (monotonic() if now is None else now) + PROBE_SECONDS
        if self.report is not None:
            self.report(Event(name, PROBE))
        return True

    def end_probe(self, name: str) -> None:
        """Note that a probe ended without saying how its target does: the next call may be the probe at once."""
        target = self._targets.get(name)
        if target is not None and target.ejected:
            target.probing_until = 0.0
            if self.report is not None:
                self.report(Event(name, PROBE_ENDED))

    def key_failed(self, name: str, status: int, rest: float | None) -> None:
        """Let one of an account's keys rest, which this worker saw refused with ``status``: as long as the provider
        asks, if it does. ``name`` is a name of the key's own, perhaps for one model."""
        seconds = REFUSED_KEY_SECONDS if status in KEY_REFUSED else min(rest or REST_SECONDS, LONGEST_REST_SECONDS)
        now = monotonic()
        if len(self._keys) >= MOST_KEYS:  # those of former revisions of accounts are asked for no more
            self._keys = {each: until for each, until in self._keys.items() if until > now}
        self._keys[name] = now + seconds
        if self.report is not None:
            self.report(Event(name, KEY, status, seconds))

    def key_rests(self, name: str, now: float) -> float:
        """Return how many seconds one of an account's keys is still to rest, 0 for one that may be used."""
        until = self._keys.get(name)
        if until is None:
            return 0.0
        if until <= now:
            del self._keys[name]
        return max(0.0, until - now)

    def resting(self, account: str, now: float) -> list[tuple[str, float, int]]:
        """Return the targets of an account that are behind the others: name, seconds until they are tried again, and
        the status that they failed with. Any thread may ask."""
        known = [(name, target) for name, target in list(self._targets.items()) if name.startswith(f"{account}/")]
        return [(name, max(0.0, target.resting_until - now), target.cause) for name, target in known if target.ejected]

    def hear(self, event: Event, at: float) -> None:
        """Take what another worker saw at a moment (monotonic seconds), and log it."""
        if not self.take(event, at):
            return
        if event.what == FAILURE:
            logger.warning(
                "The target %s of virtual models rests: another worker saw it fail with %d.", event.name, event.status
            )
        elif event.what == SUCCESS:
            logger.warning("The target %s of virtual models is back, as another worker saw.", event.name)

    def take(self, event: Event, at: float) -> bool:
        """Take what another worker saw at a moment; return whether its target is ejected or back by it."""
        if event.what == KEY:
            self._keys[event.name] = max(at + event.rest, self._keys.get(event.name, 0.0))
            return False
        target = self.of(event.name)
        if event.what == FAILURE:
            return target.note_failure(event.status, at, event.rest or None)
        if event.what == SUCCESS:
            return target.note_success()
        if event.what == PROBE and target.ejected:
            target.probing_until = at + PROBE_SECONDS
        elif event.what == PROBE_ENDED:
            target.probing_until = 0.0
        return False

    def forget(self, kept: set[str]) -> None:
        """Drop what is known of targets that are not ``kept``: no virtual model names them any more."""
        for name in self._targets.keys() - kept:
            del self._targets[name]


health = Health()
"""This process's only one."""
