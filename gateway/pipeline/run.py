"""A described call through the policies to its targets: attempts, retries, failover, and one reply.

Retries of one target and failover to the next are counted apart. Once a byte of an answer has gone to the client,
nothing is tried again.
"""

import asyncio
import random
from time import perf_counter_ns

from gateway.call import errors
from gateway.call.call import Call
from gateway.call.plan import PlannedTarget
from gateway.call.reply import Reply
from gateway.pipeline import hedged, mirrors, stream_usage
from gateway.pipeline.attempt import Attempt
from gateway.pipeline.exchange import exchange
from gateway.policies import access, admit, ownership
from gateway.routing import hedging, keys
from gateway.routing.allowance import retries
from gateway.routing.health import health
from gateway.telemetry import meter
from providers.upstream.failures import UpstreamFailure
from providers.upstream.headers import retry_after
from usage.decisions import VIA, way_said

LONGEST_RETRY_DELAY_SECONDS = 10.0
RETRY, FAILOVER, KEY = "retry", "failover", "key"
UNSENT = 0


async def run(call: Call) -> Reply:
    """Run a described call through the policies to its reply. Raises what ``errors.TABLE`` knows."""
    call.trace.described_ns = perf_counter_ns()
    await admit(call)
    call.trace.admitted_ns = perf_counter_ns()
    if call.plan.mirror is not None:
        mirrors.begin(call, run)
    return await deliver(call)


async def deliver(call: Call) -> Reply:
    """Try the call's planned targets in order until one answers; the last attempt's failure is the call's."""
    if call.plan.hedge is not None:
        seconds = hedging.seconds(call)
        if seconds is not None:
            return await hedged.deliver(call, seconds, _deliver, retarget)
    return await _deliver(call)


async def _deliver(call: Call) -> Reply:
    place = 0
    while True:
        reply = await _ask(call, place)
        if isinstance(reply, Reply):
            return reply
        place = reply
        await retarget(call, call.plan.targets[place])


async def _ask(call: Call, place: int) -> Reply | int:
    """Try one target of the plan, as often as it may be; return the reply, or the place of the target which the call
    goes on to."""
    planned, share = call.plan.targets[place], call.plan.retry_share
    if share is not None:
        retries.earn(planned.target.model.public_name, share)
    for retry in range(planned.retries + 1):
        may_retry = retry < planned.retries
        last = not may_retry and place + 1 == len(call.plan.targets)
        attempt, answered, failure = await _with_keys(call, planned, last=last)
        status = (attempt.outcome or 200) if getattr(failure, "sent", True) else UNSENT
        following = None if last else _following(call, place, status)
        step = None if last else next_step(call, planned, status, retry=may_retry, failover=following is not None)
        if step == RETRY and share is not None and not retries.take(planned.target.model.public_name):
            step = next_step(call, planned, status, retry=False, failover=following is not None)
        if step is None and failure is not None:
            raise failure
        if step is None:
            assert answered is not None  # an attempt ends in a reply or a failure
            return answered
        delay = _give_up(attempt, answered)
        target = planned if step == RETRY or following is None else call.plan.targets[following]
        meter.tried_again(step, planned.target.model.public_name, target.target.model.public_name)
        if step == FAILOVER and following is not None:
            return following
        await asyncio.sleep(_delay(planned.delay, retry + 1, delay))
    raise AssertionError("the last attempt returns or raises")


def _following(call: Call, place: int, status: int) -> int | None:
    """Return the place of the next target that takes over after such a failure. A second request may have taken one."""
    targets = call.plan.targets
    later = range(place + 1, len(targets))
    return next((n for n in later if targets[n].follows(status, targets[place])), None)


