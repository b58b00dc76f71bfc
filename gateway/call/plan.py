"""The plan of a call: the targets that it may be sent to, in order, each with what holds for it alone."""

from collections.abc import Mapping

import msgspec

from gateway.call.headers import RETRY_STATUSES
from providers.routing.compiled import RoutedTarget
from providers.snapshot import Target

RETRY_DELAY_SECONDS = 0.1


class PlannedTarget(msgspec.Struct, frozen=True):
    """A target and how often it is tried: ``retries`` after the first attempt, for answers with one of
    ``retry_statuses``.

    ``failover_statuses`` are the statuses whose answers let the call go on to the next target. ``delay`` is how long
    the first retry waits, in seconds. ``params`` are fields of the body that the target gets instead of the caller's;
    ``set_headers`` and ``removed_headers`` change what goes up. ``stage`` is the fallback rule that it is of: such
    targets follow only failures with their own ``failover_statuses``, and only what was asked for, or others of that
    rule. ``via`` are the virtual models between what the call asked for and the target.
    """

    target: Target
    retries: int = 0
    retry_statuses: frozenset[int] = RETRY_STATUSES
    failover_statuses: frozenset[int] = RETRY_STATUSES
    delay: float = RETRY_DELAY_SECONDS
    params: Mapping[str, msgspec.Raw] = {}
    set_headers: tuple[tuple[str, str], ...] = ()
    removed_headers: frozenset[str] = frozenset()
    stage: str = ""
    via: tuple[str, ...] = ()

    def follows(self, status: int, before: "PlannedTarget") -> bool:
        """Whether it may be tried after ``before`` failed with ``status`` (0: nothing was sent)."""
        if self.stage != before.stage and before.stage:
            return False
        statuses = before.failover_statuses if self.stage == before.stage else self.failover_statuses
        return not status or status in statuses


class Plan(msgspec.Struct, frozen=True):
    """Where a call may go, the preferred target first. A call that names a model or an account has a plan of one.

    ``routed``: it was made of a virtual model's targets or a routing rule's, whose health is followed. ``rules`` are
    the routing rules that made it. ``mirror`` is the target that gets a copy of the call. ``hedge``: the second
    target is asked, too, when the first takes longer than this share of its answers. ``retry_share`` bounds
    retries to so many of a target's calls.
    """

    targets: tuple[PlannedTarget, ...] = ()
    routed: bool = False
    rules: tuple[str, ...] = ()
    mirror: RoutedTarget | None = None
    hedge: float | None = None
    retry_share: float | None = None

    @property
    def first(self) -> Target:
        """The preferred target."""
        return self.targets[0].target
