"""The plan of a call: the targets that it may be sent to, in order, each with what holds for it alone."""

from collections.abc import Mapping

import msgspec

from gateway.call.headers import RETRY_STATUSES
from providers.snapshot import ModelSnapshot, Target

RETRY_DELAY_SECONDS = 0.1


class PlannedTarget(msgspec.Struct, frozen=True):
    """A target and how often it is tried: ``retries`` after the first attempt, for answers with one of
    ``retry_statuses``.

    ``failover_statuses`` are the statuses whose answers let the call go on to the next target. ``delay`` is how long
    the first retry waits, in seconds. ``params`` are fields of the body that the target gets instead of the caller's;
    ``set_headers`` and ``removed_headers`` change what goes up.
    """

    target: Target
    retries: int = 0
    retry_statuses: frozenset[int] = RETRY_STATUSES
    failover_statuses: frozenset[int] = RETRY_STATUSES
    delay: float = RETRY_DELAY_SECONDS
    params: Mapping[str, msgspec.Raw] = {}
    set_headers: tuple[tuple[str, str], ...] = ()
    removed_headers: frozenset[str] = frozenset()


class Plan(msgspec.Struct, frozen=True):
    """Where a call may go, the preferred target first. A call that names a model or an account has a plan of one.

    ``virtual`` is the virtual model that it was made for.
    """

    targets: tuple[PlannedTarget, ...] = ()
    virtual: ModelSnapshot | None = None

    @property
    def first(self) -> Target:
        """The preferred target."""
        return self.targets[0].target
