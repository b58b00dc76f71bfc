"""Counts of tokens: the vendor's own where it counts, else an estimate, which says that it is one."""

import asyncio
from collections.abc import Callable

from gateway.call.call import Call
from gateway.call.reply import Reply
from gateway.pipeline.convert import refusal
from gateway.pipeline.local import answer_here
from gateway.pipeline.run import deliver
from gateway.policies import admit
from providers.dialects.conversion import Ask
from providers.dialects.conversions import counts
from providers.dialects.failures import DialectError
from providers.dialects.neutral import Request
from providers.dialects.token_counts import estimate

ESTIMATED = (b"x-gatehouse-estimated", b"true")


async def count(call: Call, read: Callable[[Ask], Request], write: Callable[[int], bytes]) -> Reply:
    """Return the count of a described call's input: asked upstream, or estimated here."""
    await admit(call)
    if counts(call.operation.path, call.operation.door, call.plan.first.account.vendor):
        return await deliver(call)

    async def work() -> bytes:
        try:
            request = read(Ask(fields=call.body.fields, model=call.model_asked))
        except DialectError as error:
            raise refusal(error) from None
        return write(await asyncio.to_thread(estimate, request))

    return await answer_here(call, work, (ESTIMATED,))
