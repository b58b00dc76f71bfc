"""The policies, in their order, the same for HTTP calls, sockets and lines of batches.

A policy is a file with what it needs of these: a coroutine ``admit(call)``, which may refuse by raising;
``settle(call, attempt)``, which is given every attempt of an admitted call whose record is complete, its usage and cost
in it; and ``release(call)``, which ends what the call holds when it is over. A new one is a file and a line here; its
position in ``POLICIES`` is its position in the life of a call.
"""

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from gateway.call.call import Call, CallAttempt
from gateway.policies import access, capability, limits, ownership, routing

logger = logging.getLogger("gateway.policies")


@dataclass(frozen=True, slots=True)
class Policy:
    """One policy: its name for logs, and its parts."""

    name: str
    admit: Callable[[Call], Awaitable[None]] | None = None
    settle: Callable[[Call, CallAttempt], None] | None = None
    release: Callable[[Call], None] | None = None


POLICIES: tuple[Policy, ...] = (
    Policy("access", access.admit),
    Policy("capability", capability.admit),
    Policy("ownership", ownership.admit),
    Policy("limits", limits.admit, limits.settle, limits.release),
    Policy("routing", settle=routing.settle),
)


async def admit(call: Call) -> None:
    """Run the policies' first halves in order; the call has a plan when this returns.

    Raises what a policy refuses with.
    """
    for policy in POLICIES:
        if policy.admit is not None:
            await policy.admit(call)


def settle(call: Call, attempt: CallAttempt) -> None:
    """Run the policies' second halves for a completed attempt.

    Never raises: one that fails is logged, the others run.
    """
    for policy in POLICIES:
        if policy.settle is not None:
            try:
                policy.settle(call, attempt)
            except Exception:  # the boundary of a policy: an answer that was paid for must not fail on it
                logger.exception("The policy %s failed on the settlement of %s.", policy.name, call.request_id)


def release(call: Call) -> None:
    """End what the policies hold for a call that is over. Safe to call twice; never raises."""
    for policy in POLICIES:
        if policy.release is not None:
            try:
                policy.release(call)
            except Exception:  # the boundary of a policy: more of the call has to end
                logger.exception("The policy %s failed at the end of %s.", policy.name, call.request_id)