async def _with_keys(
    call: Call, planned: PlannedTarget, *, last: bool
) -> tuple[Attempt, Reply | None, Exception | None]:
    """Make an attempt; where the account has several keys, another with each that is left while one is refused.

    ``last`` says that nothing else follows. Returns what :func:`_try` does.
    """
    tried: list[str] = []
    while True:
        target, spare = keys.choose(planned.target, call.caller.key, tried)
        if target.account.key:
            call.decision = {**call.decision, "key": target.account.key}
        if planned.via or VIA in call.decision:
            call.decision = {**call.decision, VIA: way_said(planned.via)}
        call.begun[0] += 1
        attempt = call.attempt = Attempt(call, target, call.begun[0], planned)
        attempt.spare_key = spare
        attempt.probes = call.plan.routed and health.begin_probe(target.model.public_name)
        if last and not spare:
            attempt, reply = await _exchange(call, attempt, wait_for_first_event=call.plan.hedge is not None)
            done: tuple[Attempt, Reply | None, Exception | None] = attempt, reply, None
        else:
            done = await _try(call, attempt)
        attempt, answered, _ = done
        if target.account.key and attempt.answer is not None:
            keys.refused(target, attempt.outcome, retry_after(attempt.answer.headers.raw))
        if not spare or attempt.outcome not in keys.MOVING or not _may_go_on(call):
            return done
        _give_up(attempt, answered)
        tried.append(target.account.key)
        meter.tried_again(KEY, target.model.public_name, target.model.public_name)


def _may_go_on(call: Call) -> bool:
    """Whether anything may be tried after an attempt: a body that streamed through is gone once it began to be sent,
    and a client that has left waits for nothing."""
    upload = call.body.upload
    return not (call.client_gone or (upload is not None and upload.sent))


async def retarget(call: Call, planned: PlannedTarget) -> None:
    """Make the call what another target of its plan takes. Raises what the policies refuse with there."""
    if call.as_asked is None:
        return
    body, references = call.as_asked
    call.body, call.references = body.copy(), list(references)
    await access.fit(call, planned)
    await ownership.check(call, planned.target.account)


def next_step(call: Call, planned: PlannedTarget, status: int, *, retry: bool, failover: bool) -> str | None:
    """Return what follows an attempt whose outcome was ``status`` (0: nothing was sent, which costs nothing):
    ``RETRY``, ``FAILOVER``, or ``None`` when it counts. ``retry`` says that the target may be tried again,
    ``failover`` that another follows such a failure.
    """
    if not _may_go_on(call):
        return None
    if retry and (not status or status in planned.retry_statuses):
        return RETRY
    return FAILOVER if failover else None


def _give_up(attempt: Attempt, reply: Reply | None) -> float | None:
    """End an attempt that another follows; return how long its answer asked to wait, in seconds."""
    if reply is None:
        return None
    attempt.finish(None)
    reply.close()
    return retry_after(reply.headers)


async def _try(call: Call, attempt: Attempt) -> tuple[Attempt, Reply | None, Exception | None]:
    """Make an attempt that another may follow; return it, its reply, or the failure that it ended in."""
    try:
        return *await _exchange(call, attempt, wait_for_first_event=True), None
    except (UpstreamFailure, errors.FirstTokenTimedOut) as failure:
        attempt.outcome = errors.status_of(failure)
        return attempt, None, failure


async def _exchange(call: Call, attempt: Attempt, *, wait_for_first_event: bool) -> tuple[Attempt, Reply]:
    """Make an attempt; make another at once where what we added to the request may be all that was refused."""
    account = attempt.target.account
    call.asks_usage = call.stream and stream_usage.may_ask(call, account)
    reply = await exchange(attempt, wait_for_first_event=wait_for_first_event)
    if not call.asks_usage or not stream_usage.was_refused(reply):
        return attempt, reply
    _give_up(attempt, reply)
    call.asks_usage = False
    spare = attempt.spare_key
    call.begun[0] += 1
    attempt = call.attempt = Attempt(call, attempt.target, call.begun[0], attempt.planned)
    attempt.spare_key = spare
    reply = await exchange(attempt, wait_for_first_event=wait_for_first_event)
    stream_usage.learn(account, reply)
    return attempt, reply


def _delay(first: float, retry: int, asked: float | None) -> float:
    if asked is not None:
        return min(asked, LONGEST_RETRY_DELAY_SECONDS)
    backoff = min(first * 2 ** (retry - 1), LONGEST_RETRY_DELAY_SECONDS)
    return backoff * random.uniform(0.75, 1.25)
