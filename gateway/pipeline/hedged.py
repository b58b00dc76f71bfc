"""A second request beside a slow first one: whichever has a good answer first is the call's, the other is ended.

Each is an attempt with a record of its own, and both are paid for; the second is reserved in the budgets before it goes
out. A copy of the call carries it, so that the two do not share what an attempt changes.
"""

import asyncio
import contextlib
import copy
from collections.abc import Awaitable, Callable

from msgspec.structs import replace

from gateway.call import errors
from gateway.call.call import Call
from gateway.call.plan import PlannedTarget
from gateway.call.reply import Reply
from gateway.policies import limits
from gateway.routing import hedging
from gateway.state import state
from gateway.telemetry import meter

Deliver = Callable[[Call], Awaitable[Reply]]
Retarget = Callable[[Call, PlannedTarget], Awaitable[None]]
HEDGE = "hedge"
MOVED = ("attempt", "body", "references", "stream", "asks_usage", "audio", "decision")
"""What the call takes over of the copy that won."""


async def deliver(call: Call, seconds: float, ask: Deliver, retarget: Retarget) -> Reply:
    """Return the reply of ``ask``, which tries the call's targets in order; after ``seconds`` without an answer of the
    first target, ask the next one, too. ``retarget`` makes a call what another target takes."""
    first = asyncio.ensure_future(ask(call))
    second: asyncio.Future[Reply] | None = None
    twin = call
    try:
        done, _ = await asyncio.wait({first}, timeout=seconds)
        if not done and await _may_begin(call) and not first.done() and _waits_for_first(call):
            twin = _twin(call, seconds)
            second = asyncio.ensure_future(_ask_second(twin, ask, retarget))
            return await _first_good(call, twin, first, second)
        return await first
    except BaseException:  # the client has left, or the server ends: both requests end as the call does
        twin.client_gone, twin.ended_by = call.client_gone, call.ended_by
        for task in (first, second):
            if task is not None and not task.done():
                task.cancel()
                with contextlib.suppress(BaseException):  # how they end, their records say
                    await task
        raise


async def _may_begin(call: Call) -> bool:
    return _waits_for_first(call) and hedging.take(call) and await limits.reserve_again(call, call.plan.targets[1])


def _waits_for_first(call: Call) -> bool:
    """Whether the call is still at its first target: it may have gone on to the next one already."""
    attempt = call.attempt
    there = attempt is not None and attempt.target.model.public_name == call.plan.first.model.public_name
    return there and not call.client_gone


def _twin(call: Call, seconds: float) -> Call:
    """Return a copy of the call for its second target, which leaves the call's own plan."""
    twin = copy.copy(call)
    first, second, *others = call.plan.targets
    call.plan = replace(call.plan, targets=(first, *others))
    twin.plan = replace(call.plan, targets=(second,))
    twin.attempt = None
    twin.decision = {**call.decision, HEDGE: f"second request, {seconds * 1000:.0f} ms after the first"}
    meter.tried_again(HEDGE, first.target.model.public_name, second.target.model.public_name)
    return twin


async def _ask_second(twin: Call, ask: Deliver, retarget: Retarget) -> Reply:
    await retarget(twin, twin.plan.targets[0])
    return await ask(twin)


async def _first_good(call: Call, twin: Call, first: asyncio.Future[Reply], second: asyncio.Future[Reply]) -> Reply:
    await asyncio.wait({first, second}, return_when=asyncio.FIRST_COMPLETED)
    if not (_is_good(first, call) or _is_good(second, twin)):
        await asyncio.wait({first, second})
    if _is_good(second, twin) and not _is_good(first, call):
        _lose(call, first)
        for name in MOVED:
            setattr(call, name, getattr(twin, name))
        if call.attempt is not None:
            call.attempt.call = call  # whether its client is there, the call knows
        return second.result()
    _lose(twin, second)
    return await first


def _is_good(task: asyncio.Future[Reply], call: Call) -> bool:
    """Whether a request came to an answer that is the call's."""
    if not task.done() or task.cancelled() or task.exception() is not None:
        return False
    planned = call.attempt.planned if call.attempt is not None else None
    return planned is None or task.result().status not in planned.failover_statuses


def _lose(call: Call, task: asyncio.Future[Reply]) -> None:
    """End a request that another was faster than; the call goes on with that one."""
    attempt = call.attempt
    if attempt is not None and (not task.done() or _is_good(task, call)):  # it did not fail by itself
        attempt.call = lost = copy.copy(call)
        lost.ended_by = errors.HedgeLost("Another target answered first.")
        attempt.record.decision = {**attempt.record.decision, HEDGE: "another target answered first"}
    task.cancel()
    state.finish_later(_ended(task))


async def _ended(task: asyncio.Future[Reply]) -> None:
    with contextlib.suppress(asyncio.CancelledError, Exception):
        reply = await task
        reply.close()
