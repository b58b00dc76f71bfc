"""A call through the policies to its targets: retries, and one reply."""

import asyncio
import contextlib
import math
import random

from gateway.call import errors
from gateway.call.call import Call
from gateway.call.reply import Reply
from gateway.pipeline.attempt import attempt
from gateway.policies import POLICIES, compose
from providers.upstream.failures import UpstreamFailure

RETRY_DELAY_SECONDS = 0.1
LONGEST_RETRY_DELAY_SECONDS = 10.0


async def run(call: Call) -> Reply:
    """Run a described call through the policies to its reply. Raises what ``errors.TABLE`` knows."""
    return await _chain(call)


async def deliver(call: Call) -> Reply:
    """Try the call's targets until one answers; raise the last failure when none does."""
    left = call.options.retries
    number = 0
    while True:
        target = call.targets[min(number, len(call.targets) - 1)]
        number += 1
        call.attempts = number
        call.target = target
        try:
            reply = await attempt(call, target, number)
        except (UpstreamFailure, errors.FirstTokenTimedOut) as failure:
            if call.upload is not None and call.upload.fault is not None:
                raise call.upload.fault from None
            if not _may_retry(call, left, errors.status_of(failure), sent=getattr(failure, "sent", True)):
                raise
            delay = None
        else:
            if not _may_retry(call, left, reply.status, sent=True):
                return reply
            delay = _asked_delay(reply)
            reply.close()
        left -= 1
        await asyncio.sleep(_delay(call.options.retries - left, delay))


def _may_retry(call: Call, left: int, status: int, *, sent: bool) -> bool:
    """Whether another attempt is allowed: the caller asked for it, and for this status; nothing sent costs nothing.

    A body that streamed through is gone once it began to be sent.
    """
    if call.upload is not None and call.upload.sent:
        return False
    return left > 0 and (not sent or status in call.options.retry_statuses)


def _asked_delay(reply: Reply) -> float | None:
    for name, value in reply.headers:
        if name in (b"retry-after", b"retry-after-ms"):
            with contextlib.suppress(ValueError):
                seconds = float(value) / (1000 if name == b"retry-after-ms" else 1)
                return seconds if math.isfinite(seconds) else None
    return None


def _delay(retry: int, asked: float | None) -> float:
    if asked is not None:
        return min(max(asked, 0.0), LONGEST_RETRY_DELAY_SECONDS)
    backoff = min(RETRY_DELAY_SECONDS * 2 ** (retry - 1), LONGEST_RETRY_DELAY_SECONDS)
    return backoff * random.uniform(0.75, 1.25)


_chain = compose(POLICIES, deliver)
