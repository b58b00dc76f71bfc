"""The plan of a call: the targets that it may be sent to, in order, each with what holds for it alone."""

from dataclasses import dataclass, field

from gateway.call.headers import RETRY_STATUSES
from providers.snapshot import Target


@dataclass(frozen=True, slots=True)
class PlannedTarget:
    """A target and how often it is tried: ``retries`` after the first attempt, for answers with one of
    ``retry_statuses``.

    ``failover_statuses`` are the statuses whose answers let the call go on to the next target.
    """

    target: Target
    retries: int = 0
    retry_statuses: frozenset[int] = RETRY_STATUSES
    failover_statuses: frozenset[int] = RETRY_STATUSES


@dataclass(frozen=True, slots=True)
class Plan:
    """Where a call may go, the preferred target first. A call that names a model or an account has a plan of one."""

    targets: tuple[PlannedTarget, ...] = field(default=())

    @property
    def first(self) -> Target:
        """The preferred target."""
        return self.targets[0].target
